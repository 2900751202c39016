//! Raw framing: one Ethernet frame per binary message, without FCS. What else WebSocket carries is answered or ignored.

use netloom_core::MAX_FRAME_BYTES;
use netloom_proto::websocket::{self, Decoder, Message, Opcode, Role};

/// Messages of one client as frames.
pub(super) struct Framing {
    decoder: Decoder,
}

/// What a client sent.
pub(super) enum Incoming<'a> {
    /// A frame, of any length that a message may have.
    Frame(&'a [u8]),
    /// A text message, which carries no frame.
    Text,
    /// A message longer than any frame.
    TooLong,
    /// A ping, to be answered with the same payload.
    Ping(&'a [u8]),
}

/// A status code to close with (RFC 6455, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CloseCode(pub(super) u16);

impl CloseCode {
    /// The end without a reason.
    const NORMAL: Self = Self(1000);
    /// The relay stops.
    pub(super) const GOING_AWAY: Self = Self(1001);
    const PROTOCOL_ERROR: Self = Self(1002);

    pub(super) fn is_protocol_error(self) -> bool {
        self == Self::PROTOCOL_ERROR
    }
}

impl Framing {
    pub(super) const fn new() -> Self {
        Self { decoder: Decoder::new(Role::Server, MAX_FRAME_BYTES) }
    }

    /// Takes bytes of the connection; tells the code to close with once the other end has closed or broken the protocol.
    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        mut each: impl FnMut(Incoming<'_>),
    ) -> Option<CloseCode> {
        let mut closed = None;
        let result = self.decoder.decode(bytes, |message| match message {
            Message::Binary(frame) => each(Incoming::Frame(frame)),
            Message::Text => each(Incoming::Text),
            Message::TooLong => each(Incoming::TooLong),
            Message::Ping(payload) => each(Incoming::Ping(payload)),
            Message::Pong(_) => {}
            Message::Close(code) => closed = Some(code.map_or(CloseCode::NORMAL, CloseCode)),
        });
        if result.is_err() { Some(CloseCode::PROTOCOL_ERROR) } else { closed }
    }
}

pub(super) fn put_frame(out: &mut Vec<u8>, frame: &[u8]) {
    websocket::put_frame(out, Opcode::Binary, frame, None);
}

pub(super) fn put_ping(out: &mut Vec<u8>) {
    websocket::put_frame(out, Opcode::Ping, &[], None);
}

pub(super) fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    websocket::put_frame(out, Opcode::Pong, payload, None);
}

pub(super) fn put_close(out: &mut Vec<u8>, code: CloseCode) {
    websocket::put_close(out, code.0, None);
}
