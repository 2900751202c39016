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

/// Builds the modules, optimises them and leaves them where the package inlines them from; prints their sizes.
pub(crate) fn wasm() -> Result<()> {
    needs::node_modules(&folder())?;
    let mut step = script("wasm.mjs");
    for features in wasm::Features::ALL {
        step = step.arg(wasm::module("netloom-wasm", features)?);
    }
    step.show()
}

/// Builds the package into its `dist`; prints what the entries weigh.
pub(crate) fn build() -> Result<()> {
    wasm()?;
    script("build.mjs").show()?;
    script("sizes.mjs").show()
}
