//! What `netloom relay` costs, measured by load from outside, beside bare programs that do the least that could be done.
//!
//! Each part is of one kind of load: [`pair`] two clients that send each other frames, [`path`] a kernel guest that transfers by TCP,
//! [`captured`] the same while it is captured, [`memory`] clients that do nothing. The peer of the first is the [`splice`], a process of its own as the relay is.

pub mod captured;
pub mod memory;
pub mod pair;
pub mod path;
pub mod place;
pub mod pump;
mod socket;
pub mod splice;
mod wire;
