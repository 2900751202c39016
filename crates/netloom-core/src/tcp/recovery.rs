//! Repair of losses: when they are seen, how much may leave meanwhile, and what is taken back if there was none (RFC 5681, RFC 6298, RFC 6582,
//! RFC 6937, RFC 8985, RFC 3522, RFC 4015).

use super::acknowledge::Delivery;
use super::congestion::CongestionWindow;
use super::options::Options;
use super::prr::Prr;
use super::seq::SeqNumber;
use super::tcb::{State, Tcb};
use super::timer::Timer;
use super::timestamps::precedes;
use crate::flow::ResetReason;
use crate::time::Instant;

/// Duplicate acknowledgments that show a loss to a peer without SACK (RFC 5681 3.2).
const DUPLICATE_ACKS: usize = 3;

/// Whether losses are being repaired.
#[derive(Clone, Copy, Debug)]
pub(super) enum Recovery {
    /// Nothing is held to be lost.
    None,
    /// Duplicate acknowledgments or time showed a loss.
    Fast(Prr),
    /// The retransmission timer expired. `forced`: the first segment leaves whatever the congestion window says.
    Timeout { forced: bool },
}

/// What is needed to take back the answer to a loss that was none.
#[derive(Debug)]
pub(super) struct Undo {
    window: CongestionWindow,
    /// Nothing before this was sent again.
    from: SeqNumber,
    /// What was sent again first, and with which timestamp. `None` once an acknowledgment answered it.
    first: Option<(SeqNumber, u32)>,
    /// Segments sent again and not reported to have arrived twice.
    resent: usize,
}

impl Tcb {
    /// Takes back what was done about a loss, once the peer shows that there was none.
    pub(super) fn undo_if_spurious(&mut self, now: Instant, options: &Options, delivery: &Delivery) {
        let Some(undo) = &mut self.undo else { return };
        let echo = options.timestamps.map(|timestamps| timestamps.echo);
        let mut spurious = false;
        if let Some((_, value)) = undo.first.take_if(|(end, _)| self.snd_una >= *end) {
            // The acknowledgment may be of the first copy, which left earlier (RFC 3522 3).
            spurious = echo.is_some_and(|echo| precedes(echo, value));
        }
        if undo.resent > 0 && delivery.duplicate.is_some_and(|(start, _)| start >= undo.from) {
            undo.resent -= 1;
            spurious |= undo.resent == 0;
        }
        if spurious && let Some(undo) = self.undo.take() {
            self.congestion.undo(&undo.window);
            self.board.find_again();
            self.recovery = Recovery::None;
            // It may have expired, with nothing sent again yet.
            self.arm_retransmission(now);
        }
    }

    /// Marks what is lost; how many bytes that are.
    pub(super) fn detect_losses(&mut self, now: Instant, advanced: bool) -> usize {
        let recovering = !matches!(self.recovery, Recovery::None);
        let lost = if self.sack {
            let (lost, again) =
                self.rack.detect(now, &mut self.board, recovering, self.rtt.smoothed(), self.max_payload);
            match again {
                Some(at) => self.timers.arm(Timer::Reordering, at),
                None => self.timers.stop(Timer::Reordering),
            }
            lost
        } else {
            let una = self.snd_una;
            let partial = matches!(self.recovery, Recovery::Fast(_)) && advanced && una < self.recover;
            let duplicates = !recovering && una >= self.recover && self.duplicate_acks >= DUPLICATE_ACKS;
            if partial || duplicates { self.board.lose_first(self.max_payload) } else { 0 }
        };
        if lost > 0 && matches!(self.recovery, Recovery::None) {
            self.begin_recovery();
        }
        lost
    }

    fn begin_recovery(&mut self) {
        let flight = self.board.bytes();
        self.remember();
        self.congestion.lost(flight);
        self.recover = self.snd_max;
        self.recovery = Recovery::Fast(Prr::new(flight));
        self.tail_probe = None;
        self.timers.stop(Timer::TailLossProbe);
    }

    /// Keeps what would be taken back if the loss turned out to be none.
    fn remember(&mut self) {
        let undo = Undo { window: self.congestion, from: self.snd_una, first: None, resent: 0 };
        self.undo = (self.sack || self.clock.is_some()).then(|| Box::new(undo));
    }

