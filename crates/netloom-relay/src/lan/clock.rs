//! The machine's time from the host's monotonic clock.

use std::time::{SystemTime, UNIX_EPOCH};

use netloom_core::Instant;

/// Maps between the machine's time, which begins when the LAN does, and the host's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    pub(crate) fn now(self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// When the host's clock reaches an instant of the machine.
    pub(crate) fn at(self, instant: Instant) -> tokio::time::Instant {
        self.origin + instant.since(Instant::ZERO)
    }
}

/// The time of day, in microseconds since the Unix epoch.
pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
