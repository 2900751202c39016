//! The TCP engine: one [`Tcb`] per connection.

mod acknowledge;
mod buffer;
mod config;
mod congestion;
mod large;
mod options;
mod path_mtu;
mod prr;
mod rack;
mod ranges;
mod receive;
mod recovery;
mod rtt;
mod scoreboard;
mod segment;
mod seq;
mod tail_probe;
mod tcb;
mod timer;
mod timestamps;
mod transmit;
mod tuning;

#[cfg(test)]
mod tests;

pub use config::{Config, Congestion};
pub use options::{Options, SackBlocks, Timestamps};
pub use segment::{Flags, Segment, Transmit, reset_for};
pub use seq::SeqNumber;
pub use tcb::{Event, State, Tcb};
