//! The policy as a table: an address, and what is said of it where nothing is configured but `private`.

#![allow(clippy::unwrap_used)]

use super::*;

fn check(policy: &Policy, address: &str, port: u16) -> Verdict {
    policy.check(None, address.parse().unwrap(), port, Protocol::Tcp)
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
        let expected = rule.map_or(Verdict::Allow, Verdict::Deny);
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
            let expected = rule.map_or(Verdict::Allow, Verdict::Deny);
            assert_eq!(check(&Policy::default(), form, 80), expected, "{form}");
        }
    }
    // Where its IPv4 address stands is the site's secret (RFC 8215), so it is the site's as a whole.
    assert_eq!(check(&Policy::default(), "64:ff9b:1::8.8.8.8", 80), Verdict::Deny(Rule::Private));
}

#[test]
fn deny_wins_over_allow_and_allow_over_the_defaults() {
    let net = |text: &str| text.parse::<IpNet>().unwrap();
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
        let expected = denied.map_or(Verdict::Allow, |text| Verdict::Deny(Rule::Denied(net(text))));
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
