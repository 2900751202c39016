//! Initial sequence numbers: of the clock, of the addresses and of a secret (RFC 9293 3.4.1, RFC 6528 3).

#![expect(clippy::expect_used, reason = "what fails here fails a test")]

use core::net::{Ipv4Addr, SocketAddrV4};

use netloom_core::{Duration, Event, Instant, Lan, PortConfig, PortId};
use netloom_sim::packet::{self, Ipv4, Packet, Segment, ethernet, flag};
use netloom_sim::world::{GATEWAY_MAC, guest_address, guest_mac, lan_config};

const TARGET: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(93, 184, 216, 34), 80);

/// The number that the machine begins a connection with, from this port of the guest and with this secret.
fn isn(seed: u8, now: Instant, guest_port: u16, target: SocketAddrV4) -> u32 {
    let mut lan = Lan::new(lan_config(1500), [seed; 32]);
    let port = lan.open_port(PortConfig::default());
    dial(&mut lan, port, now, guest_port, target)
}

fn dial(lan: &mut Lan, port: PortId, now: Instant, guest_port: u16, target: SocketAddrV4) -> u32 {
    let syn = Segment {
        source: SocketAddrV4::new(guest_address(0), guest_port).into(),
        destination: target.into(),
        seq: 7,
        ack: None,
        flags: flag::SYN,
        window: 1000,
        mss: None,
        scale: None,
        options_bytes: 0,
        payload: &[],
    };
    let syn = Ipv4::new(guest_address(0), *target.ip(), 6).packet(&packet::tcp(&syn));
    lan.handle_frame(now, port, &ethernet(GATEWAY_MAC, guest_mac(0), 0x0800, &syn));
    while let Some(event) = lan.poll_event() {
        if let Event::Open { id, .. } = event {
            lan.accept(now, id);
        }
    }
    let mut found = None;
    while let Some(port) = lan.poll_port() {
        while let Some(frame) = lan.poll_frame(now, port) {
            if let Ok(Packet::Tcp(segment)) = packet::read(frame, true) {
                found = Some(segment.seq);
            }
        }
    }
    found.expect("a SYN-ACK")
}

#[test]
fn numbers_move_by_one_every_four_microseconds() {
    let start = Instant::from_us(1_000_000);
    let first = isn(1, start, 40_000, TARGET);
    for us in [4, 400, 4_000_000, 4_000_000_000] {
        let later = isn(1, start + Duration::from_micros(us), 40_000, TARGET);
        assert_eq!(later.wrapping_sub(first), (us / 4) as u32);
    }
}

#[test]
fn numbers_of_other_addresses_or_ports_tell_nothing() {
    let now = Instant::from_us(1_000_000);
    let others = [
        (40_001, TARGET),
        (40_000, SocketAddrV4::new(*TARGET.ip(), 81)),
        (40_000, SocketAddrV4::new(Ipv4Addr::new(93, 184, 216, 35), 80)),
    ];
    // The same addresses differ in another way under another secret: one number does not give away the next.
    let steps = |seed| {
        let first = isn(seed, now, 40_000, TARGET);
        others.map(|(port, target)| isn(seed, now, port, target).wrapping_sub(first))
    };
    let (one, other) = (steps(1), steps(2));
    for (a, b) in one.iter().zip(other) {
        assert_ne!(*a, b);
        assert!(!(0..1000).contains(a) && !(0..1000).contains(&a.wrapping_neg()), "{a}");
    }
}

#[test]
fn numbers_are_those_of_the_secret() {
    let now = Instant::from_us(1_000_000);
    assert_eq!(isn(1, now, 40_000, TARGET), isn(1, now, 40_000, TARGET));
    let mut seen: Vec<u32> = (0..100).map(|seed| isn(seed, now, 40_000, TARGET)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 100);
}
