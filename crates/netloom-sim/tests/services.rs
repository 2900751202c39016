//! The services of a LAN with an independent client: DHCP, DNS, NTP, echo, and guests that talk to each other.

use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use netloom_core::service::dhcp::DhcpConfig;
use netloom_core::service::dns::DnsConfig;
use netloom_core::{Duration, Instant, LanConfig, PortConfig};
use netloom_sim::guest::smoltcp::SmoltcpHostConfig;
use netloom_sim::packet::{dns_query, icmp};
use netloom_sim::world::{GATEWAY, guest_address, guest_mac, lan_config};
use netloom_sim::{Answer, Host, LinkConfig, Outcome, Outside, Plan, SmoltcpHost, World};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);

fn config() -> LanConfig {
    LanConfig {
        dhcp: Some(DhcpConfig {
            first: Ipv4Addr::new(192, 168, 86, 100),
            last: Ipv4Addr::new(192, 168, 86, 199),
            lease: Duration::from_secs(3600),
            fixed: vec![(guest_mac(9), Ipv4Addr::new(192, 168, 86, 50))],
            domain: "lan".into(),
            dns: None,
        }),
        dns: Some(DnsConfig {
            domain: "lan".into(),
            records: vec![("printer.lan".into(), vec![IpAddr::V4(Ipv4Addr::new(192, 168, 86, 77))])],
            wildcard: None,
            everywhere: false,
            ttl: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
        }),
        ntp: true,
        echo_ports: vec![7],
        ..lan_config(1500)
    }
}

fn guest(n: u8) -> SmoltcpHost {
    SmoltcpHost::new(SmoltcpHostConfig {
        mac: guest_mac(n),
        address: None,
        router: None,
        slaac: false,
        mtu: 1500,
        buffer_bytes: 65_535,
        checksums: true,
        seed: u64::from(n) + 100,
    })
}

fn world(outside: Outside, guests: &[u8], link: LinkConfig) -> World<SmoltcpHost> {
    let mut world = World::new(config(), outside, 5);
    for n in guests {
        world.join(guest(*n), PortConfig::default(), link);
    }
    let count = guests.len();
    let all = |world: &mut World<SmoltcpHost>| (0..count).all(|n| world.host(n).address().is_some());
    assert!(world.run_until(Instant::from_us(60_000_000), all), "no lease: {:?}", world.lan.drops());
    for address in (0..count).filter_map(|n| world.host(n).address()).collect::<Vec<_>>() {
        world.checker.excuse_rounding(address);
    }
    world
}

/// Runs until a datagram arrives at a socket of the first guest.
macro_rules! wait_for {
    ($world:expr, $take:expr) => {{
        let until = $world.now() + Duration::from_secs(10);
        let mut got = None;
        $world.run_until(until, |world| {
            got = got.take().or_else(|| $take(world.host(0)));
            got.is_some()
        });
        got.expect("an answer within ten seconds")
    }};
}

#[test]
fn dhcp_gives_a_lease_at_once() {
    let mut world = world(Outside::default(), &[0], LinkConfig::default());
    let leased = world.host(0).leased().unwrap();
    // smoltcp asks at once; whatever it takes is ours.
    assert!(leased < Instant::from_us(1_000_000), "{leased}");
    let address = world.host(0).address().unwrap();
    assert!((100..200).contains(&address.octets()[3]), "{address}");
    world.checker.assert_clean();
}

#[test]
fn dhcp_gives_everyone_another_address_and_the_fixed_one_its_own() {
    let mut world = world(Outside::default(), &[0, 1, 2, 9, 3, 4], LinkConfig::default());
    let mut addresses: Vec<_> = (0..6).map(|n| world.host(n).address().unwrap()).collect();
    assert_eq!(addresses[3], Ipv4Addr::new(192, 168, 86, 50));
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 6);
    // Half of the lease later the client renews, and keeps its address.
    let before = world.host(0).address();
    world.run_for(Duration::from_secs(3000));
    assert_eq!(world.host(0).address(), before);
}

