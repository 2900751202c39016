//! How many frames to groups a port may send per second: each is copied to every other port, so that one guest's storm is everybody's.

use crate::time::Instant;

const US_PER_SECOND: u64 = 1_000_000;

/// A rate of frames; those of a second may come at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct BroadcastLimit {
    frame_us: u64,
    /// When all that came was due.
    due_us: u64,
}

impl BroadcastLimit {
    /// `None` for 0, which is no limit.
    pub(super) fn new(frames_per_s: u32) -> Option<Self> {
        let frame_us = US_PER_SECOND.checked_div(frames_per_s.into())?;
        Some(Self { frame_us: frame_us.max(1), due_us: 0 })
    }

    /// Whether one frame more may come now.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let due_us = self.due_us.max(now.as_us()) + self.frame_us;
        let admitted = due_us <= now.as_us() + US_PER_SECOND;
        if admitted {
            self.due_us = due_us;
        }
        admitted
    }
}
