//! What arrives: sequence checks, the receive window, reassembly, FIN (RFC 9293 3.10.7, RFC 5961, RFC 7323 5). Acknowledgments are worked on in
//! `acknowledge`.

use super::options::Options;
use super::rack::Rack;
use super::segment::{Flags, Segment, Transmit};
use super::seq::SeqNumber;
use super::tcb::{Ack, Event, State, Tcb};
use super::timer::{DELAYED_ACK, Timer};
use crate::flow::ResetReason;
use crate::time::{Duration, Instant};

/// Least time between answers to segments that should not be (RFC 5961 7).
const CHALLENGE_INTERVAL: Duration = Duration::from_millis(500);
/// Segments that are acknowledged at once after one that came out of order, as Linux does.
const QUICK_ACKS: u8 = 16;

impl Tcb {
    /// Takes a segment of this connection. Returns the RST that answers it, if one does.
    #[must_use]
    pub fn handle_segment(&mut self, now: Instant, segment: &Segment<'_>) -> Option<Transmit> {
        match self.state {
            State::Closed => None,
            State::SynHeld => {
                if segment.has(Flags::RST) && segment.seq == self.rcv_nxt {
                    self.break_off(ResetReason::Reset);
                } else if segment.opens() {
                    // Repeated, or of a peer that has begun anew: nothing was answered yet.
                    self.synchronize(now, segment);
                }
                None
            }
            State::SynSent => self.handle_in_syn_sent(now, segment),
            _ => self.handle_synchronized(now, segment),
        }
    }

    /// Puts a payload that is due next behind the end of the receive buffer, where it counts for nothing before
    /// [`Self::handle_segment`], and returns the Internet checksum's sum of it: so the bytes are read once. `None` for any other segment,
    /// which stays as it is.
    #[inline(always)]
    pub fn stage(&mut self, segment: &mut Segment<'_>) -> Option<u32> {
        let length = segment.payload.len();
        let due = length > 0
            && segment.seq == self.rcv_nxt
            && self.out_of_order.is_empty()
            && self.peer_may_send()
            && length <= self.rcv_edge.since(self.rcv_nxt)
            && self.receive.len() + length <= self.receive.capacity();
        due.then(|| {
            segment.staged = true;
            self.receive.put_summed(segment.payload)
        })
    }

    fn handle_in_syn_sent(&mut self, now: Instant, segment: &Segment<'_>) -> Option<Transmit> {
        let has_ack = segment.has(Flags::ACK);
        let acceptable = segment.ack > self.iss && segment.ack <= self.snd_max;
        if has_ack && !acceptable {
            return (!segment.has(Flags::RST)).then(|| self.control(segment.ack, Flags::RST));
        }
        if segment.has(Flags::RST) {
            if has_ack {
                self.break_off(ResetReason::Refused);
            }
            return None;
        }
        if !segment.has(Flags::SYN) {
            return None;
        }
        self.synchronize(now, segment);
        self.heard_at = now;
        if has_ack {
            self.establish(now, segment);
            self.ack = Ack::Now;
        } else {
            self.state = State::SynReceived;
            self.snd_nxt = self.iss;
        }
        None
    }

    fn establish(&mut self, now: Instant, segment: &Segment<'_>) {
        self.state = State::Established;
        self.snd_una = segment.ack;
        self.snd_nxt = self.snd_nxt.max(self.snd_una);
        self.recover = self.snd_una;
        if self.rtt.backoffs() > 1 {
            self.congestion.lost_syns();
        }
        if self.sent_at == self.unacked_since {
            // The SYN left only once.
            self.rtt.sample(now.since(self.sent_at));
        }
        self.rtt.established();
        self.rtt_from = self.snd_una;
        self.rack = Rack::new(self.snd_una);
        self.timers.stop(Timer::Retransmission);
        self.unacked_since = now;
        self.snd_wl1 = segment.seq;
        self.snd_wl2 = segment.ack;
        let scale = if segment.has(Flags::SYN) { 0 } else { self.snd_scale };
        self.snd_wnd = usize::from(segment.window) << scale;
        self.largest_wnd = self.snd_wnd;
        self.tell(Event::Established);
        if let Some(interval) = self.config.keepalive {
            self.timers.arm(Timer::Keepalive, now + interval);
        }
        if self.fin_queued {
            self.state = State::FinWait1;
        }
        self.arm_probe(now);
    }

