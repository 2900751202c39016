//! The npm package: its WebAssembly modules, its build, its sizes.

use std::path::PathBuf;

use anyhow::Result;

use crate::process::Step;
use crate::{needs, wasm};

/// Where the package is.
pub(crate) fn folder() -> PathBuf {
    crate::root().join("packages/netloom")
}

/// A script of the package, to be run.
pub(crate) fn script(name: &str) -> Step {
    Step::new("node").arg(format!("scripts/{name}")).dir(&folder())
}

/// Builds the modules, optimises them and leaves them where the package inlines them from.
pub(crate) fn modules() -> Result<()> {
    static MADE: needs::Made = needs::Made::new();
    needs::once(&MADE, || {
        needs::node_modules(&folder())?;
        let mut step = script("wasm.mjs");
        for role in [Some("lan"), None] {
            for features in wasm::Features::ALL {
                step = step.arg(wasm::module_of("netloom-wasm", features, role)?);
            }
        }
        step.arg(wasm::module_with_ring("netloom-tls-wasm")?).show()
    })
}

/// Builds the package into its `dist`, modules and all.
pub(crate) fn build() -> Result<()> {
    static BUILT: needs::Made = needs::Made::new();
    needs::once(&BUILT, || {
        modules()?;
        script("build.mjs").show()
    })
}

/// Tells what is shipped weighs; fails what is over its budget. `part` leaves the modules or the entries.
pub(crate) fn sizes(part: &str) -> Step {
    script("sizes.mjs").arg(part)
}

/// Biome, over all our JavaScript and TypeScript, as `biome.json` has it.
pub(crate) fn biome(verb: &str) -> Result<Step> {
    needs::node_modules(&tests())?;
    Ok(Step::new("node").args(["lint.mjs", verb]).dir(&tests()))
}

/// The compiler's check of the tests; that of the sources is the build.
pub(crate) fn types() -> Step {
    Step::new("node").args(["node_modules/typescript/bin/tsc", "-p", "test"]).dir(&folder())
}

/// The API's reference, below `target/doc-npm`; whatever has no documentation is an error.
pub(crate) fn reference() -> Result<Step> {
    // The sources import the modules.
    modules()?;
    Ok(Step::new("npm").args(["run", "--silent", "doc"]).dir(&folder()))
}

/// Runtimes of a terminal that the package is tested in, as `tests/npm/run.mjs` names them.
pub(crate) const TERMINALS: [&str; 4] = ["node", "node24", "deno", "bun"];
/// Places of a browser, likewise.
pub(crate) const PLACES: [&str; 2] = ["window", "worker"];

/// Where the runners and the tests of the packed package are.
pub(crate) fn tests() -> PathBuf {
    crate::root().join("tests/npm")
}

/// Makes sure of what the tests need, and builds the package.
pub(crate) fn prepare() -> Result<()> {
    needs::node_modules(&tests())?;
    needs::packages(&std::fs::read_to_string(tests().join("apt-packages"))?)?;
    // Sizes are a check of their own.
    build()
}

/// The tests that run everywhere, in one place.
pub(crate) fn everywhere(place: &str) -> Step {
    Step::new("node").args(["run.mjs", place]).dir(&tests())
}

/// Tests for Node's own runner, in one of its versions; `only` is a part of the files' names.
pub(crate) fn suite(node: &str, suite: &str, only: &str) -> Step {
    Step::new("node").args(["suite.mjs", node, suite, only]).dir(&tests())
}
