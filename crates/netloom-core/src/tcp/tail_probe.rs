//! Probes of the tail: when nothing is heard for two round trips, one segment learns whether the last ones arrived (RFC 8985 7).

use super::acknowledge::Delivery;
use super::recovery::Recovery;
use super::seq::SeqNumber;
use super::tcb::Tcb;
use super::timer::Timer;
use crate::time::{Duration, Instant};

/// Least time before a tail is probed: what a busy host may take to answer on a link without delay.
const TAIL_PROBE_MIN: Duration = Duration::from_millis(10);
/// How long a peer may delay the acknowledgment of a single segment (RFC 8985 7.2).
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);

/// A segment that was sent to learn whether the last ones arrived (RFC 8985 7).
#[derive(Clone, Copy, Debug)]
pub(super) struct TailProbe {
    end: SeqNumber,
    /// Whether it carried what had been sent before.
    resent: bool,
}

impl Tcb {
    /// Whether a probe of the tail was answered, and whether by a repair of a loss (RFC 8985 7.4). `repeated`: the acknowledgment is a
    /// duplicate, and tells of nothing beyond a gap.
    pub(super) fn end_tail_probe(&mut self, repeated: bool, delivery: &Delivery) {
        if let Some((_, end)) = delivery.duplicate {
            self.rack.duplicated(self.snd_una, self.snd_nxt);
            if self.tail_probe.is_some_and(|probe| probe.end == end) {
                self.tail_probe = None;
            }
        }
        let Some(probe) = self.tail_probe.filter(|probe| self.snd_una >= probe.end) else { return };
        if !probe.resent {
            self.tail_probe = None;
        } else if self.snd_una > probe.end {
            // The probe repaired a loss, which would have been answered had it not been the last.
            self.tail_probe = None;
            if matches!(self.recovery, Recovery::None) {
                self.congestion.lost(self.board.bytes() + delivery.bytes);
                self.congestion.recovered();
            }
        } else if repeated {
            self.tail_probe = None;
        }
    }

    pub(super) fn arm_tail_probe(&mut self, now: Instant) {
        let probes = self.sack
            && matches!(self.recovery, Recovery::None)
            && self.tail_probe.is_none()
            && self.board.sacked_pieces() == 0
            && self.board.bytes() > 0;
        if !probes {
            self.timers.stop(Timer::TailLossProbe);
            return;
        }
        let delay = if self.board.bytes() <= self.max_payload { MAX_ACK_DELAY } else { Duration::ZERO };
        let wait = (self.rtt.smoothed() * 2 + delay).max(TAIL_PROBE_MIN);
        if self.rtt.is_measured() && wait < self.rtt.rto() {
            self.timers.arm(Timer::TailLossProbe, now + wait);
        } else {
            self.timers.stop(Timer::TailLossProbe);
        }
    }

    /// A segment of the tail has left to learn whether the others arrived.
    pub(super) fn tail_probed(&mut self, now: Instant, resent: bool) {
        self.tail_probe = Some(TailProbe { end: self.snd_nxt, resent });
        self.timers.stop(Timer::TailLossProbe);
        self.timers.arm(Timer::Retransmission, now + self.rtt.rto());
    }
}
