//! The transmission control block: one connection and its state machine (RFC 9293 3.3, 3.10).
//!
//! It owns all state of a connection. What arrives is worked on in `receive`, what leaves is chosen in `transmit`.

use std::collections::VecDeque;

use super::buffer::Ring;
use super::config::Config;
use super::congestion::CongestionWindow;
use super::options::{MAX_WINDOW_SCALE, Options};
use super::path_mtu::Lowered;
use super::rack::Rack;
use super::ranges::Ranges;
use super::recovery::{Recovery, Undo};
use super::rtt::RttEstimator;
use super::scoreboard::Scoreboard;
use super::segment::{Flags, HEADER_BYTES, Segment, Transmit};
use super::seq::SeqNumber;
use super::tail_probe::TailProbe;
use super::timer::{IDLE_BUFFERS, KEEPALIVE_PROBES, Timer, Timers};
use super::timestamps::Clock;
use super::tuning::Tuning;
use crate::flow::ResetReason;
use crate::time::{Duration, Instant};
use crate::wire::checksum::sum;

/// The states of RFC 9293 3.3.2, LISTEN excepted, and one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// A SYN arrived; it is not answered until the outside accepts.
    SynHeld,
    /// Our SYN is sent or about to be.
    SynSent,
    /// Our SYN and the peer's are known, ours is not acknowledged.
    SynReceived,
    /// Open both ways.
    Established,
    /// Our FIN is queued or sent, not acknowledged.
    FinWait1,
    /// Our FIN is acknowledged; the peer may go on sending.
    FinWait2,
    /// The peer's FIN arrived; we may go on sending.
    CloseWait,
    /// Both FINs are sent, neither side's was acknowledged when the other's came.
    Closing,
    /// The peer's FIN came first; ours is not acknowledged.
    LastAck,
    /// Closed both ways; late segments are still answered.
    TimeWait,
    /// Over.
    Closed,
}

/// What a connection tells its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is done.
    Established,
    /// So many more bytes can be taken.
    Data(usize),
    /// The peer sends nothing after what has arrived.
    Fin,
    /// `write` took less than it was given; now there is room.
    Writable,
    /// The connection broke. Nothing can be taken or written any more.
    Reset(ResetReason),
    /// Both directions ended in order, and all bytes were taken.
    Closed,
}

/// When an acknowledgment leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// There is nothing to acknowledge.
    None,
    /// With the next data, or when its timer fires.
    Delayed,
    /// Now.
    Now,
}

/// One connection.
#[derive(Debug)]
pub struct Tcb {
    pub(super) config: Config,
    pub(super) state: State,
    pub(super) timers: Timers,
    events: VecDeque<Event>,
    /// Bytes of [`Event::Data`] not told yet, which is told last.
    pub(super) fresh_bytes: usize,
    pub(super) closed_told: bool,

    pub(super) iss: SeqNumber,
    pub(super) snd_una: SeqNumber,
    pub(super) snd_nxt: SeqNumber,
    pub(super) snd_max: SeqNumber,
    pub(super) snd_wnd: usize,
    pub(super) snd_wl1: SeqNumber,
    pub(super) snd_wl2: SeqNumber,
    pub(super) snd_scale: u8,
    pub(super) largest_wnd: usize,
    pub(super) max_payload: usize,
    pub(super) send: Ring,
    pub(super) fin_queued: bool,
    pub(super) write_blocked: bool,
    pub(super) sack: bool,
    pub(super) board: Scoreboard,
    pub(super) rack: Rack,
    pub(super) duplicate_acks: usize,
    pub(super) recover: SeqNumber,
    pub(super) recovery: Recovery,
    pub(super) undo: Option<Box<Undo>>,
    pub(super) tail_probe: Option<TailProbe>,
    pub(super) tail_probe_due: bool,
    pub(super) congestion: CongestionWindow,
    pub(super) rtt: RttEstimator,
    /// A round trip is measured again once more than this is acknowledged.
    pub(super) rtt_from: SeqNumber,
    /// `None` if timestamps are not used.
    pub(super) clock: Option<Clock>,
    pub(super) unacked_since: Instant,
    /// Whether ICMP said since the last acknowledgment that the peer cannot be reached.
    pub(super) unreachable: bool,
    pub(super) sent_at: Instant,
    pub(super) probe_due: bool,
    pub(super) probes: u32,
    pub(super) keepalive_due: bool,
    pub(super) keepalives: u32,

