//! The groups of `cargo xtask test`, and how each is run.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::process::{Outcome, Step, Took};
use crate::relay::Build;
use crate::tally::Tally;
use crate::{fuzz, guest, needs, npm, programs, purity};

/// One group: its name and what it runs.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    run: fn(Tier, &mut Vec<Report>) -> Result<()>,
}

/// How much is run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tier {
    /// What fits in about 25 minutes on two cores, from nothing. Every kind of test is in it.
    ///
    /// Left for [`Self::Full`]: most of the guests' bytes (they move 1 to 4 MiB here, 16 and more there; a GiB through the CORS proxy);
    /// each scheme, example page, outage and pair of guests with both cards and in both places, where here each meets each but once; most
    /// MTUs; wisp-python; a wrap of the page's sequence numbers; most points of the simulator's grids and seeds; 24 of 25 fuzzed inputs; and
    /// the relay as it is shipped, with link-time optimisation: here it is the same program, static, with fewer optimisations.
    Quick,
    /// Every matrix, at full size.
    Full,
}

/// What one step of a group came to.
pub(crate) struct Report {
    pub(crate) what: String,
    pub(crate) tally: Tally,
    pub(crate) output: String,
    pub(crate) took: Took,
}

/// All groups: what cargo builds from the front, the cheap ones first, and what Node runs from the back, the long ones first. A run takes
/// them from both ends.
pub(crate) const GROUPS: [Group; 14] = [
    Group { name: "fmt", run: fmt },
    Group { name: "lint", run: lint },
    Group { name: "doc", run: doc },
    Group { name: "unit", run: unit },
    Group { name: "sim", run: sim },
    Group { name: "relay", run: relay },
    Group { name: "fuzz", run: fuzz_targets },
    Group { name: "bench", run: bench },
    Group { name: "interop", run: interop },
    Group { name: "demo", run: demo },
    Group { name: "browser", run: browser },
    Group { name: "guests", run: guests },
    Group { name: "v86-backends", run: v86_backends },
    Group { name: "npm", run: npm },
];

/// Iterations of each fuzz target.
const FUZZ_RUNS: u64 = 20_000;
const FUZZ_RUNS_FULL: u64 = 500_000;

/// Seconds after which a file of guests' tests counts as hung.
const FILE_LIMIT: &str = "1800";
const FILE_LIMIT_FULL: &str = "14400";

impl Group {
    /// Runs the group; a set-up that fails is a failure with its reason.
    pub(crate) fn reports(&self, tier: Tier) -> Vec<Report> {
        let mut reports = Vec::new();
        if let Err(error) = (self.run)(tier, &mut reports) {
            reports.push(Report {
                what: "set-up".to_owned(),
                tally: Tally::one(false),
                output: format!("{error:#}"),
                took: Took::default(),
            });
        }
        reports
    }
}

fn fmt(_: Tier, reports: &mut Vec<Report>) -> Result<()> {
    check("cargo fmt --check", Step::cargo(["fmt", "--all", "--check"]), reports)?;
    check("biome format", npm::biome("format")?, reports)
}

fn lint(_: Tier, reports: &mut Vec<Report>) -> Result<()> {
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    check("cargo clippy", Step::cargo(clippy), reports)?;
    let lan = ["clippy", "--quiet", "--package", "netloom-wasm", "--features", "lan", "--", "-D", "warnings"];
    check("cargo clippy of the LAN's module", Step::cargo(lan), reports)?;
    for (what, result) in purity::checks() {
        let output = result.as_ref().err().map(|error| format!("{error:#}")).unwrap_or_default();
        reports.push(Report { what, tally: Tally::one(result.is_ok()), output, took: Took::default() });
    }
    check("biome lint", npm::biome("lint")?, reports)
}

