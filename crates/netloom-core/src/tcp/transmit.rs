//! What leaves: which segment is next, and with which header (RFC 9293 3.8, RFC 5681, RFC 3042, RFC 6675, RFC 2018, RFC 8985 7).

use super::options::{Options, SackBlocks, TIMESTAMPS_BYTES};
use super::recovery::Recovery;
use super::segment::{Flags, Transmit};
use super::seq::SeqNumber;
use super::tcb::{Ack, State, Tcb};
use super::timer::Timer;
use crate::time::Instant;

/// A segment of the stream that may leave now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub(super) seq: SeqNumber,
    pub(super) length: usize,
    pub(super) fin: bool,
}

impl Tcb {
    /// Whether [`Self::poll_transmit`] would give a segment.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        match self.state {
            State::SynHeld | State::Closed => false,
            State::SynSent => self.snd_nxt == self.iss,
            State::SynReceived => self.snd_nxt == self.iss || self.ack == Ack::Now,
            _ => {
                self.ack == Ack::Now
                    || self.probe_due
                    || self.keepalive_due
                    || self.tail_probe_due
                    || self.next_segment(usize::MAX).is_some()
            }
        }
    }

    /// The next segment to send, of at most `max_payload` bytes. Call until `None`, or stop when the port is full.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, max_payload: usize) -> Option<Transmit> {
        self.poll_transmit_large(now, max_payload, 1)
    }

    /// Like [`Self::poll_transmit`], but whole segments of new data, up to `max_segments`, may come as one of up to 64 KiB. Cut it into
    /// parts of [`Self::segment_bytes`], or hand it to a port that takes it whole.
    #[must_use]
    pub fn poll_transmit_large(
        &mut self,
        now: Instant,
        max_payload: usize,
        max_segments: usize,
    ) -> Option<Transmit> {
        if let Some(clock) = &mut self.clock {
            clock.advance(now);
        }
        if std::mem::take(&mut self.duplicate_told) {
            self.duplicate = None;
        }
        match self.state {
            State::SynHeld | State::Closed => return None,
            State::SynSent | State::SynReceived if self.snd_nxt == self.iss => {
                return Some(self.send_syn(now));
            }
            State::SynSent => return None,
            State::SynReceived => return self.poll_acknowledgment(),
            _ => {}
        }
        if self.snd_una == self.snd_max && now.since(self.sent_at) > self.rtt.rto() {
            self.congestion.idle();
        }
        let probes = std::mem::take(&mut self.tail_probe_due);
        if let Some(next) = self.next_segment(max_payload) {
            let whole = self.enlarge(next, max_payload, max_segments);
            return Some(self.send_segment(now, whole));
        }
        if probes && let Some(next) = self.next_tail_probe(max_payload) {
            let resent = next.seq < self.snd_nxt;
            let transmit = self.send_segment(now, next);
            self.tail_probed(now, resent);
            return Some(transmit);
        }
        // What is under way has a timer of its own.
        let crumb = self.snd_wnd > 0 && self.board.bytes() == 0;
        if std::mem::take(&mut self.probe_due) && !self.send.is_empty() && (crumb || self.snd_wnd == 0) {
            let seq = self.snd_una;
            if crumb {
                // Too little for the sender to use at once, but long enough (RFC 9293 3.8.6.2.1).
                let length = self.snd_wnd.min(self.send.len()).min(self.segment_bytes(max_payload));
                return Some(self.send_segment(now, Next { seq, length, fin: false }));
            }
            self.snd_max = self.snd_max.max(seq + 1);
            let transmit = Transmit { payload_len: 1, ..self.acknowledgment_at(seq) };
            self.acknowledgment_sent();
            self.arm_probe(now);
            return Some(transmit);
        }
        if std::mem::take(&mut self.keepalive_due) {
            return Some(self.acknowledgment_at(self.snd_una - 1));
        }
        self.poll_acknowledgment()
    }

    /// A segment without data that says where we are, if one is due.
    fn poll_acknowledgment(&mut self) -> Option<Transmit> {
        (self.ack == Ack::Now).then(|| {
            let transmit = self.acknowledgment_at(self.snd_max);
            self.acknowledgment_sent();
            transmit
        })
    }

    fn send_syn(&mut self, now: Instant) -> Transmit {
        if self.snd_max == self.iss {
            self.unacked_since = now;
        }
        self.sent_at = now;
        self.snd_nxt = self.iss + 1;
        self.snd_max = self.snd_nxt;
        self.timers.arm(Timer::Retransmission, now + self.rtt.rto());
        let active = self.state == State::SynSent;
        let flags = if active { Flags::SYN } else { Flags::SYN | Flags::ACK };
        let offered = self.rcv_edge.since(self.rcv_nxt);
        let window = self.tuning.receive_limit().max(offered).min(usize::from(u16::MAX));
        // Before the peer's SYN both are counted from zero.
        self.rcv_edge = self.rcv_edge.max(self.rcv_nxt + window);
        let ack = if active { SeqNumber(0) } else { self.rcv_nxt };
        let options_len = self.options(flags).len() as u8;
        Transmit { seq: self.iss, ack, flags, window: window as u16, options_len, payload_len: 0 }
    }

    /// The next segment of the stream, if the windows and Nagle let it go: what is lost first, then what is new.
    pub(super) fn next_segment(&self, max_payload: usize) -> Option<Next> {
        let payload = self.segment_bytes(max_payload);
        match self.board.first_lost(payload + 1) {
            Some(lost) => self.next_retransmission(lost, payload),
            None => self.next_new(payload, self.congestion.cwnd().saturating_sub(self.pipe())),
        }
    }

    fn next_retransmission(&self, (seq, lost_end): (SeqNumber, SeqNumber), payload: usize) -> Option<Next> {
        let end = self.data_end();
        let window = (self.snd_una + self.snd_wnd).since(seq);
        let length = lost_end.min(end).since(seq).min(payload).min(window);
        let pipe = self.pipe();
        let fin = lost_end > end && seq + length == end && (window > length || pipe == 0);
        let forced = matches!(self.recovery, Recovery::Timeout { forced: true });
        let allowed = forced || pipe == 0 || pipe + length <= self.congestion.cwnd();
        ((length > 0 || fin) && allowed).then_some(Next { seq, length, fin })
    }

    /// What was not sent yet, with `room` in the congestion window.
    fn next_new(&self, payload: usize, room: usize) -> Option<Next> {
        let seq = self.snd_nxt;
        let end = self.data_end();
        if seq > end || self.fin_acked() || self.board.is_full() {
            return None;
        }
        let idle = self.board.pipe() == 0;
        let waiting = end.since(seq);
        let window = (self.snd_una + self.snd_wnd).since(seq);
        // A window that lets a part of a segment go waits until it lets the whole go, or nothing is under way.
        let room = if room < payload.min(waiting) && !idle { 0 } else { room };
        let length = waiting.min(payload).min(window).min(room);
        let last = length == waiting;
        // FIN takes room in the window too; alone, with nothing under way, it probes a closed one itself.
        let fin_fits = window > length && (length > 0 || room > 0) || idle && length == 0;
        let fin = self.fin_queued && last && fin_fits;
        if length == 0 {
            return fin.then_some(Next { seq, length, fin });
        }
        // A probe of a closed window may have carried the first byte already.
        let whole = length == payload || fin || seq < self.snd_max;
        let nothing_under_way = self.snd_una == self.snd_max;
        let small_may_go = last && (!self.config.nagle || nothing_under_way);
        // The peer's buffer may be smaller than two segments (RFC 9293 3.8.6.2.1).
        let half_of_window = length >= self.largest_wnd / 2;
        (whole || small_may_go || half_of_window).then_some(Next { seq, length, fin })
    }

    /// What probes the tail: something new whatever the congestion window says, or else what left last (RFC 8985 7.3).
    fn next_tail_probe(&self, max_payload: usize) -> Option<Next> {
        let payload = self.segment_bytes(max_payload);
        let last = self.board.last()?;
        self.next_new(payload, payload).or_else(|| {
            let end = self.data_end().min(last.end);
            let length = end.since(last.start).min(payload);
            Some(Next { seq: end - length, length, fin: last.end > end })
        })
    }

    /// How many bytes a segment of at most `max_payload` may carry beside its options, and each but the last that a larger one is cut into.
    #[must_use]
    pub fn segment_bytes(&self, max_payload: usize) -> usize {
        self.max_payload.min(max_payload).saturating_sub(self.options_bytes()).max(1)
    }

    /// How many bytes a segment carries that has no need to tell of gaps: SMSS of RFC 5681.
    pub(super) fn full_segment(&self) -> usize {
        let options_bytes = if self.clock.is_some() { TIMESTAMPS_BYTES } else { 0 };
        self.max_payload.saturating_sub(options_bytes).max(1)
    }

    /// Bytes held to be in the network (RFC 6675 4). Without SACK each duplicate acknowledgment tells of a segment that has left it; the
    /// first two let new data go (limited transmit, RFC 3042).
    pub(super) fn pipe(&self) -> usize {
        let left = match self.recovery {
            _ if self.sack => 0,
            Recovery::None => self.duplicate_acks.min(2),
            Recovery::Fast(_) => self.duplicate_acks,
            Recovery::Timeout { .. } => 0,
        };
        self.board.pipe().saturating_sub(left * self.max_payload)
    }

    fn send_segment(&mut self, now: Instant, next: Next) -> Transmit {
        let Next { seq, length, fin } = next;
        let after = seq + length + usize::from(fin);
        if self.snd_una == self.snd_max {
            self.unacked_since = now;
        }
        if seq < self.snd_nxt {
            self.board.sent_again(now, seq, after);
            self.note_resent(after);
        } else {
            self.board.sent(now, seq, after);
            self.snd_nxt = after;
            self.snd_max = self.snd_max.max(after);
        }
        match &mut self.recovery {
            Recovery::Fast(prr) => prr.sent(length),
            Recovery::Timeout { forced } => *forced = false,
            Recovery::None => self.arm_tail_probe(now),
        }
        self.sent_at = now;
        if !self.timers.is_armed(Timer::Retransmission) {
            self.timers.arm(Timer::Retransmission, now + self.rtt.rto());
        }
        self.timers.stop(Timer::ZeroWindowProbe);
        let mut transmit = Transmit { payload_len: length, ..self.acknowledgment_at(seq) };
        if fin {
            transmit.flags = transmit.flags | Flags::FIN;
        }
        if length > 0 && seq + length == self.data_end() {
            transmit.flags = transmit.flags | Flags::PSH;
        }
        self.acknowledgment_sent();
        transmit
    }

    fn acknowledgment_at(&mut self, seq: SeqNumber) -> Transmit {
        let scale = self.rcv_scale;
        let edge = self.window_edge();
        let open = edge.since(self.rcv_nxt);
        // Rounded down, unless that would take back what the peer was told.
        let mut window = open >> scale;
        // Each time that gives a little more, which must not add up: a peer that sends byte by byte into a full buffer loses what is less
        // than a unit (RFC 7323 2.4), and is still heard there.
        let most = self.config.receive_buffer_bytes;
        let affordable = self.receive.len() + open <= most + most / 8;
        if self.rcv_nxt + (window << scale) < self.rcv_edge && affordable {
            window = self.rcv_edge.since(self.rcv_nxt).div_ceil(1 << scale);
        }
        let window = window.min(usize::from(u16::MAX));
        self.rcv_edge = self.rcv_edge.max(self.rcv_nxt + (window << scale));
        let options_len = self.options_bytes() as u8;
        Transmit {
            seq,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            window: window as u16,
            options_len,
            payload_len: 0,
        }
    }

    fn acknowledgment_sent(&mut self) {
        self.last_ack = self.rcv_nxt;
        self.duplicate_told = self.duplicate.is_some();
        self.ack = Ack::None;
        self.unacked_bytes = 0;
        self.timers.stop(Timer::DelayedAck);
    }

    /// A segment without data, options and window: an RST.
    pub(super) fn control(&self, seq: SeqNumber, flags: Flags) -> Transmit {
        let ack = if flags.contains(Flags::ACK) { self.rcv_nxt } else { SeqNumber(0) };
        Transmit { seq, ack, flags, window: 0, options_len: 0, payload_len: 0 }
    }

    fn sack_blocks(&self) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        if self.sack {
            let latest = self.out_of_order.containing(self.latest);
            let others = self.out_of_order.as_slice().iter().copied().filter(|range| Some(*range) != latest);
            // Four, or three beside timestamps, fill the header.
            let most = if self.clock.is_some() { 3 } else { 4 };
            for (start, end) in self.duplicate.into_iter().chain(latest).chain(others).take(most) {
                blocks.push(start, end);
            }
        }
        blocks
    }

    /// The length of the options of all but a SYN.
    fn options_bytes(&self) -> usize {
        if !self.out_of_order.is_empty() || self.duplicate.is_some() {
            return self.options(Flags::ACK).len();
        }
        if self.clock.is_some() { TIMESTAMPS_BYTES } else { 0 }
    }

    /// The options of a segment of ours: a SYN says what we can do, an ACK what we hold beyond a gap.
    pub(super) fn options(&self, flags: Flags) -> Options {
        let timestamps = self.clock.map(|clock| clock.option());
        if !flags.contains(Flags::SYN) {
            return Options { timestamps, sack: self.sack_blocks(), ..Options::default() };
        }
        let active = !flags.contains(Flags::ACK);
        Options {
            mss: Some(self.config.advertised_mss),
            window_scale: (active || self.scaling).then_some(self.rcv_scale),
            sack_permitted: active || self.sack,
            timestamps,
            sack: SackBlocks::default(),
        }
    }
}
