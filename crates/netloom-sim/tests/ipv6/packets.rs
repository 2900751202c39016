//! IPv6 at the stack, frame by frame: which packets it takes, what it answers, and what it tells their senders (RFC 8200, 4443).

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use netloom_core::{
    Drop, Duration, Event, FlowId, LanConfig, Limits, PortConfig, Protocol, Refusal, ResetReason,
};
use netloom_sim::group::{ALL_NODES, ALL_ROUTERS};
use netloom_sim::packet::{
    Ipv6, Packet, Segment, flag, icmpv6, ip_frame, read, tcp, transport_checksum, udp,
};
use netloom_sim::world::{
    GATEWAY_MAC, GATEWAY_V6, VIRTUAL_V6, dual_config, guest_address, guest_address_v6, guest_mac, lan_config,
};
use netloom_sim::{Probe, Rng};

use crate::guest::{GUEST, OUTSIDE, echo_request, ethernet, frame, guest, only_icmp, syn, to_gateway};

fn opened(probe: &mut Probe) -> Vec<(FlowId, Protocol)> {
    let flows = probe.events().into_iter().filter_map(|event| match event {
        Event::Open { id, protocol, .. } => Some((id, protocol)),
        _ => None,
    });
    flows.collect()
}

fn datagram(to: Ipv6Addr, port: u16, data: &[u8]) -> Vec<u8> {
    let (from, to_socket) = (SocketAddr::new(GUEST.into(), 5000), SocketAddr::new(to.into(), port));
    to_gateway(17, to, &udp(from, to_socket, data))
}

#[test]
fn off_it_says_nothing_and_still_carries_it_between_guests() {
    let mut probe = Probe::new(lan_config(1500));
    let (port, other) = (probe.port(), probe.port());
    let ping = echo_request(GUEST, GATEWAY_V6, b"anyone");
    assert!(probe.ask(port, &ping).is_empty());
    assert_eq!(probe.lan.drops().nonzero().count(), 0, "{:?}", probe.lan.drops());
    assert_eq!(probe.lan.poll_timeout(), None);
    let group = frame(guest_mac(0), GUEST, ALL_NODES, 58, &[0; 8]);
    probe.send(port, &group);
    assert_eq!(probe.receive(other), [group]);
    assert!(probe.lan.connect(probe.now(), SocketAddr::new(GUEST.into(), 80)).is_err());
}

#[test]
fn the_gateway_answers_pings_to_all_of_its_addresses_and_groups() {
    let (mut probe, port) = guest(dual_config(1500));
    for address in [GATEWAY_V6, GATEWAY_MAC.link_local(), VIRTUAL_V6] {
        for length in [0, 1, 56, 1452] {
            let payload = vec![0x61; length];
            let frames = probe.ask(port, &echo_request(GUEST, address, &payload));
            let (from, to, message) = only_icmp(&frames);
            assert_eq!((from, to, message[0], &message[8..]), (address, GUEST, 129, &payload[..]));
        }
    }
    for group in [ALL_NODES, ALL_ROUTERS] {
        let frames = probe.ask(port, &echo_request(guest_mac(0).link_local(), group, b"who"));
        assert_eq!(only_icmp(&frames).0, GATEWAY_MAC.link_local(), "{group}");
    }
    // A group that is not ours.
    let mdns = "ff02::fb".parse().unwrap();
    assert!(probe.ask(port, &echo_request(GUEST, mdns, b"who")).is_empty());
    assert_eq!(probe.lan.flows(), 0);
}

#[test]
fn a_ping_outside_is_a_flow_and_its_reply_comes_back() {
    let (mut probe, port) = guest(dual_config(1500));
    assert!(probe.ask(port, &echo_request(GUEST, OUTSIDE, b"hello")).is_empty());
    let [(id, Protocol::Ping)] = opened(&mut probe)[..] else { panic!("no ping") };
    let now = probe.now();
    let request = probe.lan.peek_datagram(id).expect("a request").to_vec();
    assert_eq!(request, b"\x00\x01hello");
    assert_eq!(probe.lan.write(now, id, &request), request.len());
    let frames = probe.receive(port);
    let (from, to, message) = only_icmp(&frames);
    assert_eq!((from, to, message[0], &message[4..]), (OUTSIDE, GUEST, 129, &b"\x00\x07\x00\x01hello"[..]));
}

