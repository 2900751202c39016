//! A child process that ends with its owner, and what the kernel says about it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running child, killed on drop. Its standard output and error are read so that it never blocks on them.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    /// Starts a command.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn start(command: &mut Command) -> Result<Self> {
        let line = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{line} cannot run"))?;
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            let sender = sender.clone();
            thread::spawn(move || {
                BufReader::new(output).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
            });
        }
        if let Some(output) = child.stderr.take() {
            thread::spawn(move || {
                BufReader::new(output).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
            });
        }
        Ok(Self { child, lines, seen: Vec::new() })
    }

    /// The first line, on either output, for which `wanted` gives a value.
    ///
    /// # Errors
    /// With all it has printed, when it ends or `patience` is over without such a line.
    pub fn wait_for_line<T>(&mut self, patience: Duration, wanted: impl Fn(&str) -> Option<T>) -> Result<T> {
        loop {
            match self.lines.recv_timeout(patience) {
                Ok(line) => {
                    let found = wanted(&line);
                    self.seen.push(line);
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                Err(_) => bail!("the expected line never came; it printed:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Every line printed so far, on both outputs.
    pub fn output(&mut self) -> &[String] {
        self.seen.extend(self.lines.try_iter());
        &self.seen
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal and waits for the end; gives the exit code, if it ended by itself.
    ///
    /// # Errors
    /// When the process cannot be signalled or awaited.
    pub fn stop(&mut self, signal: Signal) -> Result<Option<i32>> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal)?;
        Ok(self.child.wait()?.code())
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_bytes(&self) -> Result<u64> {
        resident_bytes(self.pid())
    }

    /// Open file descriptors.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn open_files(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid()))?.count())
    }
}

/// Resident memory of any process, in bytes.
///
/// # Errors
/// When it is gone.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the process has ended")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() && self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}
