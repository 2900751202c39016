//! `bench-linux [--json] [--quick] [PATTERN...]`: the machine's TCP beside the Linux kernel's, with a kernel at the other end of an impaired
//! link run in real time.
//!
//! Kernel to kernel and kernel to machine take turns over the same link, with the same seed's schedule of losses, congestion control, and
//! bytes. The figures are medians of five seeds of what arrives per second, from connecting to the end of the stream. A pattern picks the
//! cells whose names hold it. Needs root, for namespaces and TAP devices.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use netloom_bench::cpu;
use netloom_bench::table::{self, Row};
use netloom_interop::cell::Cell;
use netloom_interop::path::{Far, Opener, exchange};
use netloom_sim::Plan;

const BENCH: &str = "linux";
const PEER: &str = "kernel to kernel";
/// What all transfers of a cell at the same time may move together, in bytes per second. On a bad link they mostly wait, and none is in
/// another's way.
const BUSY_BYTES_PER_S: u64 = 25_000_000;
const MOST_AT_ONCE: u64 = 10;

/// How much is measured.
struct Effort {
    seeds: u64,
    /// About how long a transfer takes in which this many segments were lost, and at least and at most.
    losses: f64,
    least: Duration,
    most: Duration,
}

const FULL: Effort =
    Effort { seeds: 5, losses: 100.0, least: Duration::from_secs(4), most: Duration::from_secs(10) };
const QUICK: Effort =
    Effort { seeds: 1, losses: 10.0, least: Duration::from_secs(1), most: Duration::from_secs(3) };

/// Which way the bytes go, as the machine sees it.
#[derive(Clone, Copy, Debug)]
enum Direction {
    /// The machine sends: its recovery from loss counts.
    Sends,
    /// The machine receives: its acknowledgments and windows count.
    Receives,
}

impl Direction {
    const BOTH: [Self; 2] = [Self::Sends, Self::Receives];

    fn plan(self, bytes: u64) -> Plan {
        match self {
            Self::Sends => Plan::both(0, bytes),
            // The server's end of the stream, which the client waits for, says that it has everything.
            Self::Receives => Plan { half_close: true, ..Plan::both(bytes, 0) },
        }
    }
}

fn main() -> ExitCode {
    let (mut json, mut effort, mut patterns) = (false, &FULL, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            "--quick" => effort = &QUICK,
            pattern => patterns.push(pattern.to_owned()),
        }
    }
    let chosen =
        |cell: &Cell| patterns.is_empty() || patterns.iter().any(|pattern| cell.name.contains(pattern));
    let cells: Vec<_> = Cell::all().into_iter().filter(chosen).collect();
    if cells.is_empty() {
        let names: Vec<_> = Cell::all().into_iter().map(|cell| cell.name).collect();
        eprintln!(
            "bench-linux: no cell's name holds {}; they are: {}",
            patterns.join(" or "),
            names.join("; ")
        );
        return ExitCode::from(2);
    }
    if !json {
        table::head();
    }
    for cell in &cells {
        if let Err(error) = measure(cell, effort, json) {
            eprintln!("bench-linux: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Prints a row for each direction.
fn measure(cell: &Cell, effort: &Effort, json: bool) -> Result<()> {
    let bytes = cell.bytes(effort.losses, effort.least, effort.most);
    let at_once = (BUSY_BYTES_PER_S / cell.bytes_per_s().max(1)).clamp(2, MOST_AT_ONCE);
    let jobs: Vec<_> =
        (1..=effort.seeds).flat_map(|seed| Direction::BOTH.map(|direction| (seed, direction))).collect();
    let next = AtomicUsize::new(0);
    let figures = Mutex::new([(); 2].map(|()| [Vec::new(), Vec::new()]));
    let work = || -> Result<()> {
        while let Some((seed, direction)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            for (side, far) in [Far::Machine, Far::Kernel].into_iter().enumerate() {
                let time = exchange(cell, far, &[(Opener::Near, direction.plan(bytes))], *seed)?;
                let rate = bytes as f64 * 8e-6 / time.as_secs_f64();
                let mut figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
                figures[*direction as usize][side].push(rate);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })?;
    let figures = figures.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (direction, sides) in Direction::BOTH.into_iter().zip(figures) {
        let [ours, peer] = sides.map(|mut rates| cpu::median(&mut rates));
        let case = format!("{}, {}", cell.name, format!("{direction:?}").to_lowercase());
        table::print(&Row::more_is_better(BENCH, case, "Mbit/s", ours, (PEER, peer)), json)?;
    }
    Ok(())
}
