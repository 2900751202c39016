//! Hosts that forward: routers, bridges, and masquerading.

use netloom_core::host::{Event, Route};
use netloom_core::interface::{InterfaceConfig, InterfaceId, Medium};
use netloom_core::{Duration, Event as Told, MacAddr, PortConfig, ResetReason};

use super::net::{Net, OPTIONS, any, at, net};

const LIMIT_BYTES: usize = 1 << 20;

/// Two hosts with a router between them: 0 and 2 are the ends.
fn routed(mtus: [u16; 2]) -> (Net, [[InterfaceId; 2]; 2]) {
    let mut lab = Net::new(3);
    let left = lab.link((0, &["10.0.0.2/24", "fd00::2/64"]), (1, &["10.0.0.1/24", "fd00::1/64"]), mtus[0]);
    let right = lab.link((1, &["10.2.0.1/24", "fd02::1/64"]), (2, &["10.2.0.2/24", "fd02::2/64"]), mtus[1]);
    let route = |net_text, via: &str, interface| Route {
        net: net(net_text),
        via: Some(via.parse().unwrap()),
        interface,
    };
    for (host, interface, v4, v6) in
        [(0, left[0], "10.0.0.1", "fd00::1"), (2, right[1], "10.2.0.1", "fd02::1")]
    {
        lab.hosts[host].add_route(route("0.0.0.0/0", v4, interface)).unwrap();
        lab.hosts[host].add_route(route("::/0", v6, interface)).unwrap();
    }
    (lab, [left, right])
}

#[test]
fn a_router_carries_connections_between_links_of_any_mtu() {
    for mtus in [[1500, 1500], [1500, 1280], [9000, 1500], [1500, 9000]] {
        for target in ["10.2.0.2:80", "[fd02::2]:80"] {
            let (mut lab, _) = routed(mtus);
            let (a, b) = lab.connect(0, 2, at(target));
            lab.carry((0, a), (2, b), 300_000);
            lab.carry((2, b), (0, a), 300_000);
        }
    }
}

#[test]
fn segments_that_came_larger_than_the_wire_leave_cut_and_with_checksums() {
    for target in ["10.2.0.2:80", "[fd02::2]:80"] {
        let (mut lab, [left, _]) = routed([1500, 1500]);
        assert!(lab.hosts[0].set_offload(left[0], true, true));
        assert!(lab.hosts[1].set_offload(left[1], true, true));
        let (a, b) = lab.connect(0, 2, at(target));
        lab.carry((0, a), (2, b), 1_000_000);
        lab.carry((2, b), (0, a), 1_000_000);
        assert!(lab.seen.iter().any(|(from, frame)| *from == 0 && frame.len() > 10_000));
        assert!(lab.seen.iter().all(|(from, frame)| *from == 0 || frame.len() <= 1514));
    }
}

#[test]
fn a_router_fragments_what_may_be_and_tells_what_may_not() {
    let (mut lab, _) = routed([1500, 600]);
    let (server, _) = lab.hosts[2].open_udp(any(5000), None, LIMIT_BYTES).unwrap();
    let (client, _) = lab.hosts[0].open_udp(any(0), None, LIMIT_BYTES).unwrap();
    for length in [1400, 5000] {
        lab.hosts[0].send(lab.now, client, at("10.2.0.2:5000"), &vec![3; length]).unwrap();
        lab.pass(Duration::from_millis(10));
        assert_eq!(lab.hosts[2].peek_datagram(server).unwrap().1, vec![3; length]);
        lab.hosts[2].take_datagram(server);
    }
}

#[test]
fn a_router_says_when_there_is_no_way_and_a_host_that_does_not_forward_is_silent() {
    let (mut lab, _) = routed([1500, 1500]);
    let nowhere = lab.hosts[0].connect(lab.now, any(0), at("192.0.2.1:80"), OPTIONS).unwrap();
    let absent = lab.hosts[0].connect(lab.now, any(0), at("10.2.0.99:80"), OPTIONS).unwrap();
    lab.pass(Duration::from_secs(5));
    let events = lab.take_events(0);
    assert!(
        events.contains(&Event::Flow(Told::Reset { id: nowhere, why: ResetReason::Unreachable })),
        "{events:?}"
    );
    assert!(
        events.contains(&Event::Flow(Told::Reset { id: absent, why: ResetReason::Unreachable })),
        "{events:?}"
    );
}

