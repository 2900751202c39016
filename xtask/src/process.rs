//! Running other programs: quietly, captured, or in the open.

use std::ffi::OsStr;
use std::io::{PipeReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// What a program said and how it ended.
pub(crate) struct Outcome {
    pub(crate) success: bool,
    /// stdout and stderr, interleaved as written.
    pub(crate) output: String,
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
        let (mut child, mut reader) = self.spawn()?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let status = child.wait()?;
        Ok(Outcome { success: status.success(), output: String::from_utf8_lossy(&bytes).into_owned() })
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
        let status = self
            .command
            .stdin(Stdio::inherit())
            .status()
            .with_context(|| format!("cannot run {}", self.line))?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.line);
        }
        Ok(())
    }
}