#[test]
fn flows_are_announced_with_their_addresses() {
    let (mut probe, port) = guest(dual_config(1500));
    probe.send(port, &datagram(OUTSIDE, 9, b"data"));
    probe.send(port, &to_gateway(6, OUTSIDE, &tcp(&syn(GUEST, OUTSIDE, 80))));
    let events = probe.events();
    for (protocol, port, from_port) in [(Protocol::Udp, 9, 5000), (Protocol::Tcp, 80, 4000)] {
        let source = SocketAddr::new(GUEST.into(), from_port);
        let destination = SocketAddr::new(OUTSIDE.into(), port);
        let found = events.iter().any(|event| {
            matches!(event, Event::Open { protocol: p, source: s, destination: d, guest, .. }
                if (*p, *s, *d, guest.mac) == (protocol, source, destination, guest_mac(0)))
        });
        assert!(found, "{protocol:?}: {events:?}");
    }
}

/// A connection whose guest told this MSS, the MSS that it was told, and the first frames of much data to it.
fn connection(mss: Option<u16>) -> (Probe, netloom_core::PortId, Option<u16>, Vec<Vec<u8>>) {
    let (mut probe, port) = guest(dual_config(1500));
    probe.send(port, &to_gateway(6, OUTSIDE, &tcp(&Segment { mss, ..syn(GUEST, OUTSIDE, 80) })));
    let (id, _) = opened(&mut probe)[0];
    let now = probe.now();
    probe.lan.accept(now, id);
    let frames = probe.receive(port);
    let Ok(Packet::Tcp(answer)) = read(&frames[0], true) else { panic!("{frames:02x?}") };
    let ack =
        Segment { seq: 1001, ack: Some(answer.seq + 1), flags: 0, mss: None, ..syn(GUEST, OUTSIDE, 80) };
    probe.send(port, &to_gateway(6, OUTSIDE, &tcp(&ack)));
    assert_eq!(probe.lan.write(now, id, &[7; 10_000]), 10_000);
    let frames = probe.receive(port);
    (probe, port, answer.mss, frames)
}

fn longest(frames: &[Vec<u8>]) -> usize {
    frames.iter().map(Vec::len).max().expect("frames")
}

#[test]
fn segments_leave_room_for_the_longer_header() {
    let (.., told, frames) = connection(Some(9000));
    assert_eq!((told, longest(&frames)), (Some(1440), 1514));
    // RFC 9293 3.7.1: who tells no MSS takes what the least MTU carries.
    let (.., frames) = connection(None);
    assert_eq!(longest(&frames), 14 + 1280);
}

#[test]
fn a_router_that_says_too_big_is_believed_down_to_the_least_mtu() {
    for (mtu, expected) in [(1000, 1514), (1279, 1514), (1280, 14 + 1280), (1400, 14 + 1400)] {
        let (mut probe, port, _, frames) = connection(Some(1440));
        let too_big = icmpv6((GUEST, OUTSIDE), 2, 0, mtu, &frames[0][14..]);
        probe.send(port, &to_gateway(58, OUTSIDE, &too_big));
        probe.advance(Duration::from_millis(1500));
        assert_eq!(longest(&probe.receive(port)), expected, "{mtu}");
        assert_eq!(probe.dropped(Drop::IcmpIgnored), u64::from(mtu < 1280));
    }
}

#[test]
fn refusals_are_told_as_the_rfc_says() {
    for (why, code) in [(Refusal::Refused, 4), (Refusal::Unreachable, 3), (Refusal::Denied, 1)] {
        let (mut probe, port) = guest(dual_config(1500));
        let sent = datagram(OUTSIDE, 9, &[1; 1400]);
        probe.send(port, &sent);
        let flows = opened(&mut probe);
        let now = probe.now();
        probe.lan.refuse(now, flows[0].0, why);
        let frames = probe.receive(port);
        let (from, to, message) = only_icmp(&frames);
        assert_eq!((from, to, message[0], message[1]), (GATEWAY_V6, GUEST, 1, code), "{why:?}");
        assert_eq!(frames[0].len(), 14 + 1280, "as much as the least MTU carries");
        assert_eq!(message[8..], sent[14..14 + 1232], "the error quotes the datagram");
        assert_eq!(probe.lan.flows(), 0);
    }
}

