//! The rules of the design that the compiler does not hold: the core does no I/O, and dependencies point one way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::process::Step;

/// What the machine must not name: sockets, files, threads, clocks, randomness, other crates of ours.
const FORBIDDEN: [&str; 15] = [
    "std::net::Tcp",
    "std::net::Udp",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "SystemTime",
    "Instant::now",
    "tokio",
    "rand::",
    "RandomState",
    "println!",
];

/// Our crates, and which of ours each may depend on outside its tests. Those not listed may use any.
const ARROWS: [(&str, &[&str]); 6] = [
    ("netloom-core", &[]),
    ("netloom-proto", &[]),
    ("netloom-sim", &["netloom-core"]),
    ("netloom-relay", &["netloom-core", "netloom-proto"]),
    ("netloom-tls", &[]),
    ("netloom-tls-wasm", &["netloom-tls"]),
];

/// Each check's name and result.
pub(crate) fn checks() -> Vec<(String, Result<()>)> {
    vec![
        ("the core and the codecs do no I/O".to_owned(), no_io()),
        ("dependencies point one way".to_owned(), arrows()),
    ]
}

fn no_io() -> Result<()> {
    let mut found = Vec::new();
    for package in ["netloom-core", "netloom-proto"] {
        for file in sources(&crate::root().join("crates").join(package).join("src"))? {
            let text = fs::read_to_string(&file)?;
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for name in FORBIDDEN.iter().filter(|name| code.contains(*name)) {
                    found.push(format!("{}:{}: {name}", file.display(), number + 1));
                }
            }
        }
    }
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    Ok(())
}

/// The Rust files below `folder`, tests left out.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{} is missing", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "tests" || name.ends_with("tests.rs") {
            continue;
        }
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    Ok(files)
}

fn arrows() -> Result<()> {
    let dependencies = dependencies()?;
    let mut wrong = Vec::new();
    for (package, allowed) in ARROWS {
        let Some(used) = dependencies.get(package) else { bail!("the workspace has no {package}") };
        for name in
            used.iter().filter(|name| name.starts_with("netloom-") && !allowed.contains(&name.as_str()))
        {
            wrong.push(format!("{package} must not depend on {name}"));
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}

/// What each package of the workspace depends on, tests left out.
fn dependencies() -> Result<BTreeMap<String, Vec<String>>> {
    let outcome = Step::cargo(["metadata", "--quiet", "--no-deps", "--format-version", "1"]).capture()?;
    let json = outcome.output.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let metadata: serde_json::Value = serde_json::from_str(json).context("cargo metadata is not JSON")?;
    let mut all = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let names = package["dependencies"].as_array().into_iter().flatten();
        let names = names.filter(|dependency| dependency["kind"] != "dev");
        let names = names.filter_map(|dependency| dependency["name"].as_str().map(str::to_owned)).collect();
        all.insert(package["name"].as_str().unwrap_or_default().to_owned(), names);
    }
    Ok(all)
}
