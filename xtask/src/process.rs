//! Running other programs: quietly, captured, or in the open.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{PipeReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::processor;

/// What a program said and how it ended.
pub(crate) struct Outcome {
    pub(crate) success: bool,
    /// stdout and stderr, interleaved as written.
    pub(crate) output: String,
    pub(crate) took: Took,
}

/// What something took by the clock and of the processors.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    pub(crate) clock: Duration,
    pub(crate) processor: Duration,
}

/// Takes the time of what this thread runs.
pub(crate) struct Watch {
    begin: Instant,
    spent: Duration,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self { begin: Instant::now(), spent: SPENT.get() }
    }

    pub(crate) fn took(&self) -> Took {
        Took { clock: self.begin.elapsed(), processor: SPENT.get().saturating_sub(self.spent) }
    }
}

thread_local! {
    /// The processor time of all that this thread has run to its end, with all that this waited for in turn.
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Waits until a program ends, and counts what it spent.
fn wait(mut child: Child) -> Result<ExitStatus> {
    // Left to be waited for: what it spent is told of those alone.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        SPENT.set(SPENT.get() + processor::time(child.id())?.with_children);
    }
    Ok(child.wait()?)
}

/// A program to run, from the workspace root unless told otherwise.
pub(crate) struct Step {
    command: Command,
    line: String,
}

impl Step {
    pub(crate) fn new(program: &str) -> Self {
        let mut command = Command::new(program);
        command.current_dir(crate::root()).stdin(Stdio::null());
        Self { command, line: program.to_owned() }
    }

    /// cargo, the one that runs us.
    pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut step = Self::new(&cargo).args(args);
        step.line = format!("cargo {}", args.join(" "));
        step
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.line.push(' ');
        self.line.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Self {
        args.into_iter().fold(self, |step, arg| step.arg(arg))
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs it and keeps what it says.
    pub(crate) fn capture(self) -> Result<Outcome> {
        let watch = Watch::start();
        let (child, mut reader) = self.spawn()?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let status = wait(child)?;
        let output = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Outcome { success: status.success(), output, took: watch.took() })
    }

    /// Starts it; returns what will be read of stdout and stderr, interleaved as written.
    pub(crate) fn spawn(mut self) -> Result<(Child, PipeReader)> {
        let (reader, writer) = std::io::pipe()?;
        let child = self
            .command
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()
            .with_context(|| format!("cannot run {}", self.line))?;
        // The command, dropped here, holds the pipe's writing end; while it lives, reading never ends.
        Ok((child, reader))
    }

    /// Runs it silently; an error carries what it said.
    pub(crate) fn quiet(self) -> Result<()> {
        let line = self.line.clone();
        let outcome = self.capture()?;
        if !outcome.success {
            bail!("`{line}` failed:\n{}", outcome.output.trim_end());
        }
        Ok(())
    }

    /// Runs it in the open, with our input.
    pub(crate) fn show(mut self) -> Result<()> {
        let child = self
            .command
            .stdin(Stdio::inherit())
            .spawn()
            .with_context(|| format!("cannot run {}", self.line))?;
        let status = wait(child)?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.line);
        }
        Ok(())
    }
}
