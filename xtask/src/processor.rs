//! Processor time of processes, as Linux tells it.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// In which `/proc/PID/stat` counts processor time: USER_HZ of Linux.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Time {
    pub(crate) own: Duration,
    /// That of its children too, as far as it has waited for them, and so on.
    pub(crate) with_children: Duration,
}

/// The processor time that a process has used, or had until it ended.
pub(crate) fn time(pid: u32) -> Result<Time> {
    read(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
}

fn read(stat: &str) -> Result<Time> {
    // The name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks =
        |at: usize| -> Result<u64> { Ok(fields.get(at).context("/proc/PID/stat is short")?.parse()?) };
    let duration = |ticks: u64| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
    // utime and stime, then cutime and cstime.
    let own = ticks(11)? + ticks(12)?;
    Ok(Time { own: duration(own), with_children: duration(own + ticks(13)? + ticks(14)?) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Time, read};

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 0 0 0 0 0 120 30 1000 50 20 0 1 0 100";
        let [own, with_children] = [1500, 12_000].map(Duration::from_millis);
        assert_eq!(read(stat).ok(), Some(Time { own, with_children }));
    }
}
