//! `bench-core [--json] [--quick] [PART...]`: two of our machines joined in memory on one core, beside two smoltcp interfaces in the same
//! run and a bare copy of the bytes.
//!
//! Rates are of processor time; the stacks take turns, and the figures are medians. `--check` compares the part `instructions` with the
//! committed figures, `--update` commits to new ones.

use std::process::ExitCode;
use std::time::Duration;

use netloom_bench::core::instructions::{self, Baseline};
use netloom_bench::core::rate::{self, Effort, Measure};
use netloom_bench::core::{memory, wasm};
use netloom_bench::table::{self, Row};
use netloom_bench_pairs::{Setup, Stack};

#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = memory::ALLOCATOR;

const BENCH: &str = "core";
const PEER: &str = "smoltcp 0.14";
const COPY: &str = "memory copy";
const IDLE_FLOWS: usize = 10_000;
const IDLE_LIMIT_BYTES: f64 = 2048.0;

type Part = fn(&Bench) -> Result<(), String>;

/// What can be measured on its own.
const PARTS: [(&str, Part); 7] = [
    ("mtus", Bench::mtus),
    ("idle", Bench::idle),
    ("busy", Bench::busy),
    ("connects", Bench::connects),
    ("memory", Bench::memory),
    ("instructions", Bench::instructions),
    ("wasm", Bench::wasm),
];

const FULL: Effort = Effort { turns: 7, turn: Duration::from_millis(400) };
const QUICK: Effort = Effort { turns: 3, turn: Duration::from_millis(100) };

/// What to do about the committed figures.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Committed {
    Show,
    Check,
    Update,
}

struct Bench {
    json: bool,
    effort: Effort,
    committed: Committed,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((instructions::ARGUMENT, work)) =
        arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return finish(instructions::work(work));
    }
    let mut bench = Bench { json: false, effort: FULL, committed: Committed::Show };
    let mut parts = Vec::new();
    for argument in &arguments {
        match argument.as_str() {
            "--json" => bench.json = true,
            "--quick" => bench.effort = QUICK,
            "--check" => bench.committed = Committed::Check,
            "--update" => bench.committed = Committed::Update,
            other => match PARTS.iter().find(|(name, _)| *name == other) {
                Some((_, part)) => parts.push(*part),
                None => {
                    let known = PARTS.map(|(name, _)| name).join(", ");
                    eprintln!(
                        "bench-core: unknown argument {other}: it takes --json, --quick, --check, --update and parts: {known}"
                    );
                    return ExitCode::from(2);
                }
            },
        }
    }
    if parts.is_empty() {
        parts = PARTS.map(|(_, part)| part).to_vec();
    }
    if !bench.json {
        table::head();
    }
    finish(parts.iter().try_for_each(|part| part(&bench)))
}

fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-core: {error}");
            ExitCode::FAILURE
        }
    }
}

fn on(checksums: bool) -> &'static str {
    if checksums { "on" } else { "off" }
}

/// What is measured at each MTU: the case's name and its setup.
fn mtu_cases() -> Vec<(String, Setup)> {
    let mut cases = Vec::new();
    for mtu in [1500, 9000, 65_535] {
        for checksums in [true, false] {
            let setup = Setup { mtu, checksums, ..Setup::default() };
            cases.push((format!("MTU {mtu}, checksums {}", on(checksums)), setup));
        }
    }
    let plain = Setup::default();
    cases.push(("MTU 1500, no timestamps".into(), Setup { timestamps: false, ..plain }));
    for checksums in [true, false] {
        let setup = Setup { large_segments: true, checksums, ..plain };
        cases.push((format!("MTU 1500, large segments, checksums {}", on(checksums)), setup));
    }
    cases
}

impl Bench {
    fn row(&self, case: &str, unit: &'static str, ours: f64, peer: (&str, f64)) -> Result<(), String> {
        let row = Row::more_is_better(BENCH, case.to_owned(), unit, ours, peer);
        table::print(&row, self.json).map_err(|error| error.to_string())
    }

    fn less(&self, case: &str, unit: &'static str, ours: f64, peer: (&str, f64)) -> Result<(), String> {
        let row = Row::less_is_better(BENCH, case.to_owned(), unit, ours, peer);
        table::print(&row, self.json).map_err(|error| error.to_string())
    }

    fn payload<const N: usize>(&self, stacks: [Stack; N], setup: Setup) -> Result<[f64; N], String> {
        rate::compare(stacks, setup, Measure::Payload, self.effort)
    }

