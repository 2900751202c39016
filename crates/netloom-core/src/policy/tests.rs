//! The policy as a table: an address, and what is said of it where nothing is configured but `private`.

#![allow(clippy::unwrap_used)]

use super::*;

fn check(policy: &Policy, address: &str, port: u16) -> Verdict {
    policy.check(&[], address.parse().unwrap(), port, Protocol::Tcp)
}

#[test]
fn the_defaults() {
    use Rule::{LinkLocal, Loopback, Metadata, Multicast, Private, Reserved};
    for (address, rule) in [
        ("0.0.0.0", Some(Reserved)),
        ("0.1.2.3", Some(Reserved)),
        ("127.0.0.1", Some(Loopback)),
        ("127.255.0.9", Some(Loopback)),
        ("169.254.169.254", Some(LinkLocal)),
        ("224.0.0.251", Some(Multicast)),
        ("255.255.255.255", Some(Multicast)),
        ("240.0.0.1", Some(Reserved)),
        ("192.0.0.192", Some(Reserved)),
        ("168.63.129.16", Some(Metadata)),
        ("100.100.100.200", Some(Metadata)),
        ("10.0.0.1", Some(Private)),
        ("172.16.0.1", Some(Private)),
        ("172.32.0.1", None),
        ("192.168.1.1", Some(Private)),
        ("100.64.0.1", Some(Private)),
        ("100.128.0.1", None),
        ("192.0.2.1", None),
        ("8.8.8.8", None),
        // IPv6.
        ("::", Some(Reserved)),
        ("::1", Some(Loopback)),
        ("fe80::1", Some(LinkLocal)),
        ("febf::1", Some(LinkLocal)),
        ("fec0::1", Some(Private)),
        ("feff::1", Some(Private)),
        ("fc00::1", Some(Private)),
        ("fd12:3456:789a::1", Some(Private)),
        ("fe00::1", Some(Reserved)),
        ("fe7f::1", Some(Reserved)),
        ("ff02::1", Some(Multicast)),
        ("ff0e::1", Some(Multicast)),
        ("fd00:ec2::254", Some(Metadata)),
        ("fd00:ec2::23", Some(Metadata)),
        ("fd20:ce::254", Some(Metadata)),
        ("fd20:ce::253", Some(Private)),
        ("fd00:c1::a9fe:a9fe", Some(Metadata)),
        ("fd00:42::42", Some(Metadata)),
        ("fd00:100::100:200", Some(Metadata)),
        ("fd00:a9fe:a9fe::1", Some(Metadata)),
        ("100::1", Some(Reserved)),
        ("100:0:0:1::1", Some(Reserved)),
        ("200::1", Some(Reserved)),
        ("1fff::1", Some(Reserved)),
        ("4000::1", Some(Reserved)),
        ("5f00::1", Some(Reserved)),
        ("2001:2::1", Some(Reserved)),
        ("2001:20::1", Some(Reserved)),
        ("2001:1ff::1", Some(Reserved)),
        ("2001:200::1", None),
        ("2001:db8::1", None),
        ("2001:4860:4860::8888", None),
        ("2606:4700::1111", None),
        ("3fff::1", None),
    ] {
        let expected = rule.clone().map_or(Verdict::Allow, Verdict::Deny);
        assert_eq!(check(&Policy::default(), address, 80), expected, "{address}");
        let private = Policy { private: true, ..Policy::default() };
        let expected = if rule == Some(Private) { Verdict::Allow } else { expected };
        assert_eq!(check(&private, address, 80), expected, "{address} where private networks are reached");
    }
}

