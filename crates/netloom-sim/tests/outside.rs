//! Flows that the outside opens toward guests: from the gateway or from an address of its own, as streams and as datagrams.

#![expect(clippy::expect_used, reason = "what fails here fails a test")]

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use netloom_core::stack::ConnectError;
use netloom_core::{Drop, Duration, Event, LanConfig, Limits, MacAddr, PortId, ResetReason};
use netloom_sim::Probe;
use netloom_sim::packet::{Ipv4, Packet, Segment, arp, ethernet, flag, icmp, ip_frame, read, tcp, udp};
use netloom_sim::world::{
    GATEWAY, GATEWAY_MAC, VIRTUAL, dual_config, guest_address, guest_address_v6, guest_mac, lan_config,
};

const PEER: &str = "203.0.113.7:40000";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn guest(n: u8, port: u16) -> SocketAddr {
    SocketAddr::from((guest_address(n), port))
}

/// A guest says by ARP that it has an address.
fn tell(probe: &mut Probe, port: PortId, n: u8, address: Ipv4Addr) {
    let sender = (guest_mac(n), address);
    let question = arp(1, sender, (MacAddr::default(), GATEWAY));
    probe.ask(port, &ethernet(MacAddr::BROADCAST, guest_mac(n), 0x0806, &question));
}

fn one_guest(config: LanConfig) -> (Probe, PortId) {
    let mut probe = Probe::new(config);
    let port = probe.port();
    tell(&mut probe, port, 0, guest_address(0));
    (probe, port)
}

/// A packet of the first guest.
fn ip(protocol: u8, to: IpAddr, payload: &[u8]) -> Vec<u8> {
    ip_frame((guest_mac(0), GATEWAY_MAC), (guest_address(0).into(), to), protocol, payload)
}

