//! A rate that many move under: each reserves what it moves, and moves it when its turn has come.
//!
//! It is the generic cell rate algorithm (ITU-T I.371) with a queue: a reservation is never refused, only put off, in the order in which
//! they were made. Who moves the same piece at each turn gets the same share.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What all rates count their time from.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds of a clock that never goes back.
pub(super) fn ns_of(now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(*EPOCH).as_nanos()).unwrap_or(u64::MAX)
}

/// The instant of [`ns_of`].
pub(super) fn instant_of(ns: u64) -> Instant {
    *EPOCH + Duration::from_nanos(ns)
}

/// When all that was granted will have moved at the rate, in [`ns_of`] nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Rate {
    due_ns: AtomicU64,
}

impl Rate {
    /// Reserves; when it may move, all of it. After a silence as much may move at once as moves in `burst` at the rate.
    pub(super) fn reserve(&self, amount: u64, per_s: u64, burst: Duration, now_ns: u64) -> u64 {
        let cost_ns = cost_ns(amount, per_s);
        let due = self.due_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due_ns| {
            Some(due_ns.max(now_ns).saturating_add(cost_ns))
        });
        let due_ns = due.unwrap_or_else(|due_ns| due_ns).max(now_ns).saturating_add(cost_ns);
        due_ns.saturating_sub(ns(burst)).max(now_ns)
    }

    /// Takes what may move at once, or says from when on it may.
    pub(super) fn take(&self, amount: u64, per_s: u64, burst: Duration, now_ns: u64) -> Result<(), u64> {
        let last = now_ns.saturating_add(ns(burst));
        let taken = self.due_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due_ns| {
            Some(due_ns.max(now_ns).saturating_add(cost_ns(amount, per_s))).filter(|due_ns| *due_ns <= last)
        });
        taken.map(drop).map_err(|due_ns| {
            due_ns.max(now_ns).saturating_add(cost_ns(amount, per_s)).saturating_sub(ns(burst))
        })
    }

    /// Whether nothing is owed any more.
    pub(super) fn is_idle(&self, now_ns: u64) -> bool {
        self.due_ns.load(Ordering::Relaxed) <= now_ns
    }
}

fn cost_ns(amount: u64, per_s: u64) -> u64 {
    let cost = u128::from(amount) * 1_000_000_000 / u128::from(per_s.max(1));
    u64::try_from(cost).unwrap_or(u64::MAX)
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
