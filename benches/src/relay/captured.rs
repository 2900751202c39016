//! A kernel guest's transfers while its frames are captured by `netloom capture`.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use netloom_interop::process::Process;
use netloom_interop::relay::program;

use super::path::{Nat, Path};
use super::pump::Direction;
use crate::cpu;

const PATIENCE: Duration = Duration::from_secs(10);

/// What is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// Nothing: there is no capture.
    None,
    /// Nothing, by a filter that looks at every frame.
    Filtered,
    /// All of every frame.
    Whole,
    /// The headers of every frame.
    Headers,
}

impl Capture {
    /// All, the one without a capture first.
    pub const ALL: [Self; 4] = [Self::None, Self::Filtered, Self::Whole, Self::Headers];

    /// What it is called in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no capture",
            Self::Filtered => "a filter that takes nothing",
            Self::Whole => "whole frames",
            Self::Headers => "128 bytes of each",
        }
    }

    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::None | Self::Whole => &[],
            Self::Filtered => &["udp", "port", "9"],
            Self::Headers => &["--snap-bytes", "128"],
        }
    }
}

/// A guest behind a relay that can be asked for captures.
pub struct Captured {
    nat: Nat,
    control: String,
    _folder: tempfile::TempDir,
}

impl Captured {
    /// A relay with a control socket, and a guest.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let control = format!("unix:{}", folder.path().join("control").display());
        Ok(Self { nat: Nat::with(&["--control", &control])?, control, _folder: folder })
    }

    /// Moves bytes; how long that took, and the relay's processor time.
    ///
    /// # Errors
    /// When the transfer breaks or there is no capture.
    pub fn transfer(
        &self,
        capture: Capture,
        direction: Direction,
        length: u64,
    ) -> Result<(Duration, Duration)> {
        let running = match capture {
            Capture::None => None,
            Capture::Filtered | Capture::Whole | Capture::Headers => Some(Process::start(
                Command::new(program()?)
                    .args(["capture", "--control", &self.control, "--output", "/dev/null"])
                    .args(capture.arguments()),
            )?),
        };
        self.await_captures(usize::from(running.is_some()))?;
        let before = cpu::used_by(self.nat.relay_pid())?;
        let time = self.nat.transfer(direction, length)?;
        let spent = cpu::used_by(self.nat.relay_pid())?.saturating_sub(before);
        drop(running);
        Ok((time, spent))
    }

    /// Waits until there are so many.
    fn await_captures(&self, count: usize) -> Result<()> {
        let begin = Instant::now();
        loop {
            let shown =
                Command::new(program()?).args(["status", "--json", "--control", &self.control]).output()?;
            let status: serde_json::Value = serde_json::from_slice(&shown.stdout)?;
            let captures = status.pointer("/lans/0/captures").and_then(serde_json::Value::as_u64);
            if captures.context("no count of captures")? == count as u64 {
                return Ok(());
            }
            ensure!(begin.elapsed() < PATIENCE, "there are not {count} captures: {status}");
        }
    }
}