    pub(super) fn adjust_window(
        &mut self,
        now: Instant,
        advanced: usize,
        delivered: usize,
        limited: bool,
        lost: usize,
    ) {
        let over = self.snd_una >= self.recover;
        let (pipe, mss) = (self.pipe(), self.full_segment());
        match &mut self.recovery {
            Recovery::Fast(_) if over => {
                self.recovery = Recovery::None;
                self.congestion.recovered();
                self.rack.recovered();
            }
            Recovery::Fast(prr) => {
                if self.congestion.is_limiting() {
                    let safe = advanced > 0 && lost == 0;
                    let cwnd = prr.acknowledged(delivered, pipe, self.congestion.ssthresh(), mss, safe);
                    self.congestion.set_cwnd(cwnd);
                }
            }
            Recovery::Timeout { .. } if over => {
                self.recovery = Recovery::None;
                self.congestion.acknowledged(now, advanced, true, self.rtt.smoothed());
                self.congestion.recovered_from_timeout();
                self.rack.recovered();
            }
            Recovery::Timeout { .. } => {
                self.congestion.acknowledged(now, advanced, true, self.rtt.smoothed())
            }
            Recovery::None if advanced > 0 => {
                self.recover = self.recover.max(self.snd_una);
                self.congestion.acknowledged(now, advanced, limited, self.rtt.smoothed());
            }
            Recovery::None => {}
        }
    }

    /// Something was sent again.
    pub(super) fn note_resent(&mut self, end: SeqNumber) {
        if let Some(undo) = &mut self.undo {
            if undo.resent == 0
                && let Some(clock) = self.clock
            {
                undo.first = Some((end, clock.value()));
            }
            undo.resent += 1;
        }
    }

    /// What could still have been on its way is overdue. No acknowledgment says how much may leave: one segment does (RFC 6937 3).
    pub(super) fn reordering_timeout(&mut self, now: Instant) {
        let lost = self.detect_losses(now, false);
        if lost > 0 {
            self.adjust_window(now, 0, 0, false, lost);
        }
    }

    pub(super) fn retransmission_timeout(&mut self, now: Instant) {
        // A peer with a closed window may acknowledge nothing for as long as it answers (RFC 9293 3.8.6.1, MUST-37).
        let since = if self.snd_wnd == 0 { self.heard_at } else { self.unacked_since };
        let opening = self.state == State::SynSent;
        let patience = if opening { self.config.open_for } else { self.config.give_up_after };
        if now.since(since) >= patience {
            let why = if self.unreachable { ResetReason::Unreachable } else { ResetReason::Timeout };
            return self.break_off(why);
        }
        self.send_again(now);
    }

    /// The path to the peer is whole again after a time in which nothing passed. What waits for a timer that was backed off meanwhile leaves at
    /// once, as much of it as when the timer expires, and one step of back-off stays until a round trip is measured (RFC 8961 4).
    pub fn path_restored(&mut self, now: Instant) {
        self.forget_lowered_payload();
        if !self.is_opening() {
            self.unacked_since = now;
        }
        if self.rtt.backoffs() > 0 && self.timers.is_armed(Timer::Retransmission) {
            self.timers.stop(Timer::Retransmission);
            self.rtt.progressed();
            self.send_again(now);
        }
        self.rtt.progressed();
        if self.probes > 0 && self.timers.is_armed(Timer::ZeroWindowProbe) {
            self.timers.stop(Timer::ZeroWindowProbe);
            self.probe_due = true;
            self.probes = 1;
        }
    }

    /// Holds what is under way to be lost, and has the first of it leave whatever the congestion window says.
    fn send_again(&mut self, now: Instant) {
        if !self.is_opening() {
            // What is being repaired was answered already.
            let first = matches!(self.recovery, Recovery::None);
            if first {
                self.remember();
            }
            // The window that is left is one segment of the size that is sent from now on.
            self.suspect_black_hole(now);
            self.congestion.timed_out(self.board.bytes(), first);
            let (una, rack, sack, rtt) = (self.snd_una, &self.rack, self.sack, self.rtt.smoothed());
            self.board.lose(|piece| !sack || piece.start == una || rack.is_overdue(now, piece, rtt));
            self.recovery = Recovery::Timeout { forced: true };
            self.recover = self.snd_max;
        } else {
            self.snd_nxt = self.iss;
        }
        self.rtt.back_off();
        self.duplicate_acks = 0;
        self.tail_probe = None;
        self.tail_probe_due = false;
        self.timers.stop(Timer::TailLossProbe);
        self.timers.stop(Timer::Reordering);
        self.arm_probe(now);
    }

    /// The retransmission timer runs while anything is unacknowledged, and the tail's probe comes before it (RFC 6298 5, RFC 8985 7.2).
    pub(super) fn arm_retransmission(&mut self, now: Instant) {
        if self.snd_una == self.snd_max {
            self.timers.stop(Timer::Retransmission);
            self.timers.stop(Timer::TailLossProbe);
            self.timers.stop(Timer::Reordering);
            return;
        }
        self.timers.arm(Timer::Retransmission, now + self.rtt.rto());
        self.arm_tail_probe(now);
    }
}
