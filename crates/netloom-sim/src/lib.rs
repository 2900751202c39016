//! Test-only: a network without a clock, in which the machine is driven, impaired, watched and compared with other stacks.
//!
//! ```text
//! guest ─▶ link ─▶ check ─▶ Lan port          one virtual clock drives all of it; the seed decides every impairment,
//! guest ◀─ link ◀─ check ◀─ Lan port          so that the same seed gives the same packets
//! ```

#![expect(clippy::expect_used, reason = "what fails here fails a test")]

pub mod app;
pub mod check;
pub mod faults;
pub mod group;
pub mod guest;
pub mod link;
pub mod outside;
pub mod packet;
pub mod probe;
pub mod rate;
pub mod rng;
pub mod scenario;
pub mod script;
pub mod trace;
pub mod world;

pub use app::{App, Outcome, Plan, Role};
pub use check::Checker;
pub use faults::Faults;
pub use guest::{EngineHost, Host, MachineHost, RawHost, SmoltcpHost};
pub use link::{Link, LinkConfig, LinkCounters};
pub use outside::{Answer, Outside};
pub use probe::Probe;
pub use rng::Rng;
pub use scenario::Scenario;
pub use trace::Trace;
pub use world::World;