    pub(super) irs: SeqNumber,
    pub(super) rcv_nxt: SeqNumber,
    /// The right edge that the peer was told; it never moves back.
    pub(super) rcv_edge: SeqNumber,
    pub(super) rcv_scale: u8,
    /// Whether the peer's SYN had a window scale.
    pub(super) scaling: bool,
    pub(super) receive: Ring,
    pub(super) tuning: Tuning,
    pub(super) lowered: Option<Lowered>,
    pub(super) out_of_order: Ranges,
    /// The range that arrived last, which a SACK option names first (RFC 2018 4).
    pub(super) latest: SeqNumber,
    /// What arrived though it was here already, and whether the peer was told (RFC 2883).
    pub(super) duplicate: Option<(SeqNumber, SeqNumber)>,
    pub(super) duplicate_told: bool,
    /// The acknowledgment number sent last (Last.ACK.sent, RFC 7323 4.3).
    pub(super) last_ack: SeqNumber,
    pub(super) fin_at: Option<SeqNumber>,
    pub(super) ack: Ack,
    pub(super) unacked_bytes: usize,
    /// The largest payload that has arrived, or what is usual: a full segment of the peer's.
    pub(super) largest_segment: usize,
    /// Segments to be acknowledged at once since others came out of order: a sender that repairs losses has few under way.
    pub(super) quick_acks: u8,
    pub(super) heard_at: Instant,
    pub(super) challenged_at: Option<Instant>,
}

impl Tcb {
    /// A connection that a peer's SYN asks for. Nothing is sent until [`Self::accept`]; repeated SYNs are absorbed.
    #[must_use]
    pub fn passive(now: Instant, config: &Config, syn: &Segment<'_>, isn: u32) -> Self {
        let mut tcb = Self::new(now, config, isn, State::SynHeld);
        tcb.synchronize(now, syn);
        tcb
    }

    /// A connection of ours: the SYN is sent by the next [`Self::poll_transmit`].
    #[must_use]
    pub fn active(now: Instant, config: &Config, isn: u32) -> Self {
        Self::new(now, config, isn, State::SynSent)
    }

    fn new(now: Instant, config: &Config, isn: u32, state: State) -> Self {
        let iss = SeqNumber(isn);
        let mut rcv_scale = 0;
        while rcv_scale < MAX_WINDOW_SCALE && config.receive_buffer_bytes >> rcv_scale > usize::from(u16::MAX)
        {
            rcv_scale += 1;
        }
        Self {
            state,
            timers: Timers::new(),
            events: VecDeque::new(),
            fresh_bytes: 0,
            closed_told: false,
            iss,
            snd_una: iss,
            snd_nxt: iss,
            snd_max: iss,
            snd_wnd: 0,
            snd_wl1: SeqNumber(0),
            snd_wl2: iss,
            snd_scale: 0,
            largest_wnd: 0,
            max_payload: usize::from(config.max_payload.min(config.default_mss)),
            send: Ring::default(),
            fin_queued: false,
            write_blocked: false,
            sack: false,
            board: Scoreboard::default(),
            rack: Rack::new(iss),
            duplicate_acks: 0,
            recover: iss,
            recovery: Recovery::None,
            undo: None,
            tail_probe: None,
            tail_probe_due: false,
            congestion: CongestionWindow::new(config.congestion, usize::from(config.max_payload)),
            rtt: RttEstimator::new(config.rto_min),
            rtt_from: iss,
            clock: config.timestamps.then(|| Clock::new(now, isn)),
            unacked_since: now,
            unreachable: false,
            sent_at: now,
            probe_due: false,
            probes: 0,
            keepalive_due: false,
            keepalives: 0,
            irs: SeqNumber(0),
            rcv_nxt: SeqNumber(0),
            rcv_edge: SeqNumber(0),
            rcv_scale,
            scaling: false,
            receive: Ring::default(),
            tuning: Tuning::new(
                now,
                config.receive_buffer_bytes,
                config.send_buffer_bytes,
                config.advertised_mss,
            ),
            lowered: None,
            out_of_order: Ranges::default(),
            latest: SeqNumber(0),
            duplicate: None,
            duplicate_told: false,
            last_ack: SeqNumber(0),
            fin_at: None,
            ack: Ack::None,
            unacked_bytes: 0,
            largest_segment: usize::from(config.advertised_mss.min(config.default_mss)),
            quick_acks: 0,
            heard_at: now,
            challenged_at: None,
            config: *config,
        }
    }

