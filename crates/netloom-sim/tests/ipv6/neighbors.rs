//! Neighbour discovery and router advertisements (RFC 4861, 4862, 8106), and ports whose NIC receives no multicast (RFC 6085).

use core::net::{Ipv6Addr, SocketAddr};

use netloom_core::service::dns::DnsConfig;
use netloom_core::{Drop, Duration, Event, LanConfig, MacAddr, PortConfig, PortId, ResetReason};
use netloom_sim::Probe;
use netloom_sim::group::{self, ALL_NODES, ALL_ROUTERS, solicited_node};
use netloom_sim::packet::{Ipv6, Packet, icmpv6, macs, read};
use netloom_sim::world::{GATEWAY_MAC, GATEWAY_V6, VIRTUAL_V6, dual_config, guest_address_v6, guest_mac};

use crate::guest::{GUEST, OUTSIDE, ethernet, frame, guest, only_icmp, to_gateway};

const UNSPECIFIED: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

fn group_mac(group: Ipv6Addr) -> MacAddr {
    group::mac_for(group, GATEWAY_MAC)
}

fn source_option(mac: MacAddr) -> Vec<u8> {
    [&[1, 1][..], &mac.0].concat()
}

/// The first guest's question who uses an address.
fn solicitation(from: Ipv6Addr, to: Ipv6Addr, target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    let body = [&target.octets()[..], options].concat();
    frame(guest_mac(0), from, to, 58, &icmpv6((from, to), 135, 0, 0, &body))
}

fn advertisement(mac: MacAddr, from: Ipv6Addr, to: Ipv6Addr, flags: u32, target: Ipv6Addr) -> Vec<u8> {
    frame(mac, from, to, 58, &icmpv6((from, to), 136, 0, flags << 24, &target.octets()))
}

fn router_solicitation(mac: MacAddr, from: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    frame(mac, from, ALL_ROUTERS, 58, &icmpv6((from, ALL_ROUTERS), 133, 0, 0, options))
}

#[test]
fn the_machine_answers_for_its_addresses_alone() {
    let (mut probe, port) = guest(dual_config(1500));
    for own in [GATEWAY_V6, GATEWAY_MAC.link_local(), VIRTUAL_V6] {
        // To everybody who might have it, and to itself alone, as a check whether it is still there.
        for to in [solicited_node(own), own] {
            let frames = probe.ask(port, &solicitation(GUEST, to, own, &source_option(guest_mac(0))));
            assert_eq!(macs(&frames[0]), Some((guest_mac(0), GATEWAY_MAC)));
            let (from, to, message) = only_icmp(&frames);
            assert_eq!((from, to), (own, GUEST));
            assert_eq!(message[..2], [136, 0]);
            assert_eq!(message[4], 0xe0, "a router, solicited, override");
            assert_eq!(message[8..24], own.octets());
            assert_eq!(message[24..], [&[2, 1][..], &GATEWAY_MAC.0].concat());
        }
    }
    for other in [guest_address_v6(7), OUTSIDE] {
        let asked = solicitation(GUEST, solicited_node(other), other, &source_option(guest_mac(0)));
        assert!(probe.ask(port, &asked).is_empty(), "{other}");
    }
}

#[test]
fn who_tries_an_address_of_the_machine_is_told_that_it_is_taken() {
    let (mut probe, port) = guest(dual_config(1500));
    let other = probe.port();
    let asked = solicitation(UNSPECIFIED, solicited_node(GATEWAY_V6), GATEWAY_V6, &[]);
    let frames = probe.ask(port, &asked);
    assert_eq!(macs(&frames[0]), Some((guest_mac(0), GATEWAY_MAC)), "a NIC without multicast hears it too");
    let (from, to, message) = only_icmp(&frames);
    assert_eq!((from, to, message[0], message[4]), (GATEWAY_V6, ALL_NODES, 136, 0xa0), "not solicited");
    assert_eq!(probe.receive(other), [asked], "others hear the question, as they may have the address");
}

