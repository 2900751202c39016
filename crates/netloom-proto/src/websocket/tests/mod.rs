//! The codec against messages cut everywhere, fragments, and every way to break the protocol.

mod cuts;
mod sections;

use super::*;

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, opcode, payload, Some(MASK));
    out
}

fn fragment(opcode: Opcode, payload: &[u8], fin: bool) -> Vec<u8> {
    let mut out = frame(opcode, payload);
    if !fin {
        out[0] &= 0x7f;
    }
    out
}

fn decode(pieces: &[&[u8]]) -> (Vec<String>, Result<(), ProtocolError>) {
    let mut decoder = Decoder::new(Role::Server, 1000);
    let mut seen = Vec::new();
    for piece in pieces {
        let result = decoder.decode(&mut piece.to_vec(), |message| {
            seen.push(match message {
                Message::Binary(bytes) => format!("binary {} {:?}", bytes.len(), bytes.first()),
                other => format!("{other:?}"),
            });
        });
        if result.is_err() {
            return (seen, result);
        }
    }
    (seen, Ok(()))
}

#[test]
fn the_key_of_the_rfc() {
    assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn a_stream_gives_the_same_messages_however_it_is_cut() {
    let mut stream = Vec::new();
    for length in [0, 1, 125, 126, 127, 500, 1000, 1001, 70_000] {
        stream.extend(frame(Opcode::Binary, &vec![7; length]));
    }
    stream.extend(frame(Opcode::Text, b"text"));
    stream.extend(fragment(Opcode::Binary, &[9; 400], false));
    stream.extend(frame(Opcode::Ping, b"between"));
    stream.extend(fragment(Opcode::Continuation, &[9; 600], true));
    stream.extend(fragment(Opcode::Binary, &[9; 400], false));
    stream.extend(fragment(Opcode::Continuation, &[9; 601], false));
    stream.extend(fragment(Opcode::Continuation, &[9; 1], true));
    stream.extend(fragment(Opcode::Text, b"a", false));
    stream.extend(fragment(Opcode::Continuation, b"b", true));
    stream.extend(frame(Opcode::Pong, b""));
    stream.extend(frame(Opcode::Close, &1000_u16.to_be_bytes()));
    stream.extend(frame(Opcode::Binary, b"after the close"));
    let whole = decode(&[&stream]);
    assert_eq!(whole.1, Ok(()));
    assert_eq!(
        whole.0,
        [
            "binary 0 None",
            "binary 1 Some(7)",
            "binary 125 Some(7)",
            "binary 126 Some(7)",
            "binary 127 Some(7)",
            "binary 500 Some(7)",
            "binary 1000 Some(7)",
            "TooLong",
            "TooLong",
            "Text",
            "Ping([98, 101, 116, 119, 101, 101, 110])",
            "binary 1000 Some(9)",
            "TooLong",
            "Text",
            "Pong([])",
            "Close(Some(1000))",
        ]
    );
    for size in [1, 2, 3, 7, 64, 1000, 4096] {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        assert_eq!(decode(&pieces), whole, "in pieces of {size}");
    }
}

#[test]
fn breaking_the_protocol_is_told() {
    let unmasked = {
        let mut out = Vec::new();
        put_frame(&mut out, Opcode::Binary, b"x", None);
        out
    };
    let reserved = {
        let mut out = frame(Opcode::Binary, b"x");
        out[0] |= 0x40;
        out
    };
    let cases: [(Vec<u8>, ProtocolError); 12] = [
        (unmasked, ProtocolError::Mask),
        (reserved, ProtocolError::Reserved),
        (vec![0x83, 0x80], ProtocolError::Opcode),
        (vec![0x82, 0xfe, 0, 125], ProtocolError::Length),
        (vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], ProtocolError::Length),
        (vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], ProtocolError::Length),
        (vec![0x09, 0x80], ProtocolError::Control),
        (vec![0x89, 0xfe], ProtocolError::Control),
        (frame(Opcode::Continuation, b"x"), ProtocolError::Fragment),
        (
            [fragment(Opcode::Binary, b"x", false), frame(Opcode::Binary, b"y")].concat(),
            ProtocolError::Fragment,
        ),
        (frame(Opcode::Close, b"x"), ProtocolError::Close),
        (frame(Opcode::Close, &1005_u16.to_be_bytes()), ProtocolError::Close),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode(&[&bytes]).1, Err(error), "{bytes:02x?}");
        let singly: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode(&singly).1, Err(error), "{bytes:02x?} byte by byte");
    }
}

#[test]
fn a_client_takes_what_a_server_sends() {
    let mut out = Vec::new();
    put_frame(&mut out, Opcode::Binary, &[1; 70_000], None);
    put_close(&mut out, 1001, None);
    let mut seen = Vec::new();
    let mut decoder = Decoder::new(Role::Client, 70_000);
    decoder
        .decode(&mut out, |message| match message {
            Message::Binary(bytes) => seen.push(bytes.len()),
            Message::Close(code) => seen.push(usize::from(code.unwrap_or_default())),
            other => panic!("{other:?}"),
        })
        .expect("no error");
    assert_eq!(seen, [70_000, 1001]);
}

#[test]
fn masking_twice_changes_nothing() {
    for length in 0..40 {
        let plain: Vec<u8> = (0..length).collect();
        let mut bytes = plain.clone();
        apply_mask(&mut bytes, MASK);
        for (at, byte) in bytes.iter().enumerate() {
            assert_eq!(*byte, plain[at] ^ MASK[at % 4]);
        }
    }
}
