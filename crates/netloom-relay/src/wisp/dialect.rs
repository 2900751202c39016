//! What the messages of a WebSocket mean: Wisp packets, or the bytes of one TCP connection.

use netloom_proto::websocket::{self, Opcode};
use netloom_proto::wisp::server::Event;
use netloom_proto::wisp::{HEADER_BYTES, Reason, Server};

/// Room before the payload of a message: the longest WebSocket header of a server, and that of a packet.
pub(super) const HEAD_BYTES: usize = 10 + HEADER_BYTES;
/// Bytes of a stream in one message, at most.
pub(super) const PAYLOAD_BYTES: usize = 64 * 1024;
/// Such a message with room for its headers.
pub(super) const PIECE_BYTES: usize = HEAD_BYTES + PAYLOAD_BYTES;
/// The name of a plain connection's stream.
pub(super) const PLAIN_STREAM: u32 = 0;

/// A status code to close a WebSocket with (RFC 6455 section 7.4, and the registry of it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CloseCode(pub(super) u16);

impl CloseCode {
    pub(super) const NORMAL: Self = Self(1000);
    pub(super) const GOING_AWAY: Self = Self(1001);
    pub(super) const PROTOCOL_ERROR: Self = Self(1002);
    pub(super) const UNSUPPORTED: Self = Self(1003);
    pub(super) const POLICY: Self = Self(1008);
    pub(super) const TOO_BIG: Self = Self(1009);
    const TRY_AGAIN: Self = Self(1013);
    const BAD_GATEWAY: Self = Self(1014);

    /// How a plain connection that ended for this reason is closed.
    const fn of(reason: Reason) -> Self {
        match reason {
            Reason::VOLUNTARY => Self::NORMAL,
            Reason::BLOCKED | Reason::INVALID => Self::POLICY,
            Reason::THROTTLED => Self::TRY_AGAIN,
            _ => Self::BAD_GATEWAY,
        }
    }
}

/// The one or the other.
#[derive(Debug)]
pub(super) enum Dialect {
    Wisp(Box<Server>),
    Plain,
}

impl Dialect {
    pub(super) const fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Hands out what a message says; a server stands beside what only a server is told.
    pub(super) fn handle_message(
        &mut self,
        message: &[u8],
        each: &mut impl FnMut(Option<&mut Server>, Event<'_>),
    ) {
        match self {
            Self::Wisp(server) => {
                server.handle_message(message, &mut |server, event| each(Some(server), event));
            }
            Self::Plain => each(None, Event::Data(PLAIN_STREAM, message)),
        }
    }

    /// The target of a stream has answered.
    pub(super) fn opened(&mut self, stream: u32) {
        if let Self::Wisp(server) = self {
            server.opened(stream);
        }
    }

    /// So many messages of a stream have reached its target.
    pub(super) fn taken(&mut self, stream: u32, messages: u32) {
        if let Self::Wisp(server) = self {
            server.taken(stream, messages);
        }
    }

    /// How many bytes may be sent to the client on a stream now.
    pub(super) fn room(&self, stream: u32) -> usize {
        match self {
            Self::Wisp(server) => server.room(stream),
            Self::Plain => usize::MAX,
        }
    }

    /// The target of a stream sends no more; tells whether the stream is over with that, and how the WebSocket is to be closed then.
    pub(super) fn fin(&mut self, stream: u32) -> (bool, Option<CloseCode>) {
        match self {
            Self::Wisp(server) => {
                server.fin(stream);
                (!server.is_open(stream), None)
            }
            Self::Plain => (true, Some(CloseCode::NORMAL)),
        }
    }

    /// Ends a stream; tells how the WebSocket is to be closed with it.
    pub(super) fn close(&mut self, stream: u32, reason: Reason) -> Option<CloseCode> {
        match self {
            Self::Wisp(server) => {
                server.close(stream, reason);
                None
            }
            Self::Plain => Some(CloseCode::of(reason)),
        }
    }

    /// Writes the headers of a message with `payload_bytes` of a stream to the end of `head`; where they begin. `None` if it cannot be sent.
    pub(super) fn put_head(
        &mut self,
        stream: u32,
        payload_bytes: usize,
        head: &mut [u8; HEAD_BYTES],
    ) -> Option<usize> {
        let mut headers = Vec::with_capacity(HEAD_BYTES);
        match self {
            Self::Wisp(server) => {
                let packet = server.send_data(stream, payload_bytes)?;
                websocket::put_header(&mut headers, Opcode::Binary, HEADER_BYTES + payload_bytes, None);
                headers.extend_from_slice(&packet);
            }
            Self::Plain => websocket::put_header(&mut headers, Opcode::Binary, payload_bytes, None),
        }
        let start = HEAD_BYTES - headers.len();
        head[start..].copy_from_slice(&headers);
        Some(start)
    }

    /// Appends what is to be said beside data, as messages; `packet` is for one at a time.
    pub(super) fn put_control(&mut self, out: &mut Vec<u8>, packet: &mut Vec<u8>) {
        let Self::Wisp(server) = self else { return };
        packet.clear();
        while server.poll_control(packet) {
            websocket::put_frame(out, Opcode::Binary, packet, None);
            packet.clear();
        }
    }
}