    fn handle_synchronized(&mut self, now: Instant, segment: &Segment<'_>) -> Option<Transmit> {
        if segment.has(Flags::RST) {
            self.handle_reset(now, segment);
            return None;
        }
        let options = segment.options();
        if !segment.has(Flags::SYN) && !self.is_of_now(now, segment, &options) {
            return None;
        }
        if segment.has(Flags::SYN) {
            if self.state == State::SynReceived && segment.seq == self.irs {
                if segment.has(Flags::ACK) && segment.ack == self.snd_max {
                    // Simultaneous open: both SYNs are acknowledged.
                    self.establish(now, segment);
                    self.ack = Ack::Now;
                } else {
                    self.snd_nxt = self.iss;
                }
                return None;
            }
            self.challenge(now);
            return None;
        }
        if !segment.has(Flags::ACK) {
            return None;
        }
        if !self.is_in_window(segment) {
            if self.state == State::SynReceived {
                self.challenge(now);
                return None;
            }
            // A keepalive, a repeated segment, or one from nowhere: tell where we are.
            self.heard_at = now;
            if segment.sequence_len() > 0 {
                self.ack = Ack::Now;
                if segment.seq < self.rcv_nxt {
                    self.note_duplicate(segment.seq, (segment.seq + segment.payload.len()).min(self.rcv_nxt));
                }
                if self.state == State::TimeWait {
                    self.timers.arm(Timer::TimeWait, now + self.config.time_wait);
                }
                // What it acknowledges counts: of two sides with closed windows none would go on otherwise.
                self.handle_ack(now, segment, &options);
                return None;
            }
            self.challenge(now);
            return None;
        }
        if segment.ack > self.snd_max {
            if self.state == State::SynReceived {
                return Some(self.control(segment.ack, Flags::RST));
            }
            self.challenge(now);
            return None;
        }
        if self.snd_una.since(segment.ack) > self.largest_wnd {
            // Older than anything that could still be on its way (RFC 5961 5.2).
            self.challenge(now);
            return None;
        }
        if self.state == State::SynReceived {
            if segment.ack <= self.snd_una {
                return Some(self.control(segment.ack, Flags::RST));
            }
            self.establish(now, segment);
        }
        self.heard_at = now;
        self.keepalives = 0;
        if let Some(interval) = self.config.keepalive {
            self.timers.arm(Timer::Keepalive, now + interval);
        }
        self.handle_ack(now, segment, &options);
        if self.state != State::Closed {
            self.handle_data(now, segment);
        }
        None
    }

    /// Judges a segment by its timestamp (RFC 7323 3.2, 5.3) and takes note of that.
    fn is_of_now(&mut self, now: Instant, segment: &Segment<'_>, options: &Options) -> bool {
        let acceptable = self.is_in_window(segment);
        let Some(clock) = &mut self.clock else { return true };
        // Once agreed upon, every segment has timestamps.
        let Some(timestamps) = options.timestamps else { return false };
        if clock.is_old(now, timestamps.value) {
            self.heard_at = now;
            if segment.sequence_len() > 0 {
                self.ack = Ack::Now;
            } else {
                self.challenge(now);
            }
            return false;
        }
        if acceptable {
            clock.note(now, timestamps.value, segment.seq, self.last_ack);
        }
        true
    }

    /// Whether any of the segment lies in the window, or it stands exactly where the next one is due (RFC 9293 3.10.7.4).
    fn is_in_window(&self, segment: &Segment<'_>) -> bool {
        let length = segment.sequence_len();
        let end = segment.seq + length;
        if length == 0 {
            // At the edge stands whoever has filled the window; what it acknowledges counts all the same.
            return segment.seq >= self.rcv_nxt && segment.seq <= self.rcv_edge.max(self.rcv_nxt);
        }
        end > self.rcv_nxt && (segment.seq < self.rcv_edge || segment.seq <= self.rcv_nxt)
    }

    fn handle_reset(&mut self, now: Instant, segment: &Segment<'_>) {
        if segment.seq == self.rcv_nxt {
            match self.state {
                // RFC 1337: TIME-WAIT is not cut short.
                State::TimeWait => {}
                // Both sides have said all; that the peer has forgotten it is no failure (RFC 9293 3.10.7.4).
                State::Closing | State::LastAck => {
                    self.state = State::Closed;
                    self.timers.stop_all();
                }
                _ => self.break_off(ResetReason::Reset),
            }
        } else if segment.seq > self.rcv_nxt && segment.seq < self.rcv_edge {
            self.challenge(now);
        }
    }

    /// Tells the peer where we are, though what it sent is not believed.
    fn challenge(&mut self, now: Instant) {
        if self.challenged_at.is_none_or(|at| now.since(at) >= CHALLENGE_INTERVAL) {
            self.challenged_at = Some(now);
            self.ack = Ack::Now;
        }
    }

