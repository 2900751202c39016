//! The Linux kernel as a guest over IPv6: it configures itself from what the relay advertises, and reaches what it may.
//!
//! Datagrams, MTUs and the bad link over IPv6 are beside those over IPv4, in the files of those names.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use netloom_interop::dns::DnsServer;
use netloom_interop::lab::{
    BLACK_HOLE_V6, GATEWAY_V6, Guest, INTERFACE, Lab, NAMED, ROUTER, SERVER_V6, sized,
};
use netloom_interop::transfer::{Kind, Server, transfer};

const MIB: u64 = 1 << 20;
const KINDS: [Kind; 3] = [Kind::Download, Kind::Upload, Kind::HalfClose];

/// A LAN that speaks IPv6 by a unique local prefix, and nothing of DHCP; and a guest on it.
fn lab(flags: &[&str]) -> (Lab, Guest, Ipv6Addr) {
    let lab = Lab::new(&[&["--ipv6", "ula", "--no-dhcp"], flags].concat()).unwrap();
    let guest = lab.guest("/", None).unwrap();
    let address = guest.advertised_address().unwrap();
    (lab, guest, address)
}

fn prefix(address: Ipv6Addr) -> [u16; 4] {
    let [a, b, c, d, ..] = address.segments();
    [a, b, c, d]
}

fn connect(guest: &Guest, server: impl Into<SocketAddr>) -> std::io::Result<()> {
    guest.namespace.connect(server.into(), Duration::from_secs(3)).unwrap().map(drop)
}

#[test]
fn a_guest_configures_itself_from_what_the_relay_advertises() {
    let lab = Lab::new(&["--ipv6", "ula", "--mtu", "1400"]).unwrap();
    let guest = lab.guest("/", None).unwrap();
    // As a kernel does by itself: it asks whether another has its address, before and after it has asked for a router.
    for dad in ["net/ipv6/conf/eth0/dad_transmits", "net/ipv6/conf/eth0/router_solicitation_delay"] {
        guest.namespace.sysctl(dad, "1").unwrap();
    }
    for state in ["down", "up"] {
        guest.namespace.ip(&["link", "set", INTERFACE, state]).unwrap();
    }
    let address = guest.advertised_address().unwrap();
    assert_eq!(prefix(address), prefix(GATEWAY_V6));
    let route = guest.namespace.ip(&["-6", "route", "show", "default"]).unwrap();
    assert!(route.contains(&format!("via {ROUTER}")) && route.contains("proto ra"), "{route}");
    assert!(route.contains("mtu 1400"), "{route}");
    assert!(guest.pings(GATEWAY_V6, 1));
    let listed = guest.namespace.ip(&["-6", "address", "show", "dev", INTERFACE]).unwrap();
    assert!(!listed.contains("dadfailed") && !listed.contains("tentative"), "{listed}");
}

#[test]
fn the_advertisement_is_as_another_reads_it() {
    let (_lab, guest, _) = lab(&["--mtu", "1400"]);
    let said = guest.namespace.exec("rdisc6", &["-1", "-n", INTERFACE]).unwrap();
    let fact = |name: &str| {
        let line = said.lines().find(|line| line.trim_start().starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.trim().to_owned())
    };
    assert_eq!(fact("Prefix").as_deref(), Some("fdc4:3500:b635::/64"), "{said}");
    assert_eq!(fact("On-link").as_deref(), Some("Yes"), "{said}");
    assert_eq!(fact("Autonomous address conf.").as_deref(), Some("Yes"), "{said}");
    assert_eq!(fact("Stateful address conf.").as_deref(), Some("No"), "{said}");
    assert_eq!(fact("MTU").as_deref(), Some("1400 bytes (valid)"), "{said}");
    assert_eq!(fact("Recursive DNS server").as_deref(), Some(&*GATEWAY_V6.to_string()), "{said}");
    assert_eq!(fact("Source link-layer address").as_deref(), Some("02:4E:65:74:6C:01"), "{said}");
    assert!(said.contains(&format!("from {ROUTER}")), "{said}");
}