#[test]
fn dhcp_works_over_a_lossy_wire() {
    let link = LinkConfig { loss: 0.2, duplicate: 0.1, reorder: 0.1, ..LinkConfig::default() };
    let mut world = world(Outside::default(), &[0, 1, 2], link);
    assert_ne!(world.host(0).address(), world.host(1).address());
}

fn ask_dns(world: &mut World<SmoltcpHost>, server: impl Into<IpAddr>, query: &[u8]) -> (SocketAddr, Vec<u8>) {
    let socket = world.host(0).open_udp(40_000 + u16::from(query[1]));
    world.host(0).send_udp(socket, SocketAddr::new(server.into(), 53), query);
    wait_for!(world, |host: &mut SmoltcpHost| host.receive_udp(socket))
}

#[test]
fn dns_answers_names_of_the_lan_itself() {
    let mut world = world(Outside::default(), &[0], LinkConfig::default());
    let (from, answer) = ask_dns(&mut world, GATEWAY, &dns_query(0x1201, "printer.lan", 1));
    assert_eq!(from, SocketAddrV4::new(GATEWAY, 53).into());
    assert_eq!(answer[..2], [0x12, 0x01]);
    assert_eq!(
        (answer[2] & 0x80, answer[3] & 15, answer[7]),
        (0x80, 0, 1),
        "a response, no error, one answer"
    );
    assert!(answer.ends_with(&[192, 168, 86, 77]), "{answer:02x?}");
    let (_, missing) = ask_dns(&mut world, GATEWAY, &dns_query(0x1202, "nobody.lan", 1));
    assert_eq!(missing[3] & 15, 3, "NXDOMAIN");
    assert_eq!(world.outside.queries().len(), 0);
}

#[test]
fn dns_passes_other_names_on_as_they_came() {
    let mut outside = Outside::default();
    outside.answers_queries = true;
    let mut world = world(outside, &[0], LinkConfig::default());
    for kind in [1, 28, 65] {
        let query = dns_query(0x3300 + kind, "example.org", kind);
        let (from, answer) = ask_dns(&mut world, GATEWAY, &query);
        assert_eq!(from, SocketAddrV4::new(GATEWAY, 53).into());
        assert_eq!(answer[..2], query[..2]);
        assert_eq!(answer[12..], query[12..]);
    }
    assert_eq!(world.outside.queries().len(), 3);
}

#[test]
fn dns_fails_in_time_when_the_outside_is_silent() {
    let mut world = world(Outside::default(), &[0], LinkConfig::default());
    let (_, answer) = ask_dns(&mut world, GATEWAY, &dns_query(0x4401, "example.org", 1));
    assert_eq!(answer[3] & 15, 2, "SERVFAIL");
}

#[test]
fn ntp_tells_the_time() {
    let mut world = world(Outside::default(), &[0], LinkConfig::default());
    let now = world.now();
    world.lan.set_wall_clock(now, 1_800_000_000_000_000);
    let socket = world.host(0).open_udp(123);
    let mut request = [0; 48];
    request[0] = 0x23;
    request[40..48].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    world.host(0).send_udp(socket, SocketAddrV4::new(OUTSIDE, 123), &request);
    let (from, answer) = wait_for!(world, |host: &mut SmoltcpHost| host.receive_udp(socket));
    assert_eq!(from, SocketAddrV4::new(OUTSIDE, 123).into(), "the answer comes from the address asked");
    assert_eq!(answer[24..32], request[40..48], "the origin timestamp is the request's");
    let seconds = u32::from_be_bytes([answer[40], answer[41], answer[42], answer[43]]);
    let unix = u64::from(seconds) + (1 << 32) * u64::from(seconds < 2_208_988_800) - 2_208_988_800;
    assert!((1_800_000_000..1_800_000_010).contains(&unix), "{unix}");
}

