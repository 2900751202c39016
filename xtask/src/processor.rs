//! Processor time of processes, as Linux tells it.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

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

/// The time of all processors since the machine started: in which they did something, and all of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Machine {
    busy: u64,
    all: u64,
}

impl Machine {
    pub(crate) fn now() -> Result<Self> {
        Self::read(&fs::read_to_string("/proc/stat")?)
    }

    fn read(stat: &str) -> Result<Self> {
        let line = stat.lines().next().context("/proc/stat is empty")?;
        // cpu  user nice system idle iowait irq softirq steal, and then what is in those already.
        let fields: Vec<u64> = line.split_whitespace().skip(1).take(8).flat_map(str::parse).collect();
        let all = fields.iter().sum();
        let [_, _, _, idle, iowait, ..] = fields[..] else { bail!("/proc/stat is short") };
        Ok(Self { busy: all - idle - iowait, all })
    }

    /// Of the time since `earlier`, in how much the processors did something, in percent.
    pub(crate) fn busy_since(self, earlier: Self) -> u64 {
        let busy = self.busy.saturating_sub(earlier.busy);
        (busy * 100).checked_div(self.all.saturating_sub(earlier.all)).unwrap_or_default()
    }
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

    use super::{Machine, Time, read};

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 0 0 0 0 0 120 30 1000 50 20 0 1 0 100";
        let [own, with_children] = [1500, 12_000].map(Duration::from_millis);
        assert_eq!(read(stat).ok(), Some(Time { own, with_children }));
    }

    #[test]
    fn what_waits_is_not_busy() {
        let [before, after] = ["cpu  10 0 5 80 5 0 0 0 0 0\ncpu0 1", "cpu  70 0 15 90 20 0 0 5 9 9\ncpu0 1"]
            .map(|stat| Machine::read(stat).ok());
        assert_eq!(before.zip(after).map(|(before, after)| after.busy_since(before)), Some(75));
    }
}
