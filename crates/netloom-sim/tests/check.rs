//! The packet checker finds what it is there to find: a conversation that is in order, and the same with one thing wrong.

use core::net::SocketAddr;

use netloom_core::Instant;
use netloom_sim::Checker;
use netloom_sim::packet::{Segment, flag, ip_frame, tcp, transport_checksum};
use netloom_sim::world::{GATEWAY_MAC, guest_address, guest_mac};

const MTU: u16 = 1500;

fn a() -> SocketAddr {
    SocketAddr::new(guest_address(0).into(), 4000)
}

fn b() -> SocketAddr {
    SocketAddr::new(guest_address(1).into(), 80)
}

fn segment(from_a: bool, flags: u8, seq: u32, ack: Option<u32>, window: u16, payload: &[u8]) -> Segment<'_> {
    let (source, destination) = if from_a { (a(), b()) } else { (b(), a()) };
    let mss = (flags & flag::SYN != 0).then_some(1000);
    Segment { source, destination, seq, ack, flags, window, mss, scale: None, options_bytes: 0, payload }
}

fn frame(segment: &Segment<'_>) -> Vec<u8> {
    carry(segment, &tcp(segment))
}

fn carry(segment: &Segment<'_>, tcp: &[u8]) -> Vec<u8> {
    ip_frame((guest_mac(0), GATEWAY_MAC), (segment.source.ip(), segment.destination.ip()), 6, tcp)
}

/// A conversation in order up to the middle: handshake, 600 bytes from `a` (seq 101), acknowledged by `b` (seq 501, window 2000).
fn conversation() -> Checker {
    let mut checker = Checker::new(true);
    for step in [
        segment(true, flag::SYN, 100, None, 4000, &[]),
        segment(false, flag::SYN, 500, Some(101), 2000, &[]),
        segment(true, 0, 101, Some(501), 4000, &[]),
        segment(true, 0, 101, Some(501), 4000, &[7; 600]),
        segment(false, 0, 501, Some(701), 2000, &[]),
    ] {
        pass(&mut checker, &step);
    }
    checker.assert_clean();
    checker
}

fn send(checker: &mut Checker, segment: &Segment<'_>) {
    checker.sent(Instant::ZERO, &frame(segment), MTU);
}

fn pass(checker: &mut Checker, segment: &Segment<'_>) {
    send(checker, segment);
    checker.received(&frame(segment));
}

/// One more step after the conversation, and what must be said about it; nothing if it is allowed.
fn judge(step: &Segment<'_>, expected: Option<&str>) {
    let mut checker = conversation();
    send(&mut checker, step);
    match (expected, checker.violations()) {
        (None, []) => {}
        (Some(expected), [found]) if found.contains(expected) => {}
        (expected, found) => panic!("{step:?}: expected {expected:?}, found {found:?}"),
    }
}

#[test]
fn what_is_allowed() {
    judge(&segment(true, 0, 701, Some(501), 4000, &[8; 1000]), None);
    judge(&segment(true, 0, 101, Some(501), 4000, &[7; 600]), None);
    judge(&segment(true, 0, 401, Some(501), 4000, &[7; 600]), None);
    judge(&segment(true, flag::FIN, 701, Some(501), 4000, &[]), None);
    judge(&segment(true, 0, 700, Some(501), 4000, &[]), None);
    judge(&segment(true, 0, 700, Some(501), 4000, &[0]), None);
    judge(&segment(false, 0, 501, Some(701), 3000, b"answer"), None);
    judge(&segment(true, flag::RST, 701, Some(501), 0, &[]), None);
}

#[test]
fn what_is_not() {
    judge(&segment(true, 0, 701, Some(501), 4000, &[8; 1001]), Some("MSS 1000"));
    judge(&segment(true, 0, 101, Some(501), 4000, &[9; 600]), Some("not those sent before"));
    judge(&segment(true, 0, 650, Some(501), 4000, &[9; 60]), Some("not those sent before"));
    judge(&segment(true, 0, 801, Some(501), 4000, &[8; 10]), Some("leaves a gap"));
    judge(&segment(true, 0, 701, Some(502), 4000, &[]), Some("acknowledges position 2, received only 1"));
    judge(&segment(true, 0, 701, Some(501), 3999, &[]), Some("right edge shrank"));
    judge(&segment(true, flag::FIN, 600, Some(501), 4000, &[7]), Some("FIN at"));
    judge(&segment(true, flag::SYN, 99, Some(501), 4000, &[]), Some("another sequence number"));
    judge(&segment(true, 0, 701, None, 4000, &[]), Some("neither SYN, RST nor ACK"));
    judge(&segment(true, flag::SYN | flag::FIN, 100, Some(501), 4000, &[]), Some("SYN and FIN"));
}

