//! What may be dialled: every way to write an address of this host or its networks, names that lead there, and rules.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::egress::dns::Upstream;
use crate::egress::fixture::{address, run, server};

/// A dialler as streams have it, with these rules, that asks this DNS server.
fn dialer(dns: SocketAddr, allow: &[&str], deny: &[&str]) -> Dialer {
    let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a rule")).collect();
    Dialer::new(
        Way::Stream,
        Terms::new(
            Policy { allow: rules(allow), deny: rules(deny), ..Policy::default() },
            Resolver::new(Vec::new(), Arc::new(Upstream::new(vec![dns]))),
            None,
        ),
        Arc::default(),
        Arc::default(),
    )
}

/// The rule that refuses a host by TCP and by UDP alike; panics if it is reached.
fn refused(dialer: &Dialer, host: &str, port: u16) -> Option<Rule> {
    let Ok(target) = Target::parse(host.as_bytes(), port) else { return None };
    run(async {
        let tcp = dialer.dial_tcp(&target).await.expect_err(host);
        let udp = dialer.open_udp(&target).await.expect_err(host);
        match (tcp, udp) {
            (DialError::Denied(tcp), DialError::Denied(udp)) if tcp == udp => Some(tcp),
            other => panic!("{host}: {other:?}"),
        }
    })
}

#[test]
fn nothing_of_this_host_or_its_networks_is_reached_by_default() {
    use Rule::{LinkLocal, Loopback, Metadata, Multicast, Private, Reserved};
    // A listener at the very port: what is not refused would be reached.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let (dns, _) = server(|name, kind| {
        let v4 = |text: &str| (0, 60, if kind == 1 { vec![address(text)] } else { Vec::new() });
        let v6 = |text: &str| (0, 60, if kind == 28 { vec![address(text)] } else { Vec::new() });
        match name {
            "loop.example" => v4("127.0.0.1"),
            "loop6.example" => v6("::1"),
            "mapped.example" => v6("::ffff:127.0.0.1"),
            "nat64.example" => v6("64:ff9b::7f00:1"),
            "private.example" => v4("192.168.1.1"),
            "unique-local.example" => v6("fd00::1"),
            "metadata.example" => v4("169.254.169.254"),
            "zero.example" => v4("0.0.0.0"),
            _ => (3, 0, Vec::new()),
        }
    });
    let dialer = dialer(dns, &[], &[]);
    for (host, rule) in [
        ("127.0.0.1", Loopback),
        ("127.0.0.2", Loopback),
        ("0.0.0.0", Reserved),
        ("::1", Loopback),
        ("::", Reserved),
        ("[::1]", Loopback),
        ("localhost", Loopback),
        ("LOCALHOST", Loopback),
        ("localhost.", Loopback),
        ("a.localhost", Loopback),
        ("::ffff:127.0.0.1", Loopback),
        ("::ffff:7f00:1", Loopback),
        ("::127.0.0.1", Loopback),
        ("64:ff9b::127.0.0.1", Loopback),
        ("2002:7f00:1::1", Loopback),
        ("2001::80ff:fffe", Loopback),
        ("169.254.169.254", LinkLocal),
        ("fe80::1", LinkLocal),
        ("fd00:ec2::254", Metadata),
        ("224.0.0.1", Multicast),
        ("255.255.255.255", Multicast),
        ("ff02::1", Multicast),
        ("10.0.0.1", Private),
        ("172.16.0.1", Private),
        ("192.168.1.1", Private),
        ("100.64.0.1", Private),
        ("fd12::1", Private),
        ("loop.example", Loopback),
        ("loop6.example", Loopback),
        ("mapped.example", Loopback),
        ("nat64.example", Loopback),
        ("private.example", Private),
        ("unique-local.example", Private),
        ("metadata.example", LinkLocal),
        ("zero.example", Reserved),
    ] {
        assert_eq!(refused(&dialer, host, port), Some(rule), "{host}");
    }
    for host in
        ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", " 127.0.0.1", "127.0.0.1\0", "fe80::1%lo"]
    {
        assert_eq!(refused(&dialer, host, port), None, "{host} names a host");
    }
    listener.set_nonblocking(true).expect("it can be asked");
    assert!(listener.accept().is_err(), "somebody came");
}

