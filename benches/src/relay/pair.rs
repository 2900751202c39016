//! Two clients of one server: frames as fast as they pass, and one frame at a time to and fro.
//!
//! One thread is both clients, so that on two cores the server has one of its own.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use netloom_interop::frame::{BROADCAST, Mac, mac};
use netloom_interop::namespace::Namespace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::wire::{PATIENCE, Wire, messages};

/// Bytes of frames between sender and receiver at most: less than the relay's queue of a port holds, so that it drops none.
const IN_FLIGHT_BYTES: usize = 512 * 1024;
/// Bytes of one write of the sender.
const BATCH_BYTES: usize = 64 * 1024;

/// Two clients.
pub struct Pair {
    a: (Wire, Mac),
    b: (Wire, Mac),
}

/// What a stream of frames came to.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Frames received, which are all that were sent.
    pub frames: u64,
    /// From the first write to the last read.
    pub time: Duration,
}

impl Pair {
    /// Connects both and makes their MAC addresses known.
    ///
    /// # Errors
    /// When the server does not take two clients.
    pub fn connect(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let a = Wire::connect(namespace, address)?;
        let b = Wire::connect(namespace, address)?;
        let mut pair = Self { a: (a, mac(1)), b: (b, mac(2)) };
        pair.introduce()?;
        Ok(pair)
    }

    /// Each is heard by the other; the later one first, since the earlier is on the LAN when that one is. A client that only receives
    /// is pinged; this is its sign of life.
    fn introduce(&mut self) -> io::Result<()> {
        self.b.0.pass(&messages(BROADCAST, self.b.1, 64, 1), &mut self.a.0)?;
        self.a.0.pass(&messages(BROADCAST, self.a.1, 64, 1), &mut self.b.0)
    }

    /// Sends frames of `length` bytes one way for `time` and waits for all of them.
    ///
    /// # Errors
    /// When a frame is lost or a connection ends.
    pub fn stream(&mut self, length: usize, time: Duration) -> Result<Flow> {
        self.introduce()?;
        let per_batch = (BATCH_BYTES / length).max(1);
        let batch = messages(self.b.1, self.a.1, length, per_batch);
        let most = ((IN_FLIGHT_BYTES / length).max(2 * per_batch)) as u64;
        let per_batch = per_batch as u64;
        let (sender, receiver) = (&mut self.a.0, &mut self.b.0);
        sender.stream.set_nonblocking(true)?;
        receiver.stream.set_nonblocking(true)?;
        let (mut sent, mut received, mut offset) = (0, 0, 0);
        let begin = Instant::now();
        loop {
            let sending = offset > 0 || (sent + per_batch - received <= most && begin.elapsed() < time);
            let mut idle = true;
            if sending && let Some(written) = ready(sender.stream.write(&batch[offset..]))? {
                idle = false;
                offset += written;
                if offset == batch.len() {
                    offset = 0;
                    sent += per_batch;
                }
            }
            if let Some(frames) = ready(receiver.read())? {
                idle = false;
                received += frames;
            }
            if offset == 0 && received == sent && begin.elapsed() >= time {
                break;
            }
            if idle {
                let out = if sending { PollFlags::OUT } else { PollFlags::empty() };
                let mut ends = [
                    PollFd::from_borrowed_fd(sender.stream.as_fd(), out),
                    PollFd::from_borrowed_fd(receiver.stream.as_fd(), PollFlags::IN),
                ];
                if poll(&mut ends, Some(&Timespec::try_from(PATIENCE)?))? == 0 {
                    bail!("of {sent} frames of {length} bytes {received} arrived");
                }
            }
        }
        let flow = Flow { frames: received, time: begin.elapsed() };
        sender.stream.set_nonblocking(false)?;
        receiver.stream.set_nonblocking(false)?;
        Ok(flow)
    }

    /// Sends a frame of `length` bytes to and fro, `rounds` times; gives each round's time.
    ///
    /// # Errors
    /// When a frame is lost or a connection ends.
    pub fn round_trips(&mut self, length: usize, rounds: usize) -> Result<Vec<Duration>> {
        self.introduce()?;
        let there = messages(self.b.1, self.a.1, length, 1);
        let back = messages(self.a.1, self.b.1, length, 1);
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let begin = Instant::now();
            self.a.0.pass(&there, &mut self.b.0)?;
            self.b.0.pass(&back, &mut self.a.0)?;
            times.push(begin.elapsed());
        }
        Ok(times)
    }
}

/// What a call that does not block came to, unless it would have.
fn ready<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
