//! Whether what a client that keeps to its credit sends to a slow target arrives, all of it and unharmed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::PollFlags;

use super::client::Client;
use super::slow::{SlowSink, byte_at};

/// A target that takes nothing more for so long will not.
const SILENCE: Duration = Duration::from_secs(3);
/// What may wait in the client, that it hears of its credit in time.
const WAITING_BYTES: usize = 256 * 1024;

/// Sends `length` bytes on each of so many streams, in DATA packets of `packet_bytes`, and waits until the target has them or gets no more;
/// gives which part of all bytes arrived at its place.
///
/// # Errors
/// When the connection breaks.
pub fn upload(
    (address, path): (SocketAddr, &str),
    streams: usize,
    length: u64,
    packet_bytes: usize,
) -> Result<f64> {
    let sink = SlowSink::start()?;
    let mut client = Client::connect(address, path)?;
    let mut positions = vec![0; streams];
    for _ in 0..streams {
        client.open(sink.address().port());
    }
    let all = length * streams as u64;
    let (mut quiet, mut taken) = (Instant::now(), 0);
    loop {
        for (stream, position) in positions.iter_mut().enumerate() {
            while *position < length
                && client.waiting_bytes() < WAITING_BYTES
                && client.streams()[stream].credit > 0
                && client.streams()[stream].closed.is_none()
            {
                let end = length.min(*position + packet_bytes as u64);
                let payload: Vec<u8> = (*position..end).map(byte_at).collect();
                client.send(stream, &payload);
                *position = end;
            }
        }
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, client.wants_write(false));
        client.wait(flags, SILENCE / 100)?;
        client.write(false)?;
        client.read()?;
        let (right, wrong) = sink.taken();
        if right + wrong > taken {
            (quiet, taken) = (Instant::now(), right + wrong);
        }
        if right + wrong >= all || quiet.elapsed() > SILENCE {
            return Ok(right as f64 / all as f64);
        }
    }
}
