//! What an acknowledgment tells: which bytes arrived and when, what is lost, and how much may leave (RFC 9293 3.10.7.4, RFC 5681, RFC 2018,
//! RFC 2883, RFC 6298, RFC 6582, RFC 6937, RFC 8985, RFC 4015).

use super::congestion::CongestionWindow;
use super::options::Options;
use super::prr::Prr;
use super::scoreboard::Fate;
use super::segment::Segment;
use super::seq::SeqNumber;
use super::tcb::{Event, State, Tcb};
use super::timer::{IDLE_BUFFERS, Timer};
use super::timestamps::precedes;
use crate::flow::ResetReason;
use crate::time::{Duration, Instant};

/// Duplicate acknowledgments that show a loss to a peer without SACK (RFC 5681 3.2).
const DUPLICATE_ACKS: usize = 3;
/// Least time before a tail is probed for loss. Nothing is gained by less, since no host delays its acknowledgments by less.
const TAIL_PROBE_MIN: Duration = Duration::from_millis(10);
/// How long a peer may delay the acknowledgment of a single segment (RFC 8985 7.2).
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);

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

/// A segment that was sent to learn whether the last ones arrived (RFC 8985 7).
#[derive(Clone, Copy, Debug)]
pub(super) struct TailProbe {
    end: SeqNumber,
    /// Whether it carried what had been sent before.
    resent: bool,
}

/// What one acknowledgment delivered.
#[derive(Default)]
struct Delivery {
    /// Bytes not known to have arrived before.
    bytes: usize,
    /// The round trip of the first of its segments.
    rtt: Option<Duration>,
    /// Whether any of them left more than once: then the round trip is another's (Karn's algorithm, RFC 6298 3).
    ambiguous: bool,
    /// What the peer got twice.
    duplicate: Option<(SeqNumber, SeqNumber)>,
}

impl Tcb {
    pub(super) fn handle_ack(&mut self, now: Instant, segment: &Segment<'_>, options: &Options) {
        let ack = segment.ack;
        if ack > self.snd_max || ack < self.snd_una {
            return;
        }
        let window_changed = self.handle_window(now, segment);
        let echoed = self.clock.and_then(|clock| clock.age(now, options.timestamps?.echo));
        let limited = self.is_window_limited();
        let mut delivery = Delivery::default();
        let advanced = ack.since(self.snd_una);
        if advanced > 0 {
            self.advance_una(now, ack, echoed, &mut delivery);
            self.notice_reneging();
            self.measure(echoed, &delivery);
        }
        // Only now: what lies above is delivered later, not in another order.
        self.note_sack(now, options, echoed, &mut delivery);
        let duplicate = advanced == 0
            && self.board.bytes() > 0
            && segment.payload.is_empty()
            && (delivery.bytes > 0 || !window_changed)
            && self.snd_wnd > 0;
        self.count_duplicates(advanced, duplicate, &mut delivery);
        let repeated = advanced == 0 && segment.payload.is_empty() && !window_changed;
        self.end_tail_probe(repeated && options.sack.as_slice().is_empty(), &delivery);
        if delivery.bytes > 0 || delivery.duplicate.is_some() {
            self.undo_if_spurious(now, options, &delivery);
            let lost = self.detect_losses(now, advanced > 0);
            self.adjust_window(now, advanced, delivery.bytes, limited, lost);
        }
        if advanced > 0 {
            self.arm_retransmission(now);
        }
        self.arm_probe(now);
    }

    /// Takes over the peer's window; whether it is another than before.
    fn handle_window(&mut self, now: Instant, segment: &Segment<'_>) -> bool {
        let window = usize::from(segment.window) << self.snd_scale;
        // A segment that is sent again stands lower than the last one, but what it acknowledges for the first time makes it newer.
        let follows =
            self.snd_wl1 < segment.seq || (self.snd_wl1 == segment.seq && self.snd_wl2 <= segment.ack);
        if !follows && segment.ack <= self.snd_una {
            return false;
        }
        if self.snd_wnd == 0 && window > 0 {
            self.unacked_since = now;
        }
        let changed = window != self.snd_wnd;
        self.snd_wnd = window;
        self.largest_wnd = self.largest_wnd.max(window);
        self.snd_wl1 = segment.seq;
        self.snd_wl2 = segment.ack;
        if window > 0 {
            self.probes = 0;
            self.probe_due = false;
            self.timers.stop(Timer::ZeroWindowProbe);
        }
        changed
    }

    /// Whether the congestion window is what holds us back.
    fn is_window_limited(&self) -> bool {
        let cwnd = self.congestion.cwnd();
        let under_way = self.board.bytes() + 2 * self.max_payload;
        // Slow start doubles what is used (RFC 7661 has the same for all of growth).
        under_way >= cwnd || (cwnd < self.congestion.ssthresh() && 2 * self.board.bytes() > cwnd)
    }