#[test]
fn messages_that_break_a_rule_are_ignored() {
    let (mut probe, port) = guest(dual_config(1500));
    let own = source_option(guest_mac(0));
    let group = solicited_node(GATEWAY_V6);
    let message = |kind, code, body: &[u8]| icmpv6((GUEST, group), kind, code, 0, body);
    let target = GATEWAY_V6.octets();
    let distant = Ipv6 { hop_limit: 254, ..Ipv6::new(GUEST, group, 58) }.packet(&message(135, 0, &target));
    let mut forwarded = ethernet(&distant);
    forwarded[..6].copy_from_slice(&group_mac(group).0);
    // RFC 6980: not in a fragment, though it is whole.
    let fragment = [&[58, 0, 0, 0, 0, 0, 0, 1][..], &message(135, 0, &target)].concat();
    let cases = [
        forwarded,
        frame(guest_mac(0), GUEST, group, 44, &fragment),
        frame(guest_mac(0), GUEST, group, 58, &message(135, 1, &target)),
        frame(guest_mac(0), GUEST, group, 58, &message(135, 0, &target[..15])),
        solicitation(GUEST, group, GATEWAY_V6, &[1, 0, 0, 0, 0, 0, 0, 0]),
        solicitation(GUEST, group, GATEWAY_V6, &[1, 2, 0, 0, 0, 0, 0, 0]),
        solicitation(GUEST, group, GATEWAY_V6, &own[..7]),
        solicitation(GUEST, group, ALL_NODES, &own),
        // Without an address: to the address's group, and without a MAC address.
        solicitation(UNSPECIFIED, ALL_NODES, GATEWAY_V6, &[]),
        solicitation(UNSPECIFIED, group, GATEWAY_V6, &own),
        router_solicitation(guest_mac(0), UNSPECIFIED, &own),
        advertisement(guest_mac(0), GUEST, ALL_NODES, 0x60, GUEST),
        advertisement(guest_mac(0), GUEST, ALL_NODES, 0x20, ALL_ROUTERS),
    ];
    for (n, case) in cases.iter().enumerate() {
        assert!(probe.ask(port, case).is_empty(), "case {n}");
        assert_eq!(probe.dropped(Drop::NdpInvalid), n as u64 + 1, "case {n}");
    }
}

#[test]
fn others_advice_changes_nothing() {
    let (mut probe, port) = guest(dual_config(1500));
    let link_local = guest_mac(0).link_local();
    let own = source_option(guest_mac(0));
    for (n, (kind, fixed)) in [(134, 8), (137, 32)].into_iter().enumerate() {
        let body = [&vec![0; fixed][..], &own].concat();
        let advice = icmpv6((link_local, ALL_NODES), kind, 0, 0, &body);
        assert!(probe.ask(port, &frame(guest_mac(0), link_local, ALL_NODES, 58, &advice)).is_empty());
        assert_eq!(probe.dropped(Drop::IcmpIgnored), n as u64 + 1, "type {kind}");
    }
    assert_eq!(probe.dropped(Drop::NdpInvalid), 0);
}

/// The options of an advertisement by type.
fn options(message: &[u8]) -> Vec<(u8, &[u8])> {
    let mut options = Vec::new();
    let mut rest = &message[16..];
    while let [kind, length, ..] = rest {
        let (option, after) = rest.split_at(8 * usize::from(*length));
        options.push((*kind, &option[2..]));
        rest = after;
    }
    options
}

fn with_dns() -> LanConfig {
    let dns = DnsConfig {
        domain: "lan".into(),
        records: Vec::new(),
        wildcard: None,
        everywhere: false,
        ttl: Duration::from_secs(60),
        timeout: Duration::from_secs(5),
    };
    LanConfig { dns: Some(dns), ..dual_config(1400) }
}

