//! `bench-relay [--json] [--quick] [PART...]`: the relay under load, beside a bare splice in the same run, and its memory beside its limits.
//!
//! The two servers take turns, and the figures are medians of turns, by the wall clock. Client to client the load generator has one
//! processor and the server another, and the server's processor time per frame is given too; for round trips both share one, so that
//! what is compared is work, not the wake-up of a processor. Needs root, for namespaces and TAP devices.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use netloom_bench::cpu;
use netloom_bench::relay::captured::{Capture, Captured};
use netloom_bench::relay::memory;
use netloom_bench::relay::pair::Pair;
use netloom_bench::relay::path::{Cable, Nat, Path};
use netloom_bench::relay::place::{Placed, Placement};
use netloom_bench::relay::pump::Direction;
use netloom_bench::relay::splice::{self, Splice};
use netloom_bench::table::{self, Row};
use netloom_interop::namespace::Namespace;
use netloom_interop::relay::Relay;

const BENCH: &str = "relay";
const PEER: &str = "bare splice";
const LIMIT: &str = "limit";
const IDLE_LIMIT_MB: f64 = 15.0;
const CLIENTS: usize = 200;
const CLIENTS_LIMIT_MB: f64 = 40.0;

/// What can be measured on its own.
const PARTS: [(&str, Part); 5] = [
    ("streams", Bench::streams),
    ("round-trips", Bench::round_trips),
    ("guest-tcp", Bench::guest_tcp),
    ("capture", Bench::capture),
    ("memory", Bench::memory),
];

type Part = fn(&Bench) -> Result<()>;

/// How much is measured.
struct Effort {
    turns: usize,
    stream: Duration,
    /// The rare slow ones are compared at p99, so these turns are too short for other work to fall on one side alone.
    round_trip_turns: usize,
    round_trips: usize,
    transfer: Duration,
}

const FULL: Effort = Effort {
    turns: 15,
    stream: Duration::from_millis(400),
    round_trip_turns: 75,
    round_trips: 1000,
    transfer: Duration::from_millis(800),
};
const QUICK: Effort = Effort {
    turns: 3,
    stream: Duration::from_millis(200),
    round_trip_turns: 5,
    round_trips: 500,
    transfer: Duration::from_millis(300),
};

fn main() -> ExitCode {
    let (mut json, mut effort, mut parts) = (false, &FULL, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            "--quick" => effort = &QUICK,
            splice::ARGUMENT => return finish(splice::serve()),
            other => match PARTS.iter().find(|(name, _)| *name == other) {
                Some((_, part)) => parts.push(*part),
                None => {
                    let known = PARTS.map(|(name, _)| name).join(", ");
                    eprintln!(
                        "bench-relay: unknown argument {other}: it takes --json, --quick and parts: {known}"
                    );
                    return ExitCode::from(2);
                }
            },
        }
    }
    if parts.is_empty() {
        parts.extend(PARTS.map(|(_, part)| part));
    }
    finish(Bench { effort, json }.run(&parts))
}

fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-relay: {error:#}");
            ExitCode::FAILURE
        }
    }
}

struct Bench {
    effort: &'static Effort,
    json: bool,
}

/// A server with two clients.
struct Side {
    pid: u32,
    pair: Pair,
}

/// The relay and the splice with two clients each. Fields are dropped in order: the programs before their namespace.
struct Sides {
    both: [Side; 2],
    _programs: (Relay, Splice),
    _namespace: Namespace,
}

impl Sides {
    fn start() -> Result<Self> {
        let namespace = Namespace::new()?;
        let relay = Relay::start(&namespace, &["--mtu", "65535"])?;
        let splice = Splice::start(&namespace, &this_program()?)?;
        let ours = Side { pid: relay.pid(), pair: Pair::connect(&namespace, relay.address())? };
        let peer = Side { pid: splice.pid(), pair: Pair::connect(&namespace, splice.address())? };
        Ok(Self { both: [ours, peer], _programs: (relay, splice), _namespace: namespace })
    }
}

fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("this program's own path")
}

impl Bench {
    fn run(&self, parts: &[Part]) -> Result<()> {
        if !self.json {
            table::head();
        }
        parts.iter().try_for_each(|part| part(self))
    }

    fn print(&self, row: &Row) -> Result<()> {
        Ok(table::print(row, self.json)?)
    }

    fn streams(&self) -> Result<()> {
        let mut sides = Sides::start()?;
        for length in [64, 1514, 65_549] {
            let [ours, peer] = turns(self.effort.turns, &mut sides.both, |side| self.stream(side, length))?;
            let case = format!("client to client, {length} bytes");
            self.print(&Row::more_is_better(BENCH, case, "frames/s", ours[0], (PEER, peer[0])))?;
            let case = format!("processor time of the server, {length} bytes");
            self.print(&Row::less_is_better(BENCH, case, "us/frame", ours[1], (PEER, peer[1])))?;
        }
        Ok(())
    }

    fn round_trips(&self) -> Result<()> {
        let mut sides = Sides::start()?;
        for length in [64, 1514] {
            let [ours, peer] =
                turns(self.effort.round_trip_turns, &mut sides.both, |side| self.round_trip(side, length))?;
            for (n, quantile) in ["p50", "p99"].into_iter().enumerate() {
                let case = format!("round trip {quantile}, {length} bytes");
                self.print(&Row::less_is_better(BENCH, case, "us", ours[n], (PEER, peer[n])))?;
            }
        }
        Ok(())
    }

