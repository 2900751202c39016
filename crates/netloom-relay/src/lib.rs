//! The relay: guests of a LAN and streams of Wisp clients over WebSocket, and their way out by this host's sockets.
//!
//! ```text
//! client ─▶ listen (gate · route · upgrade) ─▶ lan (one thread, one machine) ─▶ egress (dial · tcp · udp · ping · dns)
//!                                  forward ─▶
//!                                          ├─▶ wisp (a thread for each core) ─▶ dial
//!                                          └─▶ cors, doh ─▶ dial
//! ```

pub mod access;
pub mod c2w_net;
mod capture;
pub mod cli;
mod conduit;
pub mod config;
mod control;
mod cors;
mod doh;
mod egress;
mod forward;
pub mod guest;
mod header;
mod hex;
mod hop_by_hop;
mod hosts;
mod lan;
mod limit;
mod listen;
mod random;
pub mod relay;
pub mod setup;
mod socket;
mod tap;
mod tls;
pub mod verbs;
mod wisp;
mod zone;