/// Who sent the datagram that is the only frame, and what it says.
fn only_datagram(frames: &[Vec<u8>]) -> (SocketAddr, SocketAddr, Vec<u8>) {
    assert_eq!(frames.len(), 1, "{frames:02x?}");
    match read(&frames[0], true) {
        Ok(Packet::Udp(from, to, data)) => (from, to, data.to_vec()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_comes_from_who_asks_for_it() {
    let (mut probe, port) = one_guest(lan_config(1500));
    let now = probe.now();
    let id = probe.lan.connect_from(now, at(PEER), guest(0, 80)).expect("a guest");
    let frames = probe.receive(port);
    let Ok(Packet::Tcp(syn)) = read(&frames[0], true) else { panic!("{frames:02x?}") };
    assert_eq!((syn.source, syn.destination, syn.flags), (at(PEER), guest(0, 80), flag::SYN));
    let again = probe.lan.connect_from(now, at(PEER), guest(0, 80));
    assert_eq!(again, Err(ConnectError::InUse), "two of one name");
    let answer = Segment {
        source: guest(0, 80),
        destination: at(PEER),
        seq: 7000,
        ack: Some(syn.seq.wrapping_add(1)),
        flags: flag::SYN | flag::ACK,
        window: 60_000,
        mss: Some(1460),
        scale: None,
        options_bytes: 0,
        payload: &[],
    };
    probe.send(port, &ip(6, at(PEER).ip(), &tcp(&answer)));
    assert_eq!(probe.events(), [Event::Established { id }]);
    assert_eq!(probe.lan.ends(id), Some((at(PEER), guest(0, 80))));
    assert_eq!(probe.lan.write(now, id, b"hello"), 5);
    let frames = probe.receive(port);
    let said =
        frames.iter().any(|frame| matches!(read(frame, true), Ok(Packet::Tcp(it)) if it.payload == b"hello"));
    assert!(said, "{frames:02x?}");
}

#[test]
fn a_source_that_the_guest_could_not_answer_is_refused() {
    let (mut probe, _) = one_guest(dual_config(1500));
    let now = probe.now();
    for source in [
        "127.0.0.1:4000",
        "0.0.0.0:4000",
        "255.255.255.255:4000",
        "224.0.0.1:4000",
        "169.254.1.1:4000",
        "203.0.113.7:0",
        "[2001:db8::1]:4000",
    ]
    .map(at)
    .into_iter()
    .chain([guest(1, 4000), SocketAddr::from((GATEWAY, 4000)), SocketAddr::from((VIRTUAL, 4000))])
    {
        let refused = Err(ConnectError::BadSource);
        assert_eq!(probe.lan.connect_from(now, source, guest(0, 80)), refused, "{source}");
        assert_eq!(probe.lan.open_datagrams(now, Some(source), guest(0, 80)), refused, "{source}");
    }
    let v6 = SocketAddr::from((guest_address_v6(0), 80));
    let link_local = SocketAddr::from((guest_mac(0).link_local(), 80));
    assert!(probe.lan.connect_from(now, at("[2606:2800:220:1::1946]:4000"), v6).is_ok());
    let refused = probe.lan.connect_from(now, at("[2606:2800:220:1::1946]:4001"), link_local);
    assert_eq!(refused, Err(ConnectError::BadSource), "nobody is routed to from a link-local address");
    for nobody in [at("203.0.113.9:80"), SocketAddr::from((GATEWAY, 80)), SocketAddr::from((VIRTUAL, 80))] {
        assert_eq!(probe.lan.open_datagrams(now, None, nobody), Err(ConnectError::NotOnLan), "{nobody}");
    }
    let (mut closed, _) = one_guest(LanConfig { gateway: false, ..lan_config(1500) });
    let refused = closed.lan.connect_from(now, at(PEER), guest(0, 80));
    assert_eq!(refused, Err(ConnectError::BadSource), "nobody forwards");
}

#[test]
fn datagrams_go_to_a_guest_and_its_answers_come_back() {
    for source in [None, Some(at(PEER)), Some(at("203.0.113.7:53")), Some(at("203.0.113.7:123"))] {
        let (mut probe, port) = one_guest(lan_config(1500));
        let now = probe.now();
        let id = probe.lan.open_datagrams(now, source, guest(0, 5353)).expect("a guest");
        assert_eq!(probe.lan.write(now, id, b"question"), 8);
        let (from, to, data) = only_datagram(&probe.receive(port));
        assert_eq!((to, data.as_slice()), (guest(0, 5353), &b"question"[..]));
        match source {
            Some(source) => assert_eq!(from, source),
            None => assert_eq!(from.ip(), GATEWAY),
        }
        // Whatever the port, the answer is of the flow and for no service of ours.
        let answer = ip(17, from.ip(), &udp(guest(0, 5353), from, b"answer"));
        assert!(probe.ask(port, &answer).is_empty());
        assert_eq!(probe.events(), [Event::Data { id, bytes: 6 }]);
        assert_eq!(probe.lan.peek_datagram(id), Some(&b"answer"[..]));
        probe.advance(Duration::from_secs(600));
        assert_eq!(probe.events(), [Event::Reset { id, why: ResetReason::Timeout }]);
    }
}

#[test]
fn a_guest_that_refuses_datagrams_ends_their_flow() {
    let (mut probe, port) = one_guest(lan_config(1500));
    let now = probe.now();
    let id = probe.lan.open_datagrams(now, None, guest(0, 9)).expect("a guest");
    probe.lan.write(now, id, b"anybody?");
    let frames = probe.receive(port);
    let refused = icmp(3, 3, 0, &frames[0][14..]);
    probe.send(port, &ip(1, GATEWAY.into(), &refused));
    assert_eq!(probe.events(), [Event::Reset { id, why: ResetReason::Refused }]);
    assert_eq!(probe.lan.flows(), 0);
}

#[test]
fn datagrams_wait_until_their_guest_is_found() {
    let mut probe = Probe::new(lan_config(1500));
    let port = probe.port();
    let now = probe.now();
    let id = probe.lan.open_datagrams(now, None, guest(0, 9)).expect("on the LAN");
    assert_eq!(probe.lan.write(now, id, b"one"), 3);
    assert_eq!(probe.lan.write(now, id, b"two"), 3);
    let asked = probe.receive(port);
    assert!(matches!(read(&asked[0], true), Ok(Packet::Arp(1, _, _, target)) if target == guest_address(0)));
    let found = arp(2, (guest_mac(0), guest_address(0)), (GATEWAY_MAC, GATEWAY));
    let frames = probe.ask(port, &ethernet(GATEWAY_MAC, guest_mac(0), 0x0806, &found));
    let said: Vec<_> = frames.iter().map(|frame| only_datagram(std::slice::from_ref(frame)).2).collect();
    assert_eq!(said, [b"one", b"two"]);
    // One that is nowhere ends its flow.
    let nobody = probe.lan.open_datagrams(now, None, guest(3, 9)).expect("on the LAN");
    probe.lan.write(now, nobody, b"lost");
    probe.advance(Duration::from_secs(5));
    assert_eq!(probe.events(), [Event::Reset { id: nobody, why: ResetReason::Unreachable }]);
    assert_eq!(probe.dropped(Drop::NeighborUnresolved), 2, "the datagram and its flow");
}

#[test]
fn what_is_opened_to_a_guest_takes_nothing_of_what_it_opens() {
    let config = lan_config(1500);
    let limits = Limits { flows_per_guest: 3, ..config.limits };
    let (mut probe, port) = one_guest(LanConfig { limits, ..config });
    let now = probe.now();
    let opened: Vec<_> =
        (0..3).map(|n| probe.lan.open_datagrams(now, None, guest(0, 9 + n)).expect("room")).collect();
    assert_eq!(probe.lan.open_datagrams(now, None, guest(0, 99)), Err(ConnectError::TooMany));
    assert_eq!(probe.lan.connect(now, guest(0, 99)), Err(ConnectError::TooMany));
    for n in 0..4 {
        let to = at(&format!("93.184.216.34:{}", 9 + n));
        probe.send(port, &ip(17, to.ip(), &udp(guest(0, 5000), to, b"")));
    }
    assert_eq!((probe.lan.flows(), probe.dropped(Drop::FlowLimit)), (6, 1));
    probe.lan.reset(opened[0]);
    assert!(probe.lan.connect(now, guest(0, 99)).is_ok());
}

#[test]
fn of_a_guests_addresses_the_one_used_last_is_told() {
    let (mut probe, port) = one_guest(lan_config(1500));
    let last = |probe: &Probe| {
        let all = probe.lan.neighbors(probe.now());
        all.max_by_key(|neighbor| neighbor.heard).map(|neighbor| neighbor.address)
    };
    let [first, second] = [guest_address(0), guest_address(5)];
    assert_eq!(last(&probe), Some(first.into()));
    tell(&mut probe, port, 0, second);
    assert_eq!(last(&probe), Some(second.into()));
    // Back by a packet rather than by ARP.
    let to: Ipv4Addr = "93.184.216.34".parse().expect("an address");
    let packet = Ipv4::new(first, to, 17).packet(&udp((first, 5000), (to, 9), b""));
    probe.send(port, &ethernet(GATEWAY_MAC, guest_mac(0), 0x0800, &packet));
    assert_eq!(last(&probe), Some(first.into()));
    assert_eq!(probe.lan.neighbors(probe.now()).count(), 2);
}