#[test]
fn the_gateway_echoes_and_so_does_the_outside() {
    let outside = Outside::default().with(7000, Answer::Echo);
    let mut world = world(outside, &[0], LinkConfig::default());
    for (n, to) in [SocketAddrV4::new(GATEWAY, 7), SocketAddrV4::new(OUTSIDE, 7000)].into_iter().enumerate() {
        let socket = world.host(0).open_udp(6000 + n as u16);
        for length in [0, 1, 1000, 1472] {
            let data = vec![length as u8; length];
            world.host(0).send_udp(socket, to, &data);
            assert_eq!(
                wait_for!(world, |host: &mut SmoltcpHost| host.receive_udp(socket)),
                (to.into(), data)
            );
        }
    }
    world.run_for(Duration::from_secs(120));
    assert_eq!(world.lan.flows(), 0);
}

#[test]
fn pings_go_out_and_come_back() {
    let mut world = world(Outside::default().otherwise(Answer::Echo), &[0], LinkConfig::default());
    for (n, to) in [GATEWAY, OUTSIDE].into_iter().enumerate() {
        let socket = world.host(0).open_ping(n as u16 + 1);
        for sequence in 0..3 {
            let request = icmp(8, 0, (n as u32 + 1) << 16 | sequence, b"are you there");
            world.host(0).send_icmp(socket, to, &request);
            let reply = wait_for!(world, |host: &mut SmoltcpHost| host.receive_icmp(socket));
            assert_eq!(reply[0], 0, "echo reply");
            assert_eq!(reply[4..], request[4..]);
        }
    }
}

#[test]
fn guests_find_each_other_and_move_data() {
    let link = LinkConfig { loss: 0.01, delay: Duration::from_millis(1), ..LinkConfig::default() };
    let mut world = world(Outside::default(), &[0, 1], link);
    let plan = Plan::both(200_000, 200_000);
    let server = world.host(1).address().unwrap();
    world.host(1).listen(80, plan, 1);
    world.host(0).connect(SocketAddrV4::new(server, 80), plan);
    let until = world.now() + Duration::from_secs(3600);
    assert!(world.run_until(until, |world| (0..2).all(|n| world.host(n).finished().len() == 1)));
    for n in 0..2 {
        assert_eq!(world.host(n).finished()[0].1, Outcome::Done);
    }
    assert!(world.outside.opened().is_empty(), "what guests say to each other is no flow");
    world.checker.assert_clean();
}

#[test]
fn isolated_guests_do_not_find_each_other() {
    let mut world = World::new(lan_config(1500), Outside::default(), 6);
    for n in 0..2 {
        let host = SmoltcpHost::new(SmoltcpHostConfig {
            mac: guest_mac(n),
            address: Some((guest_address(n).into(), 24)),
            router: Some(GATEWAY.into()),
            slaac: false,
            mtu: 1500,
            buffer_bytes: 4096,
            checksums: true,
            seed: 1,
        });
        world.join(host, PortConfig { isolated: true, ..PortConfig::default() }, LinkConfig::default());
    }
    let plan = Plan::both(10, 10);
    world.host(1).listen(80, plan, 1);
    world.host(0).connect(SocketAddrV4::new(guest_address(1), 80), plan);
    world.run_for(Duration::from_secs(30));
    assert!(world.host(0).finished().is_empty());
    assert_eq!(world.host(1).running(), 0);
}

#[test]
fn dns_is_answered_from_whatever_address_was_asked_if_so_told() {
    let mut config = config();
    if let Some(dns) = &mut config.dns {
        dns.everywhere = true;
    }
    let mut world = World::new(config, Outside::default(), 5);
    world.join(guest(0), PortConfig::default(), LinkConfig::default());
    assert!(world.run_until(Instant::from_us(60_000_000), |world| world.host(0).address().is_some()));
    let server = Ipv4Addr::new(8, 8, 8, 8);
    let (from, answer) = ask_dns(&mut world, server, &dns_query(7, "printer.lan", 1));
    assert_eq!(from, SocketAddrV4::new(server, 53).into());
    assert!(answer.ends_with(&[192, 168, 86, 77]), "{answer:02x?}");
    let (_, silent) = ask_dns(&mut world, server, &dns_query(8, "example.org", 1));
    assert_eq!(silent[3] & 15, 2, "SERVFAIL");
    assert_eq!(world.outside.queries().len(), 1);
}