#[test]
fn a_solicitation_is_answered_with_all_a_guest_needs() {
    let (mut probe, port) = guest(with_dns());
    let other = probe.port();
    let link_local = guest_mac(0).link_local();
    let frames =
        probe.ask(port, &router_solicitation(guest_mac(0), link_local, &source_option(guest_mac(0))));
    let (from, to, message) = only_icmp(&frames);
    assert_eq!((from, to), (GATEWAY_MAC.link_local(), link_local));
    assert_eq!(macs(&frames[0]), Some((guest_mac(0), GATEWAY_MAC)));
    assert_eq!(message[..2], [134, 0]);
    assert_eq!(message[4..8], [64, 0, 0x07, 0x08], "hop limit, no DHCPv6, half an hour");
    let options = options(&message);
    assert_eq!(options[0], (1, &GATEWAY_MAC.0[..]));
    assert_eq!(options[1], (5, &[0, 0, 0, 0, 0x05, 0x78][..]), "the LAN's MTU");
    let (kind, prefix) = options[2];
    assert_eq!((kind, &prefix[..2]), (3, &[64, 0xc0][..]), "on the link, and for addresses");
    assert_eq!(prefix[2..10], [86_400_u32.to_be_bytes(), 14_400_u32.to_be_bytes()].concat());
    assert_eq!(prefix[14..], "fd86:192:168:86::".parse::<Ipv6Addr>().unwrap().octets());
    let (kind, servers) = options[3];
    assert_eq!((kind, &servers[2..6]), (25, &1800_u32.to_be_bytes()[..]));
    assert_eq!(servers[6..], GATEWAY_V6.octets());
    assert_eq!(options.len(), 4);
    assert_eq!(probe.receive(other).len(), 1, "the question, but not the answer");
    // Without an address yet: to all nodes, in a frame to the one that asked.
    let frames = probe.ask(port, &router_solicitation(guest_mac(0), UNSPECIFIED, &[]));
    assert_eq!((macs(&frames[0]), only_icmp(&frames).1), (Some((guest_mac(0), GATEWAY_MAC)), ALL_NODES));
}

#[test]
fn an_advertisement_promises_no_more_than_there_is() {
    let ask = |config| {
        let (mut probe, port) = guest(config);
        only_icmp(&probe.ask(port, &router_solicitation(guest_mac(0), guest_mac(0).link_local(), &[]))).2
    };
    let no_way_out = ask(LanConfig { gateway: false, ..dual_config(1500) });
    assert_eq!(no_way_out[6..8], [0, 0], "no router, though the prefix holds");
    let kinds = |message: &[u8]| options(message).iter().map(|(kind, _)| *kind).collect::<Vec<_>>();
    assert_eq!(kinds(&no_way_out), [1, 5, 3], "no DNS server");
    assert_eq!(kinds(&ask(dual_config(1000))), [1, 3], "no MTU below the least there is");
    let mut config = dual_config(1500);
    if let Some(ipv6) = &mut config.ipv6 {
        ipv6.prefix = netloom_core::Ipv6Net::new(GATEWAY_V6, 80);
    }
    let message = ask(config);
    let (_, prefix) = options(&message)[2];
    assert_eq!(prefix[..2], [80, 0x80], "addresses are formed with a /64 alone");
}

/// When advertisements come to a port, within this time.
fn advertised_at(probe: &mut Probe, port: PortId, time: Duration) -> Vec<u64> {
    let until = probe.now() + time;
    let mut times = Vec::new();
    while probe.now() < until {
        let next = probe.lan.poll_timeout().map_or(until, |(at, _)| at.min(until));
        probe.advance(next.since(probe.now()).max(Duration::from_micros(1)));
        let frames = probe.receive(port);
        if !frames.is_empty() {
            let (_, to, message) = only_icmp(&frames);
            assert_eq!(
                (to, message[0], macs(&frames[0])),
                (ALL_NODES, 134, Some((group_mac(ALL_NODES), GATEWAY_MAC)))
            );
            times.push(probe.now().as_us() / 1_000_000);
        }
    }
    times
}