    /// Takes over what the peer's SYN says.
    pub(super) fn synchronize(&mut self, now: Instant, syn: &Segment<'_>) {
        self.irs = syn.seq;
        let offered = self.rcv_edge.since(self.rcv_nxt);
        self.rcv_nxt = syn.seq + 1;
        self.rcv_edge = self.rcv_nxt + offered;
        self.latest = self.rcv_nxt;
        self.last_ack = self.rcv_nxt;
        let Options { mss, window_scale, sack_permitted, timestamps, .. } = syn.options();
        // An MSS of next to nothing would make a packet of every byte.
        let mss = mss.unwrap_or(self.config.default_mss).max(48).min(self.config.max_payload);
        self.max_payload = usize::from(mss);
        self.scaling = window_scale.is_some();
        self.snd_scale = window_scale.unwrap_or(0);
        if !self.scaling {
            self.rcv_scale = 0;
            // No window field can tell of more.
            self.tuning.cap_receive(usize::from(u16::MAX));
        }
        self.sack = sack_permitted;
        match (&mut self.clock, timestamps) {
            (Some(clock), Some(timestamps)) => clock.begin(now, timestamps.value),
            (clock, _) => *clock = None,
        }
        self.congestion.begin(self.full_segment());
        self.snd_wnd = usize::from(syn.window);
        self.largest_wnd = self.snd_wnd;
        self.snd_wl1 = syn.seq;
    }

    /// Answers the peer's SYN.
    pub fn accept(&mut self, now: Instant) {
        if self.state == State::SynHeld {
            self.state = State::SynReceived;
            self.unacked_since = now;
            self.heard_at = now;
        }
    }

