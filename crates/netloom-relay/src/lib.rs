//! The relay: guests of a LAN and streams of Wisp clients over WebSocket, and their way out by this host's sockets.
//!
//! ```text
//! client ─▶ listen (gate · route · upgrade) ─▶ lan (one thread, one machine) ─▶ egress (dial · tcp · udp · ping · dns)
//!                                  forward ─▶
//!                                          ├─▶ wisp (a thread for each core) ─▶ dial
//!                                          └─▶ cors, doh ─▶ dial
//! ```

pub mod c2w_net;
pub mod cli;
pub mod config;
mod cors;
mod doh;
mod egress;
mod forward;
pub mod guest;
mod lan;
mod listen;
mod random;
pub mod relay;
mod socket;
mod tls;
mod wisp;
mod zone;
