//! RFC 6455 section by section, as the Autobahn suite has it by theme: each row is a name, what arrives, what is handed out, and the
//! error that ends it. Every row is read in both roles, whole and byte by byte.
//!
//! Text is not ours: a text message is told and its payload skipped, so whether it is UTF-8 (section 8.1) is never asked; neither is a
//! close's reason, of which only the status code is told.

use super::super::{Decoder, Message, Opcode, ProtocolError, Role, put_close, put_frame};
use ProtocolError::{Close as BadClose, Control, Fragment, Length, Mask, Opcode as BadOpcode, Reserved};
use Seen::{Binary, Close, Ping, Pong, Text, TooLong};

pub(super) const LIMIT: usize = 65_549;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Binary(Vec<u8>),
    Text,
    TooLong,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

pub(super) type End = Result<(), ProtocolError>;

pub(super) struct Row {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) seen: Vec<Seen>,
    pub(super) end: End,
}

fn row(name: impl Into<String>, frames: &[Vec<u8>], seen: impl Into<Vec<Seen>>, end: End) -> Row {
    Row { name: name.into(), bytes: frames.concat(), seen: seen.into(), end }
}

/// Bytes in pieces to a decoder; all it tells, and its first error.
pub(super) fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, role: Role) -> (Vec<Seen>, End) {
    read_by(Decoder::new(role, LIMIT), pieces)
}

pub(super) fn read_by<'a>(
    mut decoder: Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Seen>, End) {
    let (mut seen, mut end) = (Vec::new(), Ok(()));
    for piece in pieces {
        let now = decoder.decode(&mut piece.to_vec(), |message| {
            seen.push(match message {
                Message::Binary(bytes) => Binary(bytes.to_vec()),
                Message::Text => Text,
                Message::TooLong => TooLong,
                Message::Ping(bytes) => Ping(bytes.to_vec()),
                Message::Pong(bytes) => Pong(bytes.to_vec()),
                Message::Close(code) => Close(code),
            });
        });
        end = end.and(now);
        assert!(decoder.held_bytes() <= 2 * LIMIT + 32 * 1024, "{} bytes held", decoder.held_bytes());
    }
    (seen, end)
}

/// Makes the frames that the other end sends to `role`.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    role: Role,
}

impl Peer {
    fn mask(self) -> Option<[u8; 4]> {
        (self.role == Role::Server).then_some(MASK)
    }

    fn frame(self, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_frame(&mut out, opcode, payload, self.mask());
        out
    }

    /// A frame that is not the message's last.
    fn more(self, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut out = self.frame(opcode, payload);
        out[0] &= 0x7f;
        out
    }

    /// A frame with other bits in its first byte.
    fn bent(self, bits: u8) -> Vec<u8> {
        let mut out = self.frame(Opcode::Binary, b"x");
        out[0] = bits;
        out
    }

    fn close(self, code: u16) -> Vec<u8> {
        let mut out = Vec::new();
        put_close(&mut out, code, self.mask());
        out
    }

    /// A header with the length field written as told, and the mask behind it where there is one.
    fn header(self, first: u8, length: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        out.extend_from_slice(length);
        if let Some(mask) = self.mask() {
            out[1] |= 0x80;
            out.extend_from_slice(&mask);
        }
        out
    }
}

pub(super) fn rows(role: Role) -> Vec<Row> {
    let peer = Peer { role };
    [lengths(peer), framing(peer), masking(peer), fragments(peer), control(peer), text(peer), closes(peer)]
        .into_iter()
        .flatten()
        .chain(limits(peer))
        .collect()
}

