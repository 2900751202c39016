//! Frames of a client, without FCS: one to a WebSocket message, or behind their lengths as QEMU writes them, in WebSocket messages or on a
//! connection of their own. What else WebSocket carries is answered or ignored.

use netloom_core::MAX_FRAME_BYTES;
use netloom_proto::qemu;
use netloom_proto::websocket::{self, Decoder, Message, Opcode, Role};

use super::Kind;

/// How frames lie on a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encapsulation {
    /// A WebSocket message is a frame.
    Raw,
    /// The bytes of WebSocket messages are frames behind their lengths, however they are cut into messages.
    QemuInWebSocket,
    /// The connection's bytes are frames behind their lengths.
    Qemu,
}

/// What a client's connection carries, as frames.
pub(super) enum Framing {
    Raw(Decoder),
    QemuInWebSocket(Decoder, qemu::Decoder),
    Qemu(qemu::Decoder),
}

/// What a client sent.
pub(super) enum Incoming<'a> {
    /// A frame, of any length that a message may have.
    Frame(&'a [u8]),
    /// A text message, which carries no frame.
    Text,
    /// A length of 0, without a frame.
    Empty,
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
    /// The client is not wanted.
    pub(super) const POLICY_VIOLATION: Self = Self(1008);

    pub(super) fn is_protocol_error(self) -> bool {
        self == Self::PROTOCOL_ERROR
    }
}

impl Encapsulation {
    /// What reads it.
    pub(super) const fn framing(self) -> Framing {
        match self {
            Self::Raw => Framing::Raw(Decoder::new(Role::Server, MAX_FRAME_BYTES)),
            Self::QemuInWebSocket => Framing::QemuInWebSocket(
                Decoder::streaming(Role::Server),
                qemu::Decoder::new(MAX_FRAME_BYTES),
            ),
            Self::Qemu => Framing::Qemu(qemu::Decoder::new(MAX_FRAME_BYTES)),
        }
    }

    /// What a client that speaks it is called.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Raw => Kind::WebSocket,
            Self::QemuInWebSocket => Kind::QemuWebSocket,
            Self::Qemu => Kind::Qemu,
        }
    }

    /// Whether it is WebSocket, which has pings and a close.
    pub(super) const fn has_control(self) -> bool {
        !matches!(self, Self::Qemu)
    }

    /// Appends a frame. One to a message with its length, as c2w-net does, whose clients may rely on it.
    pub(super) fn put_frame(self, out: &mut Vec<u8>, frame: &[u8]) {
        let prefix = qemu::prefix(frame.len());
        match self {
            Self::Raw => return websocket::put_frame(out, Opcode::Binary, frame, None),
            Self::QemuInWebSocket => {
                websocket::put_header(out, Opcode::Binary, prefix.len() + frame.len(), None)
            }
            Self::Qemu => {}
        }
        out.extend_from_slice(&prefix);
        out.extend_from_slice(frame);
    }
}

impl Framing {
    /// Takes bytes of the connection; tells the code to close with once the other end has closed or broken the protocol.
    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        mut each: impl FnMut(Incoming<'_>),
    ) -> Option<CloseCode> {
        let (websocket, mut qemu) = match self {
            Self::Raw(websocket) => (websocket, None),
            Self::QemuInWebSocket(websocket, qemu) => (websocket, Some(qemu)),
            Self::Qemu(qemu) => return unframe(qemu, bytes, &mut each),
        };
        let mut closed = None;
        let result = websocket.decode(bytes, |message| match message {
            Message::Binary(bytes) => match &mut qemu {
                None => each(Incoming::Frame(bytes)),
                Some(qemu) => closed = closed.or_else(|| unframe(qemu, bytes, &mut each)),
            },
            Message::Text => each(Incoming::Text),
            Message::TooLong => each(Incoming::TooLong),
            Message::Ping(payload) => each(Incoming::Ping(payload)),
            Message::Pong(_) => {}
            Message::Close(code) => {
                closed = closed.or_else(|| Some(code.map_or(CloseCode::NORMAL, CloseCode)));
            }
        });
        if result.is_err() { Some(CloseCode::PROTOCOL_ERROR) } else { closed }
    }
}

/// Hands out the frames behind their lengths.
fn unframe(
    decoder: &mut qemu::Decoder,
    bytes: &[u8],
    each: &mut impl FnMut(Incoming<'_>),
) -> Option<CloseCode> {
    let result = decoder.decode(bytes, |message| match message {
        qemu::Message::Frame(frame) => each(Incoming::Frame(frame)),
        qemu::Message::Empty => each(Incoming::Empty),
        qemu::Message::TooLong => each(Incoming::TooLong),
    });
    result.is_err().then_some(CloseCode::PROTOCOL_ERROR)
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