#[test]
fn the_window_ends_where_the_peer_said() {
    let mut checker = conversation();
    // 701 + 2000 is the edge: two full segments fit, the third does not.
    for seq in [701, 1701] {
        send(&mut checker, &segment(true, 0, seq, Some(501), 4000, &[8; 1000]));
    }
    checker.assert_clean();
    send(&mut checker, &segment(true, 0, 2701, Some(501), 4000, &[8]));
    checker.assert_clean();
    send(&mut checker, &segment(true, 0, 2701, Some(501), 4000, &[8, 8]));
    assert!(checker.violations()[0].contains("the peer's window ends at"), "{:?}", checker.violations());
}

#[test]
fn an_announcement_that_was_lost_is_not_known() {
    let mut checker = conversation();
    // `b` opens its window, but `a` never hears of it.
    send(&mut checker, &segment(false, 0, 501, Some(701), 4000, &[]));
    for seq in [701, 1701, 2701] {
        send(&mut checker, &segment(true, 0, seq, Some(501), 4000, &[8; 1000]));
    }
    assert_eq!(checker.violations().len(), 1, "{:?}", checker.violations());
}

#[test]
fn nothing_follows_a_fin_or_a_reset() {
    let mut checker = conversation();
    send(&mut checker, &segment(true, flag::FIN, 701, Some(501), 4000, &[]));
    send(&mut checker, &segment(true, 0, 702, Some(501), 4000, &[]));
    checker.assert_clean();
    send(&mut checker, &segment(true, 0, 701, Some(501), 4000, &[1, 2]));
    assert!(checker.violations()[0].contains("after a FIN"), "{:?}", checker.violations());

    let mut checker = conversation();
    send(&mut checker, &segment(true, flag::RST, 701, Some(501), 0, &[]));
    send(&mut checker, &segment(true, 0, 701, Some(501), 4000, &[1]));
    assert!(checker.violations()[0].contains("after its sender's RST"), "{:?}", checker.violations());
}

#[test]
fn scaled_windows_count_in_full_but_not_in_the_syn() {
    let mut checker = Checker::new(true);
    let scaled = |mut s: Segment<'static>, scale| {
        s.scale = Some(scale);
        s
    };
    let mut raw = |s: &Segment<'static>| {
        // The writer of test frames has no window scale option: it stands here by hand, as NOP, kind 3, length 3.
        let mut tcp = tcp(&Segment { mss: None, ..s.clone() });
        let options = [1, 3, 3, s.scale.unwrap_or(0)];
        if s.scale.is_some() {
            tcp.splice(20..20, options);
            tcp[12] = 6 << 4;
        }
        tcp[16..18].fill(0);
        let sum = transport_checksum(s.source.ip(), s.destination.ip(), 6, &tcp);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        let frame = carry(s, &tcp);
        checker.sent(Instant::ZERO, &frame, MTU);
        checker.received(&frame);
    };
    raw(&scaled(segment(true, flag::SYN, 100, None, 1000, &[]), 3));
    raw(&scaled(segment(false, flag::SYN, 500, Some(101), 1000, &[]), 2));
    raw(&segment(true, 0, 101, Some(501), 125, &[]));
    // 125 << 3 is 1000, as announced; 124 << 3 is less.
    raw(&segment(true, 0, 101, Some(501), 124, &[]));
    assert_eq!(checker.violations().len(), 1, "{:?}", checker.violations());
    assert!(checker.violations()[0].contains("shrank from 1001 to 993"), "{:?}", checker.violations());
}

#[test]
fn damage_is_found_in_every_layer() {
    let good = frame(&segment(true, flag::SYN, 100, None, 1000, &[]));
    let damage = |at: usize, mask: u8| {
        let mut frame = good.clone();
        frame[at] ^= mask;
        let mut checker = Checker::new(true);
        checker.sent(Instant::ZERO, &frame, MTU);
        checker.violations().join("")
    };
    assert!(damage(18, 1).contains("IPv4 header checksum"));
    assert!(damage(50, 1).contains("TCP checksum"));
    assert!(damage(16, 0x40).contains("total"));
    assert!(damage(5, 1).is_empty(), "another destination is no damage");
    let mut checker = Checker::new(true);
    checker.sent(Instant::ZERO, &good, 40);
    assert!(checker.violations()[0].contains("MTU 40"));
}
