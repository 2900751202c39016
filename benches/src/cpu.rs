//! Processor time: what a benchmark on a shared machine can be judged by, where wall time cannot.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time that this process has used so far, all threads, user and system.
#[must_use]
pub fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The median of some figures; 0 of none.
#[must_use]
pub fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures {
        [] => 0.0,
        _ if figures.len() % 2 == 1 => figures[figures.len() / 2],
        _ => (figures[figures.len() / 2 - 1] + figures[figures.len() / 2]) / 2.0,
    }
}
