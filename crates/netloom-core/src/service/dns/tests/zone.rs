//! Which names are answered here, and how.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::{Answer, DnsConfig, Names, answer, servfail};
use super::wire::*;
use crate::addr::{Ipv4Net, Ipv6Net};
use crate::time::Duration;

const TTL_S: u32 = 30;

fn config() -> DnsConfig {
    DnsConfig {
        domain: "lan".to_owned(),
        records: vec![
            ("host.lan".to_owned(), vec!["192.168.86.254".parse().unwrap()]),
            ("Dual.example".to_owned(), vec!["10.1.1.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]),
            ("six.example".to_owned(), vec!["2001:db8::6".parse().unwrap()]),
            ("a.deep.lan".to_owned(), vec!["192.168.86.7".parse().unwrap()]),
        ],
        wildcard: None,
        everywhere: false,
        ttl: Duration::from_secs(TTL_S.into()),
        timeout: Duration::from_secs(5),
    }
}

fn asked(config: &DnsConfig, query: &[u8]) -> Answer {
    let web = Ipv4Addr::new(192, 168, 86, 100);
    let web_v6: Ipv6Addr = "fd12:3456:789a:1::64".parse().unwrap();
    let of_web = [IpAddr::V4(web), IpAddr::V6(web_v6)];
    let names = Names {
        subnet: Ipv4Net::new(web, 24),
        prefix: Some(Ipv6Net::new(web_v6, 64)),
        addresses_of: &|name| if name == "web" { of_web.to_vec() } else { Vec::new() },
        name_of: &|address| of_web.contains(&address).then(|| "web".to_owned()),
    };
    answer(config, names, query)
}

fn told(query: &[u8]) -> Read {
    match asked(&config(), query) {
        Answer::Reply(reply) => Read::of(&reply),
        other => panic!("{other:?}"),
    }
}

fn is_forwarded(query: &[u8]) -> bool {
    asked(&config(), query) == Answer::Forward
}

/// The addresses of an answer whose records all belong to the question's name and live for the configured time.
fn addresses(read: &Read) -> Vec<IpAddr> {
    let name = &read.question.as_ref().unwrap().0;
    let records = read.records.iter().filter(|record| record.section == 1);
    records
        .map(|record| {
            assert_eq!((&record.owner, record.class, record.ttl), (name, 1, TTL_S));
            match record.kind {
                A => IpAddr::from(<[u8; 4]>::try_from(&record.data[..]).unwrap()),
                AAAA => IpAddr::from(<[u8; 16]>::try_from(&record.data[..]).unwrap()),
                other => panic!("type {other}"),
            }
        })
        .collect()
}

#[test]
fn names_with_addresses() {
    let cases: [(&str, u16, &[&str]); 18] = [
        ("host.lan", A, &["192.168.86.254"]),
        ("HOST.LAN", A, &["192.168.86.254"]),
        ("host.lan", AAAA, &[]),
        ("host.lan", MX, &[]),
        ("host.lan", HINFO, &[]),
        ("host.lan", ANY, &["192.168.86.254"]),
        ("dual.example", A, &["10.1.1.1"]),
        ("dual.example", AAAA, &["2001:db8::1"]),
        ("dual.example", ANY, &["10.1.1.1"]),
        ("six.example", ANY, &["2001:db8::6"]),
        ("six.example", A, &[]),
        ("web.lan", A, &["192.168.86.100"]),
        ("web", A, &["192.168.86.100"]),
        ("web", AAAA, &["fd12:3456:789a:1::64"]),
        ("WEB.lan", AAAA, &["fd12:3456:789a:1::64"]),
        ("localhost", A, &["127.0.0.1"]),
        ("any.localhost", AAAA, &["::1"]),
        ("lan", A, &[]),
    ];
    for (name, kind, expected) in cases {
        let read = told(&query(name, kind));
        let expected: Vec<IpAddr> = expected.iter().map(|a| a.parse().unwrap()).collect();
        assert_eq!((read.rcode(), addresses(&read)), (0, expected), "{name} {kind}");
        assert_eq!(read.flags & 0x8580, 0x8580, "response, authoritative, recursion desired and available");
        assert!(read.records.iter().all(|record| record.section == 1));
        assert_eq!(read.question, Some((name.to_owned(), kind)), "in the case that it was asked in");
    }
}

#[test]
fn a_name_above_a_record_exists() {
    assert_eq!((told(&query("deep.lan", A)).rcode(), told(&query("deep.lan", A)).records.len()), (0, 0));
    assert_eq!(told(&query("eep.lan", A)).rcode(), 3);
}

#[test]
fn unknown_names_of_ours_do_not_exist() {
    for (name, zone) in [
        ("nobody.lan", "lan"),
        ("a.web.lan", "lan"),
        ("some.invalid", "invalid"),
        ("hidden.onion", "onion"),
        ("7.86.168.192.in-addr.arpa.lan", "lan"),
        ("99.86.168.192.in-addr.arpa", "86.168.192.in-addr.arpa"),
        ("9.0.0.127.in-addr.arpa", "127.in-addr.arpa"),
    ] {
        let read = told(&query(name, A));
        assert_eq!((read.rcode(), read.is_authoritative()), (3, true), "{name}");
        let [soa] = &read.records[..] else { panic!("{name}: {read:?}") };
        assert_eq!((soa.section, soa.owner.as_str(), soa.kind, soa.ttl), (2, zone, SOA, TTL_S));
        let data = [name_of(zone), name_of(&format!("hostmaster.{zone}"))].concat();
        assert_eq!(soa.data[..data.len()], data);
        assert_eq!(soa.data.len(), data.len() + 20);
        assert_eq!(soa.data[data.len() + 16..], TTL_S.to_be_bytes(), "how long the absence is remembered");
    }
}

fn name_of(text: &str) -> Vec<u8> {
    name(text)
}

#[test]
fn addresses_have_names() {
    for (asked, expected) in [
        ("100.86.168.192.in-addr.arpa", "web.lan"),
        ("254.86.168.192.in-addr.arpa", "host.lan"),
        ("1.1.1.10.in-addr.arpa", "Dual.example"),
        ("1.0.0.127.IN-ADDR.ARPA", "localhost"),
        ("6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "six.example"),
        ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", "localhost"),
        ("4.6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa", "web.lan"),
    ] {
        let read = told(&query(asked, PTR));
        assert_eq!(read.of_kind(PTR)[0].data, name(expected), "{asked}");
        assert_eq!((read.rcode(), read.records.len(), read.records[0].ttl), (0, 1, TTL_S));
        assert_eq!(told(&query(asked, A)).records, []);
    }
}

#[test]
fn nobody_outside_is_asked_about_the_prefix() {
    let unused = "5.6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa";
    let read = told(&query(unused, PTR));
    assert_eq!((read.rcode(), read.records[0].section), (3, 2));
    assert_eq!(read.records[0].owner, "1.0.0.0.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa");
    let beside = unused.replace("1.0.0.0.a", "2.0.0.0.a");
    assert!(is_forwarded(&query(&beside, PTR)));
}

#[test]
fn everything_else_is_for_the_outside() {
    for name in [
        "example.org",
        "org",
        "",
        "lan.example.org",
        "wlan",
        "nobody",
        "sub.host.example",
        "sub.dual.example",
        "8.8.8.8.in-addr.arpa",
        "86.168.192.in-addr.arpa",
        "1.2.86.168.192.in-addr.arpa",
        "256.86.168.192.in-addr.arpa",
        "+1.86.168.192.in-addr.arpa",
        "in-addr.arpa",
        "8.b.d.0.1.0.0.2.ip6.arpa",
        "localhost.example",
    ] {
        assert!(is_forwarded(&query(name, A)), "{name}");
    }
    let mut chaos = query("version.bind", 16);
    let end = chaos.len();
    chaos[end - 1] = 3;
    assert!(is_forwarded(&chaos));
    let mut with_edns = query("example.org", A);
    push_opt(&mut with_edns, 1232, 7, true);
    assert!(is_forwarded(&with_edns), "versions of EDNS are between the client and the outside");
}

#[test]
fn without_a_domain_only_bare_names_are_guests() {
    let config = DnsConfig { domain: String::new(), ..config() };
    assert!(matches!(asked(&config, &query("web", A)), Answer::Reply(_)));
    assert_eq!(asked(&config, &query("web.lan", A)), Answer::Forward);
    assert_eq!(asked(&config, &query("", A)), Answer::Forward);
    let Answer::Reply(reply) = asked(&config, &query("100.86.168.192.in-addr.arpa", PTR)) else { panic!() };
    assert_eq!(Read::of(&reply).records[0].data, name("web"));
}

#[test]
fn a_domain_may_be_written_in_any_case_and_with_its_dot() {
    let config = DnsConfig { domain: "Corp.LAN.".to_owned(), ..config() };
    assert!(matches!(asked(&config, &query("web.corp.lan", A)), Answer::Reply(_)));
    assert_eq!(asked(&config, &query("nobody.lan", A)), Answer::Forward);
}

#[test]
fn mixed_case_is_echoed() {
    let query = query("wEb.LaN", A);
    let Answer::Reply(reply) = asked(&config(), &query) else { panic!() };
    assert_eq!(reply[12..query.len()], query[12..]);
}

#[test]
fn edns_is_answered_with_edns() {
    let mut plain = query("web.lan", A);
    assert_eq!(told(&plain).of_kind(OPT).len(), 0);
    push_opt(&mut plain, 4096, 0, true);
    let read = told(&plain);
    let opt = read.of_kind(OPT)[0];
    assert_eq!((opt.section, opt.owner.as_str(), opt.class, opt.ttl), (3, "", 1232, 0x8000));
    assert_eq!((read.rcode(), addresses(&read).len()), (0, 1));

    let mut later = query("web.lan", A);
    push_opt(&mut later, 4096, 1, false);
    let read = told(&later);
    let opt = read.of_kind(OPT)[0];
    assert_eq!((read.rcode(), opt.ttl >> 24, opt.ttl >> 16 & 0xff), (0, 1, 0), "BADVERS, ours is version 0");
    assert_eq!(read.records.len(), 1);

    push_opt(&mut later, 4096, 0, false);
    let Answer::Malformed(Some(reply)) = asked(&config(), &later) else { panic!("two OPT records") };
    assert_eq!(Read::of(&reply).rcode(), 1);
}

#[test]
fn other_operations_are_not_implemented() {
    for opcode in 1..16u16 {
        let read = told(&message(opcode << 11, "web.lan", A));
        assert_eq!((read.rcode(), read.flags >> 11 & 15, read.records.len()), (4, opcode, 0));
    }
}

#[test]
fn malformed_queries_are_told_so_if_they_have_a_header() {
    let query = query("web.lan", A);
    let mut two = query.clone();
    two[5] = 2;
    let mut none = query[..12].to_vec();
    none[5] = 0;
    let mut cut_name = query.clone();
    cut_name.truncate(15);
    let mut loop_ = query[..12].to_vec();
    loop_.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
    let mut forward = query[..12].to_vec();
    forward.extend_from_slice(&[0xc0, 18, 0, 1, 0, 1, 1, b'x', 0]);
    let mut reserved = query.clone();
    reserved[12] = 0x80;
    let long = message(0, &["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(62)].join("."), A);
    let mut missing_opt = query.clone();
    missing_opt[11] = 1;
    for (what, bad) in [
        ("two questions", two),
        ("no question", none),
        ("cut in the name", cut_name),
        ("cut in the type", query[..query.len() - 1].to_vec()),
        ("pointer to itself", loop_),
        ("pointer forward", forward),
        ("reserved label type", reserved),
        ("name of 256 bytes", long),
        ("missing record", missing_opt),
    ] {
        let Answer::Malformed(Some(reply)) = asked(&config(), &bad) else { panic!("{what}") };
        assert_eq!((reply[0..2].to_vec(), reply[3] & 15, reply[2] >> 7), (vec![0x12, 0x34], 1, 1), "{what}");
    }
    let longest = message(0, &["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(61)].join("."), A);
    assert!(is_forwarded(&longest), "255 bytes are a name");
    for silent in [&query[..11], &[], &message(0x8180, "web.lan", A)[..]] {
        assert_eq!(asked(&config(), silent), Answer::Malformed(None));
    }
}

#[test]
fn servfail_repeats_the_question_and_edns() {
    let mut query = query("example.org", AAAA);
    push_opt(&mut query, 1232, 0, true);
    let read = Read::of(&servfail(&query).unwrap());
    assert_eq!((read.rcode(), read.flags & 0x8580), (2, 0x8180));
    assert_eq!(read.question, Some(("example.org".to_owned(), AAAA)));
    assert_eq!(read.of_kind(OPT)[0].ttl, 0x8000);
    assert_eq!(servfail(&query[..11]), None);
    assert_eq!(servfail(&message(0x8000, "x", A)), None);
}

#[test]
fn more_addresses_than_a_message_holds_are_cut_not_broken() {
    let many = (0..6000u32).map(|n| IpAddr::from(Ipv4Addr::from(n))).collect();
    let config = DnsConfig { records: vec![("many.lan".to_owned(), many)], ..config() };
    let mut query = query("many.lan", A);
    push_opt(&mut query, 512, 0, false);
    let Answer::Reply(reply) = asked(&config, &query) else { panic!() };
    assert!(reply.len() <= 65_535);
    assert!(Read::of(&reply).of_kind(A).len() > 4000);
}

#[test]
fn a_wildcard_is_what_every_other_name_has_and_nothing_is_asked_outside() {
    let wildcard = Some(Ipv4Addr::new(192, 168, 87, 1));
    let config = DnsConfig { wildcard, ..config() };
    let told = |name, kind| match asked(&config, &query(name, kind)) {
        Answer::Reply(reply) => Read::of(&reply),
        other => panic!("{name}: {other:?}"),
    };
    for name in ["example.org", "8080.external", "printer"] {
        assert_eq!(addresses(&told(name, A)), [IpAddr::from([192, 168, 87, 1])], "{name}");
        for kind in [AAAA, PTR, 65] {
            let read = told(name, kind);
            assert_eq!((read.rcode(), addresses(&read).len()), (0, 0), "{name} {kind}");
        }
    }
    assert_eq!(
        addresses(&told("web.lan", A)),
        [IpAddr::from([192, 168, 86, 100])],
        "guests keep their names"
    );
    assert_eq!(told("nobody.lan", A).rcode(), 3, "the LAN's own domain has no others");
}
