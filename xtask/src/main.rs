//! What people and CI run: `cargo xtask VERB`. Every verb sets up what it needs.

mod bench;
mod cpio;
mod demo;
mod fuzz;
mod groups;
mod guest;
mod needs;
mod npm;
mod plateau;
mod process;
mod processor;
mod programs;
mod psql;
mod purity;
mod relay;
mod tally;
mod test;
mod times;
mod wasm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use groups::Tier;
use process::Step;
use relay::Build;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What people and CI run. Every verb sets up what it needs.")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Boot a guest in v86 and take it online through the relay
    Demo {
        /// End after the transcript, with exit code 0 or 1
        #[arg(long)]
        once: bool,
    },
    /// Set up and run the tests that fit in about 25 minutes
    Test {
        /// Everything, at full size
        #[arg(long)]
        full: bool,
        /// One group: fmt, lint, doc, unit, sim, relay, fuzz, bench, interop, demo, browser, guests, v86-backends, npm
        #[arg(long, value_name = "GROUP")]
        only: Option<String>,
    },
    /// Run a benchmark, such as core or relay; further arguments are the benchmark's
    Bench {
        name: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the npm package's WebAssembly modules and hold them to their budget; or another package's library, and print its paths
    Wasm { package: Option<String> },
    /// Build the npm package, modules and all
    Js,
    /// Make the test guest and save its states
    Guest,
    /// Fuzz one target or each in turn
    Fuzz {
        target: Option<String>,
        /// Inputs to try
        #[arg(long, default_value_t = 100_000)]
        runs: u64,
        /// Fuzz for so many minutes of processor time instead, and print coverage by minute
        #[arg(long, conflicts_with = "runs")]
        minutes: Option<u64>,
        /// What libFuzzer's choices begin with: another number takes another way
        #[arg(long, default_value_t = 1)]
        seed: u32,
    },
    /// Format all code
    Fmt,
    /// Lint all code and check the design's rules
    Lint,
    /// Build the documentation
    Doc,
    /// Run the unit tests
    Unit,
}

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// The triple of this machine.
fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

fn run(verb: Verb) -> Result<bool> {
    match verb {
        Verb::Demo { once } => demo::step(once, Build::Release)?.show()?,
        Verb::Test { full, only } => {
            return test::run(if full { Tier::Full } else { Tier::Quick }, only.as_deref());
        }
        Verb::Bench { name, arguments } => bench::step(&name, &arguments)?.show()?,
        Verb::Wasm { package: None } => {
            npm::modules()?;
            npm::sizes("modules").show()?;
        }
        Verb::Js => {
            npm::build()?;
            npm::sizes("").show()?;
        }
        Verb::Wasm { package: Some(package) } => {
            for features in wasm::Features::ALL {
                println!("{}", wasm::module(&package, features)?.display());
            }
        }
        Verb::Guest => guest::make()?,
        Verb::Fuzz { target, runs, minutes, seed } => fuzz::run(target.as_deref(), runs, minutes, seed)?,
        Verb::Fmt => {
            Step::cargo(["fmt", "--all"]).show()?;
            npm::biome("format")?.arg("--write").show()?;
        }
        Verb::Lint => return test::run(Tier::Quick, Some("lint")),
        Verb::Doc => return test::run(Tier::Quick, Some("doc")),
        Verb::Unit => return test::run(Tier::Quick, Some("unit")),
    }
    Ok(true)
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