#[test]
fn an_ipv4_address_is_judged_in_whatever_ipv6_address_it_stands() {
    for (rule, forms) in [
        (
            Some(Rule::Loopback),
            [
                "::ffff:127.0.0.1",
                "::127.0.0.1",
                "::ffff:0:127.0.0.1",
                "64:ff9b::127.0.0.1",
                "2002:7f00:1::1",
                "2001::80ff:fffe",
            ],
        ),
        (
            Some(Rule::LinkLocal),
            [
                "::ffff:169.254.169.254",
                "::169.254.169.254",
                "::ffff:0:169.254.169.254",
                "64:ff9b::a9fe:a9fe",
                "2002:a9fe:a9fe:1:2:3:4:5",
                "2001:0:4136:e378:8000:63bf:5601:5601",
            ],
        ),
        (
            Some(Rule::Private),
            [
                "::ffff:10.1.2.3",
                "::10.1.2.3",
                "::ffff:0:10.1.2.3",
                "64:ff9b::10.1.2.3",
                "2002:a01:203::",
                "2001:0:4136:e378:8000:63bf:f5fe:fdfc",
            ],
        ),
        (
            None,
            [
                "::ffff:8.8.8.8",
                "::8.8.8.8",
                "::ffff:0:8.8.8.8",
                "64:ff9b::8.8.8.8",
                "2002:808:808::1",
                "2001:0:4136:e378:8000:63bf:f7f7:f7f7",
            ],
        ),
    ] {
        for form in forms {
            let expected = rule.clone().map_or(Verdict::Allow, Verdict::Deny);
            assert_eq!(check(&Policy::default(), form, 80), expected, "{form}");
        }
    }
    // Where its IPv4 address stands is the site's secret (RFC 8215), so it is the site's as a whole.
    assert_eq!(check(&Policy::default(), "64:ff9b:1::8.8.8.8", 80), Verdict::Deny(Rule::Private));
}

#[test]
fn deny_wins_over_allow_and_allow_over_the_defaults() {
    let net = |text: &str| text.parse::<Pattern>().unwrap();
    let policy = Policy {
        allow: vec![net("10.0.0.0/8"), net("fd00::/8"), net("::1"), net("2001:db8::/32")],
        deny: vec![net("10.9.0.0/16"), net("fd00:9::/32"), net("2002::/16"), net("198.51.100.0/24")],
        ..Policy::default()
    };
    for (address, denied) in [
        ("10.1.0.1", None),
        ("::ffff:10.1.0.1", None),
        ("10.9.0.1", Some("10.9.0.0/16")),
        ("::ffff:10.9.0.1", Some("10.9.0.0/16")),
        ("fd01::1", None),
        ("fd00:9::1", Some("fd00:9::/32")),
        ("::1", None),
        ("2001:db8::1", None),
        ("2002:808:808::1", Some("2002::/16")),
        ("64:ff9b::198.51.100.1", Some("198.51.100.0/24")),
    ] {
        let expected = denied.map_or(Verdict::Allow, |text| {
            Verdict::Deny(Rule::Denied(text.parse::<Pattern>().unwrap().into()))
        });
        assert_eq!(check(&policy, address, 80), expected, "{address}");
    }
}