#[test]
fn a_lan_without_dns_or_gateway_advertises_none() {
    for (flag, missing) in [("--no-dns", "Recursive DNS server"), ("--no-gateway", "Router lifetime")] {
        let (_lab, guest, _) = lab(&[flag]);
        let said = guest.namespace.exec("rdisc6", &["-1", "-n", INTERFACE]).unwrap();
        let line = said.lines().find(|line| line.trim_start().starts_with(missing)).unwrap_or_default();
        // RFC 4861 section 6.2.3: a lifetime of zero is that of a router that is no default router.
        assert!(line.is_empty() || line.contains(" 0 "), "{flag}: {said}");
        assert!(guest.pings(GATEWAY_V6, 1), "{flag}");
    }
}

#[test]
fn pings_are_answered_by_the_gateway_and_go_out() {
    let (_lab, guest, _) = lab(&[]);
    assert!(guest.pings(GATEWAY_V6, 3));
    assert!(guest.pings(SERVER_V6, 3));
    assert!(!guest.pings(BLACK_HOLE_V6, 1));
    for target in [format!("{ROUTER}%{INTERFACE}"), GATEWAY_V6.to_string(), SERVER_V6.to_string()] {
        // Larger than any packet of the LAN: in fragments there and back.
        for size in ["56", "1452", "1453", "20000"] {
            guest
                .namespace
                .exec("ping", &["-n", "-c", "2", "-i", "0.2", "-W", "5", "-s", size, &target])
                .unwrap();
        }
    }
}

#[test]
fn names_are_answered_over_ipv6_by_a_resolver_over_ipv6() {
    let (mut lab, guest, _) = lab(&[]);
    let on_link = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x77);
    lab.server.add_address("down0", on_link, 64).unwrap();
    let interface: serde_json::Value =
        serde_json::from_str(&lab.server.ip(&["-j", "link", "show", "dev", "down0"]).unwrap()).unwrap();
    let scope = u32::try_from(interface[0]["ifindex"].as_u64().unwrap()).unwrap();
    for (resolver, listens) in [
        (SERVER_V6.to_string(), SocketAddr::from((SERVER_V6, 53))),
        (format!("{on_link}%up0"), std::net::SocketAddrV6::new(on_link, 53, 0, scope).into()),
    ] {
        let dns = DnsServer::start(&lab.server, listens, NAMED).unwrap();
        lab.host.use_resolvers(&[&resolver]).unwrap();
        let server = format!("@{GATEWAY_V6}");
        for transport in ["+notcp", "+tcp"] {
            for (kind, expected) in [("A", IpAddr::from(NAMED.0)), ("AAAA", NAMED.1.into())] {
                let name = format!("{kind}{transport}.test");
                let options = ["+short", "+time=5", "+tries=2", transport, &server, &name, kind];
                let answer = guest.namespace.exec("dig", &options).unwrap();
                assert_eq!(answer.trim(), expected.to_string(), "{resolver}");
                assert!(dns.asked().unwrap().contains(&name.to_lowercase()), "{resolver}");
            }
        }
    }
}

#[test]
fn transfers_are_whole_both_ways_and_half_closed() {
    let (lab, guest, _) = lab(&[]);
    let server = Server::start(&lab.server, SocketAddr::from((SERVER_V6, 0))).unwrap();
    for kind in KINDS {
        transfer(&guest.namespace, server.address(), kind, sized(16, 256) * MIB, 1).unwrap();
    }
    transfer(&guest.namespace, server.address(), Kind::HalfClose, 0, 2).unwrap();
}

