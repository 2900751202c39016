//! Guests that form their own addresses and use IPv6 beside or without IPv4: services, names, each other, and a NIC without multicast.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use netloom_core::{Drop, Duration, Instant, LanConfig, PortConfig, Protocol};
use netloom_sim::guest::smoltcp::SmoltcpHostConfig;
use netloom_sim::packet::{dns_query, icmpv6, macs};
use netloom_sim::world::{GATEWAY_V6, guest_address_v6, guest_mac};
use netloom_sim::{Answer, Host, LinkConfig, Outcome, Outside, Plan, SmoltcpHost, World};

use crate::guest::{OUTSIDE, served};

/// A LAN that serves both families.
fn config() -> LanConfig {
    LanConfig {
        ntp: true,
        echo_ports: vec![7],
        ..served(vec![("printer.lan".into(), vec![IpAddr::V6(guest_address_v6(77))])])
    }
}

/// A guest whose NIC may hand it no multicast, as v86's ne2k.
struct Nic {
    host: SmoltcpHost,
    deaf: bool,
}

impl Host for Nic {
    fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        let (to, _) = macs(frame).expect("a frame");
        if !(self.deaf && to.is_ip_multicast()) {
            self.host.handle_frame(now, frame);
        }
    }

    fn poll_frame(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.host.poll_frame(now)
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        self.host.poll_timeout(now)
    }

    fn finished(&self) -> &[(netloom_sim::Role, Outcome)] {
        self.host.finished()
    }
}

/// A guest with DHCP and SLAAC.
fn guest(n: u8) -> SmoltcpHost {
    SmoltcpHost::new(SmoltcpHostConfig {
        mac: guest_mac(n),
        address: None,
        router: None,
        slaac: true,
        mtu: 1500,
        buffer_bytes: 65_535,
        checksums: true,
        seed: u64::from(n) + 100,
    })
}

/// What SLAAC makes of a guest's MAC address.
fn own(n: u8) -> Ipv6Addr {
    let prefix = guest_address_v6(0).to_bits() >> 64 << 64;
    let interface = u128::from(guest_mac(n).link_local().to_bits() as u64);
    Ipv6Addr::from_bits(prefix | interface)
}

fn world(outside: Outside, guests: u8, link: LinkConfig) -> World<SmoltcpHost> {
    let mut world = World::new(config(), outside, 5);
    for n in 0..guests {
        world.join(guest(n), PortConfig::default(), link);
        world.checker.excuse_rounding(own(n));
    }
    let ready = |world: &mut World<SmoltcpHost>| {
        (0..usize::from(guests)).all(|n| {
            let host = world.host(n);
            host.address().is_some() && host.global_addresses().next().is_some()
        })
    };
    assert!(world.run_until(Instant::from_us(60_000_000), ready), "no address: {:?}", world.lan.drops());
    world
}

/// Runs until a datagram or message arrives at the first guest.
fn wait_for<H: Host, T>(world: &mut World<H>, mut take: impl FnMut(&mut H) -> Option<T>) -> T {
    let until = world.now() + Duration::from_secs(10);
    let mut got = None;
    world.run_until(until, |world| {
        got = got.take().or_else(|| take(world.host(0)));
        got.is_some()
    });
    got.expect("an answer within ten seconds")
}

#[test]
fn guests_form_their_addresses_by_themselves() {
    let mut world = world(Outside::default(), 3, LinkConfig::default());
    for n in 0..3 {
        assert_eq!(world.host(usize::from(n)).global_addresses().collect::<Vec<_>>(), [own(n)]);
    }
    // Hours later they still have them: the gateway has told of the prefix again and again.
    world.run_for(Duration::from_secs(2 * 86_400));
    assert_eq!(world.host(0).global_addresses().collect::<Vec<_>>(), [own(0)]);
    assert_eq!(world.lan.drops().of(Drop::NdpInvalid), 0);
    world.checker.assert_clean();
}