#[test]
fn the_relays_own_listeners_are_never_reached() {
    let policy = |own: &str| Policy {
        allow: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
        own: vec![own.parse().unwrap()],
        host: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        ..Policy::default()
    };
    for (own, reached, refused) in [
        (
            "127.0.0.1:8086",
            &["192.0.2.7"][..],
            &["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "64:ff9b::7f00:1"][..],
        ),
        ("0.0.0.0:8086", &["192.0.2.8"], &["127.0.0.1", "192.0.2.7", "::ffff:192.0.2.7", "0.0.0.0"]),
        ("[::1]:8086", &["2001:db8::7", "::2"], &["::1", "::"]),
        ("[2001:db8::7]:8086", &["2001:db8::8", "::1"], &["2001:db8::7"]),
        ("[2002:808:808::1]:8086", &["2002:808:808::2"], &["2002:808:808::1"]),
        ("[::]:8086", &["2001:db8::8"], &["::1", "2001:db8::7", "::"]),
    ] {
        for address in reached {
            assert_eq!(check(&policy(own), address, 8086), Verdict::Allow, "{own} is not at {address}");
        }
        for address in refused {
            assert_eq!(check(&policy(own), address, 8086), Verdict::Deny(Rule::Own), "{own} is at {address}");
            assert_eq!(check(&policy(own), address, 8087), Verdict::Allow, "{address}, another port");
        }
    }
}

#[test]
fn rules_by_port_and_protocol() {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let policy = Policy {
        allow: patterns(&["10.0.0.5:22", "10.0.0.6/udp", "[fd00::/8]:8000-8999/tcp", "10.0.0.7/ping"]),
        deny: patterns(&["*:25", "*/ping", "192.0.2.0/24:53/udp"]),
        ..Policy::default()
    };
    let denied = |text: &str| Verdict::Deny(Rule::Denied(text.parse::<Pattern>().unwrap().into()));
    let private = || Verdict::Deny(Rule::Private);
    for (address, port, protocol, expected) in [
        ("10.0.0.5", 22, Protocol::Tcp, Verdict::Allow),
        ("10.0.0.5", 22, Protocol::Udp, Verdict::Allow),
        ("10.0.0.5", 23, Protocol::Tcp, private()),
        ("10.0.0.6", 9, Protocol::Udp, Verdict::Allow),
        ("10.0.0.6", 9, Protocol::Tcp, private()),
        ("fd12::1", 8000, Protocol::Tcp, Verdict::Allow),
        ("fd12::1", 8999, Protocol::Tcp, Verdict::Allow),
        ("fd12::1", 9000, Protocol::Tcp, private()),
        ("fd12::1", 8000, Protocol::Udp, private()),
        ("8.8.8.8", 25, Protocol::Tcp, denied("*:25")),
        ("8.8.8.8", 26, Protocol::Tcp, Verdict::Allow),
        ("10.0.0.7", 0, Protocol::Ping, denied("*/ping")),
        ("192.0.2.1", 53, Protocol::Udp, denied("192.0.2.0/24:53/udp")),
        ("::ffff:192.0.2.1", 53, Protocol::Udp, denied("192.0.2.0/24:53/udp")),
        ("192.0.2.1", 53, Protocol::Tcp, Verdict::Allow),
    ] {
        assert_eq!(
            policy.check(&[], address.parse().unwrap(), port, protocol),
            expected,
            "{address}:{port} {protocol:?}"
        );
    }
}

#[test]
fn rules_by_name() {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let policy = Policy {
        allow: patterns(&["*.example.com:443", "db.lan"]),
        deny: patterns(&["bad.example.com", ".evil.example"]),
        closed: true,
        ..Policy::default()
    };
    let denied = |text: &str| Verdict::Deny(Rule::Denied(text.parse::<Pattern>().unwrap().into()));
    let check = |names: &[&str], address: &str, port| {
        policy.check(names, address.parse().unwrap(), port, Protocol::Tcp)
    };
    for (names, address, port, expected) in [
        (&["a.example.com"][..], "192.0.2.1", 443, Verdict::Allow),
        (&["A.b.Example.COM."], "192.0.2.1", 443, Verdict::Allow),
        (&["other.example", "a.example.com"], "192.0.2.1", 443, Verdict::Allow),
        (&["a.example.com"], "192.0.2.1", 80, Verdict::Deny(Rule::Closed)),
        (&["example.com"], "192.0.2.1", 443, Verdict::Deny(Rule::Closed)),
        (&["badexample.com"], "192.0.2.1", 443, Verdict::Deny(Rule::Closed)),
        (&[".example.com"], "192.0.2.1", 443, Verdict::Deny(Rule::Closed)),
        (&[], "192.0.2.1", 443, Verdict::Deny(Rule::Closed)),
        (&["bad.example.com"], "192.0.2.1", 443, denied("bad.example.com")),
        (&["a.example.com", "bad.example.com"], "192.0.2.1", 443, denied("bad.example.com")),
        (&["evil.example"], "192.0.2.1", 443, denied(".evil.example")),
        (&["x.evil.example"], "192.0.2.1", 443, denied(".evil.example")),
        // A name opens private networks, and nothing else that is refused.
        (&["db.lan"], "10.0.0.9", 5432, Verdict::Allow),
        (&["db.lan"], "127.0.0.1", 5432, Verdict::Deny(Rule::Loopback)),
        (&["db.lan"], "169.254.169.254", 80, Verdict::Deny(Rule::LinkLocal)),
        (&["other.lan"], "10.0.0.9", 5432, Verdict::Deny(Rule::Private)),
    ] {
        assert_eq!(check(names, address, port), expected, "{names:?} {address}:{port}");
    }
    let all_web = Policy { allow: patterns(&["*:443"]), closed: true, ..Policy::default() };
    let check = |address: &str, port| all_web.check(&[], address.parse().unwrap(), port, Protocol::Tcp);
    assert_eq!(check("192.0.2.1", 443), Verdict::Allow);
    assert_eq!(check("192.0.2.1", 80), Verdict::Deny(Rule::Closed));
    assert_eq!(check("127.0.0.1", 443), Verdict::Deny(Rule::Loopback));
}

#[test]
fn answers_of_dns() {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let policy = |private| Policy {
        allow: patterns(&["10.9.0.0/16", "nas.home.arpa", "web.example"]),
        deny: patterns(&["192.0.2.0/24", "198.51.100.0/24:25"]),
        private,
        ..Policy::default()
    };
    for (name, address, open, closed) in [
        ("web.example", "8.8.8.8", Verdict::Allow, Verdict::Allow),
        ("web.example", "10.0.0.1", Verdict::Deny(Rule::Rebinding), Verdict::Deny(Rule::Rebinding)),
        ("web.example", "fd00::1", Verdict::Deny(Rule::Rebinding), Verdict::Deny(Rule::Rebinding)),
        ("web.example", "::ffff:10.0.0.1", Verdict::Deny(Rule::Rebinding), Verdict::Deny(Rule::Rebinding)),
        ("web.example", "10.9.0.1", Verdict::Allow, Verdict::Allow),
        ("web.example", "127.0.0.1", Verdict::Deny(Rule::Loopback), Verdict::Deny(Rule::Loopback)),
        ("printer.lan", "10.0.0.1", Verdict::Allow, Verdict::Deny(Rule::Private)),
        ("printer.LOCAL.", "10.0.0.1", Verdict::Allow, Verdict::Deny(Rule::Private)),
        ("printer", "10.0.0.1", Verdict::Allow, Verdict::Deny(Rule::Private)),
        ("nas.home.arpa", "10.0.0.1", Verdict::Allow, Verdict::Allow),
        ("lan.example", "10.0.0.1", Verdict::Deny(Rule::Rebinding), Verdict::Deny(Rule::Rebinding)),
        ("xlan.example", "10.0.0.1", Verdict::Deny(Rule::Rebinding), Verdict::Deny(Rule::Rebinding)),
        ("a.outlan", "10.0.0.1", Verdict::Deny(Rule::Rebinding), Verdict::Deny(Rule::Rebinding)),
        ("printer.lan", "127.0.0.1", Verdict::Deny(Rule::Loopback), Verdict::Deny(Rule::Loopback)),
        (
            "web.example",
            "192.0.2.1",
            Verdict::Deny(Rule::Denied("192.0.2.0/24".parse::<Pattern>().unwrap().into())),
            Verdict::Deny(Rule::Denied("192.0.2.0/24".parse::<Pattern>().unwrap().into())),
        ),
        ("web.example", "198.51.100.1", Verdict::Allow, Verdict::Allow),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(policy(true).check_answer(name, address), open, "{name} {address}");
        assert_eq!(policy(false).check_answer(name, address), closed, "{name} {address}");
    }
}

#[test]
fn patterns_are_written_and_read() {
    for text in [
        "*",
        "*:443",
        "*/udp",
        "10.0.0.0/8",
        "10.0.0.5/32:22",
        "10.0.0.0/8:1-1023/tcp",
        "2001:db8::/32",
        "[2001:db8::/32]:53/udp",
        "example.com",
        "example.com:443",
        "*.example.com:80-90",
        ".example.com/ping",
        "_x.example-1.com",
    ] {
        let pattern: Pattern = text.parse().unwrap();
        assert_eq!(pattern.to_string(), text);
    }
    for (text, written) in [
        ("10.0.0.5:22", "10.0.0.5/32:22"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("2001:db8::1/udp", "2001:db8::1/128/udp"),
        ("[::1]", "::1/128"),
        ("[::1]:80", "[::1/128]:80"),
        ("Example.COM.", "example.com"),
        ("*.Example.com", "*.example.com"),
        ("a:7-7", "a:7"),
    ] {
        assert_eq!(text.parse::<Pattern>().map(|pattern| pattern.to_string()).as_deref(), Ok(written));
    }
    for (text, error) in [
        ("", ParsePatternError::Host),
        (".", ParsePatternError::Host),
        ("*.", ParsePatternError::Host),
        ("a..b", ParsePatternError::Host),
        ("a b", ParsePatternError::Host),
        ("*a.example", ParsePatternError::Host),
        ("a.*", ParsePatternError::Host),
        ("127.1", ParsePatternError::Host),
        ("10.0.0.0/33", ParsePatternError::Host),
        ("[::1]80", ParsePatternError::Host),
        ("https://a.example/", ParsePatternError::Port),
        ("a:0", ParsePatternError::Port),
        ("a:", ParsePatternError::Port),
        ("a:65536", ParsePatternError::Port),
        ("a:9-8", ParsePatternError::Port),
        ("a:http", ParsePatternError::Port),
        ("a:80/ping", ParsePatternError::PingPort),
    ] {
        assert_eq!(text.parse::<Pattern>(), Err(error), "{text}");
    }
}