#[test]
fn everyone_hears_from_the_gateway_from_time_to_time() {
    let (mut probe, port) = guest(dual_config(1500));
    assert_eq!(probe.lan.poll_timeout(), None, "nobody uses IPv6 yet");
    probe.ask(port, &router_solicitation(guest_mac(0), guest_mac(0).link_local(), &[]));
    assert_eq!(probe.lan.poll_timeout().map(|(_, why)| why), Some("router advertisement"));
    let begin = probe.now().as_us() / 1_000_000;
    let times = advertised_at(&mut probe, port, Duration::from_secs(7200));
    let gaps: Vec<u64> =
        [begin].iter().chain(&times).zip(&times).map(|(before, after)| after - before).collect();
    assert!(gaps[..3].iter().all(|gap| *gap <= 16), "{gaps:?}");
    assert!(gaps[3..].iter().all(|gap| (199..=600).contains(gap)), "{gaps:?}");
    assert!(gaps.len() >= 3 + 7200 / 600 - 1, "{gaps:?}");
    assert!(gaps[3..].windows(2).any(|pair| pair[0].abs_diff(pair[1]) > 2), "by chance: {gaps:?}");
    // Once nobody is left there is nobody to tell.
    probe.lan.close_port(port);
    probe.advance(Duration::from_secs(700));
    assert_eq!(probe.lan.poll_timeout(), None);
}

#[test]
fn a_guest_is_looked_for_and_then_reached() {
    let (mut probe, port) = guest(dual_config(1500));
    let other = probe.port();
    let (now, target) = (probe.now(), guest_address_v6(4));
    let id = probe.lan.connect(now, SocketAddr::new(target.into(), 80)).expect("on the LAN");
    for port in [port, other] {
        let frames = probe.receive(port);
        assert_eq!(macs(&frames[0]), Some((group_mac(solicited_node(target)), GATEWAY_MAC)));
        let (from, to, message) = only_icmp(&frames);
        assert_eq!((from, to, message[0]), (GATEWAY_V6, solicited_node(target), 135));
        assert_eq!(message[8..], [&target.octets()[..], &source_option(GATEWAY_MAC)].concat());
    }
    probe.advance(Duration::from_millis(1500));
    assert_eq!(probe.receive(port).len(), 1, "asked again");
    probe.receive(other);
    probe.send(other, &advertisement(guest_mac(4), target, GATEWAY_V6, 0x60, target));
    let frames = probe.receive(other);
    assert_eq!(macs(&frames[0]), Some((guest_mac(4), GATEWAY_MAC)));
    assert!(matches!(read(&frames[0], true), Ok(Packet::Tcp(_))));
    assert!(probe.receive(port).is_empty());
    let guest = probe.lan.guest_of(target.into()).expect("learnt");
    assert_eq!((guest.port, guest.mac), (other, guest_mac(4)));
    probe.lan.reset(id);
    // Nobody there.
    let id = probe.lan.connect(now, SocketAddr::new(guest_address_v6(5).into(), 80)).expect("on the LAN");
    probe.advance(Duration::from_secs(4));
    assert_eq!(probe.events(), [Event::Reset { id, why: ResetReason::Unreachable }]);
    assert_eq!(probe.dropped(Drop::NeighborUnresolved), 1);
}

#[test]
fn addresses_are_learnt_from_traffic_and_a_guest_has_a_few() {
    let (mut probe, port) = guest(dual_config(1500));
    for n in 0..40 {
        let address = guest_address_v6(n);
        probe.send(port, &crate::guest::echo_request(address, GATEWAY_V6, b""));
    }
    let known = (0..40).filter(|n| probe.lan.guest_of(guest_address_v6(*n).into()).is_some());
    assert_eq!(known.collect::<Vec<_>>(), (24..40).collect::<Vec<_>>(), "the last sixteen");
    // Nobody becomes the gateway by saying so.
    probe.send(port, &advertisement(guest_mac(0), GUEST, ALL_NODES, 0x20, GATEWAY_V6));
    assert!(probe.lan.guest_of(GATEWAY_V6.into()).is_none());
    probe.lan.close_port(port);
    assert!(probe.lan.guest_of(guest_address_v6(30).into()).is_none());
}