#[test]
fn of_a_names_addresses_only_those_that_pass_are_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let (dns, _) = server(|_, kind| {
        (
            0,
            60,
            if kind == 1 { vec![address("127.0.0.2"), address("127.0.0.1")] } else { vec![address("::1")] },
        )
    });
    let dialer = dialer(dns, &["127.0.0.1"], &[]);
    let target = Target::parse(b"mixed.example", port).expect("a target");
    let reached = run(dialer.dial_tcp(&target)).expect("the one that is allowed");
    assert_eq!(reached.peer_addr().expect("a peer"), SocketAddr::new(address("127.0.0.1"), port));
    let socket = run(dialer.open_udp(&target)).expect("by UDP too");
    assert_eq!(socket.peer_addr().expect("a peer"), SocketAddr::new(address("127.0.0.1"), port));
}

#[test]
fn a_name_that_changes_its_address_gains_nothing() {
    // The first answer may be dialled, every later one leads to the listener that must not be reached.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let asked = AtomicUsize::new(0);
    let (dns, _) = server(move |_, kind| {
        let first = asked.fetch_add(1, Ordering::SeqCst) < 2;
        let told = if first { "127.0.0.2" } else { "127.0.0.1" };
        (0, 0, if kind == 1 { vec![address(told)] } else { Vec::new() })
    });
    let dialer = dialer(dns, &["127.0.0.2"], &[]);
    let target = Target::parse(b"rebind.example", port).expect("a target");
    run(async {
        let first = dialer.dial_tcp(&target).await;
        assert!(
            matches!(first, Err(DialError::Refused)),
            "{first:?}: the address that was checked is dialled"
        );
    });
    assert_eq!(dialer.refusals.counts(), []);
    listener.set_nonblocking(true).expect("it can be asked");
    assert!(listener.accept().is_err(), "the rebound address was dialled");
}

#[test]
fn a_rule_by_name_does_not_open_what_a_public_name_is_aimed_at() {
    let (dns, _) = server(|_, kind| (0, 60, if kind == 1 { vec![address("10.0.0.1")] } else { Vec::new() }));
    let dialer = dialer(dns, &["*.example.com", "nas.lan"], &["*:25"]);
    let denied = |host: &str, port| {
        let target = Target::parse(host.as_bytes(), port).expect("a target");
        run(dialer.candidates(&dialer.terms(), &target, Protocol::Tcp))
    };
    assert!(matches!(denied("a.example.com", 80), Err(DialError::Denied(Rule::Rebinding))));
    assert!(
        matches!(denied("nas.lan", 80), Ok(found) if found == [SocketAddr::new(address("10.0.0.1"), 80)])
    );
    assert!(matches!(denied("other.lan", 80), Err(DialError::Denied(Rule::Private))));
    assert!(
        matches!(denied("nas.lan", 25), Err(DialError::Denied(Rule::Denied(rule))) if rule.to_string() == "*:25")
    );
    let counts = dialer.refusals.counts();
    assert_eq!(counts.iter().map(|(_, _, count)| count).sum::<u64>(), 3, "{counts:?}");
}

#[test]
fn the_relay_itself_is_not_reached_at_any_address_of_the_host() {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a listener");
    let own = listener.local_addr().expect("its address");
    let (dns, _) = server(|_, _| (3, 0, Vec::new()));
    let dialer = dialer(dns, &["0.0.0.0/0", "::/0"], &[]);
    let policy = Policy { own: vec![own], ..dialer.terms().policy.clone() };
    dialer.set_terms(Terms::new(
        policy,
        Resolver::new(Vec::new(), Arc::new(Upstream::new(Vec::new()))),
        None,
    ));
    for host in ["127.0.0.1", "127.0.0.9", "::ffff:127.0.0.1", "localhost", "0.0.0.0"] {
        assert_eq!(refused(&dialer, host, own.port()), Some(Rule::Own), "{host}");
    }
}