#[test]
fn hops_are_counted() {
    // Two routers that send everything to each other.
    let mut lab = Net::new(3);
    let left = lab.link((0, &["10.0.0.2/24"]), (1, &["10.0.0.1/24"]), 1500);
    let right = lab.link((1, &["10.2.0.1/24"]), (2, &["10.2.0.2/24"]), 1500);
    let default =
        |via: &str, interface| Route { net: net("0.0.0.0/0"), via: Some(via.parse().unwrap()), interface };
    lab.hosts[0].add_route(default("10.0.0.1", left[0])).unwrap();
    lab.hosts[1].add_route(default("10.2.0.2", right[0])).unwrap();
    lab.hosts[2].add_route(default("10.2.0.1", right[1])).unwrap();
    let (socket, _) = lab.hosts[0].open_udp(any(0), None, LIMIT_BYTES).unwrap();
    lab.hosts[0].send(lab.now, socket, at("192.0.2.1:9"), b"round").unwrap();
    lab.pass(Duration::from_millis(10));
    assert!(lab.seen.len() < 100, "{}", lab.seen.len());
}

#[test]
fn a_bridge_joins_taps_and_the_host_itself() {
    let mut lab = Net::new(4);
    let bridge = lab.hosts[0].open_interface(&InterfaceConfig {
        medium: Medium::Bridge,
        mac: MacAddr([2, 0, 0, 0, 0, 0xbb]),
        addresses: vec![net("10.0.0.1/24")],
        port: PortConfig::default(),
        masquerade: false,
    });
    let mut taps = Vec::new();
    for host in 1..4 {
        let tap = lab.link((0, &[]), (host, &[&format!("10.0.0.{}/24", host + 1)]), 1500)[0];
        assert!(lab.hosts[0].join_bridge(bridge, tap));
        assert!(!lab.hosts[0].join_bridge(bridge, tap));
        assert!(!lab.hosts[0].set_offload(tap, true, true));
        taps.push(tap);
    }
    let (a, b) = lab.connect(1, 2, at("10.0.0.3:80"));
    lab.carry((1, a), (2, b), 300_000);
    let (a, b) = lab.connect(3, 0, at("10.0.0.1:81"));
    lab.carry((3, a), (0, b), 300_000);
    let (a, b) = lab.connect(0, 1, at("10.0.0.2:82"));
    lab.carry((0, a), (1, b), 300_000);
    lab.hosts[0].close_interface(taps[0]);
    let (a, b) = lab.connect(3, 2, at("10.0.0.3:83"));
    lab.carry((3, a), (2, b), 10_000);
}

/// A host behind a router that masquerades, whose peer knows no way back.
fn masqueraded() -> Net {
    let mut lab = Net::new(3);
    let left = lab.link((0, &["10.0.0.2/24"]), (1, &["10.0.0.1/24"]), 1500);
    let outside = lab.hosts[1].open_interface(&InterfaceConfig {
        medium: Medium::Tap,
        mac: MacAddr([2, 0, 0, 1, 9, 9]),
        addresses: vec![net("198.51.100.1/24")],
        port: PortConfig::default(),
        masquerade: true,
    });
    let far = lab.open(2, Medium::Tap, 1500, &["198.51.100.2/24"]);
    lab.join((1, outside), (2, far));
    let default = Route { net: net("0.0.0.0/0"), via: Some("10.0.0.1".parse().unwrap()), interface: left[0] };
    lab.hosts[0].add_route(default).unwrap();
    lab
}