    /// Frames per second, and microseconds of the server's processor time per frame.
    fn stream(&self, side: &mut Side, length: usize) -> Result<[f64; 2]> {
        let _placed = Placed::place(side.pid, Placement::Apart)?;
        let before = cpu::used_by(side.pid)?;
        let flow = side.pair.stream(length, self.effort.stream)?;
        let spent = cpu::used_by(side.pid)?.saturating_sub(before);
        let frames = flow.frames as f64;
        Ok([frames / flow.time.as_secs_f64(), spent.as_secs_f64() * 1e6 / frames])
    }

    /// The median and the 99th percentile of round trips, in microseconds.
    fn round_trip(&self, side: &mut Side, length: usize) -> Result<[f64; 2]> {
        let _placed = Placed::place(side.pid, Placement::Together)?;
        let mut times = side.pair.round_trips(length, self.effort.round_trips)?;
        times.sort_unstable();
        Ok([times.len() / 2, times.len() * 99 / 100].map(|at| times[at].as_secs_f64() * 1e6))
    }

    /// A kernel guest's transfers.
    fn guest_tcp(&self) -> Result<()> {
        let (nat, cable) = (Nat::new()?, Cable::new()?);
        let mut sides: [&dyn Path; 2] = [&nat, &cable];
        for (direction, name) in [(Direction::Down, "down"), (Direction::Up, "up")] {
            let mut lengths = Vec::new();
            for path in sides {
                let probe = 32 << 20;
                let rate = probe as f64 / path.transfer(direction, probe)?.as_secs_f64();
                lengths.push((rate * self.effort.transfer.as_secs_f64()) as u64);
            }
            let length = lengths.into_iter().max().unwrap_or_default();
            let [[ours], [peer]] = turns(self.effort.turns, &mut sides, |path| {
                Ok([length as f64 / 1e6 / path.transfer(direction, length)?.as_secs_f64()])
            })?;
            let case = format!("guest TCP {name}, MTU 1500");
            self.print(&Row::more_is_better(BENCH, case, "MB/s", ours, ("TAP-WebSocket splice", peer)))?;
        }
        Ok(())
    }

    /// The same while the guest's frames are captured.
    fn capture(&self) -> Result<()> {
        let captured = Captured::new()?;
        for (direction, name) in [(Direction::Down, "down"), (Direction::Up, "up")] {
            let probe = 32 << 20;
            let (time, _) = captured.transfer(Capture::None, direction, probe)?;
            let length = (probe as f64 / time.as_secs_f64() * self.effort.transfer.as_secs_f64()) as u64;
            let mut figures = [(); Capture::ALL.len()].map(|()| [Vec::new(), Vec::new()]);
            for turn in 0..=self.effort.turns {
                for (capture, figures) in Capture::ALL.into_iter().zip(&mut figures) {
                    let (time, spent) = captured.transfer(capture, direction, length)?;
                    if turn > 0 {
                        figures[0].push(length as f64 / 1e6 / time.as_secs_f64());
                        figures[1].push(spent.as_secs_f64() * 1e9 / length as f64);
                    }
                }
            }
            let [none, captures @ ..] = figures.map(|side| side.map(|mut figures| cpu::median(&mut figures)));
            for (capture, with) in Capture::ALL.into_iter().skip(1).zip(captures) {
                let peer = |n: usize| (Capture::None.name(), none[n]);
                let case = format!("guest TCP {name}, {}", capture.name());
                self.print(&Row::more_is_better(BENCH, case.clone(), "MB/s", with[0], peer(0)))?;
                self.print(&Row::less_is_better(BENCH, case, "s/GB", with[1], peer(1)))?;
            }
        }
        Ok(())
    }

    fn memory(&self) -> Result<()> {
        let (idle, loaded) = memory::resident_bytes(CLIENTS)?;
        let row = |case: String, bytes: u64, limit| {
            self.print(&Row::less_is_better(BENCH, case, "MB", bytes as f64 / 1e6, (LIMIT, limit)))
        };
        row("resident memory, idle".to_owned(), idle, IDLE_LIMIT_MB)?;
        row(format!("resident memory, {CLIENTS} clients"), loaded, CLIENTS_LIMIT_MB)
    }
}

/// Medians of both sides' figures, the sides taking turns. The first turn warms up and is not counted.
fn turns<S, const N: usize>(
    count: usize,
    sides: &mut [S; 2],
    mut measure: impl FnMut(&mut S) -> Result<[f64; N]>,
) -> Result<[[f64; N]; 2]> {
    let mut figures = [(); 2].map(|()| [(); N].map(|()| Vec::new()));
    for turn in 0..=count {
        for (side, figures) in sides.iter_mut().zip(&mut figures) {
            let measured = measure(side)?;
            for (figures, figure) in figures.iter_mut().zip(measured).filter(|_| turn > 0) {
                figures.push(figure);
            }
        }
    }
    Ok(figures.map(|side| side.map(|mut figures| cpu::median(&mut figures))))
}
