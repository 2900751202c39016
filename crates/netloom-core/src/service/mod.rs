//! The services that a LAN offers from inside the machine: pure functions from a message to its answer.
//!
//! UDP echo (RFC 862) has no module: its answer is the datagram itself, sent back by the stack.

pub mod dhcp;
pub mod dns;
pub mod ntp;