#[test]
fn masquerading_carries_tcp_udp_and_ping_and_the_errors_about_them() {
    let mut lab = masqueraded();
    let (a, b) = lab.connect(0, 2, at("198.51.100.2:80"));
    lab.carry((0, a), (2, b), 300_000);
    lab.carry((2, b), (0, a), 300_000);
    let own = lab.hosts[2].ends(b).unwrap().1;
    assert_eq!(own.ip(), at("198.51.100.1:0").ip());
    let (server, _) = lab.hosts[2].open_udp(any(53), None, LIMIT_BYTES).unwrap();
    let (client, _) = lab.hosts[0].open_udp(any(0), None, LIMIT_BYTES).unwrap();
    for length in [20, 4000] {
        lab.hosts[0].send(lab.now, client, at("198.51.100.2:53"), &vec![1; length]).unwrap();
        lab.pass(Duration::from_millis(10));
        let (from, data) = lab.hosts[2].peek_datagram(server).expect("it arrived");
        assert_eq!((from.ip(), data.len()), (own.ip(), length));
        lab.hosts[2].send(lab.now, server, from, &vec![2; length]).unwrap();
        lab.hosts[2].take_datagram(server);
        lab.pass(Duration::from_millis(10));
        assert_eq!(
            lab.hosts[0].peek_datagram(client).unwrap(),
            (at("198.51.100.2:53"), &vec![2; length][..])
        );
        lab.hosts[0].take_datagram(client);
    }
    let (ping, _) = lab.hosts[0].open_ping(LIMIT_BYTES).unwrap();
    lab.hosts[0].send(lab.now, ping, at("198.51.100.2:3"), b"echo").unwrap();
    lab.pass(Duration::from_millis(10));
    assert_eq!(lab.hosts[0].peek_datagram(ping).unwrap(), (at("198.51.100.2:3"), &b"echo"[..]));
    lab.take_events(0);
    lab.hosts[0].send(lab.now, client, at("198.51.100.2:99"), b"x").unwrap();
    lab.pass(Duration::from_millis(10));
    let told = Event::Undelivered { socket: client, target: at("198.51.100.2:99"), refused: true };
    assert!(lab.take_events(0).contains(&told));
}

#[test]
fn nobody_outside_opens_a_connection_through_a_masquerade() {
    let mut lab = masqueraded();
    lab.hosts[0].listen(any(80), 1, OPTIONS).unwrap();
    let flow = lab.hosts[2].connect(lab.now, any(0), at("198.51.100.1:80"), OPTIONS).unwrap();
    lab.pass(Duration::from_millis(10));
    assert!(lab.take_events(2).contains(&Event::Flow(Told::Reset { id: flow, why: ResetReason::Refused })));
}

#[test]
fn a_mapping_is_one_for_all_peers_and_ends_when_it_is_silent() {
    let mut lab = masqueraded();
    let servers: Vec<_> =
        [53, 54].map(|port| lab.hosts[2].open_udp(any(port), None, LIMIT_BYTES).unwrap().0).to_vec();
    let (client, _) = lab.hosts[0].open_udp(any(0), None, LIMIT_BYTES).unwrap();
    let seen_from = |lab: &mut Net, port: u16| {
        let target = at(&format!("198.51.100.2:{port}"));
        lab.hosts[0].send(lab.now, client, target, b"x").unwrap();
        lab.pass(Duration::from_millis(10));
        let server = servers[usize::from(port - 53)];
        let from = lab.hosts[2].peek_datagram(server).expect("it arrived").0;
        lab.hosts[2].take_datagram(server);
        from
    };
    let first = seen_from(&mut lab, 53);
    assert_eq!(seen_from(&mut lab, 54), first);
    lab.pass(Duration::from_secs(299));
    assert_eq!(seen_from(&mut lab, 53), first);
    lab.pass(Duration::from_secs(301));
    lab.hosts[2].send(lab.now, servers[0], first, b"late").unwrap();
    lab.pass(Duration::from_millis(10));
    assert!(lab.hosts[0].peek_datagram(client).is_none());
}
