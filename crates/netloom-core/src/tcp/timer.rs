//! The timers of one connection: a fixed handful of deadlines.

use crate::time::{Duration, Instant};

const NEVER: Instant = Instant::from_us(u64::MAX);

/// How long an acknowledgment may wait for data to ride on (RFC 9293 3.8.6.3 allows 500 ms).
pub(super) const DELAYED_ACK: Duration = Duration::from_millis(40);
/// How long an empty buffer keeps its memory.
pub(super) const IDLE_BUFFERS: Duration = Duration::from_secs(1);
/// How many keepalives go unanswered before the connection is given up.
pub(super) const KEEPALIVE_PROBES: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    Retransmission,
    TailLossProbe,
    Reordering,
    ZeroWindowProbe,
    DelayedAck,
    Keepalive,
    TimeWait,
    IdleBuffers,
}

const REASONS: [&str; 8] = [
    "tcp retransmission",
    "tcp tail loss probe",
    "tcp reordering",
    "tcp zero-window probe",
    "tcp delayed ack",
    "tcp keepalive",
    "tcp time-wait",
    "tcp idle buffers",
];

#[derive(Debug)]
pub(super) struct Timers {
    deadlines: [Instant; REASONS.len()],
    /// No deadline is earlier.
    bound: Instant,
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self { deadlines: [NEVER; REASONS.len()], bound: NEVER }
    }

    pub(super) fn arm(&mut self, timer: Timer, at: Instant) {
        self.deadlines[timer as usize] = at;
        self.bound = self.bound.min(at);
    }

    pub(super) const fn stop(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = NEVER;
    }

    pub(super) const fn stop_all(&mut self) {
        *self = Self::new();
    }

    pub(super) fn is_armed(&self, timer: Timer) -> bool {
        self.deadlines[timer as usize] != NEVER
    }

    /// Whether the timer is due; if so, it stops.
    pub(super) fn fires(&mut self, now: Instant, timer: Timer) -> bool {
        let due = self.is_armed(timer) && self.deadlines[timer as usize] <= now;
        if due {
            self.stop(timer);
        }
        due
    }

    /// An instant before which nothing is due, at no cost. It may be too early by what was put off since [`Self::settle`].
    pub(super) fn bound(&self) -> Option<Instant> {
        (self.bound != NEVER).then_some(self.bound)
    }

    /// Makes [`Self::bound`] the first deadline.
    pub(super) fn settle(&mut self) {
        self.bound = self.next().map_or(NEVER, |(at, _)| at);
    }

    /// The first deadline, and what it is for.
    pub(super) fn next(&self) -> Option<(Instant, &'static str)> {
        let (deadline, reason) = self.deadlines.iter().zip(REASONS).min_by_key(|(deadline, _)| **deadline)?;
        (*deadline != NEVER).then_some((*deadline, reason))
    }
}