/// 5.2: the payload length takes 7 bits, 16 or 64, the fewest that hold it, and 63 at most.
fn lengths(peer: Peer) -> Vec<Row> {
    let mut rows: Vec<Row> = [0, 1, 125, 126, 127, 128, 65_535, 65_536, LIMIT]
        .map(|length| {
            let payload = vec![0xfe; length];
            row(format!("{length} bytes"), &[peer.frame(Opcode::Binary, &payload)], [Binary(payload)], Ok(()))
        })
        .into();
    for (name, length) in [
        ("0 in 16 bits", &[126, 0, 0][..]),
        ("125 in 16 bits", &[126, 0, 125]),
        ("0 in 64 bits", &[127, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("126 in 64 bits", &[127, 0, 0, 0, 0, 0, 0, 0, 126]),
        ("65535 in 64 bits", &[127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        ("the top bit of 64", &[127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ("all bits of 64", &[127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ] {
        rows.push(row(format!("a length of {name}"), &[peer.header(0x82, length)], [], Err(Length)));
    }
    rows
}

/// 5.2: reserved bits and reserved opcodes; what came before is kept.
fn framing(peer: Peer) -> Vec<Row> {
    let before = peer.frame(Opcode::Binary, b"before");
    let mut rows = Vec::new();
    for bits in [0x40, 0x20, 0x10, 0x70] {
        for opcode in [1, 2, 8, 9, 10] {
            let frames = [before.clone(), peer.bent(0x80 | bits | opcode)];
            let name = format!("reserved bits {bits:#x} with opcode {opcode}");
            rows.push(row(name, &frames, [Binary(b"before".into())], Err(Reserved)));
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        let frames = [before.clone(), peer.bent(0x80 | opcode)];
        rows.push(row(format!("opcode {opcode}"), &frames, [Binary(b"before".into())], Err(BadOpcode)));
    }
    rows
}

/// 5.1 and 5.3: a client masks every frame, a server none.
fn masking(peer: Peer) -> Vec<Row> {
    let other = Peer { role: if peer.role == Role::Server { Role::Client } else { Role::Server } };
    let mut rows: Vec<Row> =
        [Opcode::Binary, Opcode::Text, Opcode::Ping, Opcode::Close, Opcode::Continuation]
            .map(|opcode| {
                row(format!("{opcode:?} masked as if by us"), &[other.frame(opcode, b"")], [], Err(Mask))
            })
            .into();
    let frames = [peer.more(Opcode::Binary, b"x"), other.frame(Opcode::Continuation, b"y")];
    rows.push(row("a fragment masked as if by us", &frames, [], Err(Mask)));
    rows
}

/// 5.4: fragments of one message in order, control frames between them, nothing else.
fn fragments(peer: Peer) -> Vec<Row> {
    use Opcode::{Binary as Data, Continuation};
    let (more, frame) = (|o, p: &[u8]| peer.more(o, p), |o, p: &[u8]| peer.frame(o, p));
    let whole = || Binary(b"onetwo".into());
    let one_by_one: Vec<Vec<u8>> = (0..200_u8)
        .map(|n| if n == 0 { more(Data, &[n]) } else { more(Continuation, &[n]) })
        .chain([frame(Continuation, &[])])
        .collect();
    vec![
        row("two fragments", &[more(Data, b"one"), frame(Continuation, b"two")], [whole()], Ok(())),
        row("200 fragments of one byte", &one_by_one, [Binary((0..200).collect())], Ok(())),
        row(
            "only empty fragments",
            &[more(Data, b""), more(Continuation, b""), frame(Continuation, b"")],
            [Binary(vec![])],
            Ok(()),
        ),
        row(
            "empty fragments around and between",
            &[
                more(Data, b""),
                more(Continuation, b"onetwo"),
                more(Continuation, b""),
                frame(Continuation, b""),
            ],
            [whole()],
            Ok(()),
        ),
        row(
            "pings and pongs between fragments",
            &[
                more(Data, b"one"),
                frame(Opcode::Ping, b"1"),
                more(Continuation, b""),
                frame(Opcode::Pong, b"2"),
                frame(Opcode::Ping, b""),
                frame(Continuation, b"two"),
                frame(Opcode::Ping, b"3"),
            ],
            [Ping(b"1".into()), Pong(b"2".into()), Ping(vec![]), whole(), Ping(b"3".into())],
            Ok(()),
        ),
        row(
            "a close between fragments ends all",
            &[more(Data, b"one"), peer.close(1000), frame(Continuation, b"two")],
            [Close(Some(1000))],
            Ok(()),
        ),
        row("a message not ended", &[more(Data, b"one"), more(Continuation, b"two")], [], Ok(())),
        row("a last fragment of nothing", &[frame(Continuation, b"x")], [], Err(Fragment)),
        row("a fragment of nothing", &[more(Continuation, b"x")], [], Err(Fragment)),
        row(
            "a fragment after the last",
            &[more(Data, b"one"), frame(Continuation, b"two"), frame(Continuation, b"x")],
            [whole()],
            Err(Fragment),
        ),
        row(
            "a fragment after a whole message",
            &[frame(Data, b"onetwo"), more(Continuation, b"x")],
            [whole()],
            Err(Fragment),
        ),
        row("a message inside another", &[more(Data, b"one"), frame(Data, b"x")], [], Err(Fragment)),
        row("a start inside another", &[more(Data, b"one"), more(Data, b"x")], [], Err(Fragment)),
        row("a text inside a message", &[more(Data, b"one"), frame(Opcode::Text, b"x")], [], Err(Fragment)),
        row("a message inside a text", &[more(Opcode::Text, b"one"), frame(Data, b"x")], [], Err(Fragment)),
        row(
            "a message inside one that is too long",
            &[more(Data, &[0; LIMIT + 1]), frame(Data, b"x")],
            [],
            Err(Fragment),
        ),
    ]
}

/// 5.5: control frames are whole and hold at most 125 bytes.
fn control(peer: Peer) -> Vec<Row> {
    let mut rows = Vec::new();
    for length in [0, 1, 124, 125] {
        let payload = vec![0x5a; length];
        let frames = [peer.frame(Opcode::Ping, &payload), peer.frame(Opcode::Pong, &payload)];
        let seen = [Ping(payload.clone()), Pong(payload)];
        rows.push(row(format!("a ping and a pong of {length} bytes"), &frames, seen, Ok(())));
    }
    let pings: Vec<Vec<u8>> = (0..10_u8).map(|n| peer.frame(Opcode::Ping, &[n])).collect();
    rows.push(row("ten pings in a row", &pings, (0..10).map(|n| Ping(vec![n])).collect::<Vec<_>>(), Ok(())));
    rows.push(row("an unasked pong", &[peer.frame(Opcode::Pong, b"x")], [Pong(b"x".into())], Ok(())));
    for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
        let long = peer.frame(opcode, &[0; 126]);
        rows.push(row(format!("{opcode:?} of 126 bytes"), &[long], [], Err(Control)));
        let longer = peer.frame(opcode, &[0; 65_536]);
        rows.push(row(format!("{opcode:?} of 65536 bytes"), &[longer], [], Err(Control)));
        rows.push(row(format!("{opcode:?} in fragments"), &[peer.more(opcode, b"")], [], Err(Control)));
    }
    rows
}

/// 5.6: text is told, and skipped whatever its length.
fn text(peer: Peer) -> Vec<Row> {
    let after = || peer.frame(Opcode::Binary, b"after");
    let seen = || [Text, Binary(b"after".into())];
    vec![
        row("an empty text", &[peer.frame(Opcode::Text, b""), after()], seen(), Ok(())),
        row("a text", &[peer.frame(Opcode::Text, "κόσμε".as_bytes()), after()], seen(), Ok(())),
        row("a text that is not UTF-8", &[peer.frame(Opcode::Text, &[0xf8, 0x88]), after()], seen(), Ok(())),
        row(
            "a text beyond the limit",
            &[peer.frame(Opcode::Text, &[b'a'; LIMIT + 1]), after()],
            seen(),
            Ok(()),
        ),
        row(
            "a text in fragments that cut a character",
            &[peer.more(Opcode::Text, &[0xce]), peer.frame(Opcode::Continuation, &[0xba]), after()],
            seen(),
            Ok(()),
        ),
        row(
            "a ping between the fragments of a text",
            &[
                peer.more(Opcode::Text, b"a"),
                peer.frame(Opcode::Ping, b"p"),
                peer.frame(Opcode::Continuation, b"b"),
            ],
            [Ping(b"p".into()), Text],
            Ok(()),
        ),
    ]
}

/// 5.5.1 and 7.4: status codes that may be sent, and the others; nothing is read after a close.
fn closes(peer: Peer) -> Vec<Row> {
    let mut rows = vec![
        row("a close without a code", &[peer.frame(Opcode::Close, b"")], [Close(None)], Ok(())),
        row("a close with half a code", &[peer.frame(Opcode::Close, &[3])], [], Err(BadClose)),
        row(
            "a close with a reason",
            &[peer.frame(Opcode::Close, b"\x03\xe8going")],
            [Close(Some(1000))],
            Ok(()),
        ),
        row(
            "a close with the longest reason",
            &[peer.frame(Opcode::Close, &[&[3, 0xe8][..], &[b'.'; 123]].concat())],
            [Close(Some(1000))],
            Ok(()),
        ),
        row(
            "a close with a reason that is not UTF-8",
            &[peer.frame(Opcode::Close, &[3, 0xe8, 0xff, 0xfe])],
            [Close(Some(1000))],
            Ok(()),
        ),
        row(
            "messages after a close",
            &[
                peer.close(1000),
                peer.frame(Opcode::Binary, b"x"),
                peer.frame(Opcode::Ping, b"x"),
                peer.close(1001),
            ],
            [Close(Some(1000))],
            Ok(()),
        ),
        row("garbage after a close", &[peer.close(1000), vec![0xff; 100]], [Close(Some(1000))], Ok(())),
    ];
    for code in
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
    {
        rows.push(row(format!("close {code}"), &[peer.close(code)], [Close(Some(code))], Ok(())));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        rows.push(row(format!("close {code}"), &[peer.close(code)], [], Err(BadClose)));
    }
    rows
}

/// 10.4: a message beyond the limit is skipped, whole or in fragments, and told once; the next one is read.
fn limits(peer: Peer) -> Vec<Row> {
    use Opcode::{Binary as Data, Continuation};
    let (more, frame) = (|o, p: &[u8]| peer.more(o, p), |o, p: &[u8]| peer.frame(o, p));
    let after = || frame(Data, b"after");
    let skipped = || [TooLong, Binary(b"after".into())];
    let half = &[1; LIMIT / 2][..];
    vec![
        row("one byte beyond the limit", &[frame(Data, &[0; LIMIT + 1]), after()], skipped(), Ok(())),
        row("twice the limit", &[frame(Data, &[0; 2 * LIMIT]), after()], skipped(), Ok(())),
        row(
            "the limit in fragments",
            &[more(Data, half), more(Continuation, half), frame(Continuation, &[1; LIMIT - 2 * (LIMIT / 2)])],
            [Binary(vec![1; LIMIT])],
            Ok(()),
        ),
        row(
            "one byte beyond the limit in the last fragment",
            &[more(Data, half), more(Continuation, half), frame(Continuation, &[1, 2]), after()],
            skipped(),
            Ok(()),
        ),
        row(
            "beyond the limit in the first fragment",
            &[more(Data, &[0; LIMIT + 1]), frame(Continuation, b"x"), after()],
            skipped(),
            Ok(()),
        ),
        row(
            "beyond the limit in the middle, with a ping between",
            &[
                more(Data, half),
                more(Continuation, &[0; LIMIT]),
                frame(Opcode::Ping, b"p"),
                more(Continuation, half),
                frame(Continuation, b""),
                after(),
            ],
            [Ping(b"p".into()), TooLong, Binary(b"after".into())],
            Ok(()),
        ),
        row(
            "the longest length there is, still on its way",
            &[
                frame(Data, b"before"),
                peer.header(0x82, &[127, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
                after(),
            ],
            [Binary(b"before".into()), TooLong],
            Ok(()),
        ),
    ]
}

#[test]
fn every_row_holds_whole_and_byte_by_byte() {
    for role in [Role::Server, Role::Client] {
        for Row { name, bytes, seen, end } in rows(role) {
            let expected = (seen, end);
            assert!(read([&bytes[..]], role) == expected, "{role:?}: {name}");
            assert!(read(bytes.chunks(1), role) == expected, "{role:?}: {name}, byte by byte");
        }
    }
}

#[test]
fn nothing_is_taken_after_an_error() {
    for role in [Role::Server, Role::Client] {
        let after = Peer { role }.frame(Opcode::Binary, b"after");
        for Row { name, bytes, seen, end } in rows(role) {
            if end.is_err() {
                assert!(read([&bytes[..], &after], role) == (seen, end), "{role:?}: {name}");
            }
        }
    }
}
