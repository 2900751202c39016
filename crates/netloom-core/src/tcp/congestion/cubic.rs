//! CUBIC congestion avoidance (RFC 9438): the window grows by a cubic function of the time since the last loss.
//!
//! Windows are in segments and times in seconds here, as in the RFC. Only operations that give the same result on every machine are used.

use crate::time::{Duration, Instant};

/// How aggressively the window grows, in segments/s³ (RFC 9438 5.1).
const C: f64 = 0.4;
/// What remains of the window after a loss (RFC 9438 4.6).
const BETA: f64 = 0.7;
/// Growth of the Reno-friendly window in segments per window, while it is below the one before the loss (RFC 9438 4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cubic {
    /// The window before the last loss: where growth is slowest.
    w_max: f64,
    /// The window before the last loss, whatever fast convergence made of `w_max`.
    prior: f64,
    epoch: Option<Epoch>,
}

/// One stretch of congestion avoidance.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    /// When it began. Moves on while the sender has too little to say.
    start: Instant,
    updated: Instant,
    /// Seconds until the window is `w_max` again.
    k: f64,
    w_max: f64,
    /// What Reno would have.
    w_est: f64,
    /// The window, with its fraction.
    cwnd: f64,
}

impl Cubic {
    /// The window after an acknowledgment in congestion avoidance, in bytes.
    pub(super) fn acknowledged(
        &mut self,
        now: Instant,
        bytes: usize,
        limited: bool,
        rtt: Duration,
        cwnd_bytes: usize,
        mss: usize,
    ) -> usize {
        let mss_f = mss as f64;
        let cwnd = cwnd_bytes as f64 / mss_f;
        let w_max = self.w_max.max(cwnd);
        let epoch = self.epoch.get_or_insert_with(|| Epoch {
            start: now,
            updated: now,
            k: cube_root((w_max - cwnd) / C),
            w_max,
            w_est: cwnd,
            cwnd,
        });
        if !limited {
            epoch.start += now.since(epoch.updated);
            epoch.updated = now;
            return cwnd_bytes;
        }
        epoch.updated = now;
        // The window may have been set from outside, and bytes know no fractions of segments.
        if (epoch.cwnd - cwnd).abs() > 1.0 {
            epoch.cwnd = cwnd;
        }
        let acknowledged = bytes as f64 / mss_f;
        let window_at = |time: f64| {
            let d = time - epoch.k;
            C * d * d * d + epoch.w_max
        };
        let time = now.since(epoch.start).as_secs_f64();
        let alpha = if epoch.w_est < self.prior { ALPHA } else { 1.0 };
        epoch.w_est += alpha * acknowledged / epoch.cwnd;
        if window_at(time) < epoch.w_est {
            epoch.cwnd = epoch.cwnd.max(epoch.w_est);
        } else {
            let target = window_at(time + rtt.as_secs_f64()).min(1.5 * epoch.cwnd).max(epoch.cwnd);
            epoch.cwnd += (target - epoch.cwnd) / epoch.cwnd * acknowledged;
        }
        ((epoch.cwnd * mss_f) as usize).max(cwnd_bytes)
    }

    /// A loss with so many bytes under way; returns the window to return to, in bytes.
    pub(super) fn lost(&mut self, flight: usize, mss: usize) -> usize {
        let cwnd = flight as f64 / mss as f64;
        // Fast convergence (RFC 9438 4.7): a window that did not reach the last one leaves room to others.
        self.w_max = if cwnd < self.w_max { cwnd * (1.0 + BETA) / 2.0 } else { cwnd };
        self.prior = cwnd;
        self.epoch = None;
        ((flight as f64 * BETA) as usize).max(2 * mss)
    }

    /// Nothing was sent for long, and the window began anew: growth goes on from what slow start reaches.
    pub(super) const fn idle(&mut self) {
        self.epoch = None;
    }

    /// The retransmission timer expired: the next stretch begins from what slow start reaches (RFC 9438 4.8).
    pub(super) const fn timed_out(&mut self) {
        self.w_max = 0.0;
        self.epoch = None;
    }
}

/// The cube root of a number that is not negative, by Newton's method: the platforms' own differ in the last bit.
fn cube_root(x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let mut root = x.max(1.0);
    for _ in 0..64 {
        let next = (2.0 * root + x / (root * root)) / 3.0;
        if next >= root {
            break;
        }
        root = next;
    }
    root
}
