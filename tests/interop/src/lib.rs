//! Tests against software others wrote: the Linux kernel over TAP, WebSocket clients