/// What the gateway tells about a frame: type, code, and bytes 4 to 8.
fn told(probe: &mut Probe, frame: &[u8]) -> Option<(u8, u8, u32)> {
    let port = probe.port();
    let frames = probe.ask(port, frame);
    let told = (!frames.is_empty()).then(|| {
        let (_, _, message) = only_icmp(&frames);
        (message[0], message[1], u32::from_be_bytes([message[4], message[5], message[6], message[7]]))
    });
    probe.lan.close_port(port);
    told
}

#[test]
fn what_cannot_be_carried_is_told_by_code() {
    let config = dual_config(1500);
    let closed = LanConfig { gateway: false, ..dual_config(1500) };
    let link_local = guest_mac(0).link_local();
    let beyond = frame(guest_mac(0), link_local, OUTSIDE, 17, &[0; 8]);
    let dying = |to| {
        let message = icmpv6((GUEST, to), 128, 0, 1, b"trace");
        ethernet(&Ipv6 { hop_limit: 1, ..Ipv6::new(GUEST, to, 58) }.packet(&message))
    };
    for (config, frame, answer, why) in [
        (&config, datagram(GATEWAY_V6, 9, b"closed"), Some((1, 4, 0)), None),
        (&config, datagram("::1".parse().unwrap(), 9, b""), None, Some(Drop::Ipv6NotForUs)),
        (&config, datagram("::ffff:8.8.8.8".parse().unwrap(), 9, b""), None, Some(Drop::Ipv6NotForUs)),
        (&config, datagram("fd00::1".parse().unwrap(), 9, b""), Some((1, 1, 0)), Some(Drop::Policy)),
        (&config, datagram("64:ff9b::7f00:1".parse().unwrap(), 9, b""), Some((1, 1, 0)), Some(Drop::Policy)),
        (&config, datagram(guest_address_v6(5), 9, b""), None, Some(Drop::Ipv6NotForUs)),
        (&config, beyond, Some((1, 2, 0)), Some(Drop::Ipv6NotForUs)),
        (&config, dying(OUTSIDE), Some((3, 0, 0)), Some(Drop::Ipv6HopLimit)),
        (&closed, datagram(OUTSIDE, 9, b""), Some((1, 0, 0)), Some(Drop::Policy)),
    ] {
        let mut probe = Probe::new(config.clone());
        assert_eq!(told(&mut probe, &frame), answer, "{frame:02x?}");
        let drops: Vec<_> = probe.lan.drops().nonzero().collect();
        assert_eq!(drops, why.map(|why| (why, 1)).into_iter().collect::<Vec<_>>());
    }
    // To the gateway itself a hop limit of 1 is enough.
    let (mut probe, port) = guest(config);
    assert_eq!(only_icmp(&probe.ask(port, &dying(GATEWAY_V6))).2[0], 129);
}

#[test]
fn errors_are_never_answered_by_errors_nor_sent_to_groups() {
    let (mut probe, port) = guest(dual_config(1500));
    let quoted = Ipv6::new(GUEST, OUTSIDE, 17).packet(&[0; 8]);
    for kind in [1, 2, 3, 4, 100, 127] {
        let error = |to| icmpv6((GUEST, to), kind, 0, 0, &quoted);
        assert!(probe.ask(port, &to_gateway(58, GATEWAY_V6, &error(GATEWAY_V6))).is_empty(), "type {kind}");
        let dying = Ipv6 { hop_limit: 1, ..Ipv6::new(GUEST, OUTSIDE, 58) }.packet(&error(OUTSIDE));
        assert!(probe.ask(port, &ethernet(&dying)).is_empty(), "type {kind} at its last hop");
    }
    // Nor to a group, except about an option that asks for it (RFC 4443 2.4 e).
    let with_option = |option: u8| {
        let options = [58, 0, option, 4, 0, 0, 0, 0];
        let message = icmpv6((GUEST, ALL_NODES), 128, 0, 0, b"");
        frame(guest_mac(0), GUEST, ALL_NODES, 60, &[&options[..], &message].concat())
    };
    assert!(probe.ask(port, &with_option(0xc5)).is_empty());
    assert_eq!(only_icmp(&probe.ask(port, &with_option(0x85))).2[..2], [4, 2]);
}

