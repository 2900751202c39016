//! RFC 6455 over real sockets: what the codec's own table holds byte for byte, seen from a client and from its neighbour.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::Write as _;

use common::packet::{EXPERIMENTAL, frame, mac};
use common::{Guest, Relay, messages};
use netloom_proto::websocket::Opcode;

/// Zeros as mask: what is written is what is read.
const PLAIN: [u8; 4] = [0; 4];

/// Two guests whose addresses the switch knows.
fn pair(relay: &Relay) -> [Guest; 2] {
    let mut guests = [relay.guest(), relay.guest()];
    for (n, other) in [(0, 1), (1, 0)] {
        let hello = frame(common::packet::BROADCAST, mac(n as u8), EXPERIMENTAL, &[n as u8; 50]);
        guests[n].send(&hello);
        guests[other].expect("a hello", |frame| frame == hello);
    }
    guests
}

fn answers(guest: &mut Guest) {
    let seen = guest.pongs.len();
    guest.send_message(Opcode::Ping, b"still there?");
    while guest.pongs.len() == seen {
        assert!(guest.fill(), "the bystander's connection ended");
    }
}

#[test]
fn what_breaks_the_protocol_is_answered_by_1002_and_ends_that_client_only() {
    let relay = Relay::start(&[]);
    let mut bystander = relay.guest();
    let with_mask = |head: &[u8], payload: &[u8]| [head, &PLAIN, payload].concat();
    for (what, bytes) in [
        ("no mask", vec![0x82, 1, 0]),
        ("a reserved bit", with_mask(&[0xc2, 0x80], &[])),
        ("all reserved bits", with_mask(&[0xf2, 0x80], &[])),
        ("a reserved data opcode", with_mask(&[0x83, 0x80], &[])),
        ("a reserved control opcode", with_mask(&[0x8b, 0x80], &[])),
        ("a ping of 126 bytes", with_mask(&[0x89, 0xfe, 0, 126], &[0; 126])),
        ("a ping in fragments", with_mask(&[0x09, 0x80], &[])),
        ("a close of 1 byte", with_mask(&[0x88, 0x81], &[3])),
        ("close 1005", with_mask(&[0x88, 0x82], &1005_u16.to_be_bytes())),
        ("close 2999", with_mask(&[0x88, 0x82], &2999_u16.to_be_bytes())),
        ("a fragment of nothing", with_mask(&[0x80, 0x80], &[])),
        ("a message inside another", [with_mask(&[0x02, 0x80], &[]), with_mask(&[0x82, 0x80], &[])].concat()),
        ("125 in 16 bits", with_mask(&[0x82, 0xfe, 0, 125], &[0; 125])),
        ("65535 in 64 bits", with_mask(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], &[])),
        ("a length with the top bit", with_mask(&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], &[])),
    ] {
        let mut guest = relay.guest();
        guest.stream.write_all(&bytes).expect("sent");
        while guest.fill() {}
        assert_eq!(guest.closed, Some(Some(1002)), "{what}");
        answers(&mut bystander);
    }
}

#[test]
fn a_close_is_answered_with_its_code() {
    let relay = Relay::start(&[]);
    for (payload, answer) in [
        (vec![], 1000),
        (1000_u16.to_be_bytes().to_vec(), 1000),
        (b"\x03\xe9going away".to_vec(), 1001),
        (4999_u16.to_be_bytes().to_vec(), 4999),
    ] {
        let mut guest = relay.guest();
        guest.send_message(Opcode::Close, &payload);
        guest.send_message(Opcode::Ping, b"after the close");
        while guest.fill() {}
        assert_eq!((guest.closed, guest.pongs.len()), (Some(Some(answer)), 0), "{payload:02x?}");
    }
}

#[test]
fn pings_of_every_length_are_answered_in_order_and_between_fragments() {
    let relay = Relay::start(&[]);
    let [mut a, mut b] = pair(&relay);
    let sent = frame(mac(1), mac(0), EXPERIMENTAL, &[5; 200]);
    let mut payloads = Vec::new();
    let pieces: Vec<&[u8]> = sent.chunks(2).collect();
    for (n, piece) in pieces.iter().enumerate() {
        let opcode = if n == 0 { 2 } else { 0 };
        let fin = if n + 1 == pieces.len() { 0x80 } else { 0 };
        let head = [fin | opcode, 0x80 | u8::try_from(piece.len()).expect("short"), 0, 0, 0, 0];
        a.stream.write_all(&[&head[..], piece].concat()).expect("sent");
        let payload = vec![n as u8; n.min(125)];
        a.send_message(Opcode::Ping, &payload);
        a.send_message(Opcode::Pong, &payload);
        payloads.push(payload);
    }
    for payload in [vec![1; 124], vec![2; 125]] {
        a.send_message(Opcode::Ping, &payload);
        payloads.push(payload);
    }
    while a.pongs.len() < payloads.len() {
        assert!(a.fill(), "the connection ended");
    }
    assert_eq!(a.pongs, payloads);
    assert_eq!(b.expect("the frame", |frame| frame[6..12] == mac(0)), sent);
}

#[test]
fn frames_at_the_boundaries_of_the_length_arrive_however_they_are_cut() {
    let relay = Relay::start(&["--mtu", "65535"]);
    let [mut a, mut b] = pair(&relay);
    let frames: Vec<Vec<u8>> = [14, 125, 126, 127, 1514, 65_535, 65_536, 65_549]
        .map(|length: usize| frame(mac(1), mac(0), EXPERIMENTAL, &vec![length as u8; length - 14]))
        .into();
    let stream = messages(&frames);
    for piece_bytes in [1, 3, 1000, stream.len()] {
        // Byte by byte only the first, short ones: the long differ in nothing but their length.
        let (count, stream) =
            if piece_bytes < 10 { (5, messages(&frames[..5])) } else { (8, stream.clone()) };
        for piece in stream.chunks(piece_bytes) {
            a.stream.write_all(piece).expect("sent");
        }
        for sent in &frames[..count] {
            let got = b.expect("a frame", |frame| frame[6..12] == mac(0));
            assert!(got == *sent, "{} bytes in pieces of {piece_bytes}", sent.len());
        }
    }
}

#[test]
fn a_message_beyond_the_limit_in_fragments_is_skipped_and_the_next_one_read() {
    let relay = Relay::start(&[]);
    let [mut a, mut b] = pair(&relay);
    for opcode in [0x02, 0x00, 0x80] {
        let head = [&[opcode, 0xff][..], &70_000_u64.to_be_bytes(), &PLAIN].concat();
        a.stream.write_all(&head).expect("sent");
        a.stream.write_all(&[0; 70_000]).expect("sent");
    }
    let sent = frame(mac(1), mac(0), EXPERIMENTAL, b"after");
    a.send(&sent);
    assert_eq!(b.expect("the frame", |frame| frame[6..12] == mac(0)), sent);
}
