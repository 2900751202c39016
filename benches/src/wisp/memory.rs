//! Resident memory of a fresh server: by idle streams, and where a target or a client stalls.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::event::PollFlags;

use super::server::Server;
use netloom_interop::wisp::client::{Client, PATIENCE};
use netloom_interop::wisp::target::{Behaviour, Targets};

/// Bytes of a DATA packet towards a target that stalls.
const PACKET_BYTES: usize = 16 * 1024;
/// Streams that stall.
const STALLED: usize = 10;
/// A server that says nothing for so long has said all.
const SILENCE: Duration = Duration::from_millis(500);

/// Resident bytes of each of `count` idle streams.
///
/// # Errors
/// When the server does not open them.
pub fn idle_stream_bytes(server: &Server, count: usize) -> Result<f64> {
    let targets = Targets::start()?;
    let mut client = Client::connect(server.address, server.path)?;
    // What the first one costs is not each one's cost.
    let warm = client.open(targets.port(Behaviour::Echo));
    client.send(warm, &[1]);
    client.wait_until(|client| client.streams()[warm].received > 0)?;
    let before = server.resident_bytes()?;
    for _ in 0..count {
        client.open(targets.port(Behaviour::Stalled));
    }
    // An echo behind all of them; and the last may still be under way then.
    client.send(warm, &[1]);
    client.wait_until(|client| client.streams()[warm].received > 1)?;
    let begin = Instant::now();
    while targets.accepted() <= count {
        ensure!(begin.elapsed() < PATIENCE, "{} of {count} streams were opened", targets.accepted() - 1);
        client.wait(PollFlags::IN, Duration::from_millis(10))?;
        client.read()?;
    }
    Ok(server.resident_bytes()?.saturating_sub(before) as f64 / count as f64)
}

/// What a target that takes nothing came to.
#[derive(Clone, Copy, Debug)]
pub struct Stalled {
    /// By how much resident memory grew, in bytes.
    pub grown_bytes: u64,
    /// DATA packets that one stream got rid of before its credit was gone.
    pub packets: u64,
    /// Whether another stream of the same WebSocket was still answered.
    pub others_go_on: bool,
}

/// Streams whose target takes nothing, sent to until there is no more credit.
///
/// # Errors
/// When the connection breaks.
pub fn stalled_target(server: &Server) -> Result<Stalled> {
    let targets = Targets::start()?;
    let mut client = Client::connect(server.address, server.path)?;
    let echo = client.open(targets.port(Behaviour::Echo));
    client.send(echo, &[1]);
    client.wait_until(|client| client.streams()[echo].received > 0)?;
    let before = server.resident_bytes()?;
    for _ in 0..STALLED {
        client.open(targets.port(Behaviour::Stalled));
    }
    client.prepare_from(1, &[0x5a; PACKET_BYTES]);
    let mut quiet = Instant::now();
    while quiet.elapsed() < SILENCE {
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, client.wants_write(true));
        if !client.wait(flags, SILENCE / 4)? {
            continue;
        }
        let sent_before = client.sent_messages();
        client.write(true)?;
        if client.read()? > 0 || client.sent_messages() > sent_before {
            quiet = Instant::now();
        }
    }
    let grown_bytes = server.resident_bytes()?.saturating_sub(before);
    let packets = client.sent_messages() / STALLED as u64;
    client.send(echo, &[1]);
    let deadline = Instant::now() + SILENCE * 4;
    while client.streams()[echo].received < 2 && Instant::now() < deadline {
        client.write(false)?;
        client.wait(PollFlags::IN, SILENCE / 4)?;
        client.read()?;
    }
    Ok(Stalled { grown_bytes, packets, others_go_on: client.streams()[echo].received > 1 })
}

/// By how many bytes resident memory grows while a client reads nothing of the streams that sources fill, for `time`.
///
/// # Errors
/// When the connection breaks.
pub fn stalled_client_bytes(server: &Server, time: Duration) -> Result<u64> {
    let targets = Targets::start()?;
    let mut client = Client::connect(server.address, server.path)?;
    let before = server.resident_bytes()?;
    for _ in 0..STALLED {
        client.open(targets.port(Behaviour::Source));
    }
    client.write(false)?;
    let begin = Instant::now();
    let mut most = before;
    while begin.elapsed() < time {
        std::thread::sleep(time / 20);
        most = most.max(server.resident_bytes()?);
    }
    Ok(most - before)
}
