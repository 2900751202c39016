//! `bench-tls [--json] [--quick]`: guests' frames and Wisp downloads through the relay's own TLS, beside the same without TLS and with TLS
//! ended by nginx or stunnel in front.
//!
//! All take turns, and figures are medians of turns, by the clock and by the processor time of all that serves: the relay and what is in front
//! of it have one processor, the load and the stunnel that speaks TLS for it have the other. Needs root, for namespaces.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use netloom_bench::cpu;
use netloom_bench::relay::pair::Pair;
use netloom_bench::table::{self, Row};
use netloom_bench::tls::{Ender, Secured};
use netloom_interop::wisp::client::{Client, PATIENCE};
use netloom_interop::wisp::target::{Behaviour, Targets};
use rustix::event::PollFlags;

const BENCH: &str = "tls";
const LENGTHS: [usize; 2] = [1514, 65_549];
/// Streams of the download.
const STREAMS: usize = 4;

/// How much is measured.
struct Effort {
    turns: usize,
    time: Duration,
}

fn main() -> ExitCode {
    let given: Vec<_> = std::env::args().skip(1).collect();
    let has = |flag: &str| given.iter().any(|argument| argument == flag);
    let effort = if has("--quick") {
        Effort { turns: 3, time: Duration::from_millis(300) }
    } else {
        Effort { turns: 11, time: Duration::from_millis(800) }
    };
    match measure(&effort, has("--json")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-tls: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(effort: &Effort, json: bool) -> Result<()> {
    if !json {
        table::head();
    }
    for length in LENGTHS {
        let mut sides = Vec::new();
        for ender in Ender::ALL {
            let server = Secured::start(ender)?;
            let pair = Pair::connect(&server.namespace, server.address)?;
            sides.push((server, pair));
        }
        let figures = turns(effort, &mut sides, |(server, pair)| {
            let _placed = server.place()?;
            let before = server.processor_time()?;
            let flow = pair.stream(length, effort.time)?;
            let spent = server.processor_time()?.saturating_sub(before);
            let frames = flow.frames as f64;
            Ok([frames / flow.time.as_secs_f64(), spent.as_secs_f64() * 1e6 / frames])
        })?;
        print(&format!("frames of {length} bytes"), ["frames/s", "us/frame"], &figures, json)?;
    }
    let mut servers = Vec::new();
    for ender in Ender::ALL {
        servers.push(Secured::start(ender)?);
    }
    let figures = turns(effort, &mut servers, |server| download(server, effort.time))?;
    print(&format!("Wisp, {STREAMS} downloads"), ["MB/s", "s/GB"], &figures, json)
}

/// Payload in 10⁶ bytes a second, and processor time for 10⁹ bytes.
fn download(server: &Secured, time: Duration) -> Result<[f64; 2]> {
    let (_placed, address) = (server.place()?, server.address);
    let targets = server.namespace.run(Targets::start)??;
    let mut client = server.namespace.run(move || Client::connect(address, "/wisp/"))??;
    for _ in 0..STREAMS {
        client.open(targets.port(Behaviour::Source));
    }
    let mut drain = |time: Duration| -> Result<u64> {
        let (begin, before) = (Instant::now(), client.received_bytes());
        while begin.elapsed() < time {
            client.write(false)?;
            client.wait(PollFlags::IN, PATIENCE)?;
            client.read()?;
        }
        Ok(client.received_bytes() - before)
    };
    drain(time / 4)?;
    let (before, begin) = (server.processor_time()?, Instant::now());
    let bytes = drain(time)? as f64;
    let (elapsed, spent) = (begin.elapsed(), server.processor_time()?.saturating_sub(before));
    Ok([bytes / 1e6 / elapsed.as_secs_f64(), spent.as_secs_f64() * 1e9 / bytes])
}

/// Medians of each side's figures, the sides taking turns. The first turn warms up and is not counted.
fn turns<S>(
    effort: &Effort,
    sides: &mut [S],
    mut measure: impl FnMut(&mut S) -> Result<[f64; 2]>,
) -> Result<Vec<[f64; 2]>> {
    let mut figures: Vec<[Vec<f64>; 2]> = sides.iter().map(|_| Default::default()).collect();
    for turn in 0..=effort.turns {
        for (side, figures) in sides.iter_mut().zip(&mut figures) {
            let measured = measure(side)?;
            for (figures, figure) in figures.iter_mut().zip(measured).filter(|_| turn > 0) {
                figures.push(figure);
            }
        }
    }
    Ok(figures.into_iter().map(|side| side.map(|mut figures| cpu::median(&mut figures))).collect())
}

/// Ours beside each of the others.
fn print(what: &str, units: [&'static str; 2], figures: &[[f64; 2]], json: bool) -> Result<()> {
    let Some((ours, others)) = figures.split_first() else { return Ok(()) };
    for (ender, other) in Ender::ALL.into_iter().skip(1).zip(others) {
        let peer = |n: usize| (ender.name(), other[n]);
        table::print(&Row::more_is_better(BENCH, what.to_owned(), units[0], ours[0], peer(0)), json)?;
        let case = format!("{what}, processor time");
        table::print(&Row::less_is_better(BENCH, case, units[1], ours[1], peer(1)), json)?;
    }
    Ok(())
}
