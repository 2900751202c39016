//! What leaves: which segment is next, and with which header (RFC 9293 3.8, RFC 5681, RFC 6675, RFC 2018).

use super::options::{Options, SackBlocks};
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
        if let Some(next) = self.next_segment(max_payload) {
            let whole = self.enlarge(next, max_payload, max_segments);
            if whole.length > next.length {
                // The acknowledgment of the first part may come alone.
                self.rtt.sent(now, next.seq + next.length);
            }
            return Some(self.send_segment(now, whole));
        }
        if std::mem::take(&mut self.probe_due) && !self.send.is_empty() {
            let seq = self.snd_una;
            if self.snd_wnd > 0 {
                // Too little for the sender to use at once, but long enough (RFC 9293 3.8.6.2.1).
                let length = self.snd_wnd.min(self.send.len()).min(self.payload_bytes(max_payload));
                return Some(self.send_segment(now, Next { seq, length, fin: false }));
            }
            self.snd_max = self.snd_max.max(seq + 1);
            self.rtt.retransmitted();
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
            self.rtt.sent(now, self.iss + 1);
            self.unacked_since = now;
        } else {
            self.rtt.retransmitted();
        }
        self.snd_nxt = self.iss + 1;
        self.snd_max = self.snd_nxt;
        self.timers.arm(Timer::Retransmission, now + self.rtt.rto());
        let active = self.state == State::SynSent;
        let flags = if active { Flags::SYN } else { Flags::SYN | Flags::ACK };
        let offered = self.rcv_edge.since(self.rcv_nxt);
        let window = self.receive_limit.max(offered).min(usize::from(u16::MAX));
        // Before the peer's SYN both are counted from zero.
        self.rcv_edge = self.rcv_edge.max(self.rcv_nxt + window);
        let ack = if active { SeqNumber(0) } else { self.rcv_nxt };
        let options_len = self.options(flags).len() as u8;
        Transmit { seq: self.iss, ack, flags, window: window as u16, options_len, payload_len: 0 }
    }

    /// The next segment of the stream, if the windows and Nagle let it go.
    pub(super) fn next_segment(&self, max_payload: usize) -> Option<Next> {
        let payload = self.payload_bytes(max_payload);
        let end = self.data_end();
        let cwnd = self.congestion.cwnd();
        if let Some(recovery) = self.recovery {
            let mut seq = recovery.next.max(self.snd_una);
            while let Some((_, end)) = self.sacked.containing(seq) {
                seq = end;
            }
            if seq < recovery.until && seq < self.snd_max {
                let length = self.unsacked(seq, end.min(self.snd_max)).min(payload);
                let fin = self.fin_queued && seq + length == end && self.snd_max > end;
                let allowed = recovery.forced || self.pipe() + length <= cwnd;
                return ((length > 0 || fin) && allowed).then_some(Next { seq, length, fin });
            }
        }
        let mut seq = self.snd_nxt;
        while let Some((_, end)) = self.sacked.containing(seq) {
            seq = end;
        }
        if seq > end || self.fin_acked() {
            return None;
        }
        let waiting = self.unsacked(seq, end);
        let window = (self.snd_una + self.snd_wnd).since(seq);
        let room = cwnd.saturating_sub(self.pipe());
        // A window that lets a part of a segment go waits until it lets the whole go, or nothing is under way.
        let room = if room < payload.min(waiting) && self.pipe() > 0 { 0 } else { room };
        let length = waiting.min(payload).min(window).min(room);
        let last = seq + length == end;
        // FIN takes room in the window too; alone, with nothing under way, it probes a closed one itself.
        let fin_fits = window > length && (length > 0 || room > 0) || self.pipe() == 0 && length == 0;
        let fin = self.fin_queued && last && fin_fits;
        if length == 0 {
            return fin.then_some(Next { seq, length, fin });
        }
        let resent = seq < self.snd_max;
        let whole =
            length == payload || length < waiting && length == self.unsacked(seq, end) || fin || resent;
        let nothing_under_way = self.snd_una == self.snd_max;
        let small_may_go = last && (!self.config.nagle || nothing_under_way);
        // The peer's buffer may be smaller than two segments (RFC 9293 3.8.6.2.1).
        let half_of_window = length >= self.largest_wnd / 2;
        (whole || small_may_go || half_of_window).then_some(Next { seq, length, fin })
    }

    /// How many bytes a segment may carry beside its options.
    pub(super) fn payload_bytes(&self, max_payload: usize) -> usize {
        self.max_payload.min(max_payload).saturating_sub(self.sack_option_bytes()).max(1)
    }

    /// Bytes from `seq` to `end`, or to where the peer holds the rest.
    fn unsacked(&self, seq: SeqNumber, end: SeqNumber) -> usize {
        self.sacked.next_start(seq).map_or(end, |start| start.min(end)).since(seq)
    }

    /// Bytes held to be under way (RFC 6675 4).
    pub(super) fn pipe(&self) -> usize {
        let sent = self.snd_nxt.since(self.snd_una);
        let held = self.sacked.bytes_within(self.snd_una, self.snd_nxt);
        let lost = self.recovery.map_or(0, |recovery| {
            let from = recovery.next.max(self.snd_una);
            let until = recovery.until.min(self.snd_nxt);
            until.since(from).saturating_sub(self.sacked.bytes_within(from, until))
        });
        // Without SACK each duplicate acknowledgment tells of a segment that has left the network.
        let gone = if self.sacked.is_empty() && self.recovery.is_some() {
            self.duplicate_acks * self.max_payload
        } else {
            0
        };
        sent.saturating_sub(held + lost + gone)
    }

    fn send_segment(&mut self, now: Instant, next: Next) -> Transmit {
        let Next { seq, length, fin } = next;
        let after = seq + length + usize::from(fin);
        let first_time = after > self.snd_max;
        if let Some(recovery) = &mut self.recovery
            && seq < recovery.until
            && seq >= recovery.next
        {
            recovery.next = after;
            recovery.forced = false;
        }
        if self.snd_una == self.snd_max {
            self.unacked_since = now;
        }
        if seq < self.snd_max {
            self.rtt.retransmitted();
        } else if first_time {
            self.rtt.sent(now, after);
        }
        self.snd_nxt = self.snd_nxt.max(after);
        self.snd_max = self.snd_max.max(after);
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
        if self.rcv_nxt + (window << scale) < self.rcv_edge {
            window = self.rcv_edge.since(self.rcv_nxt).div_ceil(1 << scale);
        }
        let window = window.min(usize::from(u16::MAX));
        self.rcv_edge = self.rcv_edge.max(self.rcv_nxt + (window << scale));
        let options_len = self.sack_option_bytes() as u8;
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
        if self.sack && !self.out_of_order.is_empty() {
            let latest = self.out_of_order.containing(self.latest);
            let others = self.out_of_order.as_slice().iter().copied().filter(|range| Some(*range) != latest);
            for (start, end) in latest.into_iter().chain(others).take(3) {
                blocks.push(start, end);
            }
        }
        blocks
    }

    fn sack_option_bytes(&self) -> usize {
        if self.out_of_order.is_empty() { 0 } else { self.options(Flags::ACK).len() }
    }

    /// The options of a segment of ours: a SYN says what we can do, an ACK what we hold beyond a gap.
    pub(super) fn options(&self, flags: Flags) -> Options {
        if !flags.contains(Flags::SYN) {
            return Options { sack: self.sack_blocks(), ..Options::default() };
        }
        let active = !flags.contains(Flags::ACK);
        Options {
            mss: Some(self.config.advertised_mss),
            window_scale: (active || self.scaling).then_some(self.rcv_scale),
            sack_permitted: active || self.sack,
            sack: SackBlocks::default(),
        }
    }
}
