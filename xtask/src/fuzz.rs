//! `cargo xtask fuzz`: libFuzzer on stable Rust, without cargo-fuzz.
//!
//! The targets are the binaries of `netloom-fuzz`, built with the compiler's own coverage pass into `target/fuzz`.
//! Seeds come from `fuzz/corpus/TARGET`; what is found on the way stays in `target/fuzz/corpus/TARGET`, crashes in `fuzz/artifacts`.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::needs;
use crate::plateau;
use crate::process::Step;

/// Compiler flags of cargo-fuzz that stable Rust has too; without a sanitizer, which is nightly's.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks -Cpanic=abort";
/// Seconds after which one input counts as hung.
const HANG_SECONDS: u32 = 10;

/// Builds all targets.
pub(crate) fn build() -> Result<()> {
    // libFuzzer's runtime is C++.
    needs::command("g++", "g++")?;
    Step::cargo(["build", "--quiet", "--package", "netloom-fuzz", "--bins", "--profile", "fuzz"])
        .arg("--target-dir")
        .arg(crate::root().join("target/fuzz"))
        // Told a target, cargo keeps the flags from build scripts, which libFuzzer is not linked to.
        .args(["--target", &crate::host()])
        .env("RUSTFLAGS", FLAGS)
        .quiet()
}

/// The names of the targets: the binaries `fuzz_NAME`, without the prefix.
pub(crate) fn targets() -> Result<Vec<String>> {
    let folder = crate::root().join("fuzz/src/bin");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{} is missing", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_prefix("fuzz_").and_then(|name| name.strip_suffix(".rs")) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    if names.is_empty() {
        bail!("{} holds no fuzz target", folder.display());
    }
    Ok(names)
}

/// The run of one target, without end if told no number of inputs. With the same seed the same build takes the same way.
pub(crate) fn step(target: &str, runs: Option<u64>, seed: u32) -> Result<Step> {
    let root = crate::root();
    let found = root.join("target/fuzz/corpus").join(target);
    let artifacts = root.join("fuzz/artifacts").join(target);
    let _ = fs::remove_dir_all(&found);
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&artifacts)?;
    let program = root.join("target/fuzz").join(crate::host()).join("fuzz").join(format!("fuzz_{target}"));
    let step = Step::new(&program.to_string_lossy())
        .args(runs.map(|runs| format!("-runs={runs}")))
        .args([format!("-seed={seed}"), format!("-timeout={HANG_SECONDS}")])
        .args(["-max_len=4096", "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(&found);
    let seeds = root.join("fuzz/corpus").join(target);
    Ok(if seeds.is_dir() { step.arg(seeds) } else { step })
}

/// Fuzzes one target, or each in turn, in the open.
pub(crate) fn run(target: Option<&str>, runs: u64, minutes: Option<u64>, seed: u32) -> Result<()> {
    let known = targets()?;
    let chosen = match target.map(|name| name.strip_prefix("fuzz_").unwrap_or(name)) {
        None => known,
        Some(name) if known.iter().any(|target| target == name) => vec![name.to_owned()],
        Some(name) => bail!("there is no fuzz target {name}; use one of {}", known.join(", ")),
    };
    build()?;
    for target in chosen {
        println!("fuzzing {target}");
        match minutes {
            None => step(&target, Some(runs), seed)?.show()?,
            Some(minutes) => plateau::run(step(&target, None, seed)?, minutes)?,
        }
    }
    Ok(())
}