#[test]
fn flows_of_both_families_share_a_guest() {
    let lab = Lab::new(&["--ipv6", "ula"]).unwrap();
    let (guest, ..) = lab.dual_stack_guest(None).unwrap();
    let guest = Arc::new(guest);
    let server = Server::start(&lab.server, SocketAddr::from((SERVER_V6, 0))).unwrap();
    let addresses = [lab.transfers.address(), server.address()];
    let flows = (0..60_u64).map(|number| {
        let (guest, address) = (guest.clone(), addresses[number as usize % 2]);
        let length = sized(256, 4096) * 1024 + number;
        thread::spawn(move || transfer(&guest.namespace, address, KINDS[number as usize % 3], length, number))
    });
    let ends: Vec<_> = flows.collect::<Vec<_>>().into_iter().map(|flow| flow.join().unwrap()).collect();
    for end in ends {
        end.unwrap();
    }
}

#[test]
fn what_cannot_be_reached_is_told_at_once() {
    let (lab, guest, _) = lab(&["--deny", "2001:db8:2::/48"]);
    lab.host.ip(&["route", "add", "unreachable", "2001:db8:1::/48"]).unwrap();
    for (server, told) in [
        (SocketAddr::from((SERVER_V6, 9)), ErrorKind::ConnectionRefused),
        ("[2001:db8:1::1]:9".parse().unwrap(), ErrorKind::HostUnreachable),
        ("[2001:db8:2::1]:9".parse().unwrap(), ErrorKind::ConnectionRefused),
        ("[fd00:ec2::254]:80".parse().unwrap(), ErrorKind::ConnectionRefused),
        ("[64:ff9b::7f00:1]:80".parse().unwrap(), ErrorKind::ConnectionRefused),
        (SocketAddr::from((BLACK_HOLE_V6, 9)), ErrorKind::TimedOut),
    ] {
        assert_eq!(connect(&guest, server).unwrap_err().kind(), told, "{server}");
    }
    // A host that has lost its IPv6, or never had any.
    lab.host.sysctl("net/ipv6/conf/all/disable_ipv6", "1").unwrap();
    let lost = connect(&guest, (SERVER_V6, 9)).unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::HostUnreachable);
    assert!(guest.pings(GATEWAY_V6, 1));
}

