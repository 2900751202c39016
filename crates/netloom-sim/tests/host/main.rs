//! The machine as a host: interfaces, routes, listeners, sockets, forwarding.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics says where")]

mod forwarding;
mod net;
mod sockets;
mod streams;
