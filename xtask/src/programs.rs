//! The workspace's Rust tests, built all at once.
//!
//! `cargo test --package` resolves features for that package alone, and builds anew what packages share but for a feature.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::process::Step;

/// A test program: a target of a package.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) target: String,
    package: String,
    file: PathBuf,
    /// The package's, where cargo would run it.
    folder: PathBuf,
}

impl Program {
    /// The program, to be run.
    pub(crate) fn step(&self) -> Step {
        Step::new(&self.file.to_string_lossy()).dir(&self.folder)
    }
}

/// The test programs of a package, of which there is at least one; built at the first call for any.
pub(crate) fn of(package: &str) -> Result<Vec<&'static Program>> {
    static PROGRAMS: OnceLock<Option<Vec<Program>>> = OnceLock::new();
    let mut trouble = None;
    let all = PROGRAMS.get_or_init(|| build().map_err(|error| trouble = Some(error)).ok());
    let all = match (all, trouble) {
        (Some(all), _) => all,
        (None, Some(error)) => return Err(error),
        (None, None) => bail!("the tests do not build; the group that needed them first says why"),
    };
    let programs: Vec<_> = all.iter().filter(|program| program.package == package).collect();
    ensure!(!programs.is_empty(), "{package} has no tests");
    Ok(programs)
}

/// The examples in the documentation of all packages.
pub(crate) fn examples() -> Step {
    Step::cargo(["test", "--workspace", "--doc"])
}

fn build() -> Result<Vec<Program>> {
    let step = Step::cargo(["test", "--workspace", "--no-run", "--quiet"]);
    let outcome = step.arg("--message-format=json-render-diagnostics").capture()?;
    let (messages, said): (Vec<_>, Vec<_>) = outcome.output.lines().partition(|line| line.starts_with('{'));
    if !outcome.success {
        bail!("{}", said.join("\n"));
    }
    messages.into_iter().filter_map(|line| program(line).transpose()).collect()
}

/// The test program that a message of cargo tells of, if it tells of one.
fn program(message: &str) -> Result<Option<Program>> {
    let message: Value = serde_json::from_str(message).context("cargo's message is not JSON")?;
    if message["profile"]["test"] != true {
        return Ok(None);
    }
    let Some(file) = message["executable"].as_str() else { return Ok(None) };
    let manifest = Path::new(message["manifest_path"].as_str().context("a program has no manifest")?);
    let folder = manifest.parent().context("a manifest has no folder")?;
    // path+file:///…/crates/netloom-core#0.1.0, or #netloom-interop@0.1.0 where the folder has another name.
    let id = message["package_id"].as_str().context("a program has no package")?;
    let after = id.rsplit('#').next().unwrap_or(id);
    let package = after.split_once('@').map(|(name, _)| name.to_owned());
    let package = package.or_else(|| Some(folder.file_name()?.to_string_lossy().into_owned()));
    Ok(Some(Program {
        target: message["target"]["name"].as_str().unwrap_or_default().to_owned(),
        package: package.unwrap_or_default(),
        file: PathBuf::from(file),
        folder: folder.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    fn a_test_program_is_told_by_cargo() {
        let message = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/tests/interop#netloom-interop@0.1.0",
            "manifest_path":"/w/tests/interop/Cargo.toml","target":{"name":"mtu"},"profile":{"test":true},"executable":"/w/t/mtu-1"}"#;
        let found = program(message).ok().flatten().map(|found| (found.package, found.target, found.folder));
        assert_eq!(found, Some(("netloom-interop".to_owned(), "mtu".to_owned(), "/w/tests/interop".into())));
    }

    #[test]
    fn a_package_may_be_named_by_its_folder() {
        let message = r#"{"package_id":"path+file:///w/xtask#0.1.0","manifest_path":"/w/xtask/Cargo.toml",
            "target":{"name":"xtask"},"profile":{"test":true},"executable":"/w/t/xtask-1"}"#;
        let package = program(message).ok().flatten().map(|found| found.package);
        assert_eq!(package.as_deref(), Some("xtask"));
    }

    #[test]
    fn what_is_no_test_is_none() {
        let message =
            r#"{"reason":"compiler-artifact","profile":{"test":false},"executable":"/w/t/netloom"}"#;
        assert!(program(message).is_ok_and(|found| found.is_none()));
    }
}