    /// Does what is due; nothing if called early.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.timers.fires(now, Timer::Retransmission) {
            self.retransmission_timeout(now);
        }
        if self.timers.fires(now, Timer::Reordering) {
            self.reordering_timeout(now);
        }
        if self.timers.fires(now, Timer::TailLossProbe) {
            self.tail_probe_due = true;
        }
        if self.timers.fires(now, Timer::ZeroWindowProbe) {
            if now.since(self.heard_at) > self.config.give_up_after && self.probes > 3 {
                self.break_off(ResetReason::Timeout);
            } else {
                self.probe_due = true;
                self.probes = (self.probes + 1).min(10);
            }
        }
        if self.timers.fires(now, Timer::DelayedAck) {
            self.ack = Ack::Now;
        }
        if self.timers.fires(now, Timer::Keepalive) {
            if self.keepalives >= KEEPALIVE_PROBES {
                self.break_off(ResetReason::Timeout);
            } else {
                self.keepalives += 1;
                self.keepalive_due = true;
                self.timers.arm(Timer::Keepalive, now + Duration::from_secs(10));
            }
        }
        if self.timers.fires(now, Timer::TimeWait) {
            self.state = State::Closed;
            self.timers.stop_all();
        }
        if self.timers.fires(now, Timer::IdleBuffers) {
            if self.send.is_empty() {
                self.send.release();
            }
            self.board.release();
            self.out_of_order.release();
            if self.receive.is_empty() && self.out_of_order.is_empty() {
                self.receive.release();
            }
        }
        self.timers.settle();
    }

    /// When [`Self::handle_timeout`] must be called, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.timers.next()
    }

    /// An instant not after that of [`Self::poll_timeout`], which costs less to tell. [`Self::handle_timeout`] brings it up to date.
    #[must_use]
    pub fn timeout_bound(&self) -> Option<Instant> {
        self.timers.bound()
    }

    /// Writes a segment into `out`, whose length must be that of `transmit`, before any other call. The checksum field is left zero.
    pub fn emit(&self, transmit: &Transmit, source_port: u16, destination_port: u16, out: &mut [u8]) {
        let payload = self.emit_front(transmit, source_port, destination_port, out);
        if !payload.is_empty() {
            self.send.copy_to(transmit.seq.since(self.data_start()), payload);
        }
    }

    /// Like [`Self::emit`]; returns the Internet checksum's sum of the segment, without its pseudo-header.
    pub fn emit_summed(
        &self,
        transmit: &Transmit,
        source_port: u16,
        destination_port: u16,
        out: &mut [u8],
    ) -> u32 {
        let payload = self.emit_front(transmit, source_port, destination_port, out);
        let offset = transmit.seq.since(self.data_start());
        let carried = if payload.is_empty() { 0 } else { self.send.copy_summed(offset, payload) };
        sum(&out[..transmit.header_len()]) + carried
    }

    /// Writes header and options; returns the payload's place.
    fn emit_front<'a>(
        &self,
        transmit: &Transmit,
        source_port: u16,
        destination_port: u16,
        out: &'a mut [u8],
    ) -> &'a mut [u8] {
        transmit.emit_header(source_port, destination_port, out);
        let (options, payload) = out[HEADER_BYTES..].split_at_mut(transmit.options_len.into());
        if !options.is_empty() {
            self.options(transmit.flags).emit(options);
        }
        payload
    }

    /// The next event.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(Event::Established | Event::Writable) = self.events.front() {
            return self.events.pop_front();
        }
        if self.fresh_bytes > 0 {
            return Some(Event::Data(std::mem::take(&mut self.fresh_bytes)));
        }
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let over = matches!(self.state, State::TimeWait | State::Closed);
        if over && !self.closed_told && self.receive.is_empty() {
            self.closed_told = true;
            return Some(Event::Closed);
        }
        None
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// The bytes received and not taken, oldest first, in two parts.
    #[must_use]
    pub fn peek(&self) -> [&[u8]; 2] {
        self.receive.as_slices()
    }

    /// Removes the first `n` bytes of [`Self::peek`], which opens the window again.
    pub fn take(&mut self, now: Instant, n: usize) {
        self.receive.consume(n);
        self.tuning.taken(now, n, self.rtt.smoothed());
        if self.receive.is_empty() && self.out_of_order.is_empty() {
            self.receive.rewind();
            if self.receive.capacity() > 0 {
                self.timers.arm(Timer::IdleBuffers, now + IDLE_BUFFERS);
            }
        }
        let more = self.window_edge().since(self.rcv_edge);
        // A peer that waits for the window is told of the first segment that fits; others need not hear of each (RFC 9293 3.8.6.2.2).
        let segment = usize::from(self.config.advertised_mss);
        let waits = self.rcv_edge.since(self.rcv_nxt) < segment;
        let least = if waits { segment } else { 2 * segment };
        if self.peer_may_send() && more >= least.min(self.tuning.receive_limit() / 2).max(1) {
            self.ack = Ack::Now;
        }
    }

    /// Drops what was received and not taken, for an owner who wants no more; the window opens again.
    pub fn discard(&mut self) {
        self.receive.consume(usize::MAX);
        if self.peer_may_send() {
            self.ack = Ack::Now;
        }
    }

    /// How many bytes [`Self::write`] would take.
    #[must_use]
    pub fn room(&self) -> usize {
        let open = matches!(
            self.state,
            State::SynHeld | State::SynSent | State::SynReceived | State::Established | State::CloseWait
        );
        if open && !self.fin_queued { self.tuning.send_limit().saturating_sub(self.send.len()) } else { 0 }
    }

    /// Queues bytes for the peer; returns how many were taken.
    pub fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.room());
        self.write_blocked = n < bytes.len();
        if n > 0 {
            self.send.push(&bytes[..n], self.tuning.send_limit());
            self.timers.stop(Timer::IdleBuffers);
            self.arm_probe(now);
        }
        n
    }

    /// Ends our direction after what is queued. The other goes on.
    pub fn fin(&mut self, now: Instant) {
        if self.fin_queued || matches!(self.state, State::Closed | State::TimeWait) {
            return;
        }
        self.fin_queued = true;
        self.write_blocked = false;
        match self.state {
            State::Established => self.state = State::FinWait1,
            State::CloseWait => self.state = State::LastAck,
            _ => {}
        }
        self.arm_probe(now);
    }

    /// Breaks the connection: returns the RST to send, if the peer knows of it. There is no event.
    #[must_use]
    pub fn abort(&mut self) -> Option<Transmit> {
        let reset = match self.state {
            State::Closed | State::TimeWait | State::SynSent => None,
            State::SynHeld => Some(self.control(SeqNumber(0), Flags::RST | Flags::ACK)),
            State::SynReceived => Some(self.control(self.snd_max, Flags::RST | Flags::ACK)),
            _ => {
                // A probe of a shut window is beyond what the peer takes a RST at (RFC 5961 3.2).
                let seq = self.snd_max.min(self.snd_una + self.snd_wnd);
                Some(self.control(seq, Flags::RST | Flags::ACK))
            }
        };
        self.state = State::Closed;
        self.closed_told = true;
        self.events.clear();
        self.fresh_bytes = 0;
        self.timers.stop_all();
        reset
    }

    /// Ends the connection with an event.
    pub(super) fn break_off(&mut self, why: ResetReason) {
        let _ = self.abort();
        self.receive.consume(usize::MAX);
        self.out_of_order.clear();
        self.tell(Event::Reset(why));
    }

    /// Whether this can be forgotten, once [`Self::poll_event`] is drained.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed && self.closed_told
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Bytes received and not taken, those out of order included.
    #[must_use]
    pub fn received_bytes_held(&self) -> usize {
        self.receive.len() + self.out_of_order.bytes()
    }

    /// Bytes that the peer may make us hold: those received and not taken, those it was offered, and those it has not acknowledged.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.receive.len() + self.rcv_edge.since(self.rcv_nxt) + self.send.len()
    }

    /// Changes what the connection was configured with. A window that was offered stays offered, and no window grows past what the scale
    /// of the handshake can tell (RFC 7323 2.2).
    pub fn set_options(
        &mut self,
        now: Instant,
        nagle: bool,
        keepalive: Option<Duration>,
        receive_buffer_bytes: usize,
        send_buffer_bytes: usize,
    ) {
        self.config.nagle = nagle;
        self.config.keepalive = keepalive;
        let most = usize::from(u16::MAX) << self.rcv_scale;
        self.tuning.set_most(receive_buffer_bytes.min(most), send_buffer_bytes);
        match keepalive {
            Some(after) if self.timers.is_armed(Timer::Keepalive) || !self.is_opening() => {
                self.timers.arm(Timer::Keepalive, now + after);
            }
            Some(_) => {}
            None => self.timers.stop(Timer::Keepalive),
        }
    }

    /// Bounds what the peer is offered further, and what [`Self::write`] takes, in bytes each; what was offered or taken already stays.
    pub fn set_buffer_limit(&mut self, bytes: usize) {
        self.tuning.bound(bytes);
    }

    /// ICMP says that the peer cannot be reached by a segment of ours: for good (`hard`), or perhaps only now.
    pub fn handle_unreachable(&mut self, seq: u32, hard: bool) {
        if !self.is_under_way(SeqNumber(seq)) {
            return;
        }
        // An established connection survives either (RFC 5927 5.2), and says why if nothing else comes; a connect need not wait.
        if self.state == State::SynSent {
            self.break_off(if hard { ResetReason::Refused } else { ResetReason::Unreachable });
        } else {
            self.unreachable = true;
        }
    }

    /// Whether a segment of ours may be on its way: what others than the peer cannot know (RFC 5927 4.1).
    pub(super) fn is_under_way(&self, seq: SeqNumber) -> bool {
        self.snd_una <= seq && seq < self.snd_max
    }

    /// Whether a SYN for the addresses of this connection opens a new one in its place: it is in TIME-WAIT and the SYN is newer, by its
    /// timestamp if it has one and by its number otherwise (RFC 6191 2).
    #[must_use]
    pub fn time_wait_accepts(&self, syn: &Segment<'_>) -> bool {
        let stamp = syn.options().timestamps.filter(|_| self.config.timestamps);
        let newer = match (self.clock, stamp) {
            (Some(clock), Some(stamp)) => {
                let same = clock.option().echo == stamp.value;
                clock.precedes(stamp.value) || same && syn.seq > self.rcv_nxt
            }
            (None, Some(_)) => true,
            (_, None) => syn.seq > self.rcv_nxt,
        };
        self.state == State::TimeWait && syn.opens() && newer
    }

    /// The sequence number of the first byte in the send buffer.
    pub(super) fn data_start(&self) -> SeqNumber {
        // Not the later of the two: past 2 GiB the SYN would seem to lie ahead.
        if self.is_opening() { self.iss + 1 } else { self.snd_una }
    }

    /// Whether our SYN is not acknowledged.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.state, State::SynHeld | State::SynSent | State::SynReceived)
    }

    /// The sequence number behind the last byte in the send buffer: where FIN stands.
    pub(super) fn data_end(&self) -> SeqNumber {
        self.data_start() + if self.fin_acked() { 0 } else { self.send.len() }
    }

    pub(super) fn fin_acked(&self) -> bool {
        matches!(self.state, State::FinWait2 | State::TimeWait | State::Closed)
    }

    pub(super) fn peer_may_send(&self) -> bool {
        matches!(self.state, State::Established | State::FinWait1 | State::FinWait2)
    }

    /// Where the window's right edge may be now.
    pub(super) fn window_edge(&self) -> SeqNumber {
        self.rcv_edge.max(self.rcv_nxt + self.tuning.receive_limit().saturating_sub(self.receive.len()))
    }

    /// Watches over a closed window when nothing under way would bring news of it.
    pub(super) fn arm_probe(&mut self, now: Instant) {
        let open = matches!(
            self.state,
            State::Established | State::CloseWait | State::FinWait1 | State::LastAck | State::Closing
        );
        let waits = open
            && !self.send.is_empty()
            && !self.timers.is_armed(Timer::Retransmission)
            && self.next_segment(usize::MAX).is_none();
        if waits {
            if !self.timers.is_armed(Timer::ZeroWindowProbe) && !self.probe_due {
                let wait = (self.rtt.rto() * (1 << self.probes)).min(Duration::from_secs(60));
                self.timers.arm(Timer::ZeroWindowProbe, now + wait);
            }
        } else {
            self.timers.stop(Timer::ZeroWindowProbe);
        }
    }
}