#[test]
fn errors_are_rate_limited() {
    let (mut probe, port) = guest(dual_config(1500));
    for _ in 0..1000 {
        probe.send(port, &datagram(GATEWAY_V6, 9, b"closed"));
    }
    let told = probe.receive(port).len();
    assert!((1..=200).contains(&told), "{told}");
    assert_eq!(probe.dropped(Drop::IcmpRateLimited), 1000 - told as u64);
}

#[test]
fn extension_headers_are_passed_over_or_refused_by_name() {
    /// The next header's type, then six bytes.
    fn header(next: u8, rest: [u8; 6]) -> Vec<u8> {
        [&[next, 0][..], &rest].concat()
    }
    let pad = [1, 4, 0, 0, 0, 0];
    let skip = [0x1e, 4, 0, 0, 0, 0];
    let no_segments = [0, 0, 0, 0, 0, 0];
    let segments = [0, 1, 0, 0, 0, 0];
    type Told = Option<(u8, u8, u32)>;
    let cases: [(u8, Vec<u8>, Told); 16] = [
        (0, header(17, pad), None),
        (60, header(17, skip), None),
        (0, [header(60, pad), header(17, pad)].concat(), None),
        (43, header(17, no_segments), None),
        (43, header(17, segments), Some((4, 0, 42))),
        (44, header(17, [0; 6]), None),
        (0, [header(43, pad), header(44, no_segments), header(17, [0; 6])].concat(), None),
        // Types that nobody knows, and headers where they may not be: told with the place of the type.
        (99, header(17, pad), Some((4, 1, 6))),
        (60, header(132, pad), Some((4, 1, 40))),
        (60, header(0, pad), Some((4, 1, 40))),
        (51, header(17, pad), Some((4, 1, 6))),
        // Options by the two highest bits of their type.
        (60, header(17, [0x85, 4, 0, 0, 0, 0]), Some((4, 2, 42))),
        (0, header(17, [0, 0xc5, 3, 0, 0, 0]), Some((4, 2, 43))),
        (60, header(17, [0x45, 4, 0, 0, 0, 0]), None),
        // Nothing behind, and a length beyond the packet.
        (60, header(59, pad), None),
        (60, [17, 200, 1, 4, 0, 0, 0, 0].to_vec(), None),
    ];
    let carried = [true, true, true, true, false, true, true].into_iter().chain([false; 9]);
    for ((first, headers, answer), carried) in cases.into_iter().zip(carried) {
        let mut probe = Probe::new(dual_config(1500));
        let (from, to) = (SocketAddr::new(GUEST.into(), 5000), SocketAddr::new(OUTSIDE.into(), 9));
        let frame = to_gateway(first, OUTSIDE, &[headers.clone(), udp(from, to, b"data")].concat());
        assert_eq!(told(&mut probe, &frame), answer, "{first} {headers:02x?}");
        assert_eq!(opened(&mut probe).len(), usize::from(carried), "{first} {headers:02x?}");
        let drops = probe.dropped(Drop::Ipv6NextHeader) + probe.dropped(Drop::Ipv6Malformed);
        assert_eq!(drops, u64::from(!carried), "{first} {headers:02x?}");
    }
}

#[test]
fn sources_that_no_guest_may_have_are_counted() {
    let (mut probe, port) = guest(dual_config(1500));
    for (source, why) in [
        ("ff02::1", Drop::Ipv6Source),
        ("::1", Drop::Ipv6Source),
        ("::", Drop::Ipv6Source),
        ("::ffff:192.168.86.10", Drop::Ipv6Source),
        ("fd86:192:168:86::1", Drop::Ipv6Source),
        ("2001:db8::1", Drop::Ipv6NotForUs),
        ("fd86:192:168:87::1", Drop::Ipv6NotForUs),
    ] {
        let before = probe.dropped(why);
        let source: Ipv6Addr = source.parse().unwrap();
        assert!(probe.ask(port, &echo_request(source, GATEWAY_V6, b"spoof")).is_empty(), "{source}");
        assert_eq!(probe.dropped(why), before + 1, "{source}");
    }
    // Who has no address yet may ask for one, and no more.
    let before = probe.dropped(Drop::Ipv6Source);
    assert!(probe.ask(port, &echo_request(Ipv6Addr::UNSPECIFIED, ALL_NODES, b"who")).is_empty());
    assert_eq!(probe.dropped(Drop::Ipv6Source), before + 1);
    let short = echo_request(GUEST, GATEWAY_V6, b"cut");
    assert!(probe.ask(port, &short[..short.len() - 1]).is_empty());
    assert_eq!(probe.dropped(Drop::Ipv6Malformed), 1);
}

