//! Which processors a server and the load on it run on. Left to the scheduler, where the two happen to be is most of what is measured.

use std::fs;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

/// How server and load share the processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Each has one of its own, as far as there are two.
    Apart,
    /// Both share one: no time is spent on waking the other processor.
    Together,
}

/// The calling thread and a server, placed; dropping it lets the thread run anywhere again.
#[derive(Debug)]
pub struct Placed {
    before: CpuSet,
}

impl Placed {
    /// Places the calling thread, which makes the load, and all threads of process `server`.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn place(server: u32, placement: Placement) -> Result<Self> {
        Self::place_all(&[server], placement)
    }

    /// The same with a server of several processes.
    ///
    /// # Errors
    /// When one of them is gone.
    pub fn place_all(servers: &[u32], placement: Placement) -> Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|cpu| before.is_set(*cpu));
        let own = allowed.next().context("no processor")?;
        let theirs = match placement {
            Placement::Apart => allowed.next_back().unwrap_or(own),
            Placement::Together => own,
        };
        for server in servers {
            for thread in fs::read_dir(format!("/proc/{server}/task"))? {
                let thread =
                    thread?.file_name().to_str().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
                sched_setaffinity(Some(thread.context("a thread's number")?), &only(theirs))?;
            }
        }
        sched_setaffinity(None, &only(own))?;
        Ok(Self { before })
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if let Err(error) = sched_setaffinity(None, &self.before) {
            eprintln!("the benchmark stays on one processor: {error}");
        }
    }
}

fn only(cpu: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(cpu);
    set
}