fn doc(_: Tier, reports: &mut Vec<Report>) -> Result<()> {
    let step = Step::cargo(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
    check("cargo doc", step.env("RUSTDOCFLAGS", "-D warnings"), reports)?;
    check("typedoc", npm::reference()?, reports)
}

fn unit(tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    for package in ["netloom-core", "netloom-proto", "netloom-page", "netloom-tls", "xtask"] {
        rust(package, tier, reports)?;
    }
    push("examples of the documentation", programs::examples().capture()?, Tally::of_rust, reports);
    Ok(())
}

fn sim(tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    rust("netloom-sim", tier, reports)
}

/// With the unit of `dist/` and the static binary in an empty root.
fn relay(tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    needs::command("systemd-analyze", "systemd")?;
    needs::command("openssl", "openssl")?;
    needs::command("curl", "curl")?;
    Build::of(tier).make()?;
    rust("netloom-relay", tier, reports)
}

fn fuzz_targets(tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    rust("netloom-fuzz", tier, reports)?;
    let runs = if tier == Tier::Full { FUZZ_RUNS_FULL } else { FUZZ_RUNS };
    fuzz::build()?;
    for target in fuzz::targets()? {
        let outcome = fuzz::step(&target, Some(runs), 1)?.capture()?;
        push(&format!("{target}, {runs} runs"), outcome, Tally::of_step, reports);
    }
    Ok(())
}

/// That the benchmarks build and hold what they assert, and that a segment takes no more instructions than committed; other figures
/// come from `cargo xtask bench`.
fn bench(tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    for package in ["netloom-bench", "netloom-bench-pairs"] {
        rust(package, tier, reports)?;
    }
    let check = crate::bench::step("core", &["instructions".to_owned(), "--check".to_owned()])?;
    push("instructions per segment", check.capture()?, Tally::of_step, reports);
    Ok(())
}

/// The npm package in the runtimes of a terminal, and as it is packed.
fn npm(tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    npm::prepare()?;
    check("sizes", npm::sizes(""), reports)?;
    check("types", npm::types(), reports)?;
    for runtime in npm::TERMINALS {
        node(runtime, npm::everywhere(runtime), tier, reports)?;
    }
    // What is packed is packed once; another Node runs it.
    for (version, packed) in [("node", ""), ("node24", "readme")] {
        node(&format!("{version}: node"), npm::suite(version, "node", ""), tier, reports)?;
        node(&format!("{version}: package"), npm::suite(version, "package", packed), tier, reports)?;
    }
    node("examples", npm::suite("node", "examples", ""), tier, reports)
}

/// The npm package in Chromium: in a window, in a worker, and in bundles.
fn browser(tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    npm::prepare()?;
    for place in npm::PLACES {
        node(place, npm::everywhere(place), tier, reports)?;
    }
    node("bundles", npm::suite("node", "bundles", ""), tier, reports)
}

fn interop(tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    needs::interop()?;
    Build::of(tier).make()?;
    rust("netloom-interop", tier, reports)
}

fn guests(tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    needs::command("qemu-system-i386", "qemu-system-x86")?;
    needs::command("openssl", "openssl")?;
    guest_files(&guest::tests(), None, tier, reports)?;
    needs::interop()?;
    rust("netloom-guests", tier, reports)
}

/// v86's network backends and ours: the checklist of differences, and guests on every scheme.
fn v86_backends(tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    needs::command("openssl", "openssl")?;
    needs::command("curl", "curl")?;
    let wisp = if tier == Tier::Full { Some(("NETLOOM_WISP_PYTHON", needs::wisp_python()?)) } else { None };
    guest_files(&guest::tests().join("backends"), wisp, tier, reports)
}

/// Every `*.test.mjs` of a folder, with the guest's images, the package and the relay, and a variable of theirs.
fn guest_files(
    folder: &Path,
    variable: Option<(&str, PathBuf)>,
    tier: Tier,
    reports: &mut Vec<Report>,
) -> Result<()> {
    guest::make()?;
    npm::prepare()?;
    let relay = Build::of(tier).make()?;
    let mut files: Vec<_> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.ends_with(".test.mjs"))
        .collect();
    files.sort();
    let limit = if tier == Tier::Full { FILE_LIMIT_FULL } else { FILE_LIMIT };
    // One file at a time: each emulator takes a whole core.
    for file in files {
        // An emulator that is left running holds its process; what it started ends with it.
        let step = Step::new("timeout")
            .args(["--kill-after=10", limit, "node"])
            .args([guest::NODE_FLAG, "--test", "--test-reporter=tap", &file])
            .dir(folder)
            .env("NETLOOM_JS_FLAGS", guest::NODE_FLAG)
            .env("NETLOOM_GUEST_DIR", guest::folder())
            .env("NETLOOM_BIN", &relay);
        let step = match &variable {
            Some((name, value)) => step.env(name, value),
            None => step,
        };
        node(&file, step, tier, reports)?;
    }
    Ok(())
}

fn demo(tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    let outcome = crate::demo::step(true, Build::of(tier))?.capture()?;
    push("demo --once", outcome, Tally::of_step, reports);
    Ok(())
}

fn check(what: &str, step: Step, reports: &mut Vec<Report>) -> Result<()> {
    push(what, step.capture()?, Tally::of_step, reports);
    Ok(())
}

/// The Rust tests of a package, with the program of the relay for those that start it.
fn rust(package: &str, tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    for program in programs::of(package)? {
        let step = program.step().env("NETLOOM_BIN", Build::of(tier).program());
        let step = if tier == Tier::Full { step.env("NETLOOM_FULL", "1") } else { step };
        push(&format!("{package}: {}", program.target), step.capture()?, Tally::of_rust, reports);
    }
    Ok(())
}

/// A step that ends with the summary of Node's test runner.
fn node(what: &str, step: Step, tier: Tier, reports: &mut Vec<Report>) -> Result<()> {
    let step = if tier == Tier::Full { step.env("NETLOOM_FULL", "1") } else { step };
    push(what, step.capture()?, Tally::of_node, reports);
    Ok(())
}

fn push(what: &str, outcome: Outcome, count: fn(&str, bool) -> Tally, reports: &mut Vec<Report>) {
    let tally = count(&outcome.output, outcome.success);
    reports.push(Report { what: what.to_owned(), tally, output: outcome.output, took: outcome.took });
}
