//! Test-only: a network without a clock, in which the machine is driven, impaired, watched and compared with other stacks.
//!
//! ```text
//! guest ─▶ link ─▶ check ─▶ Lan port          one virtual clock drives all of it; the seed decides every impairment,
//! guest ◀─ link ◀─ check ◀─ Lan port          so that the same seed gives the same packets
//! ```

pub mod link;
pub mod rng;

pub use link::{Link, LinkConfig, LinkCounters};
pub use rng::Rng;
