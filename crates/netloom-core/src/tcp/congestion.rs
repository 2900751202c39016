//! The congestion window: slow start and congestion avoidance (RFC 5681), initial window of RFC 6928, growth by bytes (RFC 3465).

use super::config::Congestion;

#[derive(Debug)]
pub(super) struct CongestionWindow {
    algorithm: Congestion,
    mss: usize,
    cwnd: usize,
    ssthresh: usize,
    /// Bytes acknowledged toward the next step of congestion avoidance.
    acknowledged: usize,
}

impl CongestionWindow {
    pub(super) fn new(algorithm: Congestion, mss: usize) -> Self {
        let mut window = Self { algorithm, mss, cwnd: 0, ssthresh: usize::MAX, acknowledged: 0 };
        window.begin(mss);
        window
    }

    /// The handshake set the MSS, and with it the initial window.
    pub(super) fn begin(&mut self, mss: usize) {
        self.mss = mss;
        self.cwnd = match self.algorithm {
            Congestion::Reno => self.initial(),
            Congestion::None => usize::MAX,
        };
    }

    /// More than one SYN was lost: the path may be full (RFC 6928 2).
    pub(super) fn lost_syns(&mut self) {
        if self.algorithm == Congestion::Reno {
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

    /// New data was acknowledged. `limited` says whether the window is what held the sender back; otherwise it has no reason to grow.
    pub(super) fn acknowledged(&mut self, bytes: usize, limited: bool) {
        if !limited || self.cwnd == usize::MAX {
            return;
        }
        if self.cwnd < self.ssthresh {
            self.cwnd += bytes.min(2 * self.mss);
            return;
        }
        self.acknowledged += bytes;
        if self.acknowledged >= self.cwnd {
            self.acknowledged -= self.cwnd;
            self.cwnd += self.mss;
        }
    }

    /// Duplicate acknowledgments show a loss; `flight` bytes were under way.
    pub(super) fn lost(&mut self, flight: usize) {
        if self.algorithm == Congestion::Reno {
            self.ssthresh = (flight / 2).max(2 * self.mss);
            self.cwnd = self.ssthresh;
            self.acknowledged = 0;
        }
    }

    /// The retransmission timer expired; `first` if not for the second time on the same data.
    pub(super) fn timed_out(&mut self, flight: usize, first: bool) {
        if first && self.algorithm == Congestion::Reno {
            self.ssthresh = (flight / 2).max(2 * self.mss);
        }
        self.cwnd = self.mss;
        self.acknowledged = 0;
    }

    /// All data that was under way at the loss is acknowledged.
    pub(super) const fn recovered(&mut self) {
        if matches!(self.algorithm, Congestion::None) {
            self.cwnd = usize::MAX;
        }
    }

    /// Nothing was sent for longer than the retransmission timeout: what the window says about the path is out of date (RFC 5681 4.1).
    pub(super) fn idle(&mut self) {
        if self.algorithm == Congestion::Reno {
            self.cwnd = self.cwnd.min(self.initial());
        }
    }
}
