//! The retransmission timeout (RFC 6298), from one measurement per round trip.

use crate::time::Duration;

/// RFC 6298 2.1 and 5.7: before the first measurement, without and with a retransmitted SYN.
const RTO_INITIAL: Duration = Duration::from_secs(1);
const RTO_AFTER_LOST_SYN: Duration = Duration::from_secs(3);
/// RFC 6298 2.5.
const RTO_MAX: Duration = Duration::from_secs(60);
const MAX_BACKOFF: u32 = 10;

#[derive(Debug)]
pub(super) struct RttEstimator {
    rto: Duration,
    rto_min: Duration,
    smoothed_and_variance: Option<(Duration, Duration)>,
    backoff: u32,
}

impl RttEstimator {
    pub(super) const fn new(rto_min: Duration) -> Self {
        Self { rto: RTO_INITIAL, rto_min, smoothed_and_variance: None, backoff: 0 }
    }

    /// The timeout, backed off.
    pub(super) fn rto(&self) -> Duration {
        let rto = if self.backoff == 0 { self.rto } else { self.rto.saturating_mul(1 << self.backoff) };
        rto.min(RTO_MAX)
    }

    /// The smoothed round-trip time, or zero.
    pub(super) fn smoothed(&self) -> Duration {
        self.smoothed_and_variance.map_or(Duration::ZERO, |(smoothed, _)| smoothed)
    }

    /// How often the timer expired since a round trip was measured.
    pub(super) const fn backoffs(&self) -> u32 {
        self.backoff
    }

    /// Whether a round trip was measured.
    pub(super) const fn is_measured(&self) -> bool {
        self.smoothed_and_variance.is_some()
    }

    /// Data was acknowledged, but its round trip cannot be told: one step of back-off stays until one is measured.
    pub(super) fn progressed(&mut self) {
        self.backoff = self.backoff.min(1);
    }

    /// A round trip was measured.
    pub(super) fn sample(&mut self, rtt: Duration) {
        self.backoff = 0;
        let (smoothed, variance) = match self.smoothed_and_variance {
            None => (rtt, rtt / 2),
            Some((smoothed, variance)) => {
                ((smoothed * 7 + rtt) / 8, (variance * 3 + smoothed.abs_diff(rtt)) / 4)
            }
        };
        self.smoothed_and_variance = Some((smoothed, variance));
        // The floor is on the margin, not on the sum: a peer may delay its acknowledgment of any segment by as much.
        self.rto = smoothed + (variance * 4).max(self.rto_min);
    }

    /// The timer expired.
    pub(super) fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(MAX_BACKOFF);
    }

    /// The handshake is done. Without a measurement by now, the SYN was sent more than once.
    pub(super) const fn established(&mut self) {
        self.backoff = 0;
        if self.smoothed_and_variance.is_none() {
            self.rto = RTO_AFTER_LOST_SYN;
        }
    }
}
