//! The network machine.
//!
//! ```text
//! guest frame in ─▶ port ─▶ switch ─▶ stack (arp·ip·icmp·udp·tcp) ─▶ flow ─▶ policy ─▶ service  (answered inside)
//!                      │        └─▶ another port                                └─▶ egress   (handed outside)
//! ```
//!
//! No sockets, threads, clock, randomness or global state: time is an argument, randomness a seed, iteration order fixed. The same
//! inputs give the same bytes out.

pub mod addr;
pub mod config;
pub mod counters;
pub mod flow;
mod hash;
pub mod host;
pub mod interface;
pub mod lan;
pub mod offload;
pub mod policy;
pub mod port;
mod queue;
pub mod service;
mod sorted;
pub mod stack;
pub mod switch;
pub mod tcp;
pub mod time;
mod translate;
mod turns;
pub mod wire;

pub use addr::{IpNet, Ipv4Net, Ipv6Net, MacAddr};
pub use config::{Ipv6Config, LanConfig, Limits};
pub use counters::{Drop, Drops};
pub use flow::{Event, FlowId, Guest, ListenerId, Protocol, Refusal, ResetReason, SocketId};
pub use host::Host;
pub use interface::{InterfaceConfig, InterfaceId, Medium};
pub use lan::Lan;
pub use offload::{Checksum, Offload};
pub use policy::{Hosts, Pattern, Policy, Rule, Verdict};
pub use port::{MAX_FRAME_BYTES, MIN_FRAME_BYTES, PortConfig, PortId};
pub use stack::{ConnectError, Denial, Neighbor, Query, QueryId, StreamOptions};
pub use tcp::Congestion;
pub use time::{Duration, Instant};
