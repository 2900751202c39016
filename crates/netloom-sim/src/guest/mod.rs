//! Reference guests: hosts on the other end of a wire, with a stack of their own.

use netloom_core::Instant;

use crate::app::{Outcome, Role};

pub mod engine;
pub mod machine;
pub mod raw;
pub mod smoltcp;

pub use engine::EngineHost;
pub use machine::MachineHost;
pub use raw::RawHost;
pub use smoltcp::SmoltcpHost;

/// A host that takes and sends Ethernet frames. It has no clock.
pub trait Host {
    /// Takes a frame.
    fn handle_frame(&mut self, now: Instant, frame: &[u8]);

    /// Acts on what arrived and on deadlines that have passed, and returns the next frame to send, if any.
    fn poll_frame(&mut self, now: Instant) -> Option<Vec<u8>>;

    /// When it wants to be polled again without being handed a frame.
    fn poll_timeout(&mut self, now: Instant) -> Option<Instant>;

    /// Connections whose FIN its stack will never send again, see [`Faults`](crate::Faults).
    fn lost_fin_timers(&mut self, _now: Instant) -> u64 {
        0
    }

    /// How each of its programs that is over has ended, in order of time.
    fn finished(&self) -> &[(Role, Outcome)] {
        &[]
    }
}