#[test]
fn damaged_packets_are_counted_and_unanswered() {
    let (mut probe, port) = guest(dual_config(1500));
    let mut without_sum = datagram(OUTSIDE, 9, b"data");
    without_sum[60..62].fill(0);
    for (mut frame, why) in [
        (to_gateway(6, OUTSIDE, &tcp(&syn(GUEST, OUTSIDE, 80))), Drop::TcpMalformed),
        (datagram(OUTSIDE, 9, b"data"), Drop::UdpMalformed),
        (echo_request(GUEST, GATEWAY_V6, b"data"), Drop::IcmpMalformed),
    ] {
        let last = frame.len() - 1;
        frame[last] ^= 0x10;
        assert!(probe.ask(port, &frame).is_empty());
        assert_eq!(probe.dropped(why), 1, "{why:?}");
    }
    // RFC 8200 8.1: over IPv6 a UDP checksum is not optional.
    assert!(probe.ask(port, &without_sum).is_empty());
    assert_eq!(probe.dropped(Drop::UdpMalformed), 2);
    assert!(opened(&mut probe).is_empty());
}

/// Splits a datagram to the outside into fragments of at most `size` bytes.
fn fragments(data: &[u8], size: usize, id: u32) -> Vec<Vec<u8>> {
    let (from, to) = (SocketAddr::new(GUEST.into(), 5000), SocketAddr::new(OUTSIDE.into(), 7000));
    let whole = udp(from, to, data);
    let count = whole.len().div_ceil(size);
    let pieces = whole.chunks(size).enumerate();
    pieces.map(|(n, payload)| fragment(n * size, n + 1 < count, id, payload)).collect()
}

fn fragment(offset: usize, more: bool, id: u32, payload: &[u8]) -> Vec<u8> {
    let field = (offset as u16 | u16::from(more)).to_be_bytes();
    // A padded destination options header stands before the fragment header, as it may.
    let headers = [&[44, 0, 1, 4, 0, 0, 0, 0, 17, 0][..], &field, &id.to_be_bytes()].concat();
    to_gateway(60, OUTSIDE, &[headers, payload.to_vec()].concat())
}

#[test]
fn fragments_in_any_order_make_the_datagram() {
    let mut rng = Rng::new(9);
    for round in 0..50 {
        let (mut probe, port) = guest(dual_config(1500));
        let mut data = vec![0; 1 + rng.below(30_000) as usize];
        rng.fill(&mut data);
        let size = [8, 64, 1440][round % 3].max(data.len().div_ceil(60 * 8) * 8);
        let mut pieces = fragments(&data, size, round as u32);
        rng.shuffle(&mut pieces);
        if round % 2 == 0 {
            pieces.insert(0, pieces[0].clone());
        }
        for piece in &pieces {
            probe.send(port, piece);
        }
        let flows = opened(&mut probe);
        assert_eq!(flows.len(), 1, "round {round}: {:?}", probe.lan.drops().nonzero().collect::<Vec<_>>());
        assert_eq!(probe.lan.peek_datagram(flows[0].0), Some(&data[..]), "round {round}");
    }
}

#[test]
fn fragments_that_break_a_rule_are_refused() {
    let (mut probe, port) = guest(dual_config(1500));
    let parameter = |frames: &[Vec<u8>]| {
        let (_, _, message) = only_icmp(frames);
        (message[0], message[1], message[7])
    };
    // Not a multiple of 8 (told with the payload length's place), and longer than a packet (with the offset's place).
    assert_eq!(parameter(&probe.ask(port, &fragment(0, true, 1, &[0; 15]))), (4, 0, 4));
    assert_eq!(parameter(&probe.ask(port, &fragment(65_528, false, 2, &[0; 64]))), (4, 0, 50));
    // The first fragment must hold all headers (RFC 7112).
    let (from, to) = (SocketAddr::new(GUEST.into(), 5000), SocketAddr::new(OUTSIDE.into(), 7000));
    let whole = udp(from, to, &[5; 24]);
    assert_eq!(
        parameter(&probe.ask(
            port,
            &to_gateway(44, OUTSIDE, &[&[60, 0, 0, 1, 0, 0, 0, 9][..], &[17, 1, 1, 4, 0, 0, 0, 0]].concat())
        )),
        (4, 3, 0)
    );
    // One that overlaps ends its datagram without a word (RFC 5722).
    assert!(probe.ask(port, &fragment(0, true, 3, &whole[..16])).is_empty());
    assert!(probe.ask(port, &fragment(8, false, 3, &whole[8..])).is_empty());
    assert!(probe.ask(port, &fragment(16, false, 3, &whole[16..])).is_empty());
    assert_eq!(probe.dropped(Drop::FragmentInvalid), 4);
    assert!(opened(&mut probe).is_empty());
    // An atomic fragment is whole, whatever waits under its identification (RFC 6946).
    probe.send(port, &fragment(0, false, 3, &whole));
    assert_eq!(opened(&mut probe).len(), 1);
}

