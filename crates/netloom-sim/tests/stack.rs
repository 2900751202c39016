//! The stack around TCP: ARP, ICMP, fragments, UDP, as a guest meets them (RFC 826, 792, 1122, 791, 768, 5927).

use core::net::{Ipv4Addr, SocketAddrV4};

use netloom_core::{Drop, Duration, Event, FlowId, LanConfig, MacAddr, PortId, Protocol, Refusal};
use netloom_sim::packet::{self, Ipv4, Packet, Segment, arp, ethernet, flag, icmp, read, tcp, udp};
use netloom_sim::world::{GATEWAY, GATEWAY_MAC, VIRTUAL, guest_address, guest_mac, lan_config};
use netloom_sim::{Probe, Rng};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);

fn one_guest() -> (Probe, PortId) {
    let mut probe = Probe::new(lan_config(1500));
    let port = probe.port();
    // The guest makes itself known, as every guest does by ARP for its router.
    probe.send(port, &arp_for(GATEWAY, 0));
    probe.receive(port);
    (probe, port)
}

fn arp_for(address: Ipv4Addr, guest: u8) -> Vec<u8> {
    let sender = (guest_mac(guest), guest_address(guest));
    ethernet(MacAddr::BROADCAST, guest_mac(guest), 0x0806, &arp(1, sender, (MacAddr::default(), address)))
}

fn ip(protocol: u8, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    ethernet(GATEWAY_MAC, guest_mac(0), 0x0800, &Ipv4::new(guest_address(0), to, protocol).packet(payload))
}

fn datagram(to: Ipv4Addr, port: u16, data: &[u8]) -> Vec<u8> {
    let from = SocketAddrV4::new(guest_address(0), 5000);
    ip(17, to, &udp(from, SocketAddrV4::new(to, port), data))
}

fn opened(probe: &mut Probe) -> Vec<(FlowId, Protocol)> {
    let open = |event| if let Event::Open { id, protocol, .. } = event { Some((id, protocol)) } else { None };
    probe.events().into_iter().filter_map(open).collect()
}

