//! Which frames a capture shows, and how it ends.

#![allow(clippy::expect_used, reason = "a test")]

use std::task::{Context, Poll, Waker};

use hyper::body::Body as _;

use super::*;
use crate::lan::{Kind, Member};

const GATEWAY: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const GUEST: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);

fn frame(to: MacAddr, from: MacAddr, ethertype: u16, bytes: usize) -> Vec<u8> {
    [&to.0[..], &from.0, &ethertype.to_be_bytes(), &vec![0; bytes - 14]].concat()
}

fn wanted() -> Wanted {
    Wanted { port: None, filter: None, snap_bytes: SNAP_BYTES, max_bytes: None, max_frames: None }
}

fn members() -> (Member, Member) {
    let member = |port| Member::new(PortId::from_number(port), "peer".to_owned(), Kind::WebSocket);
    (member(1), member(2))
}

/// What there is to read, and whether the file has ended.
fn read(reader: &mut Reader) -> (Vec<u8>, bool) {
    let mut context = Context::from_waker(Waker::noop());
    let mut file = Vec::new();
    loop {
        match std::pin::Pin::new(&mut *reader).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => file.extend_from_slice(frame.data_ref().expect("data")),
            Poll::Ready(None) => return (file, true),
            Poll::Pending => return (file, false),
        }
    }
}

/// Types of a file's blocks, and the frames' original lengths.
fn blocks(file: &[u8]) -> (Vec<u32>, Vec<u32>) {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
    let (mut at, mut kinds, mut lengths) = (0, Vec::new(), Vec::new());
    while at < file.len() {
        kinds.push(word(at));
        if word(at) == 6 {
            lengths.push(word(at + 24));
        }
        at += word(at + 4) as usize;
    }
    (kinds, lengths)
}

#[test]
fn a_lan_shows_each_frame_once() {
    let captures = Captures::new(GATEWAY);
    let (a, b) = members();
    let (id, mut reader) = captures.begin(0, wanted()).expect("room");
    // From guest to guest, in and out; from the gateway to one and, as a group's frame, to both.
    captures.received(&a, &frame(OTHER, GUEST, 0x0800, 60));
    captures.sent(&b, &frame(OTHER, GUEST, 0x0800, 60));
    captures.sent(&a, &frame(GUEST, GATEWAY, 0x0800, 61));
    for member in [&a, &b] {
        captures.sent(member, &frame(MacAddr::BROADCAST, GATEWAY, 0x0806, 62));
    }
    captures.sent(&a, &frame(MacAddr::BROADCAST, GATEWAY, 0x0806, 62));
    captures.end(id);
    let (file, ended) = read(&mut reader);
    assert!(ended);
    let (kinds, lengths) = blocks(&file);
    assert_eq!(lengths, [60, 61, 62, 62]);
    assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 6, 6, 6, 5]);
}

#[test]
fn a_port_shows_both_its_ways_and_ends_with_it() {
    let captures = Captures::new(GATEWAY);
    let (a, b) = members();
    let filter = Filter::parse("arp").expect("right");
    let (_, mut reader) =
        captures.begin(0, Wanted { port: Some(a.port()), filter, ..wanted() }).expect("room");
    for bytes in [60, 61] {
        captures.received(&a, &frame(OTHER, GUEST, 0x0806, bytes));
        captures.sent(&a, &frame(GUEST, OTHER, 0x0806, bytes + 10));
        captures.sent(&a, &frame(GUEST, OTHER, 0x0800, 99));
        captures.received(&b, &frame(GUEST, OTHER, 0x0806, 98));
    }
    assert!(!read(&mut reader).1);
    captures.end_port(a.port());
    assert_eq!((captures.count(), read(&mut reader).1), (0, true));
}

#[test]
fn a_capture_ends_at_its_bounds() {
    let captures = Captures::new(GATEWAY);
    let (a, _) = members();
    let (_, mut few) = captures.begin(0, Wanted { max_frames: Some(2), ..wanted() }).expect("room");
    let (_, mut small) = captures.begin(0, Wanted { max_bytes: Some(1000), ..wanted() }).expect("room");
    for _ in 0..9 {
        captures.received(&a, &frame(GATEWAY, GUEST, 0x0800, 200));
    }
    assert_eq!(captures.count(), 0);
    assert_eq!(blocks(&read(&mut few).0).1.len(), 2);
    let (file, ended) = read(&mut small);
    assert!(ended && (500..=1000).contains(&file.len()), "{}", file.len());
}

#[test]
fn descriptions_and_statistics_are_part_of_the_largest_size() {
    let captures = Captures::new(GATEWAY);
    for max_bytes in (100..2000).step_by(4) {
        let (_, mut reader) =
            captures.begin(0, Wanted { max_bytes: Some(max_bytes), ..wanted() }).expect("room");
        for port in 0..20 {
            let member = Member::new(PortId::from_number(port), "peer".to_owned(), Kind::WebSocket);
            captures.received(&member, &frame(GATEWAY, GUEST, 0x0800, 60));
        }
        let (file, ended) = read(&mut reader);
        assert!(ended && file.len() as u64 <= max_bytes, "{} of {max_bytes} bytes", file.len());
        let kinds = blocks(&file).0;
        let count = |of| kinds.iter().filter(|kind| **kind == of).count();
        assert_eq!(count(1), count(5), "each interface has its statistics");
    }
}

#[test]
fn what_is_read_too_slowly_is_dropped_and_counted() {
    let captures = Captures::new(GATEWAY);
    let (a, _) = members();
    let (id, mut reader) = captures.begin(0, wanted()).expect("room");
    let sent = frame(GATEWAY, GUEST, 0x0800, 60_000);
    for _ in 0..100 {
        captures.received(&a, &sent);
    }
    captures.end(id);
    let (file, _) = read(&mut reader);
    let (kinds, lengths) = blocks(&file);
    let kept = lengths.len() as u64;
    assert!((1..100).contains(&kept), "{kept}");
    assert_eq!(kinds.last(), Some(&5));
    let dropped = (100 - kept).to_le_bytes();
    // isb_ifdrop: option 5 of 8 bytes.
    assert!(file.windows(12).any(|bytes| bytes[..4] == [5, 0, 8, 0] && bytes[4..] == dropped));
}

#[test]
fn a_reader_that_is_gone_ends_its_capture() {
    let captures = Captures::new(GATEWAY);
    let (a, _) = members();
    for _ in 0..MAX_CAPTURES {
        captures.begin(0, wanted()).expect("room");
    }
    let kept = captures.begin(0, wanted()).expect("those that nobody reads make room");
    captures.received(&a, &frame(GATEWAY, GUEST, 0x0800, 60));
    assert_eq!(captures.count(), 1);
    drop(kept);
    captures.received(&a, &frame(GATEWAY, GUEST, 0x0800, 60));
    assert_eq!(captures.count(), 0);
}