#[test]
fn fragments_that_never_complete_are_told_and_forgotten() {
    let (mut probe, port) = guest(dual_config(1500));
    let first = &fragments(&[0; 4000], 1440, 1)[0];
    probe.send(port, first);
    // Without its first fragment a datagram tells nothing.
    probe.send(port, &fragments(&[0; 4000], 1440, 2)[1]);
    probe.receive(port);
    probe.advance(Duration::from_secs(120));
    assert_eq!(probe.dropped(Drop::FragmentTimeout), 2);
    let frames: Vec<_> = probe.receive(port).into_iter().filter(|frame| frame.get(54) == Some(&3)).collect();
    let (_, to, message) = only_icmp(&frames);
    assert_eq!((to, message[0], message[1]), (GUEST, 3, 1));
    assert_eq!(message[8..], first[14..14 + 1232]);
    for id in 0..5000 {
        probe.send(port, &fragments(&[0; 4000], 1440, id)[0]);
    }
    assert!(probe.dropped(Drop::FragmentLimit) > 0, "reassembly is bounded");
}

#[test]
fn a_large_datagram_goes_out_in_fragments() {
    let (mut probe, port) = guest(dual_config(1500));
    probe.send(port, &datagram(OUTSIDE, 7000, b"hello"));
    let (id, _) = opened(&mut probe)[0];
    let now = probe.now();
    assert_eq!(probe.lan.room(id), 65_527);
    for length in [1452, 1453, 5000, 65_527] {
        let mut data = vec![0; length];
        Rng::new(4).fill(&mut data);
        assert_eq!(probe.lan.write(now, id, &data), data.len());
        let frames = probe.receive(port);
        let in_fragments = length > 1452;
        assert_eq!(frames.len(), if in_fragments { (length + 8).div_ceil(1448) } else { 1 });
        let mut whole = vec![0; length + 8];
        let mut ids = Vec::new();
        for frame in &frames {
            assert!(frame.len() <= 1514);
            let (at, from) = if in_fragments {
                assert_eq!((frame[20], frame[54]), (44, 17));
                ids.push(frame[58..62].to_vec());
                (usize::from(u16::from_be_bytes([frame[56], frame[57]]) & !7), 62)
            } else {
                (0, 54)
            };
            whole[at..at + frame.len() - from].copy_from_slice(&frame[from..]);
        }
        ids.dedup();
        assert_eq!(ids.len(), usize::from(in_fragments), "one identification for all");
        assert_eq!(whole[8..], data);
        let sum = transport_checksum(OUTSIDE, GUEST, 17, &whole);
        assert_eq!(sum, 0, "the checksum holds over the whole");
    }
    assert_eq!(probe.lan.write(now, id, &vec![0; 65_528]), 0);
}

#[test]
fn a_port_too_small_for_ipv6_has_none() {
    for (mtu, answers) in [(1279, 0), (1280, 1)] {
        let mut probe = Probe::new(dual_config(1500));
        let port = probe.lan.open_port(PortConfig { mtu, ..PortConfig::default() });
        assert_eq!(probe.ask(port, &echo_request(GUEST, GATEWAY_V6, b"")).len(), answers);
        let now = probe.now();
        let sought = SocketAddr::new(guest_address_v6(3).into(), 80);
        probe.lan.connect(now, sought).expect("on the LAN");
        assert_eq!(probe.receive(port).len(), answers, "a solicitation");
    }
}

