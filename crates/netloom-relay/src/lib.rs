//! The relay: guests of a LAN over WebSocket, and their way out by this host's sockets.
//!
//! ```text
//! client ─▶ listen (gate · route · upgrade) ─▶ lan (one thread, one machine) ─▶ egress (tcp · udp · ping · dns)
//! ```

pub mod cli;
pub mod config;
mod cors;
mod doh;
mod egress;
mod lan;
mod listen;
mod random;
pub mod relay;
mod socket;
mod zone;
