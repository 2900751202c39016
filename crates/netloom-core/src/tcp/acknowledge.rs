//! What an acknowledgment tells: which bytes arrived, when they left, and how much the peer takes (RFC 9293 3.10.7.4, RFC 2018, RFC 2883,
//! RFC 6298). What follows from it about losses is in `recovery`.

use super::options::Options;
use super::recovery::Recovery;
use super::scoreboard::Fate;
use super::segment::Segment;
use super::seq::SeqNumber;
use super::tcb::{Event, State, Tcb};
use super::timer::{IDLE_BUFFERS, Timer};
use crate::time::{Duration, Instant};

/// What one acknowledgment delivered.
#[derive(Default)]
pub(super) struct Delivery {
    /// Bytes not known to have arrived before.
    pub(super) bytes: usize,
    /// The round trip of the first of its segments.
    pub(super) rtt: Option<Duration>,
    /// Whether any of them left more than once: then the round trip is another's (Karn's algorithm, RFC 6298 3).
    pub(super) ambiguous: bool,
    /// What the peer got twice.
    pub(super) duplicate: Option<(SeqNumber, SeqNumber)>,
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
}
