//! Whom a name's addresses are asked of, and how often.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use super::*;
use crate::egress::fixture::{SILENCE, address, run, server};

fn resolver(server: SocketAddr) -> Resolver {
    let records = vec![("fixed.example".to_owned(), vec![address("192.0.2.99")])];
    Resolver::new(records, Arc::new(Upstream::new(vec![server])))
}

#[test]
fn both_families_are_asked_once_however_many_wait() {
    let (server, asked) = server(|_, kind| {
        (0, 60, if kind == TYPE_A { vec![address("192.0.2.7")] } else { vec![address("2001:db8::7")] })
    });
    let resolver = resolver(server);
    let found = Found { addresses: vec![address("2001:db8::7"), address("192.0.2.7")], is_from_dns: true };
    run(async {
        let (a, b) = tokio::join!(resolver.resolve("web.example"), resolver.resolve("web.example"));
        assert_eq!((a.expect("found"), b.expect("found")), (found.clone(), found.clone()));
        assert_eq!(resolver.resolve("web.example").await.expect("found"), found);
    });
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn what_names_this_host_or_has_a_record_is_not_asked() {
    let (server, asked) = server(|_, _| (0, 60, vec![address("192.0.2.7")]));
    let resolver = resolver(server);
    run(async {
        let loopback = Found { addresses: vec![address("::1"), address("127.0.0.1")], is_from_dns: false };
        assert_eq!(resolver.resolve("localhost").await.expect("found"), loopback);
        assert_eq!(resolver.resolve("a.localhost").await.expect("found"), loopback);
        let fixed = Found { addresses: vec![address("192.0.2.99")], is_from_dns: false };
        assert_eq!(resolver.resolve("fixed.example").await.expect("found"), fixed);
        for name in ["a.invalid", "a.onion"] {
            assert!(matches!(resolver.resolve(name).await, Err(DialError::NotFound)), "{name}");
        }
    });
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn absence_and_failure_are_told_apart() {
    let (server, _) = server(|name, kind| match (name, kind) {
        ("gone.example", _) => (NXDOMAIN, 0, Vec::new()),
        ("empty.example", _) | ("half.example", TYPE_AAAA) => (0, 0, Vec::new()),
        ("half.example", _) => (0, 60, vec![address("192.0.2.7")]),
        _ => (2, 0, Vec::new()),
    });
    let resolver = resolver(server);
    run(async {
        for name in ["gone.example", "empty.example"] {
            assert!(matches!(resolver.resolve(name).await, Err(DialError::NotFound)), "{name}");
        }
        assert_eq!(resolver.resolve("half.example").await.expect("found").addresses, [address("192.0.2.7")]);
        assert!(matches!(resolver.resolve("broken.example").await, Err(DialError::NoAnswer)));
    });
}

#[test]
fn names_that_are_kept_are_bounded() {
    let (server, _) = server(|_, _| (0, 60, vec![address("192.0.2.7")]));
    let resolver = resolver(server);
    {
        let mut cache = resolver.cache.lock().expect("the cache");
        cache.extend((0..MAX_NAMES).map(|n| (format!("n{n}.example"), Arc::default())));
    }
    run(resolver.resolve("one.more.example")).expect("found");
    assert!(resolver.cache.lock().expect("the cache").len() <= MAX_NAMES);
}

#[test]
fn a_family_that_is_silent_does_not_hold_up_the_other() {
    let (server, _) =
        server(|_, kind| (if kind == TYPE_A { 0 } else { SILENCE }, 60, vec![address("192.0.2.7")]));
    let resolver = resolver(server);
    let began = Instant::now();
    assert_eq!(run(resolver.resolve("half.example")).expect("found").addresses, [address("192.0.2.7")]);
    let cache = resolver.cache.lock().expect("the cache");
    let (_, until) = cache["half.example"].answer.get().expect("kept");
    assert!(
        *until <= began + ABSENCE_TTL + super::super::dns::TIMEOUT,
        "the other family is soon asked for again"
    );
}