#[test]
fn the_relay_itself_and_the_lans_own_prefix_are_never_reached() {
    let listen = format!("[{}]:8086", Ipv6Addr::UNSPECIFIED);
    let (lab, guest, _) = lab(&["--listen", &listen, "--allow", "::/0"]);
    let own: Ipv6Addr = "fd77::1".parse().unwrap();
    // By another port it is reached, so that it is the listener that is refused.
    let server = Server::start(&lab.host, SocketAddr::from((own, 0))).unwrap();
    connect(&guest, server.address()).unwrap();
    assert_eq!(connect(&guest, (own, 8086)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    // The host has a way to an address of the prefix that no guest has: it must not be taken.
    let nobody = Ipv6Addr::from_bits(GATEWAY_V6.to_bits() | 0xdead);
    lab.server.add_address("down0", nobody, 128).unwrap();
    lab.host.ip(&["route", "add", &nobody.to_string(), "via", &SERVER_V6.to_string()]).unwrap();
    let server = Server::start(&lab.server, SocketAddr::from((nobody, 0))).unwrap();
    lab.host.connect(server.address(), Duration::from_secs(3)).unwrap().unwrap();
    guest
        .namespace
        .ip(&["route", "add", &nobody.to_string(), "via", &ROUTER.to_string(), "dev", INTERFACE])
        .unwrap();
    connect(&guest, server.address()).unwrap_err();
    assert_eq!(server.served(), 0);
}

#[test]
fn the_hosts_loopback_is_reached_where_it_is_opened() {
    for (flags, open) in [(&["--host-loopback"][..], true), (&[], false)] {
        let (lab, guest, _) = lab(flags);
        let server = Server::start(&lab.host, SocketAddr::from((Ipv6Addr::LOCALHOST, 0))).unwrap();
        let host = Ipv6Addr::from_bits(GATEWAY_V6.to_bits() - 1 + 0x254);
        let address = SocketAddr::from((host, server.address().port()));
        assert_eq!(connect(&guest, address).is_ok(), open);
        let named =
            guest.namespace.exec("dig", &["+short", &format!("@{GATEWAY_V6}"), "host.lan", "AAAA"]).unwrap();
        assert_eq!(named.trim() == host.to_string(), open, "{named}");
        if open {
            transfer(&guest.namespace, address, Kind::HalfClose, MIB, 1).unwrap();
        }
    }
}

#[test]
fn guests_on_one_lan_find_each_other_and_move_data() {
    let (lab, a, own) = lab(&[]);
    let b = lab.guest("/", None).unwrap();
    let address = b.advertised_address().unwrap();
    assert_eq!(prefix(own), prefix(address));
    assert!(a.pings(address, 3) && b.pings(own, 3));
    // All nodes of the link, which the switch carries to everybody.
    let everyone =
        a.namespace.exec("ping", &["-n", "-c", "3", "-i", "0.2", "-W", "2", &format!("ff02::1%{INTERFACE}")]);
    let listed = b.namespace.ip(&["-6", "address", "show", "dev", INTERFACE, "scope", "link"]).unwrap();
    let on_link = listed.split_whitespace().find_map(|word| word.strip_suffix("/64")).unwrap();
    assert!(everyone.unwrap().contains(&format!("from {on_link}")));
    let server = Server::start(&b.namespace, SocketAddr::from((address, 0))).unwrap();
    for kind in KINDS {
        transfer(&a.namespace, server.address(), kind, 8 << 20, 1).unwrap();
    }
}

#[test]
fn isolated_guests_reach_the_gateway_only() {
    let (lab, a, own) = lab(&["--isolate"]);
    let b = lab.guest("/", None).unwrap();
    let address = b.advertised_address().unwrap();
    assert!(a.pings(GATEWAY_V6, 1) && b.pings(SERVER_V6, 1));
    assert!(!a.pings(address, 1) && !b.pings(own, 1));
    let server = Server::start(&b.namespace, SocketAddr::from((address, 0))).unwrap();
    connect(&a, server.address()).unwrap_err();
}

#[test]
fn lans_have_prefixes_of_their_own() {
    let (lab, a, own) = lab(&["--lan", "other"]);
    let b = lab.guest("/lan/other", None).unwrap();
    let address = b.advertised_address().unwrap();
    assert_ne!(prefix(own), prefix(address));
    assert!(!a.pings(address, 1));
}

#[test]
fn a_lan_that_speaks_no_ipv6_still_carries_it_between_guests() {
    let lab = Lab::new(&["--no-dhcp"]).unwrap();
    let [a, b] = ["fd99::1", "fd99::2"].map(|address| {
        let guest = lab.guest("/", None).unwrap();
        guest.use_address(address.parse::<Ipv6Addr>().unwrap(), 64).unwrap();
        guest
    });
    assert!(a.pings("fd99::2".parse::<Ipv6Addr>().unwrap(), 3));
    assert!(b.namespace.exec("rdisc6", &["-1", "-n", INTERFACE]).is_err());
    b.use_address(GATEWAY_V6, 64).unwrap();
    a.namespace.ip(&["route", "add", "fdc4:3500:b635::/64", "dev", INTERFACE]).unwrap();
    assert!(a.pings(GATEWAY_V6, 1), "the address is a guest's to use");
}

#[test]
fn a_guest_is_told_what_another_cannot_take() {
    let (lab, a, own) = lab(&[]);
    let b = lab.guest("/", None).unwrap();
    let address = b.advertised_address().unwrap();
    // A kernel that makes packets of 4000 bytes on a LAN of 1500.
    a.namespace.ip(&["link", "set", INTERFACE, "mtu", "9000"]).unwrap();
    a.namespace.sysctl("net/ipv6/conf/eth0/mtu", "9000").unwrap();
    let target = address.to_string();
    let ping = a.namespace.exec("ping", &["-n", "-c", "4", "-i", "0.2", "-W", "2", "-s", "4000", &target]);
    assert!(ping.is_ok(), "after the first it sends fragments: {ping:?}");
    let route = a.namespace.ip(&["-6", "route", "get", &target]).unwrap();
    assert!(route.contains("mtu 1500"), "{own} learnt the path's MTU: {route}");
}