    fn mtus(&self) -> Result<(), String> {
        for (case, setup) in mtu_cases() {
            let [ours, peer, copy] = self.payload([Stack::Ours, Stack::Smoltcp, Stack::Copy], setup)?;
            self.row(&case, "Gbit/s", ours, (PEER, peer))?;
            self.row("", "Gbit/s", ours, (COPY, copy))?;
        }
        Ok(())
    }

    fn idle(&self) -> Result<(), String> {
        let mut alone = None;
        for idle_flows in [0, 100, 1000, IDLE_FLOWS] {
            let setup = Setup { idle_flows, ..Setup::default() };
            let [ours, peer] = self.payload([Stack::Ours, Stack::Smoltcp], setup)?;
            self.row(&format!("MTU 1500, {idle_flows} idle flows"), "Gbit/s", ours, (PEER, peer))?;
            let alone = *alone.get_or_insert(ours);
            if idle_flows > 0 {
                self.row("", "Gbit/s", ours, ("ours without idle flows", alone))?;
            }
        }
        Ok(())
    }

    fn busy(&self) -> Result<(), String> {
        for busy_flows in [1, 10, 100, 1000] {
            let setup = Setup { busy_flows, ..Setup::default() };
            let [ours, peer] = self.payload([Stack::Ours, Stack::Smoltcp], setup)?;
            self.row(&format!("MTU 1500, {busy_flows} busy flows"), "Gbit/s", ours, (PEER, peer))?;
        }
        Ok(())
    }

    fn connects(&self) -> Result<(), String> {
        for idle_flows in [0, IDLE_FLOWS] {
            let setup = Setup { idle_flows, ..Setup::default() };
            let [ours, peer] =
                rate::compare([Stack::Ours, Stack::Smoltcp], setup, Measure::Connects, self.effort)?;
            let case = format!("connections, {idle_flows} idle flows");
            self.row(&case, "connects/s", ours, (PEER, peer))?;
        }
        Ok(())
    }

    fn memory(&self) -> Result<(), String> {
        let bytes = memory::bytes_per_idle_flow(IDLE_FLOWS)?;
        self.less("idle flow", "bytes", bytes, ("limit", IDLE_LIMIT_BYTES))
    }

    fn instructions(&self) -> Result<(), String> {
        let mut now = Baseline { environment: instructions::environment()?, ..Baseline::default() };
        let committed = Baseline::read();
        for (case, setup) in instructions::cases() {
            let ours = instructions::per_segment(Stack::Ours, case, setup)?;
            now.instructions_per_segment.insert(case.to_owned(), ours.round());
            let label = format!("{case}, per segment");
            if self.committed == Committed::Show {
                let peer = instructions::per_segment(Stack::Smoltcp, case, setup)?;
                self.less(&label, "instructions", ours, (PEER, peer))?;
            }
            let before = committed.as_ref().ok().and_then(|file| file.instructions_per_segment.get(case));
            if let Some(before) = before {
                self.less(&label, "instructions", ours, ("committed figure", *before))?;
            }
        }
        match self.committed {
            Committed::Show => Ok(()),
            Committed::Update => now.write(),
            Committed::Check => now.check(&committed?),
        }
    }

    fn wasm(&self) -> Result<(), String> {
        let plain = Setup::default();
        let mut cases: Vec<_> =
            mtu_cases().into_iter().map(|(case, setup)| (case, setup, Measure::Payload)).collect();
        for idle_flows in [1000, IDLE_FLOWS] {
            let setup = Setup { idle_flows, ..plain };
            cases.push((format!("MTU 1500, {idle_flows} idle flows"), setup, Measure::Payload));
        }
        for busy_flows in [100, 1000] {
            let setup = Setup { busy_flows, ..plain };
            cases.push((format!("MTU 1500, {busy_flows} busy flows"), setup, Measure::Payload));
        }
        cases.push(("connections".into(), plain, Measure::Connects));
        let asked: Vec<_> = cases.iter().map(|(_, setup, measure)| (*setup, *measure)).collect();
        for (features, variable) in wasm::MODULES {
            let module = std::env::var_os(variable).ok_or_else(|| {
                format!("{variable} names no module: run `cargo xtask bench core`, which builds it")
            })?;
            let rates = wasm::compare(module, &asked, self.effort)?;
            for ((case, _, measure), rates) in cases.iter().zip(rates) {
                let unit = if *measure == Measure::Connects { "connects/s" } else { "Gbit/s" };
                self.row(&format!("{features}: {case}"), unit, rates.ours, (PEER, rates.peer))?;
                if let Some(copy) = rates.copy {
                    self.row("", unit, rates.ours, (COPY, copy))?;
                }
            }
        }
        Ok(())
    }
}