    /// Notes what the peer holds beyond its acknowledgment, and what it got twice.
    fn note_sack(
        &mut self,
        now: Instant,
        options: &Options,
        echoed: Option<Duration>,
        delivery: &mut Delivery,
    ) {
        let ack = self.snd_una;
        let blocks = options.sack.as_slice();
        if !self.sack || blocks.is_empty() {
            return;
        }
        for (n, &(start, end)) in blocks.iter().enumerate() {
            let inside = |&(from, to): &(SeqNumber, SeqNumber)| from <= start && end <= to;
            if start >= end || end > self.snd_nxt {
                continue;
            }
            if n == 0 && (end <= ack || blocks.get(1).is_some_and(inside)) {
                // The first block may tell of data that came twice (RFC 2883 4).
                delivery.duplicate = Some((start, end));
            } else if start > ack {
                let rack = &mut self.rack;
                delivery.bytes += self.board.sack(start, end, |piece| {
                    rack.delivered(now, piece, echoed);
                });
            }
        }
    }

    /// All before `ack` has arrived.
    fn advance_una(
        &mut self,
        now: Instant,
        ack: SeqNumber,
        echoed: Option<Duration>,
        delivery: &mut Delivery,
    ) {
        let fin_acked = self.fin_queued && ack == self.data_end() + 1;
        self.send.consume(ack.since(self.data_start()) - usize::from(fin_acked));
        let (rack, sack) = (&mut self.rack, self.sack);
        delivery.bytes += self.board.acknowledge(ack, |piece| {
            delivery.ambiguous |= piece.resent;
            delivery.rtt.get_or_insert_with(|| now.since(piece.sent_at));
            if sack {
                rack.delivered(now, piece, echoed);
            }
        });
        self.snd_una = ack;
        self.snd_nxt = self.snd_nxt.max(ack);
        self.unacked_since = now;
        self.unreachable = false;
        self.raise_payload(now);
        self.tuning.sends(self.congestion.cwnd(), self.rtt.smoothed());
        if self.send.is_empty() {
            self.send.rewind();
            if self.send.capacity() > 0 {
                self.timers.arm(Timer::IdleBuffers, now + IDLE_BUFFERS);
            }
        }
        if self.write_blocked && self.room() >= self.tuning.send_limit() / 4 {
            self.write_blocked = false;
            self.tell(Event::Writable);
        }
        if fin_acked {
            self.fin_is_acknowledged(now);
        }
    }

    fn fin_is_acknowledged(&mut self, now: Instant) {
        match self.state {
            State::FinWait1 => self.state = State::FinWait2,
            State::Closing => self.wait(now),
            State::LastAck => {
                self.state = State::Closed;
                self.timers.stop_all();
            }
            _ => {}
        }
    }

    /// A peer that acknowledges up to where it said it holds more has dropped that (RFC 2018 8).
    fn notice_reneging(&mut self) {
        if self.board.first().is_some_and(|piece| piece.fate == Fate::Sacked) {
            self.board.forget_sacks();
            if matches!(self.recovery, Recovery::Timeout { .. }) {
                self.board.lose(|_| true);
            }
        }
    }

    /// Counts what a peer without SACK can tell only by repeating itself: each duplicate is for one segment that has left the network
    /// (RFC 6937 3).
    fn count_duplicates(&mut self, advanced: usize, duplicate: bool, delivery: &mut Delivery) {
        if self.sack {
            return;
        }
        if duplicate {
            self.duplicate_acks += 1;
            delivery.bytes = self.max_payload;
        } else if advanced > 0 {
            // The one that was missing, and those behind it that the duplicates told of.
            let known = (advanced / self.max_payload).saturating_sub(1).min(self.duplicate_acks);
            let repairing = matches!(self.recovery, Recovery::Fast(_)) && self.snd_una < self.recover;
            self.duplicate_acks = if repairing { self.duplicate_acks - known } else { 0 };
            delivery.bytes = advanced - known * self.max_payload;
        }
    }

    /// Takes the round trip that this acknowledgment tells of, once a round trip: the weights of RFC 6298 are made for that
    /// (RFC 7323 4.2).
    fn measure(&mut self, echoed: Option<Duration>, delivery: &Delivery) {
        match delivery.rtt.filter(|_| !delivery.ambiguous).or(echoed) {
            Some(rtt) if self.snd_una > self.rtt_from || self.rtt.backoffs() > 0 => {
                self.rtt_from = self.snd_nxt;
                self.rtt.sample(rtt);
            }
            Some(_) => {}
            // Progress, but perhaps of what was sent first and is only slow.
            None => self.rtt.progressed(),
        }
    }

    /// Takes back what was done about a loss, once the peer shows that there was none.
    fn undo_if_spurious(&mut self, now: Instant, options: &Options, delivery: &Delivery) {
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

    /// Whether a probe of the tail was answered, and whether by a repair of a loss (RFC 8985 7.4). `repeated`: the acknowledgment is a
    /// duplicate, and tells of nothing beyond a gap.
    fn end_tail_probe(&mut self, repeated: bool, delivery: &Delivery) {
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

    /// Marks what is lost; how many bytes that are.
    fn detect_losses(&mut self, now: Instant, advanced: bool) -> usize {
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

    fn adjust_window(&mut self, now: Instant, advanced: usize, delivered: usize, limited: bool, lost: usize) {
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
}
