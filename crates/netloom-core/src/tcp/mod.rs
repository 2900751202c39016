//! The TCP engine: one [`Tcb`] per connection.

mod buffer;
mod config;
mod congestion;
mod large;
mod options;
mod ranges;
mod receive;
mod rtt;
mod segment;
mod seq;
mod tcb;
mod timer;
mod transmit;

#[cfg(test)]
mod tests;

pub use config::{Config, Congestion};
pub use options::{Options, SackBlocks};
pub use segment::{Flags, Segment, Transmit, reset_for};
pub use seq::SeqNumber;
pub use tcb::{Event, State, Tcb};
