//! Instructions per segment, counted by callgrind: the same on a busy machine as on a quiet one. A committed figure shows what a change
//! costs.
//!
//! The count of a fixed amount of work is taken from that of twice as much, so that neither start nor set-up counts. It depends on the
//! compiler, the C library's memory copy and the vectors that the processor has; the committed figures name theirs, and are compared only
//! where all three are the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use netloom_bench_pairs::{Setup, Stack, pair};
use serde::{Deserialize, Serialize};

/// The argument that makes the benchmark do the work to be counted.
pub const ARGUMENT: &str = "--work";
/// How far a count may lie above the committed figure.
pub const TOLERANCE: f64 = 0.02;

/// How new figures are committed to.
const UPDATE: &str = "cargo xtask bench core instructions --update";
const WORK_BYTES: u64 = 8 << 20;
const HEADER_BYTES: u16 = 40;
const TIMESTAMPS_BYTES: u16 = 12;

/// Committed figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// What the figures depend on besides our code.
    pub environment: String,
    /// Instructions of both ends per segment of the wire, by case.
    pub instructions_per_segment: BTreeMap<String, f64>,
}

/// What is counted, by name.
#[must_use]
pub fn cases() -> [(&'static str, Setup); 5] {
    let plain = Setup::default();
    [
        ("MTU 1500", plain),
        ("MTU 1500, no timestamps", Setup { timestamps: false, ..plain }),
        ("MTU 1500, checksums off", Setup { checksums: false, ..plain }),
        ("MTU 1500, large segments", Setup { large_segments: true, ..plain }),
        ("MTU 1500, 100 busy flows", Setup { busy_flows: 100, ..plain }),
    ]
}

/// Where the committed figures are.
#[must_use]
pub fn baseline_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

impl Baseline {
    /// The committed figures.
    ///
    /// # Errors
    /// A sentence if the file is missing or not what we wrote.
    pub fn read() -> Result<Self, String> {
        let path = baseline_path();
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Commits to these figures.
    ///
    /// # Errors
    /// A sentence if the file cannot be written.
    pub fn write(&self) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        std::fs::write(baseline_path(), text + "\n").map_err(|error| error.to_string())
    }
}

impl Baseline {
    /// Compares with the committed figures. Where anything but our code differs nothing is compared, which is told.
    ///
    /// # Errors
    /// A sentence for the cases that take more than [`TOLERANCE`] more.
    pub fn check(&self, committed: &Self) -> Result<(), String> {
        if self.environment != committed.environment {
            eprintln!(
                "bench-core: not compared: the committed figures are of {}; here is {}",
                committed.environment, self.environment
            );
            return Ok(());
        }
        let mut worse = Vec::new();
        for (case, now) in &self.instructions_per_segment {
            match committed.instructions_per_segment.get(case) {
                None => worse.push(format!("{case} has no committed figure")),
                Some(before) if *now > before * (1.0 + TOLERANCE) => {
                    worse.push(format!("{case} takes {now} instructions per segment, {before} before"));
                }
                Some(before) if *now < before * (1.0 - TOLERANCE) => eprintln!(
                    "bench-core: {case} takes {now} instructions per segment, {before} before: commit to it by {UPDATE}"
                ),
                Some(_) => {}
            }
        }
        if worse.is_empty() { Ok(()) } else { Err(format!("{}; if it must be: {UPDATE}", worse.join("; "))) }
    }
}

/// What counts depend on besides our code.
///
/// # Errors
/// A sentence if the compiler or the C library does not tell its version.
pub fn environment() -> Result<String, String> {
    let compiler = answer("rustc", &["--version"])?;
    let library = answer("getconf", &["GNU_LIBC_VERSION"])?;
    let vectors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // Callgrind's processor has what the real one has, up to these.
    let vectors =
        ["avx2", "sse4_2"].into_iter().find(|name| vectors.split_whitespace().any(|flag| flag == *name));
    Ok(format!("{compiler}, {library}, {}", vectors.unwrap_or("sse2")))
}

fn answer(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} {} failed", arguments.join(" ")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Does the work of a case: what callgrind counts. `arguments` are the stack, the case and how many times the work is done.
///
/// # Errors
/// A sentence if the arguments are not ours or the flows did not open.
pub fn work(arguments: &[String]) -> Result<(), String> {
    let [stack, case, times] = arguments else { return Err("a stack, a case and a count are needed".into()) };
    let stack = if stack == "peer" { Stack::Smoltcp } else { Stack::Ours };
    let setup = cases().into_iter().find(|(name, _)| name == case).map(|(_, setup)| setup);
    let (Some(setup), Ok(times)) = (setup, times.parse::<u64>()) else { return Err("no such work".into()) };
    let mut pair = pair(stack, setup)?;
    let mut bytes = 0;
    while bytes < WORK_BYTES * times {
        bytes += pair.round();
    }
    println!("{bytes}");
    Ok(())
}

/// Instructions of both ends per segment of the wire.
///
/// # Errors
/// A sentence if callgrind failed.
pub fn per_segment(stack: Stack, name: &str, setup: Setup) -> Result<f64, String> {
    let (once, first_bytes) = count(stack, name, 1)?;
    let (twice, second_bytes) = count(stack, name, 2)?;
    let options = if setup.timestamps && stack == Stack::Ours { TIMESTAMPS_BYTES } else { 0 };
    let segment_bytes = f64::from(setup.mtu - HEADER_BYTES - options);
    let segments = (second_bytes - first_bytes) as f64 / segment_bytes;
    Ok((twice - once) as f64 / segments)
}

fn count(stack: Stack, name: &str, times: u64) -> Result<(u64, u64), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let stack = if stack == Stack::Smoltcp { "peer" } else { "ours" };
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([ARGUMENT, stack, name, &times.to_string()])
        // Callgrind counts each step of a string instruction: all copies go by vectors.
        .env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1000000000")
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let instructions = told.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    let bytes = String::from_utf8_lossy(&output.stdout).trim().parse().ok();
    match (instructions, bytes) {
        (Some(instructions), Some(bytes)) => Ok((instructions, bytes)),
        _ => Err(format!("callgrind failed:\n{told}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(environment: &str, figure: f64) -> Baseline {
        let instructions_per_segment = BTreeMap::from([("a case".to_owned(), figure)]);
        Baseline { environment: environment.to_owned(), instructions_per_segment }
    }

    #[test]
    fn more_than_the_tolerance_does_not_pass() {
        let committed = figures("here", 1000.0);
        assert_eq!(figures("here", 1020.0).check(&committed), Ok(()));
        assert_eq!(figures("here", 500.0).check(&committed), Ok(()));
        assert!(figures("here", 1021.0).check(&committed).is_err());
        assert!(
            figures("here", 1.0)
                .check(&Baseline { environment: "here".into(), ..Baseline::default() })
                .is_err()
        );
    }

    #[test]
    fn figures_of_another_compiler_are_not_compared() {
        assert_eq!(figures("here", 5000.0).check(&figures("elsewhere", 1000.0)), Ok(()));
    }

    #[test]
    fn what_is_committed_has_every_case() {
        let committed = Baseline::read().unwrap();
        for (case, _) in cases() {
            assert!(committed.instructions_per_segment.contains_key(case), "{case}");
        }
    }
}
