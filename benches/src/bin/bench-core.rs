//! `bench-core [--json] [--quick]`: two of our machines joined in memory on one core, beside two smoltcp interfaces in the same run.
//!
//! One bulk flow with 256 KiB buffers beside idle flows. Rates are bytes per second of processor time; the two stacks take turns, and
//! the figures are medians.

use std::process::ExitCode;
use std::time::Duration;

use netloom_bench::core::machines::MachinePair;
use netloom_bench::core::smoltcp::SmoltcpPair;
use netloom_bench::core::{Pair, Setup};
use netloom_bench::cpu;
use netloom_bench::table::{self, Row};

const PEER: &str = "smoltcp 0.14";

/// How much is measured.
struct Effort {
    turns: usize,
    per_turn: Duration,
    idle_flows: &'static [usize],
}

const FULL: Effort =
    Effort { turns: 7, per_turn: Duration::from_millis(400), idle_flows: &[0, 100, 1000, 10_000] };
const QUICK: Effort = Effort { turns: 3, per_turn: Duration::from_millis(100), idle_flows: &[0, 1000] };

fn main() -> ExitCode {
    let (mut json, mut effort) = (false, &FULL);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            "--quick" => effort = &QUICK,
            other => {
                eprintln!("bench-core: unknown argument {other}: it takes --json and --quick");
                return ExitCode::from(2);
            }
        }
    }
    match run(effort, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-core: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(effort: &Effort, json: bool) -> Result<(), String> {
    if !json {
        table::head();
    }
    let print = |row: Row| table::print(&row, json).map_err(|error| error.to_string());
    for mtu in [1500, 9000, 65_535] {
        for checksums in [true, false] {
            let case = format!("MTU {mtu}, checksums {}", if checksums { "on" } else { "off" });
            let (ours, peer) = compare(Setup { mtu, checksums, idle_flows: 0 }, effort)?;
            print(Row::more_is_better("core", case, "Gbit/s", ours, (PEER, peer)))?;
        }
    }
    let mut alone = None;
    for &idle_flows in effort.idle_flows {
        let (ours, peer) = compare(Setup { mtu: 1500, checksums: true, idle_flows }, effort)?;
        let case = format!("MTU 1500, {idle_flows} idle flows");
        print(Row::more_is_better("core", case, "Gbit/s", ours, (PEER, peer)))?;
        let alone = *alone.get_or_insert(ours);
        if idle_flows > 0 {
            let case = format!("flatness, {idle_flows} idle flows");
            print(Row::more_is_better("core", case, "Gbit/s", ours, ("ours without idle flows", alone)))?;
        }
    }
    Ok(())
}

/// The medians of ours and of the peer, in Gbit per second of processor time.
fn compare(setup: Setup, effort: &Effort) -> Result<(f64, f64), String> {
    let mut ours = MachinePair::new(setup)?;
    let mut peer = SmoltcpPair::new(setup)?;
    let (mut our_rates, mut peer_rates) = (Vec::new(), Vec::new());
    // The first turn warms caches and grows buffers, and is not counted.
    for turn in 0..=effort.turns {
        let rates = [rate(&mut ours, effort.per_turn)?, rate(&mut peer, effort.per_turn)?];
        if turn > 0 {
            our_rates.push(rates[0]);
            peer_rates.push(rates[1]);
        }
    }
    Ok((cpu::median(&mut our_rates), cpu::median(&mut peer_rates)))
}

/// Rounds without a byte after which a pair counts as stuck.
const MAX_IDLE_ROUNDS: u32 = 2_000_000;

fn rate(pair: &mut impl Pair, time: Duration) -> Result<f64, String> {
    let begin = cpu::used();
    let (mut bytes, mut idle_rounds) = (0, 0);
    loop {
        for _ in 0..16 {
            let moved = pair.round();
            bytes += moved;
            idle_rounds = if moved == 0 { idle_rounds + 1 } else { 0 };
        }
        let spent = cpu::used().saturating_sub(begin);
        if spent >= time && bytes > 0 {
            return Ok(bytes as f64 * 8.0 / spent.as_secs_f64() / 1e9);
        }
        if idle_rounds > MAX_IDLE_ROUNDS {
            return Err("the bulk flow is stuck".into());
        }
    }
}
