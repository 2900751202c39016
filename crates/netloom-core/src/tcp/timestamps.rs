//! Timestamps: what we send, what we echo, and which segments are too old to be believed (RFC 7323 3 to 5).

use super::options::Timestamps;
use super::seq::SeqNumber;
use crate::time::{Duration, Instant};

/// How long a timestamp of the peer stays worth comparing with (RFC 7323 5.5).
const RECENT_FOR: Duration = Duration::from_secs(24 * 24 * 3600);

/// The timestamps of a connection that uses them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// What is added to the time, so that it tells nobody how long we run (RFC 7323 7.1).
    offset: u32,
    /// The value for what leaves next.
    value: u32,
    /// The value to echo, and when it came.
    recent: u32,
    recent_at: Instant,
}

impl Clock {
    /// A clock for the connection with this initial sequence number. For one pair of addresses it runs on from one connection to the next,
    /// as long as the numbers are those of RFC 6528, so that a peer in TIME-WAIT can tell a new connection by it.
    pub(super) fn new(now: Instant, isn: u32) -> Self {
        // The part of the number that is the addresses' own.
        let own = isn.wrapping_sub((now.as_us() / 4) as u32);
        let mut clock = Self { offset: own.wrapping_mul(0x9e37_79b1), value: 0, recent: 0, recent_at: now };
        clock.advance(now);
        clock
    }

    /// The time has come to `now`: in milliseconds (RFC 7323 5.4).
    pub(super) fn advance(&mut self, now: Instant) {
        self.value = ((now.as_us() / 1000) as u32).wrapping_add(self.offset);
    }

    /// The option of what leaves next.
    pub(super) const fn option(&self) -> Timestamps {
        Timestamps { value: self.value, echo: self.recent }
    }

    /// The value for what leaves next.
    pub(super) const fn value(&self) -> u32 {
        self.value
    }

    /// The peer's first timestamp.
    pub(super) const fn begin(&mut self, now: Instant, value: u32) {
        (self.recent, self.recent_at) = (value, now);
    }

    /// Whether a segment with this timestamp is a duplicate from earlier (PAWS, RFC 7323 5.3 R1).
    pub(super) fn is_old(&self, now: Instant, value: u32) -> bool {
        precedes(value, self.recent) && now.since(self.recent_at) < RECENT_FOR
    }

    /// Takes note of an acceptable segment's timestamp (RFC 7323 4.3): the echo is that of the first segment not acknowledged yet.
    pub(super) fn note(&mut self, now: Instant, value: u32, seq: SeqNumber, last_ack: SeqNumber) {
        if !precedes(value, self.recent) && seq <= last_ack {
            self.begin(now, value);
        }
    }

    /// Whether a SYN with this timestamp is newer than all of the connection (RFC 6191).
    pub(super) const fn precedes(&self, value: u32) -> bool {
        precedes(self.recent, value)
    }

    /// How long ago an echoed value left, by our clock at `now`.
    pub(super) fn age(&self, now: Instant, echo: u32) -> Option<Duration> {
        let age = ((now.as_us() / 1000) as u32).wrapping_add(self.offset).wrapping_sub(echo);
        (age < 1 << 31).then(|| Duration::from_millis(age.into()))
    }
}

/// Whether one timestamp is before another, modulo 2³².
pub(super) const fn precedes(value: u32, other: u32) -> bool {
    (value.wrapping_sub(other) as i32) < 0
}
