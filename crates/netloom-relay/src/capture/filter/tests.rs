//! What filters take, what they refuse, and that no text and no frame breaks them. That they mean what libpcap means is shown with tcpdump in
//! `tests/interop`.

#![allow(clippy::expect_used, reason = "a test")]

use super::*;

const MAC_A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const MAC_B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

fn ethernet(to: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &MAC_A, &ethertype.to_be_bytes(), payload].concat()
}

fn ports(source: u16, destination: u16) -> [u8; 8] {
    let ([a, b], [c, d]) = (source.to_be_bytes(), destination.to_be_bytes());
    [a, b, c, d, 0, 8, 0, 0]
}

fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0];
    packet.extend_from_slice(&fragment.to_be_bytes());
    packet.extend_from_slice(&[64, protocol, 0, 0, 10, 1, 2, 3, 192, 0, 2, 9]);
    packet.extend_from_slice(payload);
    ethernet(MAC_B, 0x0800, &packet)
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
    packet.extend_from_slice(&"fd00::1".parse::<std::net::Ipv6Addr>().expect("an address").octets());
    packet.extend_from_slice(&"ff02::1".parse::<std::net::Ipv6Addr>().expect("an address").octets());
    packet.extend_from_slice(payload);
    ethernet([0x33, 0x33, 0, 0, 0, 1], 0x86dd, &packet)
}

fn arp() -> Vec<u8> {
    let payload = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0xa, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 10, 1, 2, 1];
    ethernet([0xff; 6], 0x0806, &payload)
}

/// The numbers of the frames that a filter takes.
fn takes(filter: &str) -> Vec<usize> {
    let frames = [
        ipv4(6, 0, &ports(1234, 80)),
        ipv4(17, 0, &ports(5353, 53)),
        ipv4(6, 100, &ports(1234, 80)),
        ipv4(1, 0, &[8, 0, 0, 0]),
        arp(),
        ipv6(17, &ports(546, 547)),
        // Hop-by-hop options before UDP.
        ipv6(0, &[&[17, 0, 0, 0, 0, 0, 0, 0][..], &ports(9, 10)].concat()),
        ipv6(58, &[135, 0]),
        vec![0; 5],
    ];
    let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).expect("a filter");
    let matches = |frame: &Vec<u8>| filter.matches(frame, Direction::Inbound);
    frames.iter().enumerate().filter(|(_, frame)| matches(frame)).map(|(n, _)| n).collect()
}

#[test]
fn filters_take_what_they_say() {
    let cases: &[(&str, &[usize])] = &[
        ("ip", &[0, 1, 2, 3]),
        ("ip6", &[5, 6, 7]),
        ("arp", &[4]),
        ("tcp", &[0, 2]),
        ("udp", &[1, 5, 6]),
        ("icmp or icmp6", &[3, 7]),
        ("tcp port 80", &[0]),
        ("port 80 or 53", &[0, 1]),
        ("port http", &[0]),
        ("src port 80", &[]),
        ("udp dst port domain", &[1]),
        ("portrange 500-600", &[5]),
        ("portrange 10", &[6]),
        ("host 10.1.2.3", &[0, 1, 2, 3, 4]),
        ("ip host 10.1.2.3", &[0, 1, 2, 3]),
        ("arp host 10.1.2.1", &[4]),
        ("dst host 10.1.2.3", &[]),
        ("src 10.1.2.3 and dst 192.0.2.9", &[0, 1, 2, 3]),
        ("src and dst net 10", &[4]),
        ("dst or src net 10.1.0.0/16", &[0, 1, 2, 3, 4]),
        ("net 192.0.2.0 mask 255.255.255.0", &[0, 1, 2, 3]),
        ("net fd00::/8", &[5, 6, 7]),
        ("host ff02::1 and not icmp6", &[5, 6]),
        ("ether host 02:00:00:00:00:0b", &[0, 1, 2, 3]),
        ("ether src 02-0-0-0-0-a and broadcast", &[4]),
        ("multicast", &[4, 5, 6, 7]),
        ("ip6 multicast", &[5, 6, 7]),
        ("ip proto 6", &[0, 2]),
        ("ip6 proto \\udp", &[5, 6]),
        ("ip6 proto 0", &[6]),
        ("proto 17", &[1, 5, 6]),
        ("ether proto \\arp || ether proto 0x86DD", &[4, 5, 6, 7]),
        ("less 5", &[8]),
        ("greater 6 && !(ip or ip6)", &[4]),
        ("not not tcp", &[0, 2]),
        ("outbound", &[]),
        ("inbound and tcp", &[0, 2]),
        // From the left, both alike.
        ("arp or tcp and udp", &[]),
        ("arp or (tcp and port 80)", &[0, 4]),
        ("TCP Port 80", &[0]),
    ];
    for (filter, expected) in cases {
        assert_eq!(takes(filter), *expected, "{filter}");
    }
    assert_eq!(Filter::parse("  "), Ok(None));
}

#[test]
fn what_is_no_filter_is_refused_in_words() {
    let cases = [
        ("tcp prot 80", "`prot` does not continue the filter"),
        ("host example.com", "names of hosts are not resolved"),
        ("host 02:00:00:00:00:0b", "write ether host"),
        ("port", "a value is missing"),
        ("port 65536", "is not a port"),
        ("(tcp", "not closed"),
        ("tcp)", "too many"),
        ("tcp and", "ends too early"),
        ("and tcp", "missing before `and`"),
        ("tcp host 10.0.0.1", "not something of that protocol"),
        ("ip6 host 10.0.0.1", "another protocol"),
        ("net 10.0.0.0/33", "is not a network"),
        ("net 10.0.0.0 mask 255.0.255.0", "a mask is missing"),
        ("tcp & udp", "stands alone"),
        ("10.0.0.1", "is not understood"),
        ("less x", "number of bytes"),
        ("ether proto tcp", "not a protocol of Ethernet"),
    ];
    for (filter, expected) in cases {
        let error = Filter::parse(filter).expect_err(filter).to_string();
        assert!(error.contains(expected), "{filter}: {error}");
    }
    let deep = |depth: usize| format!("{}tcp{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&deep(32)).is_ok());
    assert!(Filter::parse(&deep(33)).is_err());
    assert!(Filter::parse(&"tcp or ".repeat(1000)).is_err(), "too long");
}

#[test]
fn values_wait_in_parentheses_as_deep_as_may_be() {
    let nested = "arp or (".repeat(32) + "tcp" + &")".repeat(32);
    assert_eq!(takes(&nested), [0, 2, 4]);
}

#[test]
fn frames_of_every_length_are_judged() {
    let filter =
        Filter::parse("tcp port 80 or arp host 1.2.3.4 or ip6 proto 6 or ether host 02:00:00:00:00:0b");
    let filter = filter.expect("right").expect("a filter");
    for frame in [ipv4(6, 0, &ports(1, 80)), arp(), ipv6(0, &[0; 64])] {
        for length in 0..=frame.len() {
            let _judged = filter.matches(&frame[..length], Direction::Outbound);
        }
    }
}
