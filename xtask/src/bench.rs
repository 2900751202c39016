//! `cargo xtask bench`: benchmarks with what each needs. Figures are of release builds; stdout is the benchmark's alone.

use anyhow::Result;

use crate::process::Step;
use crate::relay::Build;
use crate::{needs, wasm};

/// A benchmark, to be run.
pub(crate) fn step(name: &str, arguments: &[String]) -> Result<Step> {
    let program = format!("bench-{name}");
    let step =
        Step::cargo(["run", "--quiet", "--release", "--package", "netloom-bench", "--bin", &program, "--"])
            .args(arguments);
    if name == "core" {
        return core(step, arguments);
    }
    if name == "npm" {
        crate::npm::build()?;
        return Ok(Step::new("node").arg(crate::root().join("benches/npm/run.mjs")).args(arguments));
    }
    if name == "v86" {
        crate::guest::make()?;
        crate::npm::build()?;
        let relay = Build::Release.make()?;
        let script = crate::root().join("benches/v86/run.mjs");
        let step =
            Step::new("node").arg(script).args(arguments).env("NETLOOM_GUEST_DIR", crate::guest::folder());
        return Ok(step.env("NETLOOM_BIN", relay));
    }
    if name == "cors" {
        needs::node_modules(&crate::guest::tests())?;
        let relay = Build::Release.make()?;
        let step = step.env("NETLOOM_NODE_MODULES", crate::guest::tests());
        return Ok(step.env("NETLOOM_BIN", relay));
    }
    needs::interop()?;
    let relay = Build::Release.make()?;
    if name == "wisp" {
        needs::node_modules(&crate::guest::tests())?;
        let step = step.env("NETLOOM_WISP_PYTHON", needs::wisp_python()?);
        return Ok(step.env("NETLOOM_BIN", relay));
    }
    Ok(step.env("NETLOOM_BIN", relay))
}

fn core(mut step: Step, arguments: &[String]) -> Result<Step> {
    let parts: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let asked = |part: &str| parts.is_empty() || parts.iter().any(|name| *name == part);
    if asked("instructions") {
        needs::command("valgrind", "valgrind")?;
    }
    if asked("wasm") {
        needs::command("node", "nodejs")?;
        for features in wasm::Features::ALL {
            let variable = format!("NETLOOM_PAIRS_{}", features.name().to_uppercase());
            step = step.env(&variable, wasm::module("netloom-bench-pairs", features)?);
        }
    }
    Ok(step)
}
