//! How much may be on its way to a client: as much as keeps the path full, and no more, since whatever comes next waits behind it.
//!
//! A WebSocket has no credit toward the client, and what the kernels of both ends hold can be megabytes. So bulk is marked by pings, which
//! every client answers when it gets there (RFC 6455 section 5.5.2), and bulk waits when too much of it is unanswered. What may be under
//! way follows the rate at which pongs come and the shortest time that one took. Pure: time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Bytes between two pings.
const STEP_BYTES: u64 = 256 * 1024;
/// Bytes that may always be under way.
const MIN_WINDOW_BYTES: u64 = 1024 * 1024;
/// Pings that are remembered.
const MAX_PINGS: usize = 4096;
/// How long a client that has answered before may be silent before it is paced no more.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is on its way to one client.
#[derive(Debug, Default)]
pub(super) struct Pace {
    sent_bytes: u64,
    arrived_bytes: u64,
    pings: VecDeque<Ping>,
    /// The client answers pings.
    answers: bool,
    least_rtt: Option<Duration>,
    bytes_per_s: f64,
}

#[derive(Debug)]
struct Ping {
    at: Instant,
    /// Bytes before it, and those that had arrived when it left.
    sent_bytes: u64,
    arrived_bytes: u64,
}

impl Pace {
    /// Counts what is sent; gives the payload of a ping that is to follow.
    pub(super) fn send(&mut self, bytes: usize, now: Instant) -> Option<[u8; 8]> {
        self.sent_bytes += bytes as u64;
        let marked = self.pings.back().map_or(self.arrived_bytes, |ping| ping.sent_bytes);
        if self.sent_bytes < marked + STEP_BYTES || self.pings.len() >= MAX_PINGS {
            return None;
        }
        let (sent_bytes, arrived_bytes) = (self.sent_bytes, self.arrived_bytes);
        self.pings.push_back(Ping { at: now, sent_bytes, arrived_bytes });
        Some(sent_bytes.to_be_bytes())
    }

    /// Takes a pong. It answers for the pings before its own, too.
    pub(super) fn pong(&mut self, payload: &[u8], now: Instant) {
        let Ok(mark) = payload.try_into().map(u64::from_be_bytes) else { return };
        if !self.pings.iter().any(|ping| ping.sent_bytes == mark) {
            return;
        }
        self.answers = true;
        while let Some(ping) = self.pings.pop_front() {
            if ping.sent_bytes < mark {
                continue;
            }
            let rtt = now.duration_since(ping.at);
            self.least_rtt = Some(self.least_rtt.map_or(rtt, |least| least.min(rtt)));
            let rate = (mark - ping.arrived_bytes) as f64 / rtt.as_secs_f64().max(1e-6);
            self.bytes_per_s = rate.max(self.bytes_per_s * 0.9);
            self.arrived_bytes = mark;
            break;
        }
    }

    /// Whether bulk may be sent.
    pub(super) fn has_room(&self) -> bool {
        !self.answers || self.sent_bytes - self.arrived_bytes < self.window_bytes()
    }

    /// Twice what fits the path: so the window grows as long as the rate grows with it.
    fn window_bytes(&self) -> u64 {
        let path = self.bytes_per_s * self.least_rtt.unwrap_or_default().as_secs_f64();
        MIN_WINDOW_BYTES.max((2.0 * path) as u64)
    }

    /// When to [`Self::give_up`], while bulk waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pings.front().filter(|_| !self.has_room()).map(|ping| ping.at + PATIENCE)
    }

    /// The client has stopped to answer: it is not paced until it does again.
    pub(super) fn give_up(&mut self) {
        self.answers = false;
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