#[test]
fn a_packet_too_big_for_another_guest_is_told_by_the_gateway() {
    let (mut probe, port) = guest(dual_config(9000));
    let small = probe.lan.open_port(PortConfig::default());
    let other = guest_mac(1);
    probe.send(small, &frame(other, guest_address_v6(1), ALL_NODES, 58, &[0; 8]));
    let mut large = echo_request(GUEST, guest_address_v6(1), &[0; 2000]);
    large[..6].copy_from_slice(&other.0);
    probe.receive(port);
    probe.receive(small);
    let frames = probe.ask(port, &large);
    let (from, to, message) = only_icmp(&frames);
    assert_eq!((from, to), (GATEWAY_V6, GUEST));
    assert_eq!(message[..2], [2, 0]);
    assert_eq!(message[4..8], 1500_u32.to_be_bytes());
    assert!(probe.receive(small).is_empty());
}

#[test]
fn the_outside_connects_to_a_guest_and_hears_of_its_refusal() {
    let (mut probe, port) = guest(dual_config(1500));
    probe.send(port, &datagram(GATEWAY_V6, 9, b"here I am"));
    probe.receive(port);
    let now = probe.now();
    for (target, own) in [(GUEST, GATEWAY_V6), (guest_mac(0).link_local(), GATEWAY_MAC.link_local())] {
        probe.send(port, &echo_request(target, own, b"here I am"));
        probe.receive(port);
        let id = probe.lan.connect(now, SocketAddr::new(target.into(), 80)).expect("on the LAN");
        let frames = probe.receive(port);
        let Ok(Packet::Tcp(syn)) = read(&frames[0], true) else { panic!("{frames:02x?}") };
        assert_eq!(
            (syn.source.ip(), syn.destination),
            (IpAddr::from(own), SocketAddr::new(target.into(), 80))
        );
        assert_eq!((syn.mss, syn.flags), (Some(1440), flag::SYN));
        let refused = icmpv6((target, own), 1, 4, 0, &frames[0][14..]);
        probe.send(port, &frame(guest_mac(0), target, own, 58, &refused));
        let why = probe.events();
        assert_eq!(why, [Event::Reset { id, why: ResetReason::Refused }]);
    }
    for stranger in ["2001:db8::5", "ff02::1", "::1", "fd86:192:168:86::1"] {
        let target = SocketAddr::new(stranger.parse().unwrap(), 80);
        assert!(probe.lan.connect(now, target).is_err(), "{stranger}");
    }
}

#[test]
fn a_guests_flows_of_both_families_count_together() {
    let config = dual_config(1500);
    let limits = Limits { flows_per_guest: 3, pending_dials_per_guest: 1, ..config.limits };
    let (mut probe, port) = guest(LanConfig { limits, ..config });
    let (from, to) = (SocketAddr::from((guest_address(0), 5000)), SocketAddr::from(([93, 184, 216, 34], 9)));
    probe.send(port, &ip_frame((guest_mac(0), GATEWAY_MAC), (from.ip(), to.ip()), 17, &udp(from, to, b"")));
    probe.send(port, &to_gateway(6, OUTSIDE, &tcp(&syn(GUEST, OUTSIDE, 80))));
    probe.send(port, &to_gateway(6, OUTSIDE, &tcp(&syn(GUEST, OUTSIDE, 81))));
    assert_eq!((probe.lan.flows(), probe.dropped(Drop::PendingDials)), (2, 1));
    for port_number in 9..12 {
        probe.send(port, &datagram(OUTSIDE, port_number, b""));
    }
    assert_eq!((probe.lan.flows(), probe.dropped(Drop::FlowLimit)), (3, 2));
}

#[test]
fn a_flow_belongs_to_the_guest_that_opened_it() {
    let (mut probe, port) = guest(dual_config(1500));
    let other = probe.port();
    probe.send(port, &datagram(OUTSIDE, 9, b"mine"));
    let (id, _) = opened(&mut probe)[0];
    let mut forged = datagram(OUTSIDE, 9, b"not yours");
    forged[6..12].copy_from_slice(&guest_mac(1).0);
    probe.send(other, &forged);
    assert_eq!(probe.dropped(Drop::FlowOfAnother), 1);
    let now = probe.now();
    probe.lan.take(now, id, 4);
    assert_eq!(probe.lan.peek_datagram(id), None);
}
