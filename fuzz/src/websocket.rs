//! Target `websocket`: the codec of RFC 6455, as server and as client.
//!
//! The first byte says which role (bit 0), whether the rest is made into a well-formed stream (bit 1) or taken as it stands, and the
//! limit of a message (bits 2 and 3); the second is the seed of the cuts. However the bytes are cut, the same messages and the same
//! error come out; nothing longer than the limit is handed out or held; what is encoded is decoded, and decoded again from what was
//! decoded.

use arbitrary::{Arbitrary, Unstructured};
use netloom_proto::websocket::{Decoder, Message, Opcode, ProtocolError, Role, put_close, put_frame};

use crate::cuts::cut;

const LIMITS: [usize; 4] = [0, 125, 1000, 65_549];
/// What a decoder may hold beside its limit: headers, a control frame between fragments, and what it keeps for the next cut frame.
const OVERHEAD_BYTES: usize = 16 * 1024 + 512;
/// Payloads that a made stream may hold together, so that an input stays fast.
const MAX_MADE_BYTES: usize = 300_000;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Binary(Vec<u8>),
    Text,
    TooLong,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

type Outcome = (Vec<Seen>, Result<(), ProtocolError>);

/// Runs the target.
///
/// # Panics
/// If the codec breaks what is asserted.
pub fn run(data: &[u8]) {
    let &[how, cuts, ref rest @ ..] = data else { return };
    let role = if how & 1 == 0 { Role::Server } else { Role::Client };
    let limit = LIMITS[usize::from(how >> 2 & 3)];
    if how & 2 == 0 {
        drop(check(rest, role, limit, cuts));
    } else {
        let (stream, expected) = made(rest, role, limit);
        let (seen, result) = check(&stream, role, limit, cuts);
        assert_eq!(result, Ok(()), "a well-formed stream was refused");
        assert!(seen == expected, "encoded {expected:?}, decoded {seen:?}");
    }
}

/// Decodes whole, in random pieces and byte by byte; all must agree, and what was seen must survive being encoded.
fn check(stream: &[u8], role: Role, limit: usize, cuts: u8) -> Outcome {
    let whole = decode([stream], role, limit);
    assert!(whole == decode(cut(stream, cuts), role, limit), "cut another way, other messages");
    if stream.len() <= 4096 {
        assert!(whole == decode(stream.chunks(1), role, limit), "byte by byte, other messages");
    }
    let again = decode([encode(&whole.0, role, limit).as_slice()], role, limit);
    assert!(again == (whole.0.clone(), Ok(())), "encoded again, other messages");
    whole
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, role: Role, limit: usize) -> Outcome {
    let mut decoder = Decoder::new(role, limit);
    let mut seen = Vec::new();
    let mut result = Ok(());
    for piece in pieces {
        let before = seen.len();
        let was_over = result.is_err() || matches!(seen.last(), Some(Seen::Close(_)));
        let now = decoder.decode(&mut piece.to_vec(), |message| seen.push(owned(message, limit)));
        assert!(!was_over || (now.is_ok() && seen.len() == before), "something was taken after the end");
        result = result.and(now);
        let held = decoder.held_bytes();
        assert!(held <= 2 * limit + OVERHEAD_BYTES, "{held} bytes held with a limit of {limit}");
    }
    (seen, result)
}

fn owned(message: Message<'_>, limit: usize) -> Seen {
    match message {
        Message::Binary(bytes) => {
            assert!(bytes.len() <= limit, "a message of {} bytes with a limit of {limit}", bytes.len());
            Seen::Binary(bytes.to_vec())
        }
        Message::Text => Seen::Text,
        Message::TooLong => Seen::TooLong,
        Message::Ping(bytes) => Seen::Ping(control(bytes)),
        Message::Pong(bytes) => Seen::Pong(control(bytes)),
        Message::Close(code) => Seen::Close(code),
    }
}

fn control(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() <= 125, "a control frame of {} bytes", bytes.len());
    bytes.to_vec()
}

/// The mask of what is sent to `role`.
fn mask(role: Role) -> Option<[u8; 4]> {
    (role == Role::Server).then_some([0x9a, 0x01, 0xff, 0x40])
}

/// Frames that are decoded to `messages`.
fn encode(messages: &[Seen], role: Role, limit: usize) -> Vec<u8> {
    let (mut out, mask) = (Vec::new(), mask(role));
    for message in messages {
        match message {
            Seen::Binary(bytes) => put_frame(&mut out, Opcode::Binary, bytes, mask),
            Seen::Text => put_frame(&mut out, Opcode::Text, b"text", mask),
            Seen::TooLong => put_frame(&mut out, Opcode::Binary, &vec![0; limit + 1], mask),
            Seen::Ping(bytes) => put_frame(&mut out, Opcode::Ping, bytes, mask),
            Seen::Pong(bytes) => put_frame(&mut out, Opcode::Pong, bytes, mask),
            Seen::Close(Some(code)) => put_close(&mut out, *code, mask),
            Seen::Close(None) => put_frame(&mut out, Opcode::Close, &[], mask),
        }
    }
    out
}

/// One frame of a made stream.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Made {
    Data { text: bool, length: Length, fill: u8, fin: bool },
    Ping { length: u8, fill: u8 },
    Pong { length: u8, fill: u8 },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Length {
    Short(u8),
    Long(u16),
    /// Around each of the lengths where the header or the limit changes.
    Edge(u8, u8),
}

impl Length {
    fn bytes(self, limit: usize) -> usize {
        match self {
            Self::Short(length) => length.into(),
            Self::Long(length) => length.into(),
            Self::Edge(which, off) => [125, 0xffff, limit, 0][usize::from(which & 3)] + usize::from(off % 3),
        }
    }
}

/// A well-formed stream and the messages that it carries.
fn made(data: &[u8], role: Role, limit: usize) -> (Vec<u8>, Vec<Seen>) {
    let (mut out, mut expected) = (Vec::new(), Vec::new());
    // The message in fragments under way: whether it is text, and its bytes.
    let mut under_way: Option<(bool, Vec<u8>)> = None;
    let mut input = Unstructured::new(data);
    while !input.is_empty() && out.len() < MAX_MADE_BYTES {
        let Ok(frame) = Made::arbitrary(&mut input) else { break };
        let at = out.len();
        match frame {
            Made::Data { text, length, fill, fin } => {
                let payload = vec![fill; length.bytes(limit)];
                let opcode = match (&under_way, text) {
                    (Some(_), _) => Opcode::Continuation,
                    (None, true) => Opcode::Text,
                    (None, false) => Opcode::Binary,
                };
                put_frame(&mut out, opcode, &payload, mask(role));
                let (text, mut bytes) = under_way.take().unwrap_or((text, Vec::new()));
                bytes.extend(payload);
                if !fin {
                    out[at] &= 0x7f;
                    under_way = Some((text, bytes));
                } else if text {
                    expected.push(Seen::Text);
                } else if bytes.len() > limit {
                    expected.push(Seen::TooLong);
                } else {
                    expected.push(Seen::Binary(bytes));
                }
            }
            Made::Ping { length, fill } => {
                let payload = vec![fill; usize::from(length % 126)];
                put_frame(&mut out, Opcode::Ping, &payload, mask(role));
                expected.push(Seen::Ping(payload));
            }
            Made::Pong { length, fill } => {
                let payload = vec![fill; usize::from(length % 126)];
                put_frame(&mut out, Opcode::Pong, &payload, mask(role));
                expected.push(Seen::Pong(payload));
            }
        }
    }
    (out, expected)
}
