//! The transmission control block: one connection and its state machine.
#![allow(unused_variables, clippy::todo)]

use super::config::Config;
use super::segment::{Segment, Transmit};
use crate::flow::ResetReason;
use crate::time::Instant;

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

/// One connection.
#[derive(Debug)]
pub struct Tcb {}

impl Tcb {
    /// A connection that a peer's SYN asks for. Nothing is sent until [`Self::accept`]; repeated SYNs are absorbed.
    #[must_use]
    pub fn passive(now: Instant, config: &Config, syn: &Segment<'_>, isn: u32) -> Self {
        todo!()
    }
    /// A connection of ours: the SYN is sent by the next [`Self::poll_transmit`].
    #[must_use]
    pub fn active(now: Instant, config: &Config, isn: u32) -> Self {
        todo!()
    }
    /// Answers the peer's SYN.
    pub fn accept(&mut self, now: Instant) {
        todo!()
    }
    /// Takes a segment of this connection. Returns a reply that stands outside the stream, if one is due: an RST or a challenge ACK.
    #[must_use]
    pub fn handle_segment(&mut self, now: Instant, segment: &Segment<'_>) -> Option<Transmit> {
        todo!()
    }
    /// Does what is due; nothing if called early.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }
    /// When [`Self::handle_timeout`] must be called, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        todo!()
    }
    /// Whether [`Self::poll_transmit`] would give a segment.
    #[must_use]
    pub fn wants_transmit(&self, now: Instant) -> bool {
        todo!()
    }
    /// The next segment to send, of at most `max_payload` bytes. Call until `None`, or stop when the port is full.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, max_payload: usize) -> Option<Transmit> {
        todo!()
    }
    /// Writes a segment into `out`, whose length must be that of `transmit`, before any other call. The checksum field is left zero.
    pub fn emit(&self, transmit: &Transmit, source_port: u16, destination_port: u16, out: &mut [u8]) {
        todo!()
    }
    /// The next event.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
    /// The bytes received and not taken, oldest first, in two parts.
    #[must_use]
    pub fn peek(&self) -> [&[u8]; 2] {
        todo!()
    }
    /// Removes the first `n` bytes of [`Self::peek`], which opens the window again.
    pub fn take(&mut self, now: Instant, n: usize) {
        todo!()
    }
    /// How many bytes [`Self::write`] would take.
    #[must_use]
    pub fn room(&self) -> usize {
        todo!()
    }
    /// Queues bytes for the peer; returns how many were taken.
    pub fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        todo!()
    }
    /// Ends our direction after what is queued. The other goes on.
    pub fn fin(&mut self, now: Instant) {
        todo!()
    }
    /// Like [`Self::fin`], and nobody reads any more: bytes that the peer sends from now on are answered with RST.
    pub fn close(&mut self, now: Instant) {
        todo!()
    }
    /// Breaks the connection: returns the RST to send, if the peer knows of it. There is no event.
    #[must_use]
    pub fn abort(&mut self) -> Option<Transmit> {
        todo!()
    }
    /// Whether this can be forgotten, once [`Self::poll_event`] is drained.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        todo!()
    }
    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        todo!()
    }
    /// Bytes received and not taken, those out of order included.
    #[must_use]
    pub fn received_bytes_held(&self) -> usize {
        todo!()
    }
    /// Bounds what the peer is offered further, in bytes; what it was offered already stays.
    pub fn set_receive_limit(&mut self, bytes: usize) {
        todo!()
    }
    /// ICMP says that the peer cannot be reached: for good (`hard`), or perhaps only now.
    pub fn handle_unreachable(&mut self, now: Instant, hard: bool) {
        todo!()
    }
    /// ICMP says that only payloads of up to `mtu_payload` bytes get through.
    pub fn handle_mtu(&mut self, mtu_payload: u16) {
        todo!()
    }
    /// Whether a SYN for the addresses of this connection opens a new one in its place: it is in TIME-WAIT and the SYN is newer.
    #[must_use]
    pub fn time_wait_accepts(&self, syn: &Segment<'_>) -> bool {
        todo!()
    }
}
