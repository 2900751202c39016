//! The servers that are compared, each a process of its own inside one namespace.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use netloom_interop::namespace::Namespace;
use netloom_interop::process::{Process, resident_bytes};
use netloom_interop::relay::Relay;
use rustix::process::{Pid, Signal, kill_process};

use super::proxy;
use crate::cpu;
use crate::relay::place::{Placed, Placement};

const PATIENCE: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `netloom relay`.
    Ours,
    /// wisp-js of npm.
    WispJs,
    /// wisp-python of PyPI, with one process.
    WispPython,
}

/// All, ours first.
pub const KINDS: [Kind; 3] = [Kind::Ours, Kind::WispJs, Kind::WispPython];

impl Kind {
    /// What it is called in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "netloom",
            Self::WispJs => "wisp-js 0.5.0",
            Self::WispPython => "wisp-python 0.9.0",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Ours => "/wisp/",
            Self::WispJs | Self::WispPython => "/",
        }
    }
}

#[derive(Debug)]
enum Running {
    Relay(Relay),
    Other(Process),
}

/// A running server, killed on drop.
#[derive(Debug)]
pub struct Server {
    running: Running,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its path for Wisp.
    pub path: &'static str,
}

impl Server {
    /// Starts it with its defaults, but that it may dial this host, and waits until it listens.
    ///
    /// # Errors
    /// When it is not there or does not start.
    pub fn start(namespace: &Namespace, kind: Kind) -> Result<Self> {
        let (running, address) = match kind {
            Kind::Ours => {
                let relay = Relay::start(namespace, &["--allow", "127.0.0.0/8", "--log", "error"])
                    .context("netloom relay")?;
                let address = relay.address();
                (Running::Relay(relay), address)
            }
            Kind::WispJs => {
                let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/guests/backends/wisp-js.mjs");
                let (process, address) = start(namespace.command("node").arg(script))?;
                (Running::Other(process), address)
            }
            Kind::WispPython => wisp_python(namespace)?,
        };
        Ok(Self { running, address, path: kind.path() })
    }

    /// Its processes: wisp-python has one for each of its workers.
    ///
    /// # Errors
    /// When it has ended.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let first = match &self.running {
            Running::Relay(relay) => relay.pid(),
            Running::Other(process) => process.pid(),
        };
        let mut all = vec![first];
        let mut at = 0;
        while let Some(pid) = all.get(at) {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            at += 1;
        }
        Ok(all)
    }

    /// Processor time that it has used so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn processor_time(&self) -> Result<Duration> {
        let each: std::io::Result<Vec<_>> = self.processes()?.into_iter().map(cpu::used_by).collect();
        Ok(each?.into_iter().sum())
    }

    /// Resident memory in bytes; pages that processes share count for each.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.processes()?.into_iter().map(resident_bytes).sum()
    }

    /// Puts server and load on their processors.
    ///
    /// # Errors
    /// When it has ended.
    pub fn place(&self, placement: Placement) -> Result<Placed> {
        Placed::place_all(&self.processes()?, placement)
    }

    /// A [`proxy`] to a port of this host.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_proxy(namespace: &Namespace, target: u16) -> Result<Self> {
        let program = std::env::current_exe().context("this program's own path")?;
        let mut command = namespace.command(program);
        let (process, address) = start(command.arg(proxy::ARGUMENT).arg(target.to_string()))?;
        Ok(Self { running: Running::Other(process), address, path: "" })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The first of them ends with its handle, and those that it made would outlive it.
        let Ok(all) = self.processes() else { return };
        for pid in all.into_iter().skip(1) {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::KILL)) {
                eprintln!("a process of a server stays behind: {error}");
            }
        }
    }
}

fn start(command: &mut std::process::Command) -> Result<(Process, SocketAddr)> {
    let mut process = Process::start(command)?;
    let address = process.wait_for_line(PATIENCE, |line| line.strip_prefix("listening on ")?.parse().ok())?;
    Ok((process, address))
}

/// It does not say when it listens.
fn wisp_python(namespace: &Namespace) -> Result<(Running, SocketAddr)> {
    let folder = std::env::var_os("NETLOOM_WISP_PYTHON").map(PathBuf::from);
    let folder = folder.context("NETLOOM_WISP_PYTHON is not set; run cargo xtask bench wisp")?;
    let address = namespace.listen(SocketAddr::from(([127, 0, 0, 1], 0)))?.local_addr()?;
    let mut command = namespace.command("python3");
    command
        .args(["-m", "wisp.server", "--host", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--threads", "1", "--log-level", "critical", "--allow-loopback", "--allow-private"])
        .env("PYTHONPATH", folder);
    let mut process = Process::start(&mut command)?;
    let deadline = Instant::now() + PATIENCE;
    while namespace.connect(address, PATIENCE)?.is_err() {
        if Instant::now() > deadline || !process.is_running() {
            bail!("wisp-python does not listen; it printed:\n{}", process.output().join("\n"));
        }
    }
    Ok((Running::Other(process), address))
}
