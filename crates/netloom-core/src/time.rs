//! The machine's own time: microseconds since an origin that the caller chose.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
pub use core::time::Duration;

const US_PER_SECOND: u64 = 1_000_000;

/// A point in time, in microseconds since an origin of the caller's choice.
///
/// The machine never reads a clock; every `handle_*` takes the present as an argument. Time must not run backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    us: u64,
}

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self { us: 0 };

    /// The instant `us` microseconds after the origin.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self { us }
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn as_us(self) -> u64 {
        self.us
    }

    /// The time since `earlier`, zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        let us = self.us.saturating_sub(earlier.us);
        // Nearly always; and WebAssembly has no short way to divide by what does not change.
        if us < US_PER_SECOND { Duration::new(0, us as u32 * 1000) } else { Duration::from_micros(us) }
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        // Bounded, so that nothing overflows: products of 128 bits are a function call in WebAssembly.
        let seconds_us = duration.as_secs().min(u64::MAX / US_PER_SECOND - 1) * US_PER_SECOND;
        Self { us: self.us.saturating_add(seconds_us + u64::from(duration.subsec_micros())) }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.us / 1_000_000, self.us % 1_000_000)
    }
}
