//! The same in WebAssembly: Node runs the pairs of a module that `cargo xtask bench` has built.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use netloom_bench_pairs::Setup;
use serde::{Deserialize, Serialize};

use super::rate::{Effort, Measure};

/// Where the modules are: the variable of each, with what its engine must have.
pub const MODULES: [(&str, &str); 2] =
    [("baseline", "NETLOOM_PAIRS_BASELINE"), ("simd128", "NETLOOM_PAIRS_SIMD128")];

/// What the script is told, in the order of the module's `open`.
#[derive(Serialize)]
struct Case {
    setup: [usize; 6],
    connects: bool,
}

/// What the script answers for each case: the medians, per second of processor time.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Rates {
    /// Ours, in Gbit or connections.
    pub ours: f64,
    /// The peer's.
    pub peer: f64,
    /// Of a bare memory copy; absent where connections are counted.
    pub copy: Option<f64>,
}

/// The medians of each case, measured in turns as [`compare`](super::rate::compare) does.
///
/// # Errors
/// A sentence if Node or the module failed.
pub fn compare(module: OsString, cases: &[(Setup, Measure)], effort: Effort) -> Result<Vec<Rates>, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core/wasm.mjs");
    let cases: Vec<Case> = cases
        .iter()
        .map(|(setup, measure)| Case {
            setup: [
                setup.mtu.into(),
                setup.checksums.into(),
                setup.timestamps.into(),
                setup.large_segments.into(),
                setup.busy_flows,
                setup.idle_flows,
            ],
            connects: *measure == Measure::Connects,
        })
        .collect();
    let cases = serde_json::to_string(&cases).map_err(|error| error.to_string())?;
    let output = Command::new("node")
        .arg(script)
        .arg(module)
        .args([effort.turns.to_string(), effort.turn.as_millis().to_string(), cases])
        .output()
        .map_err(|error| format!("node: {error}"))?;
    if !output.status.success() {
        return Err(format!("node failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let told = String::from_utf8_lossy(&output.stdout);
    told.lines().map(|line| serde_json::from_str(line).map_err(|error| error.to_string())).collect()
}