    pub(super) fn wait(&mut self, now: Instant) {
        self.state = State::TimeWait;
        self.timers.stop_all();
        self.timers.arm(Timer::TimeWait, now + self.config.time_wait);
    }

    fn handle_data(&mut self, now: Instant, segment: &Segment<'_>) {
        let mut seq = segment.seq;
        let mut payload = segment.payload;
        let longest = usize::from(self.config.advertised_mss);
        self.largest_segment = self.largest_segment.max(payload.len().min(longest));
        if !self.peer_may_send() {
            if segment.sequence_len() > 0 {
                self.ack = Ack::Now;
            }
            return;
        }
        if segment.has(Flags::FIN) {
            let at = seq + payload.len();
            if at <= self.rcv_edge.max(self.rcv_nxt) {
                self.fin_at = Some(at);
            }
        }
        let old = self.rcv_nxt.since(seq).min(payload.len());
        if old > 0 {
            self.note_duplicate(seq, seq + old);
        }
        payload = &payload[old..];
        seq += old;
        let fits = self.rcv_edge.since(seq).min(payload.len());
        if fits < payload.len() || old > 0 {
            self.ack = Ack::Now;
        }
        payload = &payload[..fits];
        if segment.staged {
            self.receive.join(payload.len());
            self.advance(now, payload.len());
        } else if !payload.is_empty() {
            self.store(now, seq, payload);
        }
        if self.fin_at == Some(self.rcv_nxt) {
            self.handle_fin(now);
        } else if segment.has(Flags::FIN) {
            self.ack = Ack::Now;
        }
    }

    fn store(&mut self, now: Instant, seq: SeqNumber, payload: &[u8]) {
        let limit = self.tuning.receive_limit();
        if seq != self.rcv_nxt {
            self.quick_acks = QUICK_ACKS;
            let end = seq + payload.len();
            if self.out_of_order.containing(seq).is_some_and(|(_, known)| end <= known) {
                self.note_duplicate(seq, end);
                self.latest = seq;
            }
            if self.out_of_order.insert(seq, seq + payload.len()) {
                self.receive.put(seq.since(self.rcv_nxt), payload, limit);
                self.latest = seq;
                // Without SACK an acknowledgment with another window is no duplicate, and would hide the loss (RFC 5681 2).
                if self.sack {
                    self.tuning.held(self.out_of_order.bytes(), self.rtt.smoothed());
                }
            }
            self.ack = Ack::Now;
            return;
        }
        self.receive.push(payload, limit);
        self.advance(now, payload.len());
    }

    /// What was here already arrived again (RFC 2883).
    fn note_duplicate(&mut self, start: SeqNumber, end: SeqNumber) {
        if self.sack && start < end {
            self.duplicate = Some((start, end));
            self.duplicate_told = false;
        }
    }

    /// So many bytes that were due have joined the receive buffer.
    fn advance(&mut self, now: Instant, mut length: usize) {
        self.rcv_nxt += length;
        if !self.out_of_order.is_empty() {
            self.out_of_order.remove_before(self.rcv_nxt);
            if let Some(more) = self.out_of_order.take_at(self.rcv_nxt) {
                self.receive.join(more);
                self.rcv_nxt += more;
                length += more;
            }
            self.ack = Ack::Now;
        }
        self.fresh_bytes += length;
        self.timers.stop(Timer::IdleBuffers);
        self.unacked_bytes += length;
        // Every second full segment at least (RFC 5681 4.2), whatever a full one is with the options that the peer uses.
        let enough = self.largest_segment.min(self.tuning.receive_limit() / 4);
        // A peer that was offered no more than that would wait for us.
        let stalls = self.rcv_edge.since(self.rcv_nxt) < self.largest_segment;
        if self.quick_acks > 0 || self.unacked_bytes > enough || stalls {
            self.quick_acks = self.quick_acks.saturating_sub(1);
            self.ack = Ack::Now;
        } else if self.ack == Ack::None {
            self.ack = Ack::Delayed;
            self.timers.arm(Timer::DelayedAck, now + DELAYED_ACK);
        }
    }

    fn handle_fin(&mut self, now: Instant) {
        self.rcv_nxt += 1;
        // Nothing lies behind a FIN.
        self.out_of_order.clear();
        self.rcv_edge = self.rcv_edge.max(self.rcv_nxt);
        self.ack = Ack::Now;
        self.tell(Event::Fin);
        match self.state {
            State::Established => self.state = State::CloseWait,
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.wait(now),
            _ => {}
        }
    }
}
