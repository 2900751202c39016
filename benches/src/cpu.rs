//! Processor time: what a benchmark on a shared machine can be judged by, where wall time cannot.

use std::time::Duration;
use std::{fs, io};

use rustix::time::{ClockId, clock_gettime};

/// Processor time that this process has used so far, all threads, user and system.
#[must_use]
pub fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Processor time that another process has used so far, all threads that still run, user and system.
///
/// # Errors
/// When the process is gone, or the kernel keeps no scheduler statistics.
pub fn used_by(pid: u32) -> io::Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let running_ns = text.split_whitespace().next().and_then(|field| field.parse().ok());
        total += Duration::from_nanos(running_ns.ok_or(io::ErrorKind::InvalidData)?);
    }
    Ok(total)
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
