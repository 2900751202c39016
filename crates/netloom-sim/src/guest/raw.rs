//! A host without a stack: a test writes its frames by hand and reads what arrives.

use std::collections::VecDeque;

use netloom_core::Instant;

use super::Host;

/// A host without a stack.
#[derive(Clone, Debug, Default)]
pub struct RawHost {
    /// Frames that will leave at the next poll.
    pub outgoing: VecDeque<Vec<u8>>,
    /// Frames that have arrived, with their time.
    pub received: Vec<(Instant, Vec<u8>)>,
}

impl RawHost {
    /// Takes all frames that have arrived.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        self.received.drain(..).map(|(_, frame)| frame).collect()
    }
}

impl Host for RawHost {
    fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        self.received.push((now, frame.to_vec()));
    }

    fn poll_frame(&mut self, _now: Instant) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        (!self.outgoing.is_empty()).then_some(now)
    }
}
