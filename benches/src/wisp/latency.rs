//! How long small things take: round trips alone and beside a bulk download, and streams opened one after the other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::event::PollFlags;

use super::server::Server;
use crate::relay::place::Placement;
use netloom_interop::wisp::client::{Client, PATIENCE};
use netloom_interop::wisp::target::{Behaviour, Targets};

/// Of a round trip.
const MESSAGE: [u8; 64] = [0x5a; 64];
/// Streams that are being opened at a time.
const OPENING: usize = 50;

/// The median and the 99th percentile.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// In microseconds.
    pub p50_us: f64,
    /// In microseconds.
    pub p99_us: f64,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e6;
        Self { p50_us: at(50), p99_us: at(99) }
    }
}

/// A message to an echo and back, `rounds` times. Server and load share a processor: what is compared is work.
///
/// # Errors
/// When an answer does not come.
pub fn round_trips(server: &Server, rounds: usize) -> Result<Times> {
    let _placed = server.place(Placement::Together)?;
    let targets = Targets::start()?;
    let mut client = Client::connect(server.address, server.path)?;
    let echo = client.open(targets.port(Behaviour::Echo));
    let mut times = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        let begin = Instant::now();
        client.send(echo, &MESSAGE);
        let until = (round as u64 + 1) * MESSAGE.len() as u64;
        client.wait_until(|client| client.streams()[echo].received >= until)?;
        times.push(begin.elapsed());
    }
    // The first waits for the target's connection too.
    times.remove(0);
    Ok(Times::of(times))
}

/// The same through a proxy that knows no Wisp; `target` is what the proxy leads to.
///
/// # Errors
/// When an answer does not come.
pub fn round_trips_of_proxy(proxy: &Server, rounds: usize) -> Result<Times> {
    let _placed = proxy.place(Placement::Together)?;
    let mut stream = TcpStream::connect(proxy.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut times = Vec::with_capacity(rounds);
    let mut buffer = MESSAGE;
    for _ in 0..=rounds {
        let begin = Instant::now();
        stream.write_all(&MESSAGE)?;
        stream.read_exact(&mut buffer)?;
        times.push(begin.elapsed());
    }
    times.remove(0);
    Ok(Times::of(times))
}

/// Round trips for `time` beside a download on the same WebSocket, and that download's 10⁶ bytes a second.
///
/// # Errors
/// When the connection breaks, or no answer comes at all.
pub fn round_trips_beside_bulk(server: &Server, time: Duration) -> Result<(Times, f64)> {
    let _placed = server.place(Placement::Apart)?;
    let targets = Targets::start()?;
    let mut client = Client::connect(server.address, server.path)?;
    let bulk = client.open(targets.port(Behaviour::Source));
    let echo = client.open(targets.port(Behaviour::Echo));
    client.wait_until(|client| client.streams()[bulk].received > 0)?;
    let (mut times, mut answered) = (Vec::new(), 0);
    let (begin, before) = (Instant::now(), client.streams()[bulk].received);
    let mut sent = Instant::now();
    client.send(echo, &MESSAGE);
    while begin.elapsed() < time || times.is_empty() {
        ensure!(begin.elapsed() < time + PATIENCE, "no answer beside a bulk download");
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, client.wants_write(false));
        client.wait(flags, PATIENCE)?;
        client.write(false)?;
        client.read()?;
        let received = client.streams()[echo].received;
        if received >= answered + MESSAGE.len() as u64 {
            answered += MESSAGE.len() as u64;
            times.push(sent.elapsed());
            sent = Instant::now();
            client.send(echo, &MESSAGE);
            client.write(false)?;
        }
    }
    let bytes = client.streams()[bulk].received - before;
    Ok((Times::of(times), bytes as f64 / 1e6 / begin.elapsed().as_secs_f64()))
}

/// What opening streams came to.
#[derive(Clone, Copy, Debug)]
pub struct Opens {
    /// Streams a second.
    pub per_s: f64,
    /// Of one, from CONNECT to its answer.
    pub times: Times,
    /// The server's processor time for one, in microseconds.
    pub cpu_us: f64,
}

/// Opens `count` streams, so many at a time; each sends one byte, hears it back, and is closed.
///
/// # Errors
/// When one is not answered.
pub fn opens(server: &Server, count: usize) -> Result<Opens> {
    let _placed = server.place(Placement::Apart)?;
    let targets = Targets::start()?;
    let mut client = Client::connect(server.address, server.path)?;
    let (mut begun, mut times, mut opening) = (Vec::new(), Vec::new(), Vec::new());
    let (cpu_before, begin) = (server.processor_time()?, Instant::now());
    while times.len() < count {
        while opening.len() < OPENING && begun.len() < count {
            let stream = client.open(targets.port(Behaviour::Echo));
            client.send(stream, &[1]);
            opening.push(stream);
            begun.push(Instant::now());
        }
        let answered = |client: &Client, stream: &usize| {
            let stream = &client.streams()[*stream];
            stream.received > 0 || stream.closed.is_some()
        };
        client.wait_until(|client| opening.iter().any(|stream| answered(client, stream)))?;
        for stream in opening.extract_if(.., |stream| answered(&client, stream)).collect::<Vec<_>>() {
            ensure!(client.streams()[stream].received > 0, "a stream was refused");
            times.push(begun[stream].elapsed());
            client.close(stream);
        }
    }
    let elapsed = begin.elapsed();
    let spent = server.processor_time()?.saturating_sub(cpu_before);
    Ok(Opens {
        per_s: count as f64 / elapsed.as_secs_f64(),
        times: Times::of(times),
        cpu_us: spent.as_secs_f64() * 1e6 / count as f64,
    })
}
