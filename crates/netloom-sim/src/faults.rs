//! Known faults of smoltcp 0.14, the reference stack. Each is named here, recognised where it happens and counted, so that a test says
//! what it forgives; `tests/faults.rs` shows each by itself and fails once smoltcp has mended it.

use core::ops::AddAssign;

/// How often each was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A window's right edge moved back by less than a unit of its scale: smoltcp rounds windows down, whatever it announced before
    /// (RFC 9293 3.8.6 says that it should not).
    pub rounded_windows: u64,
    /// A FIN is never sent again: three duplicate acknowledgments while nothing but it is outstanding stop the retransmission timer
    /// for good (against RFC 6298 5).
    pub lost_fin_timers: u64,
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.rounded_windows += other.rounded_windows;
        self.lost_fin_timers += other.lost_fin_timers;
    }
}