#[test]
fn services_answer_at_the_gateways_ipv6_address() {
    let mut outside = Outside::default().with(7000, Answer::Echo);
    outside.answers_queries = true;
    let mut world = world(outside, 1, LinkConfig::default());
    let now = world.now();
    world.lan.set_wall_clock(now, 1_800_000_000_000_000);
    let socket = world.host(0).open_udp(40_000);
    let ask = |world: &mut World<SmoltcpHost>, to: SocketAddr, data: &[u8]| {
        world.host(0).send_udp(socket, to, data);
        let (from, answer) = wait_for(world, |host| host.receive_udp(socket));
        assert_eq!(from, to, "the answer comes from the address asked");
        answer
    };
    let dns = SocketAddr::new(GATEWAY_V6.into(), 53);
    let answer = ask(&mut world, dns, &dns_query(1, "printer.lan", 28));
    assert!(answer.ends_with(&guest_address_v6(77).octets()), "{answer:02x?}");
    let query = dns_query(2, "example.org", 28);
    assert_eq!(ask(&mut world, dns, &query)[12..], query[12..]);
    let mut request = [0; 48];
    request[0] = 0x23;
    request[40..48].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    for server in [GATEWAY_V6, OUTSIDE] {
        let answer = ask(&mut world, SocketAddr::new(server.into(), 123), &request);
        assert_eq!(answer[24..32], request[40..48], "the origin timestamp is the request's");
    }
    for to in [SocketAddr::new(GATEWAY_V6.into(), 7), SocketAddr::new(OUTSIDE.into(), 7000)] {
        for length in [0, 1, 1000, 1452] {
            let data = vec![length as u8; length];
            assert_eq!(ask(&mut world, to, &data), data);
        }
    }
    let ping = world.host(0).open_ping(7);
    for (n, to) in [GATEWAY_V6, OUTSIDE].into_iter().enumerate() {
        world.outside = std::mem::take(&mut world.outside).otherwise(Answer::Echo);
        world.host(0).send_icmp(ping, to, &icmpv6((own(0), to), 128, 0, 0x0007_0000 + n as u32, b"hello"));
        let reply = wait_for(&mut world, |host| host.receive_icmp(ping));
        assert_eq!((reply[0], &reply[8..]), (129, &b"hello"[..]), "{to}");
    }
    assert!(world.outside.opened().contains(&(
        Protocol::Ping,
        SocketAddr::new(own(0).into(), 7),
        SocketAddr::new(OUTSIDE.into(), 0)
    )));
    world.run_for(Duration::from_secs(120));
    assert_eq!(world.lan.flows(), 0);
    world.checker.assert_clean();
}

#[test]
fn addresses_are_formed_and_bytes_arrive_over_a_lossy_wire() {
    let link = LinkConfig {
        loss: 0.05,
        duplicate: 0.05,
        reorder: 0.05,
        delay: Duration::from_millis(5),
        ..LinkConfig::default()
    };
    let plan = Plan::both(100_000, 100_000);
    let mut world = world(Outside::default().with(80, Answer::Serve(Duration::ZERO, plan)), 2, link);
    for n in 0..2 {
        world.host(n).connect(SocketAddr::new(OUTSIDE.into(), 80), plan);
    }
    world.run_until(Instant::from_us(3_600_000_000), |world| world.outside.finished().len() == 2);
    let outcomes: Vec<_> = world.outside.finished().iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(outcomes, [Outcome::Done; 2]);
    world.checker.assert_clean();
}

/// Two guests that listen, of which the first has a NIC without multicast, on a port with or without a remedy.
fn deaf_world(multicast_to_unicast: bool) -> World<Nic> {
    let mut world = World::new(config(), Outside::default(), 5);
    for (n, deaf) in [(0, true), (1, false)] {
        let mut host = guest(n);
        host.listen(81, PLAN, 1);
        let port = PortConfig { multicast_to_unicast: multicast_to_unicast && deaf, ..PortConfig::default() };
        world.join(Nic { host, deaf }, port, LinkConfig::default());
        world.checker.excuse_rounding(own(n));
        world.checker.excuse_rounding(guest_mac(n).link_local());
    }
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.host(0).host.global_addresses().collect::<Vec<_>>(), [own(0)], "told by unicast");
    world
}

const PLAN: Plan = Plan::both(20_000, 20_000);

#[test]
fn a_nic_without_multicast_is_reached_by_the_outside() {
    for remedy in [false, true] {
        let mut world = deaf_world(remedy);
        let now = world.now();
        let World { outside, lan, .. } = &mut world;
        let target = SocketAddr::new(guest_mac(0).link_local().into(), 81);
        outside.connect(now, lan, target, PLAN).expect("on the LAN");
        world.run_to_end(Duration::from_secs(60));
        assert_eq!(world.outside.finished().last().map(|(_, outcome)| *outcome), Some(Outcome::Done));
        world.checker.assert_clean();
    }
}

/// What the documentation of [`PortConfig`] says of such a NIC.
#[test]
fn guests_find_a_nic_without_multicast_only_with_the_remedy() {
    for remedy in [false, true] {
        let mut world = deaf_world(remedy);
        world.host(1).host.connect(SocketAddr::new(own(0).into(), 81), PLAN);
        let until = world.now() + Duration::from_secs(20);
        let found = world.run_until(until, |world| !world.host(1).finished().is_empty());
        assert_eq!(found, remedy);
        // It finds others by itself.
        let mut world = deaf_world(remedy);
        world.host(0).host.connect(SocketAddr::new(own(1).into(), 81), PLAN);
        let until = world.now() + Duration::from_secs(20);
        assert!(world.run_until(until, |world| !world.host(0).finished().is_empty()));
        world.checker.assert_clean();
    }
}

#[test]
fn a_nic_without_multicast_keeps_its_router_only_with_the_remedy() {
    for remedy in [false, true] {
        let mut world = deaf_world(remedy);
        world.outside = std::mem::take(&mut world.outside).otherwise(Answer::Echo);
        world.run_for(Duration::from_secs(3600));
        let socket = world.host(0).host.open_udp(40_000);
        world.host(0).host.send_udp(socket, SocketAddr::new(OUTSIDE.into(), 7000), b"still there?");
        let until = world.now() + Duration::from_secs(5);
        let answered = world.run_until(until, |world| world.host(0).host.receive_udp(socket).is_some());
        assert_eq!(answered, remedy);
    }
}
