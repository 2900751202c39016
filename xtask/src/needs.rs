//! What the verbs need from the machine: programs from Debian packages, modules from npm.
//! Installed where we may; otherwise the error is the one command that is missing.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, OnceLock, PoisonError};

use anyhow::{Result, bail};

use crate::process::Step;

/// Whether a set-up was made in this run, or why it could not be.
pub(crate) type Made = OnceLock<Result<(), String>>;

/// Makes a set-up unless it was made in this run; who asks meanwhile waits for it, and hears of the same failure.
pub(crate) fn once(made: &Made, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let result = made.get_or_init(|| make().map_err(|error| format!("{error:#}")));
    result.clone().map_err(anyhow::Error::msg)
}

/// Held while something is installed: apt and npm know no other installation beside theirs.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Makes sure that `program` is there, installing the Debian package that has it.
pub(crate) fn command(program: &str, package: &str) -> Result<()> {
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if find(program).is_none() {
        install(&[package])?;
        if find(program).is_none() {
            bail!("package {package} is installed, but {program} is not in PATH");
        }
    }
    Ok(())
}

/// Installs every package that `list` names, one per line, unless it is there.
pub(crate) fn packages(list: &str) -> Result<()> {
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut missing = Vec::new();
    for package in list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let state = Step::new("dpkg-query").args(["-W", "-f=${Status}", package]).capture()?;
        if !state.output.contains("install ok installed") {
            missing.push(package);
        }
    }
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

/// Makes sure of what the instruments of `tests/interop` need: programs, and the right to make namespaces.
pub(crate) fn interop() -> Result<()> {
    let list = crate::root().join("tests/interop/apt-packages");
    packages(&std::fs::read_to_string(list)?)?;
    if !root() {
        bail!("network namespaces need root; run the same command as root");
    }
    Ok(())
}

/// Makes sure that Node, npm and the modules that `folder` locks are there.
pub(crate) fn node_modules(folder: &Path) -> Result<()> {
    command("node", "nodejs")?;
    command("npm", "npm")?;
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let lock = std::fs::read(folder.join("package-lock.json"))?;
    let stamp = folder.join("node_modules/.netloom-lock");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    Step::new("npm").args(["ci", "--silent"]).dir(folder).quiet()?;
    std::fs::write(stamp, lock)?;
    Ok(())
}

/// Makes sure that the Wisp server of PyPI is in a folder of ours; answers that.
pub(crate) fn wisp_python() -> Result<PathBuf> {
    let folder = crate::root().join("target/wisp-python");
    if !folder.join("wisp").exists() {
        command("pip3", "python3-pip")?;
        let target = folder.as_os_str();
        Step::new("pip3")
            .args(["install", "--quiet", "--target"])
            .arg(target)
            .arg("wisp-python==0.9.0")
            .quiet()?;
    }
    Ok(folder)
}

fn install(packages: &[&str]) -> Result<()> {
    let missing = format!("apt-get install --yes {}", packages.join(" "));
    if find("apt-get").is_none() || !root() {
        bail!("missing; run as root: {missing}");
    }
    static UPDATE: Once = Once::new();
    // Judged by the install below: an unrelated broken source makes update fail.
    UPDATE.call_once(|| drop(apt(&["update"]).capture()));
    // Not on stdout, which may be a benchmark's figures.
    eprintln!("installing {}", packages.join(" "));
    let outcome = apt(&["install", "--yes", "--no-install-recommends"]).args(packages).capture()?;
    if !outcome.success {
        bail!("`{missing}` failed:\n{}", outcome.output.trim_end());
    }
    Ok(())
}

fn apt(args: &[&str]) -> Step {
    Step::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive")
}

/// Whether we run as root.
pub(crate) fn root() -> bool {
    Step::new("id").arg("-u").capture().is_ok_and(|outcome| outcome.output.trim() == "0")
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
