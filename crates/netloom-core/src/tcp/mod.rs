//! The TCP engine: one [`Tcb`] per connection.

mod config;
mod options;
mod segment;
mod seq;
mod tcb;

pub use config::{Config, Congestion};
pub use options::{Options, SackBlocks};
pub use segment::{Flags, Segment, Transmit, reset_for};
pub use seq::SeqNumber;
pub use tcb::{Event, State, Tcb};
