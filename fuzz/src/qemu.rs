//! Target `qemu`: the codec of QEMU's framing.
//!
//! The first byte says whether the rest is taken as it stands or made into a well-formed stream, and the limit of a frame; the second is the
//! seed of the cuts. However the bytes are cut, the same frames and the same error come out; nothing longer than the limit is handed out
//! or held; frames that are written are read.

use netloom_proto::qemu::{Decoder, FramingLost, MAX_LENGTH, Message, prefix};

use crate::cuts::cut;

const LIMITS: [usize; 4] = [0, 60, 1514, 65_549];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Frame(Vec<u8>),
    Empty,
    TooLong,
}

type Outcome = (Vec<Seen>, Result<(), FramingLost>);

/// Runs the target.
///
/// # Panics
/// If the codec breaks what is asserted.
pub fn run(data: &[u8]) {
    let &[how, cuts, ref rest @ ..] = data else { return };
    let limit = LIMITS[usize::from(how >> 1 & 3)];
    if how & 1 == 0 {
        drop(check(rest, limit, cuts));
    } else {
        let (stream, expected) = made(rest, limit);
        assert!(check(&stream, limit, cuts) == (expected, Ok(())), "written frames were not read");
    }
}

/// Decodes whole, in random pieces and byte by byte; all must agree.
fn check(stream: &[u8], limit: usize, cuts: u8) -> Outcome {
    let whole = decode([stream], limit);
    assert!(whole == decode(cut(stream, cuts), limit), "cut another way, other frames");
    if stream.len() <= 4096 {
        assert!(whole == decode(stream.chunks(1), limit), "byte by byte, other frames");
    }
    whole
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Outcome {
    let mut decoder = Decoder::new(limit);
    let (mut seen, mut result) = (Vec::new(), Ok(()));
    for piece in pieces {
        let (before, was_over) = (seen.len(), result.is_err());
        let now = decoder.decode(piece, |message| {
            seen.push(match message {
                Message::Frame(frame) => {
                    assert!((1..=limit).contains(&frame.len()), "a frame of {} bytes", frame.len());
                    Seen::Frame(frame.to_vec())
                }
                Message::Empty => Seen::Empty,
                Message::TooLong => Seen::TooLong,
            });
        });
        assert!(!was_over || (now.is_ok() && seen.len() == before), "something was taken after the end");
        result = result.and(now);
        let held = decoder.held_bytes();
        assert!(held <= 2 * limit + 8, "{held} bytes held with a limit of {limit}");
    }
    (seen, result)
}

/// A well-formed stream and what it carries: a frame for each two bytes, which are its length, or one around where lengths are judged.
fn made(data: &[u8], limit: usize) -> (Vec<u8>, Vec<Seen>) {
    let (mut stream, mut expected) = (Vec::new(), Vec::new());
    for pair in data.chunks_exact(2).take(16) {
        let length = match u16::from_be_bytes([pair[0], pair[1]]) {
            0xffff => MAX_LENGTH as usize,
            edge @ 0xfff0.. => limit + usize::from(edge & 1),
            length => usize::from(length),
        };
        let frame = vec![pair[1]; length];
        stream.extend(prefix(length));
        stream.extend(&frame);
        expected.push(match length {
            0 => Seen::Empty,
            _ if length > limit => Seen::TooLong,
            _ => Seen::Frame(frame),
        });
    }
    (stream, expected)
}