#[test]
fn a_claim_to_a_mac_address_asks_its_owner_by_ipv6_if_that_is_all_it_uses() {
    let (mut probe, port) = guest(dual_config(1500));
    let other = probe.port();
    probe.send(port, &to_gateway(58, GATEWAY_V6, &icmpv6((GUEST, GATEWAY_V6), 128, 0, 0, b"")));
    probe.receive(port);
    probe.send(other, &to_gateway(58, GATEWAY_V6, &icmpv6((GUEST, GATEWAY_V6), 128, 0, 0, b"")));
    let frames = probe.receive(port);
    assert_eq!(macs(&frames[0]), Some((guest_mac(0), GATEWAY_MAC)));
    let (_, _, message) = only_icmp(&frames);
    assert_eq!((message[0], &message[8..24]), (135, &GUEST.octets()[..]));
    assert!(probe.receive(other).is_empty());
}

#[test]
fn multicast_reaches_a_nic_that_receives_none() {
    let alone = PortConfig { multicast_to_unicast: true, ..PortConfig::default() };
    let mut probe = Probe::new(dual_config(1500));
    let (deaf, plain, speaker) = (probe.lan.open_port(alone), probe.port(), probe.port());
    let speaking = guest_mac(2);
    let groups: [MacAddr; 2] = [group_mac(ALL_NODES), MacAddr([1, 0, 0x5e, 0, 0, 0xfb])];
    let to = |group: MacAddr| {
        let mut sent = frame(speaking, guest_address_v6(2), ALL_NODES, 59, b"to all");
        sent[..6].copy_from_slice(&group.0);
        sent
    };
    let heard = |probe: &mut Probe, port, group| {
        probe.receive(port);
        probe.send(speaker, &to(group));
        let frames = probe.receive(port);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0][6..], to(group)[6..], "the packet stays as it is");
        macs(&frames[0]).expect("a frame").0
    };
    assert_eq!(heard(&mut probe, deaf, groups[0]), groups[0], "nobody is known there yet");
    let link_local = guest_mac(0).link_local();
    probe.send(deaf, &router_solicitation(guest_mac(0), link_local, &[]));
    probe.send(plain, &router_solicitation(guest_mac(1), guest_mac(1).link_local(), &[]));
    for group in groups {
        assert_eq!(heard(&mut probe, deaf, group), guest_mac(0));
        assert_eq!(heard(&mut probe, plain, group), group);
    }
    for group in [MacAddr::BROADCAST, MacAddr([1, 0x80, 0xc2, 0, 0, 0])] {
        assert_eq!(heard(&mut probe, deaf, group), group, "not multicast of IP");
    }
    // What the machine itself says to everyone.
    probe.receive(deaf);
    probe.receive(plain);
    probe.advance(Duration::from_secs(17));
    for (port, mac) in [(deaf, guest_mac(0)), (plain, group_mac(ALL_NODES))] {
        let frames = probe.receive(port);
        assert_eq!(macs(&frames[0]).map(|(to, _)| to), Some(mac));
        assert_eq!((only_icmp(&frames).1, only_icmp(&frames).2[0]), (ALL_NODES, 134));
    }
    let (now, sought) = (probe.now(), guest_address_v6(9));
    probe.lan.connect(now, SocketAddr::new(sought.into(), 80)).expect("on the LAN");
    assert_eq!(macs(&probe.receive(deaf)[0]).map(|(to, _)| to), Some(guest_mac(0)));
    // With two addresses behind it, it cannot be told whom.
    probe.send(deaf, &router_solicitation(guest_mac(7), guest_mac(7).link_local(), &[]));
    assert_eq!(heard(&mut probe, deaf, groups[0]), groups[0]);
}
