//! What hostile or broken clients send: the relay goes on serving the others, within bounds.
//!
//! The table of what other relays do not survive, with the test for each row, opens the relay's `tests/switching.rs`;
//! here the clients have namespaces of their own, and the relay has no loopback to share with them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use netloom_interop::client::Client;
use netloom_interop::frame::{self, BROADCAST, Mac, Route, mac};
use netloom_interop::lab::{BLACK_HOLE, GATEWAY, Lab};
use netloom_interop::process::Process;
use netloom_interop::transfer::{Kind, Pattern, transfer};
use netloom_interop::websocket::{Handshake, Opcode, ask, encode};

const PATIENCE: Duration = Duration::from_secs(5);
const MIB: u64 = 1 << 20;
const TEST_ETHERTYPE: u16 = 0x88b5;

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 86, number)
}

fn join(lab: &Lab) -> Client {
    Client::connect(&lab.host, lab.relay.address(), "/").unwrap()
}

/// A newcomer is served: the relay and its LAN are alive.
fn assert_serves(lab: &mut Lab) {
    assert!(lab.relay.is_running(), "the relay ended: {:?}", lab.relay.output());
    let mut client = join(lab);
    client.resolve(mac(0xffff), address(90), GATEWAY).unwrap();
}

/// Waits until `done` holds; how long it takes is not judged.
fn settles(done: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !done() {
        if Instant::now() > deadline {
            return false;
        }
        thread::yield_now();
    }
    true
}

#[test]
fn messages_of_odd_lengths_leave_the_relay_serving() {
    let mut lab = Lab::new(&[]).unwrap();
    for length in [0, 1, 6, 12, 13, 14, 17_000, 65_549, 65_550, 70_000] {
        let mut client = join(&lab);
        client.send(&vec![0xa5; length]).unwrap();
        client.send(&vec![0xff; length]).unwrap();
        assert_serves(&mut lab);
    }
}

#[test]
fn a_message_that_is_no_frame_costs_only_itself() {
    let lab = Lab::new(&[]).unwrap();
    let mut client = join(&lab);
    for length in [0, 1, 12, 13] {
        client.send(&vec![0; length]).unwrap();
    }
    client.resolve(mac(1), address(51), GATEWAY).unwrap();
}

#[test]
fn garbage_frames_leave_the_relay_serving() {
    let mut lab = Lab::new(&[]).unwrap();
    let mut client = join(&lab);
    let gateway = client.resolve(mac(1), address(51), GATEWAY).unwrap();
    let mut pattern = Pattern::new(5);
    let route = Route {
        source_mac: mac(1),
        destination_mac: gateway,
        source: address(51),
        destination: Ipv4Addr::new(10, 77, 0, 2),
    };
    for round in 0..20_000 {
        let mut frame = match round % 4 {
            0 => vec![0; 14 + pattern.below(1500)],
            1 => frame::syn(route, 1000, 80, 7),
            2 => frame::udp(route, 68, 67, &[0; 300]),
            _ => frame::arp_request(mac(1), address(51), GATEWAY),
        };
        if round % 4 == 0 {
            pattern.fill(&mut frame);
            frame[..6].copy_from_slice(&gateway);
        }
        for _ in 0..4 {
            let at = 12 + pattern.below(frame.len() - 12);
            frame[at] = pattern.next_u64() as u8;
        }
        frame.truncate(frame.len() - pattern.below(8) * usize::from(round % 3 == 0));
        client.send(&frame).unwrap();
    }
    assert_serves(&mut lab);
    assert!(lab.relay.resident_bytes().unwrap() < 128 * MIB);
}

#[test]
fn ip_fragments_are_put_together_and_lone_ones_are_bounded() {
    let mut lab = Lab::new(&[]).unwrap();
    let mut client = join(&lab);
    let gateway = client.resolve(mac(1), address(51), GATEWAY).unwrap();
    let route =
        Route { source_mac: mac(1), destination_mac: gateway, source: address(51), destination: GATEWAY };
    let message = frame::echo_message(77, 1, &[7; 2000]);
    client.send(&frame::ipv4(route, 1, 125, 9, &message[1000..])).unwrap();
    client.send(&frame::ipv4(route, 1, 0x2000, 9, &message[..1000])).unwrap();
    // The answer is larger than the MTU and comes in fragments too: the first tells that the request was whole.
    client.expect(PATIENCE, |frame| frame::echo_reply(frame, 77).map(|_| ())).unwrap();
    let before = lab.relay.resident_bytes().unwrap();
    for identification in 0..20_000_u32 {
        client.send(&frame::ipv4(route, 1, 0x2000, identification as u16, &[0; 1400])).unwrap();
    }
    assert_serves(&mut lab);
    let grown = lab.relay.resident_bytes().unwrap().saturating_sub(before);
    assert!(grown < 32 * MIB, "{grown} bytes for lone fragments");
}