/// The only frame, as ICMP: type, code, and what follows the first eight bytes.
fn only_icmp(frames: &[Vec<u8>]) -> (u8, u8, Vec<u8>) {
    assert_eq!(frames.len(), 1, "{frames:02x?}");
    match read(&frames[0], true) {
        Ok(Packet::Icmp(_, _, message)) => (message[0], message[1], message[8..].to_vec()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn arp_is_answered_for_the_gateway_and_for_what_it_stands_for() {
    let (mut probe, port) = one_guest();
    for address in [GATEWAY, VIRTUAL, OUTSIDE] {
        let frames = probe.ask(port, &arp_for(address, 0));
        assert_eq!(frames.len(), 1, "{address}");
        let Ok(Packet::Arp(2, mac, sender, target)) = read(&frames[0], true) else { panic!("{frames:02x?}") };
        assert_eq!((mac, sender, target), (GATEWAY_MAC, address, guest_address(0)));
    }
}

#[test]
fn arp_is_silent_about_guests() {
    let (mut probe, port) = one_guest();
    let other = probe.port();
    // The other guest answers for itself, or nobody does.
    for address in [guest_address(1), guest_address(0)] {
        assert!(probe.ask(port, &arp_for(address, 0)).is_empty(), "{address}");
        assert_eq!(probe.receive(other).len(), 1, "the question is passed on");
    }
    // A probe for an address nobody uses yet (RFC 5227) must not be answered either.
    let ask = arp(1, (guest_mac(0), Ipv4Addr::UNSPECIFIED), (MacAddr::default(), guest_address(7)));
    assert!(probe.ask(port, &ethernet(MacAddr::BROADCAST, guest_mac(0), 0x0806, &ask)).is_empty());
}

#[test]
fn the_gateway_answers_ping() {
    let (mut probe, port) = one_guest();
    for address in [GATEWAY, VIRTUAL] {
        for length in [0, 1, 56, 1472] {
            let payload = vec![0x61; length];
            let (kind, code, data) =
                only_icmp(&probe.ask(port, &ip(1, address, &icmp(8, 0, 0x0007_0001, &payload))));
            assert_eq!((kind, code, data), (0, 0, payload), "{address} {length}");
        }
    }
    assert_eq!(probe.lan.flows(), 0);
}

#[test]
fn a_ping_outside_is_a_flow_and_its_reply_comes_back() {
    let (mut probe, port) = one_guest();
    let frames = probe.ask(port, &ip(1, OUTSIDE, &icmp(8, 0, 0x0042_0001, b"hello")));
    assert!(frames.is_empty(), "the outside has not answered");
    let flows = opened(&mut probe);
    assert_eq!(flows.len(), 1);
    let (id, protocol) = flows[0];
    assert_eq!(protocol, Protocol::Ping);
    let now = probe.now();
    probe.lan.accept(now, id);
    let request = probe.lan.peek_datagram(id).expect("a request").to_vec();
    assert_eq!(request, b"\x00\x01hello");
    probe.lan.take(now, id, request.len());
    assert_eq!(probe.lan.write(now, id, &request), request.len());
    assert_eq!(only_icmp(&probe.receive(port)), (0, 0, b"hello".to_vec()));
    probe.advance(Duration::from_secs(120));
    assert_eq!(probe.lan.flows(), 0, "a silent ping flow ends");
}

#[test]
fn refusals_are_told_as_the_rfc_says() {
    for (why, code) in [(Refusal::Refused, 3), (Refusal::Unreachable, 1), (Refusal::Denied, 13)] {
        let (mut probe, port) = one_guest();
        let sent = datagram(OUTSIDE, 9, b"anyone there");
        probe.send(port, &sent);
        let flows = opened(&mut probe);
        let now = probe.now();
        probe.lan.refuse(now, flows[0].0, why);
        let (kind, got, quoted) = only_icmp(&probe.receive(port));
        assert_eq!((kind, got), (3, code), "{why:?}");
        assert_eq!(quoted[..28], sent[14..42], "the error quotes the datagram");
        assert_eq!(probe.lan.flows(), 0);
    }
}

#[test]
fn errors_are_never_answered_by_errors_nor_sent_to_groups() {
    let (mut probe, port) = one_guest();
    let quoted = Ipv4::new(guest_address(0), OUTSIDE, 17).packet(&[0; 8]);
    for kind in [3, 4, 5, 11, 12] {
        assert!(probe.ask(port, &ip(1, GATEWAY, &icmp(kind, 0, 0, &quoted))).is_empty(), "type {kind}");
    }
    let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, 9);
    let from = SocketAddrV4::new(guest_address(0), 5000);
    let packet = Ipv4::new(*from.ip(), *to.ip(), 17).packet(&udp(from, to, b"all"));
    assert!(probe.ask(port, &ethernet(MacAddr::BROADCAST, guest_mac(0), 0x0800, &packet)).is_empty());
}

#[test]
fn a_dying_packet_is_reported() {
    let (mut probe, port) = one_guest();
    let from = SocketAddrV4::new(guest_address(0), 5000);
    let header = Ipv4 { ttl: 1, ..Ipv4::new(guest_address(0), OUTSIDE, 17) };
    let packet = header.packet(&udp(from, SocketAddrV4::new(OUTSIDE, 33434), b"traceroute"));
    let frames = probe.ask(port, &ethernet(GATEWAY_MAC, guest_mac(0), 0x0800, &packet));
    let (kind, code, quoted) = only_icmp(&frames);
    assert_eq!((kind, code), (11, 0));
    assert_eq!(quoted[..20], packet[..20]);
    assert_eq!(probe.dropped(Drop::Ipv4Ttl), 1);
    // To the gateway itself a TTL of 1 is enough.
    let header = Ipv4 { ttl: 1, ..Ipv4::new(guest_address(0), GATEWAY, 1) };
    let ping = header.packet(&icmp(8, 0, 1, b"near"));
    assert_eq!(only_icmp(&probe.ask(port, &ethernet(GATEWAY_MAC, guest_mac(0), 0x0800, &ping))).0, 0);
}

/// Splits a datagram to the echo port of the outside into fragments of at most `size` bytes.
fn fragments(data: &[u8], size: usize, id: u16) -> Vec<Vec<u8>> {
    let from = SocketAddrV4::new(guest_address(0), 5000);
    let whole = udp(from, SocketAddrV4::new(OUTSIDE, 7000), data);
    let count = whole.len().div_ceil(size);
    let piece = |(n, payload): (usize, &[u8])| {
        let more = if n + 1 < count { 0x2000 } else { 0 };
        let header =
            Ipv4 { id, fragment: more | (n * size / 8) as u16, ..Ipv4::new(guest_address(0), OUTSIDE, 17) };
        ethernet(GATEWAY_MAC, guest_mac(0), 0x0800, &header.packet(payload))
    };
    whole.chunks(size).enumerate().map(piece).collect()
}

#[test]
fn fragments_in_any_order_make_the_datagram() {
    let mut rng = Rng::new(9);
    for round in 0..50 {
        let (mut probe, port) = one_guest();
        let mut data = vec![0; 1 + rng.below(30_000) as usize];
        rng.fill(&mut data);
        let size = [8, 64, 1480][round % 3].max(data.len().div_ceil(60 * 8) * 8);
        let mut pieces = fragments(&data, size, round as u16);
        rng.shuffle(&mut pieces);
        if round % 2 == 0 {
            // Repeated fragments are common and harmless.
            pieces.insert(0, pieces[0].clone());
        }
        for piece in &pieces {
            probe.send(port, piece);
        }
        let flows = opened(&mut probe);
        assert_eq!(
            flows.len(),
            1,
            "round {round}: {} pieces of {size}, {:?}",
            pieces.len(),
            probe.lan.drops().nonzero().collect::<Vec<_>>()
        );
        assert_eq!(probe.lan.peek_datagram(flows[0].0), Some(&data[..]), "round {round}");
    }
}

#[test]
fn a_large_datagram_goes_out_in_fragments() {
    let (mut probe, port) = one_guest();
    probe.send(port, &datagram(OUTSIDE, 7000, b"hello"));
    let (id, _) = opened(&mut probe)[0];
    let now = probe.now();
    probe.lan.accept(now, id);
    let mut data = vec![0; 5000];
    Rng::new(4).fill(&mut data);
    assert_eq!(probe.lan.write(now, id, &data), data.len());
    let frames = probe.receive(port);
    assert!(frames.len() >= 4, "{} frames", frames.len());
    let mut whole = vec![0; 5008];
    for frame in &frames {
        assert!(frame.len() <= 1514);
        let offset = usize::from(u16::from_be_bytes([frame[20], frame[21]]) & 0x1fff) * 8;
        whole[offset..offset + frame.len() - 34].copy_from_slice(&frame[34..]);
    }
    assert_eq!(whole[8..], data);
}

#[test]
fn fragments_that_never_complete_are_forgotten() {
    let (mut probe, port) = one_guest();
    for id in 0..5000 {
        probe.send(port, &fragments(&[0; 4000], 1480, id)[0]);
    }
    assert!(probe.dropped(Drop::FragmentLimit) > 0, "reassembly is bounded");
    probe.advance(Duration::from_secs(120));
    assert!(probe.dropped(Drop::FragmentTimeout) > 0, "reassembly ends");
    // And there is room for the next one.
    for piece in fragments(&[5; 4000], 1480, 6000) {
        probe.send(port, &piece);
    }
    assert_eq!(opened(&mut probe).len(), 1);
}

#[test]
fn damaged_packets_are_counted_and_unanswered() {
    let (mut probe, port) = one_guest();
    let syn = Segment {
        source: SocketAddrV4::new(guest_address(0), 4000).into(),
        destination: SocketAddrV4::new(OUTSIDE, 80).into(),
        seq: 1,
        ack: None,
        flags: flag::SYN,
        window: 1000,
        mss: Some(1460),
        scale: None,
        options_bytes: 0,
        payload: &[],
    };
    for (mut frame, why) in [
        (ip(6, OUTSIDE, &tcp(&syn)), Drop::TcpMalformed),
        (datagram(OUTSIDE, 9, b"data"), Drop::UdpMalformed),
        (ip(1, GATEWAY, &icmp(8, 0, 1, b"data")), Drop::IcmpMalformed),
    ] {
        let last = frame.len() - 1;
        frame[last] ^= 0x10;
        assert!(probe.ask(port, &frame).is_empty());
        assert_eq!(probe.dropped(why), 1, "{why:?}");
    }
    let mut frame = ip(1, GATEWAY, &icmp(8, 0, 1, b"data"));
    frame[24] ^= 1;
    assert!(probe.ask(port, &frame).is_empty());
    assert_eq!(probe.dropped(Drop::Ipv4Malformed), 1);
    assert!(opened(&mut probe).is_empty());
}

#[test]
fn padding_after_the_packet_is_ignored() {
    let (mut probe, port) = one_guest();
    let mut frame = datagram(OUTSIDE, 9, b"ab");
    frame.resize(60, 0xee);
    probe.send(port, &frame);
    let (id, _) = opened(&mut probe)[0];
    assert_eq!(probe.lan.peek_datagram(id), Some(&b"ab"[..]));
}

#[test]
fn an_empty_datagram_is_a_datagram() {
    let (mut probe, port) = one_guest();
    probe.send(port, &datagram(OUTSIDE, 9, b""));
    let (id, _) = opened(&mut probe)[0];
    assert_eq!(probe.lan.peek_datagram(id), Some(&b""[..]));
    let now = probe.now();
    probe.lan.take(now, id, 0);
    assert_eq!(probe.lan.peek_datagram(id), None);
    assert_eq!(probe.lan.write(now, id, b""), 0);
    let frames = probe.receive(port);
    assert_eq!(frames.len(), 1);
    let Ok(Packet::Udp(from, _, data)) = read(&frames[0], true) else { panic!("{frames:02x?}") };
    assert_eq!((from, data), (SocketAddrV4::new(OUTSIDE, 9).into(), &b""[..]));
}

#[test]
fn a_flow_belongs_to_the_guest_that_opened_it() {
    let (mut probe, port) = one_guest();
    let other = probe.port();
    probe.send(port, &datagram(OUTSIDE, 9, b"mine"));
    let (id, _) = opened(&mut probe)[0];
    // Another guest with the same address.
    let mut forged = datagram(OUTSIDE, 9, b"not yours");
    forged[6..12].copy_from_slice(&guest_mac(1).0);
    probe.send(other, &forged);
    assert_eq!(probe.dropped(Drop::FlowOfAnother), 1);
    let now = probe.now();
    probe.lan.take(now, id, 4);
    assert_eq!(probe.lan.peek_datagram(id), None);
}

#[test]
fn a_guest_that_moves_to_another_port_takes_its_flows_along() {
    let (mut probe, port) = one_guest();
    let other = probe.port();
    probe.send(port, &datagram(OUTSIDE, 9, b"one"));
    let (id, _) = opened(&mut probe)[0];
    probe.send(other, &datagram(OUTSIDE, 9, b"who is there"));
    probe.advance(Duration::from_secs(2));
    probe.send(other, &datagram(OUTSIDE, 9, b"two"));
    let now = probe.now();
    probe.lan.take(now, id, 3);
    assert_eq!(probe.lan.peek_datagram(id), Some(&b"two"[..]));
    probe.receive(port);
    probe.receive(other);
    probe.lan.write(now, id, b"answer");
    assert_eq!((probe.receive(port).len(), probe.receive(other).len()), (0, 1));
}

#[test]
fn a_lan_without_services_has_no_address() {
    let config = LanConfig {
        gateway: false,
        dhcp: None,
        dns: None,
        virtual_addresses: Vec::new(),
        ipv6: None,
        ..lan_config(1500)
    };
    let mut probe = Probe::new(config);
    let port = probe.port();
    assert!(probe.ask(port, &arp_for(GATEWAY, 0)).is_empty());
    // A guest may take it, and talk to others with it.
    let other = probe.port();
    let ask = arp(1, (guest_mac(1), GATEWAY), (MacAddr::default(), guest_address(0)));
    probe.send(other, &ethernet(MacAddr::BROADCAST, guest_mac(1), 0x0806, &ask));
    assert_eq!(probe.receive(port).len(), 1);
}

#[test]
fn a_segment_of_no_connection_is_reset() {
    let (mut probe, port) = one_guest();
    let stray = Segment {
        source: SocketAddrV4::new(guest_address(0), 4000).into(),
        destination: SocketAddrV4::new(OUTSIDE, 80).into(),
        seq: 7777,
        ack: Some(8888),
        flags: flag::ACK,
        window: 1000,
        mss: None,
        scale: None,
        options_bytes: 0,
        payload: b"left over",
    };
    let frames = probe.ask(port, &ip(6, OUTSIDE, &tcp(&stray)));
    assert_eq!(frames.len(), 1);
    let Ok(Packet::Tcp(reset)) = read(&frames[0], true) else { panic!("{frames:02x?}") };
    assert!(reset.has(flag::RST));
    assert_eq!((reset.source, reset.destination, reset.seq), (stray.destination, stray.source, 8888));
    // A reset of no connection is not answered: two hosts would never stop.
    let rst = Segment { flags: flag::RST, ..stray };
    assert!(probe.ask(port, &ip(6, OUTSIDE, &tcp(&rst))).is_empty());
    assert!(packet::checksum(&[&frames[0][14..34]]) == 0);
}
