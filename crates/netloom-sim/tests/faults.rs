//! The faults of smoltcp that other tests forgive, each by itself. A test that fails here says that smoltcp is mended: then what forgives
//! the fault goes.

#![expect(clippy::expect_used, reason = "what fails here fails a test")]

use core::net::SocketAddrV4;

use netloom_core::{Duration, Instant, MacAddr};
use netloom_sim::guest::smoltcp::SmoltcpHostConfig;
use netloom_sim::packet::{Ipv4, Packet, Segment, arp, ethernet, flag, read, tcp};
use netloom_sim::world::{guest_address, guest_mac, run_pair};
use netloom_sim::{Checker, Host, Link, LinkConfig, Plan, SmoltcpHost};

fn host(n: u8, buffer_bytes: usize) -> SmoltcpHost {
    SmoltcpHost::new(SmoltcpHostConfig {
        mac: guest_mac(n),
        address: Some((guest_address(n).into(), 24)),
        router: None,
        slaac: false,
        mtu: 1500,
        buffer_bytes,
        checksums: true,
        seed: u64::from(n),
    })
}

/// The frame of a segment from guest 1 to guest 0.
fn segment(flags: u8, seq: u32, ack: Option<u32>) -> Vec<u8> {
    let message = tcp(&Segment {
        source: SocketAddrV4::new(guest_address(1), 5000).into(),
        destination: SocketAddrV4::new(guest_address(0), 80).into(),
        seq,
        ack,
        flags,
        window: 10_000,
        mss: (flags & flag::SYN > 0).then_some(1000),
        scale: None,
        options_bytes: 0,
        payload: &[],
    });
    let packet = Ipv4::new(guest_address(1), guest_address(0), 6).packet(&message);
    ethernet(guest_mac(0), guest_mac(1), 0x0800, &packet)
}

/// The flags and sequence numbers of the segments that leave now.
fn segments(host: &mut SmoltcpHost, now: Instant) -> Vec<(u8, u32)> {
    let frames: Vec<_> = std::iter::from_fn(|| host.poll_frame(now)).collect();
    let segment = |frame: &Vec<u8>| match read(frame, true).expect("a frame") {
        Packet::Tcp(segment) => Some((segment.flags, segment.seq)),
        _ => None,
    };
    frames.iter().filter_map(segment).collect()
}

#[test]
fn three_duplicate_acknowledgments_stop_the_timer_of_a_lone_fin() {
    let mut host = host(0, 4096);
    host.listen(80, Plan::both(0, 0), 1);
    let mut now = Instant::from_us(1_000_000);
    let known = arp(1, (guest_mac(1), guest_address(1)), (MacAddr::default(), guest_address(0)));
    host.handle_frame(now, &ethernet(MacAddr::BROADCAST, guest_mac(1), 0x0806, &known));
    host.handle_frame(now, &segment(flag::SYN, 100, None));
    let syn_ack = segments(&mut host, now);
    let [(flags, iss)] = syn_ack[..] else { panic!("{syn_ack:?}") };
    assert_eq!(flags, flag::SYN | flag::ACK);
    let ack = Some(iss.wrapping_add(1));
    host.handle_frame(now, &segment(flag::ACK, 101, ack));
    // The program has nothing to say: its FIN follows at once, and again as long as nobody acknowledges it.
    let fin = (flag::FIN | flag::ACK, iss.wrapping_add(1));
    assert_eq!(segments(&mut host, now), [fin]);
    now = host.poll_timeout(now).expect("a retransmission timer");
    assert_eq!(segments(&mut host, now), [fin]);
    assert_eq!(host.lost_fin_timers(now), 0);
    for _ in 0..3 {
        host.handle_frame(now, &segment(flag::ACK, 101, ack));
        assert_eq!(segments(&mut host, now), []);
    }
    assert_eq!(host.poll_timeout(now), None);
    assert_eq!(segments(&mut host, now + Duration::from_secs(86_400)), []);
    assert_eq!(host.lost_fin_timers(now), 1);
}

#[test]
fn windows_are_rounded_down() {
    let (mut a, mut b) = (host(0, 1 << 20), host(1, 1 << 20));
    let plan = Plan::both(1_000_000, 1_000_000);
    b.listen(80, plan, 1);
    a.connect(SocketAddrV4::new(guest_address(1), 80), plan);
    let mut links = [Link::new(LinkConfig::default(), 1), Link::new(LinkConfig::default(), 2)];
    let mut checker = Checker::new(true);
    checker.excuse_rounding(guest_address(0));
    checker.excuse_rounding(guest_address(1));
    let done = |a: &SmoltcpHost, b: &SmoltcpHost| a.finished().len() + b.finished().len() == 2;
    let until = Instant::from_us(60_000_000);
    let (ended, at) = run_pair((&mut a, &mut b), &mut links, &mut checker, 1500, until, done);
    assert!(ended, "at {at}");
    checker.assert_clean();
    assert!(checker.rounded_windows() > 0);
}