#[test]
fn websocket_fragments_and_pings_are_taken_as_the_protocol_has_them() {
    let lab = Lab::new(&[]).unwrap();
    let mut client = join(&lab);
    let request = frame::arp_request(mac(1), address(51), GATEWAY);
    let mut bytes = Vec::new();
    encode(&mut bytes, false, Opcode::Binary, 1, &request[..10]);
    encode(&mut bytes, true, Opcode::Ping, 2, b"between");
    encode(&mut bytes, false, Opcode::Continuation, 3, &[]);
    encode(&mut bytes, true, Opcode::Continuation, 4, &request[10..]);
    for piece in bytes.chunks(3) {
        client.send_raw(piece).unwrap();
    }
    client.expect(PATIENCE, |frame| frame::arp_reply_from(frame, GATEWAY)).unwrap();
    assert_eq!(client.pongs(), [b"between".to_vec()]);
}

#[test]
fn broken_framing_ends_that_client_only() {
    let mut lab = Lab::new(&[]).unwrap();
    let unmasked = [0x82, 1, 0];
    let reserved_bits = [0xf2, 0x80, 0, 0, 0, 0];
    let reserved_opcode = [0x83, 0x80, 0, 0, 0, 0];
    let long_ping = [&[0x89, 0xfe, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat();
    let stray = [0x80, 0x80, 0, 0, 0, 0];
    for bytes in [&unmasked[..], &reserved_bits, &reserved_opcode, &long_ping, &stray] {
        let mut client = join(&lab);
        client.send_raw(bytes).unwrap();
        let end = client.receive_to_the_end(PATIENCE);
        assert!(end.is_ok(), "{bytes:02x?} was not answered with an end: {end:?}");
        assert_serves(&mut lab);
    }
}

#[test]
fn a_message_without_end_is_skipped_not_held() {
    let mut lab = Lab::new(&[]).unwrap();
    let mut client = join(&lab);
    client.resolve(mac(1), address(51), GATEWAY).unwrap();
    let before = lab.relay.resident_bytes().unwrap();
    client.send_raw(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).unwrap();
    for _ in 0..64 {
        client.send_raw(&vec![0; MIB as usize]).unwrap();
    }
    assert_serves(&mut lab);
    let grown = lab.relay.resident_bytes().unwrap().saturating_sub(before);
    assert!(grown < 32 * MIB, "{grown} bytes for one message without end");
}

#[test]
fn foreign_origins_and_hosts_are_refused() {
    let lab = Lab::new(&["--origin", "https://good.example"]).unwrap();
    let status = |handshake: Handshake| {
        let mut stream = lab.host.connect(lab.relay.address(), PATIENCE).unwrap().unwrap();
        ask(&mut stream, &handshake).unwrap().status
    };
    assert_eq!(status(Handshake::to("/")), 101);
    assert_eq!(status(Handshake::to("/").from_origin("https://good.example")), 101);
    assert_eq!(status(Handshake::to("/").for_host("localhost")), 101);
    for origin in ["http://evil.example", "null", "https://good.example.evil.example"] {
        assert_eq!(status(Handshake::to("/").from_origin(origin)), 403, "{origin}");
    }
    let rebound = status(Handshake::to("/").for_host("evil.example"));
    assert!((400..500).contains(&rebound), "{rebound}");
}

fn numbered(destination: Mac, source: Mac, number: u32, length: usize) -> Vec<u8> {
    let mut payload = vec![0; length];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    frame::ethernet(destination, source, TEST_ETHERTYPE, &payload)
}

fn number_of(frame: &[u8]) -> Option<u32> {
    let is_test = frame.get(12..14)? == TEST_ETHERTYPE.to_be_bytes();
    frame.get(14..18)?.try_into().ok().filter(|_| is_test).map(u32::from_be_bytes)
}

/// Sends `rounds` frames from `a` to `b` and back, one at a time; every one must arrive.
fn ping_pong(a: (&mut Client, Mac), b: (&mut Client, Mac), rounds: u32) {
    for number in 0..rounds {
        a.0.send(&numbered(b.1, a.1, number, 200)).unwrap();
        b.0.expect(PATIENCE, |frame| (number_of(frame)? == number).then_some(())).unwrap();
        b.0.send(&numbered(a.1, b.1, number, 200)).unwrap();
        a.0.expect(PATIENCE, |frame| (number_of(frame)? == number).then_some(())).unwrap();
    }
}

/// Floods `target` from a client of its own while `work` runs, and some time before.
fn while_flooded(lab: &Lab, target: Mac, work: impl FnOnce()) {
    let stop = Arc::new(AtomicBool::new(false));
    let mut flooder = join(lab);
    let (begun, begins) = mpsc::channel();
    let flood = thread::spawn({
        let stop = stop.clone();
        move || {
            let frame = numbered(target, mac(0xf100d), u32::MAX, 1400);
            let mut sent = 0_u64;
            while !stop.load(Ordering::Relaxed) && flooder.send(&frame).is_ok() {
                sent += 1;
                if sent == 1000 {
                    begun.send(()).unwrap();
                }
            }
        }
    });
    begins.recv_timeout(PATIENCE).expect("a flood of frames");
    work();
    stop.store(true, Ordering::Relaxed);
    flood.join().unwrap();
}

#[test]
fn a_stalled_reader_takes_nothing_from_a_busy_pair() {
    let lab = Lab::new(&[]).unwrap();
    let (mut a, mut b) = (join(&lab), join(&lab));
    let mut stalled = Client::connect_narrow(&lab.host, lab.relay.address(), "/").unwrap();
    stalled.resolve(mac(3), address(53), GATEWAY).unwrap();
    a.resolve(mac(1), address(51), GATEWAY).unwrap();
    b.resolve(mac(2), address(52), GATEWAY).unwrap();
    let before = lab.relay.resident_bytes().unwrap();
    while_flooded(&lab, mac(3), || ping_pong((&mut a, mac(1)), (&mut b, mac(2)), 5000));
    let grown = lab.relay.resident_bytes().unwrap().saturating_sub(before);
    assert!(grown < 32 * MIB, "{grown} bytes for one stalled reader");
    drop(stalled);
}

#[test]
fn a_client_killed_at_full_rate_takes_nobody_along() {
    let mut lab = Lab::new(&[]).unwrap();
    for round in 0..5 {
        let victim_mac = mac(100 + round);
        let mut victim = join(&lab);
        victim.resolve(victim_mac, address(60), GATEWAY).unwrap();
        while_flooded(&lab, victim_mac, || {
            for _ in 0..1000 {
                victim.expect(PATIENCE, number_of).unwrap();
            }
            victim.reset().unwrap();
        });
        assert_serves(&mut lab);
    }
    let (mut a, mut b) = (join(&lab), join(&lab));
    a.resolve(mac(1), address(51), GATEWAY).unwrap();
    b.resolve(mac(2), address(52), GATEWAY).unwrap();
    ping_pong((&mut a, mac(1)), (&mut b, mac(2)), 100);
}

#[test]
fn two_hundred_idle_clients_cost_little_and_leave_nothing() {
    let lab = Lab::new(&[]).unwrap();
    drop(join(&lab));
    let relay: &Process = &lab.relay;
    let files_before = relay.open_files().unwrap();
    let clients: Vec<_> = (0..200).map(|_| join(&lab)).collect();
    let resident = relay.resident_bytes().unwrap();
    assert!(resident < 64 * MIB, "{resident} bytes with 200 clients");
    assert!(relay.open_files().unwrap() >= files_before.saturating_sub(1) + 200);
    drop(clients);
    assert!(
        settles(|| relay.open_files().unwrap() <= files_before),
        "files stay open after the clients left"
    );
}

#[test]
fn half_open_connections_are_bounded() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    let mut client = join(&lab);
    let gateway = client.resolve(mac(1), address(51), GATEWAY).unwrap();
    let before = lab.relay.resident_bytes().unwrap();
    for number in 0..20_000_u32 {
        let open = number % 2 == 0;
        let target = if open { lab.transfers.address() } else { SocketAddr::from((BLACK_HOLE, 80)) };
        let SocketAddr::V4(target) = target else { panic!("an IPv4 server") };
        let route = Route {
            source_mac: mac(1),
            destination_mac: gateway,
            source: address(51),
            destination: *target.ip(),
        };
        client.send(&frame::syn(route, 1024 + number as u16 % 60_000, target.port(), number)).unwrap();
    }
    transfer(&guest.namespace, lab.transfers.address(), Kind::Download, MIB, 1).unwrap();
    let grown = lab.relay.resident_bytes().unwrap().saturating_sub(before);
    assert!(grown < 64 * MIB, "{grown} bytes for half-open connections");
    assert!(lab.relay.open_files().unwrap() < 5000);
}

#[test]
fn a_guest_with_many_black_holed_dials_delays_no_other_guest() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    let mut client = join(&lab);
    let gateway = client.resolve(mac(1), address(51), GATEWAY).unwrap();
    let route =
        Route { source_mac: mac(1), destination_mac: gateway, source: address(51), destination: BLACK_HOLE };
    for number in 0..500 {
        client.send(&frame::syn(route, 2000 + number, 80, 1)).unwrap();
    }
    // The answer comes after the relay has taken in every SYN.
    client.resolve(mac(1), address(51), GATEWAY).unwrap();
    for _ in 0..20 {
        let open = guest.namespace.connect(lab.transfers.address(), Duration::from_secs(1)).unwrap();
        open.expect("a connection beside another guest's black-holed dials");
    }
}

#[test]
fn dhcp_answers_a_hand_made_client_by_broadcast() {
    let lab = Lab::new(&[]).unwrap();
    let mut client = join(&lab);
    client.send(&frame::dhcp_discover(mac(9), 0xfeed)).unwrap();
    let (offer, to) = client
        .expect(PATIENCE, |frame| Some((frame::dhcp_offer(frame, 0xfeed)?, frame[..6].to_vec())))
        .unwrap();
    assert_eq!(to, BROADCAST);
    assert!(offer.octets()[3] >= 100, "{offer} is not in the pool");
}
