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
/// How long the shortest round trip is believed: paths become longer.
const RTT_MEMORY: Duration = Duration::from_secs(10);
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
    /// The shortest round trip of a ping that did not wait behind a full window, and when it was; none makes the window small.
    least_rtt: Option<(Duration, Instant)>,
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
            let rate = (mark - ping.arrived_bytes) as f64 / rtt.as_secs_f64().max(1e-6);
            // While the round trip is measured anew the window is small, which says nothing of the path's rate.
            let decay = if self.least_rtt.is_some() { 0.9 } else { 1.0 };
            self.bytes_per_s = rate.max(self.bytes_per_s * decay);
            let is_light = mark - ping.arrived_bytes <= MIN_WINDOW_BYTES + STEP_BYTES;
            if is_light && self.least_rtt.is_none_or(|(least, _)| rtt <= least) {
                self.least_rtt = Some((rtt, now));
            }
            self.least_rtt.take_if(|(_, at)| now.duration_since(*at) > RTT_MEMORY);
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
        let path = self.bytes_per_s * self.least_rtt.map_or(0.0, |(rtt, _)| rtt.as_secs_f64());
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
