//! The built `netloom` program, running inside a namespace.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, ops};

use anyhow::{Context, Result, bail, ensure};

use crate::namespace::Namespace;
use crate::process::Process;

const START_PATIENCE: Duration = Duration::from_secs(10);

/// A running relay, killed on drop.
#[derive(Debug)]
pub struct Relay {
    process: Process,
    address: SocketAddr,
}

impl Relay {
    /// Starts `netloom relay` inside `namespace` on a free port of its loopback and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be built, or ends or stays silent instead of listening.
    pub fn start(namespace: &Namespace, arguments: &[&str]) -> Result<Self> {
        let mut command = namespace.command(program()?);
        command.args(["relay", "--listen", "127.0.0.1:0"]).args(arguments);
        let mut process = Process::start(&mut command)?;
        let address = process
            .wait_for_line(START_PATIENCE, |line| {
                let (_, rest) = line.split_once("listening on ws")?;
                rest.trim_start_matches('s').strip_prefix("://")?.split(['/', ' ']).next()?.parse().ok()
            })
            .context("the relay did not start")?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl ops::Deref for Relay {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl ops::DerefMut for Relay {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The program to test: `NETLOOM_BIN`, or one built now with the profile of the running test.
///
/// # Errors
/// When it does not build.
pub fn program() -> Result<PathBuf> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    if let Some(path) = env::var_os("NETLOOM_BIN") {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "NETLOOM_BIN={} is not a file", path.display());
        return Ok(path);
    }
    let built = BUILT.get_or_init(|| build().inspect_err(|error| eprintln!("{error:#}")).ok());
    built.clone().context("netloom could not be built")
}

/// The same program, which must need nothing beside it, as the one of `cargo xtask test` does.
///
/// # Errors
/// When it needs shared libraries.
pub fn static_program() -> Result<PathBuf> {
    let path = program()?;
    let headers = Command::new("readelf").arg("--program-headers").arg(&path).output()?.stdout;
    ensure!(
        !String::from_utf8_lossy(&headers).contains("INTERP"),
        "{} is not static: set NETLOOM_BIN to the program that cargo xtask test builds",
        path.display()
    );
    Ok(path)
}

fn build() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let profile = test.ancestors().find(|path| path.ends_with("debug") || path.ends_with("release"));
    let profile = profile.context("the test runs outside a target directory: set NETLOOM_BIN")?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "-p", "netloom-relay"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    if !cargo.status().context("cargo cannot run")?.success() {
        bail!("cargo build -p netloom-relay failed");
    }
    Ok(profile.join("netloom"))
}
