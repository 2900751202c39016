//! The congestion window: slow start, and avoidance by Reno (RFC 5681) or CUBIC (RFC 9438), with the initial window of RFC 6928 and growth
//! by bytes (RFC 3465).
//!
//! How much leaves while losses are repaired is not decided here but by [`Prr`](super::prr::Prr).

mod cubic;

use super::config::Congestion;
use crate::time::{Duration, Instant};
use cubic::Cubic;

/// The window of a connection without congestion control.
const UNLIMITED: usize = usize::MAX;

#[derive(Clone, Copy, Debug)]
pub(super) struct CongestionWindow {
    algorithm: Algorithm,
    mss: usize,
    cwnd: usize,
    ssthresh: usize,
}

#[derive(Clone, Copy, Debug)]
enum Algorithm {
    /// With the bytes acknowledged toward the next step of congestion avoidance.
    Reno(usize),
    Cubic(Cubic),
    None,
}

impl CongestionWindow {
    pub(super) fn new(algorithm: Congestion, mss: usize) -> Self {
        let algorithm = match algorithm {
            Congestion::Reno => Algorithm::Reno(0),
            Congestion::Cubic => Algorithm::Cubic(Cubic::default()),
            Congestion::None => Algorithm::None,
        };
        let mut window = Self { algorithm, mss, cwnd: 0, ssthresh: usize::MAX };
        window.begin(mss);
        window
    }

    /// The handshake set the MSS, and with it the initial window.
    pub(super) fn begin(&mut self, mss: usize) {
        self.mss = mss;
        self.cwnd = if self.is_limiting() { self.initial() } else { UNLIMITED };
    }

    /// Whether there is congestion control at all.
    pub(super) const fn is_limiting(&self) -> bool {
        !matches!(self.algorithm, Algorithm::None)
    }

    /// More than one SYN was lost: the path may be full (RFC 6928 2).
    pub(super) const fn lost_syns(&mut self) {
        if self.is_limiting() {
            self.cwnd = self.mss;
        }
    }

    /// A smaller path MTU set the MSS. The window stays (RFC 1191 6.4).
    pub(super) const fn set_mss(&mut self, mss: usize) {
        self.mss = mss;
    }

    fn initial(&self) -> usize {
        (10 * self.mss).min((2 * self.mss).max(14_600))
    }

    pub(super) const fn cwnd(&self) -> usize {
        self.cwnd
    }

    pub(super) const fn ssthresh(&self) -> usize {
        self.ssthresh
    }

    /// Proportional rate reduction says how much may be under way until losses are repaired.
    pub(super) const fn set_cwnd(&mut self, cwnd: usize) {
        self.cwnd = cwnd;
    }

    /// New data was acknowledged while nothing is held to be lost, or after a time-out. `limited` says whether the window is what held the
    /// sender back; otherwise it has no reason to grow (RFC 7661).
    pub(super) fn acknowledged(&mut self, now: Instant, bytes: usize, limited: bool, rtt: Duration) {
        if self.cwnd == UNLIMITED {
            return;
        }
        if self.cwnd < self.ssthresh {
            if limited {
                self.cwnd += bytes.min(2 * self.mss);
            }
            return;
        }
        match &mut self.algorithm {
            Algorithm::Reno(acknowledged) if limited => {
                *acknowledged += bytes;
                if *acknowledged >= self.cwnd {
                    *acknowledged -= self.cwnd;
                    self.cwnd += self.mss;
                }
            }
            Algorithm::Cubic(cubic) => {
                self.cwnd = cubic.acknowledged(now, bytes, limited, rtt, self.cwnd, self.mss);
            }
            Algorithm::Reno(_) | Algorithm::None => {}
        }
    }

    /// A loss: the window to return to once it is repaired becomes smaller. `flight` bytes were under way.
    pub(super) fn lost(&mut self, flight: usize) {
        // Limited transmit does not count (RFC 5681 3.2).
        let flight = flight.min(self.cwnd);
        self.ssthresh = match &mut self.algorithm {
            Algorithm::Reno(acknowledged) => {
                *acknowledged = 0;
                // Whole segments: a part of one would never be sent, but would have to be acknowledged before the window grows.
                (flight / 2 / self.mss * self.mss).max(2 * self.mss)
            }
            Algorithm::Cubic(cubic) => cubic.lost(flight, self.mss),
            Algorithm::None => usize::MAX,
        };
    }

    /// The retransmission timer expired; `first` unless a loss is being repaired, which was answered already.
    pub(super) fn timed_out(&mut self, flight: usize, first: bool) {
        if !self.is_limiting() {
            return;
        }
        if first {
            self.lost(flight);
        }
        if let Algorithm::Cubic(cubic) = &mut self.algorithm {
            cubic.timed_out();
        }
        self.cwnd = self.mss;
    }

    /// All that was under way at the loss is acknowledged.
    pub(super) const fn recovered(&mut self) {
        self.cwnd = if self.is_limiting() { self.ssthresh } else { UNLIMITED };
    }

    /// All that was under way when the timer expired is acknowledged. Slow start goes on.
    pub(super) const fn recovered_from_timeout(&mut self) {
        if !self.is_limiting() {
            self.cwnd = UNLIMITED;
        }
    }

    /// What seemed lost was only late: as if nothing had happened (RFC 4015).
    pub(super) fn undo(&mut self, before: &Self) {
        let Self { mss, cwnd, .. } = *self;
        *self = Self { mss, cwnd: before.cwnd.max(cwnd), ..*before };
    }

    /// Nothing was sent for longer than the retransmission timeout: what the window says about the path is out of date (RFC 5681 4.1).
    pub(super) fn idle(&mut self) {
        if self.cwnd > self.initial() && self.is_limiting() {
            self.cwnd = self.initial();
            if let Algorithm::Cubic(cubic) = &mut self.algorithm {
                cubic.idle();
            }
        }
    }
}
