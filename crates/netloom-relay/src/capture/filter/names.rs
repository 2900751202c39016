//! Protocols and ports by name and number.

use std::ops::RangeInclusive;

use super::packet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_RARP, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP,
};
use super::{FilterError, wrong};

const ETHERTYPES: &[(&str, u16)] =
    &[("ip", ETHERTYPE_IPV4), ("ip6", ETHERTYPE_IPV6), ("arp", ETHERTYPE_ARP), ("rarp", ETHERTYPE_RARP)];

const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", PROTOCOL_TCP),
    ("udp", PROTOCOL_UDP),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("sctp", PROTOCOL_SCTP),
];

const PORTS: &[(&str, u16)] = &[
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("http", 80),
    ("ntp", 123),
    ("imap", 143),
    ("snmp", 161),
    ("https", 443),
    ("mdns", 5353),
];

pub(super) fn ethertype_of(name: &str) -> Option<u16> {
    find(ETHERTYPES, name)
}

pub(super) fn protocol_of(name: &str) -> Option<u8> {
    find(PROTOCOLS, name)
}

fn find<T: Copy>(names: &[(&str, T)], name: &str) -> Option<T> {
    names.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

pub(super) fn port(value: &str) -> Result<RangeInclusive<u16>, FilterError> {
    let port = find(PORTS, value).or_else(|| value.parse().ok());
    port.map(|port| port..=port).ok_or_else(|| wrong(format!("`{value}` is not a port; write 0 to 65535")))
}

pub(super) fn port_range(value: &str) -> Result<RangeInclusive<u16>, FilterError> {
    let range = value.split_once('-').and_then(|(first, last)| {
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        Some(first.min(last)..=first.max(last))
    });
    range.or_else(|| port(value).ok()).ok_or_else(|| {
        wrong(format!("`{value}` is not a range of ports; write it as in: portrange 8000-8080"))
    })
}

pub(super) fn ethertype(value: &str) -> Result<u16, FilterError> {
    ethertype_of(value).or_else(|| number(value)?.try_into().ok()).ok_or_else(|| {
        wrong(format!(
            "`{value}` is not a protocol of Ethernet; write ip, ip6, arp, rarp or a number as 0x0800"
        ))
    })
}

pub(super) fn ip_protocol(value: &str) -> Result<u8, FilterError> {
    protocol_of(value).or_else(|| number(value)?.try_into().ok()).ok_or_else(|| {
        wrong(format!("`{value}` is not a protocol of IP; write tcp, udp, icmp, icmp6 or a number up to 255"))
    })
}

/// A number as in C: decimal, or hexadecimal behind `0x`.
fn number(value: &str) -> Option<u32> {
    match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    }
}
