//! Names of guests that were seen to use IPv6 (RFC 3596).

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use netloom_core::{Duration, LanConfig, MacAddr, PortId};
use netloom_sim::Probe;
use netloom_sim::packet::{Packet, dns_query, flag, ip_frame, read, tcp, udp};
use netloom_sim::world::{GATEWAY_MAC, GATEWAY_V6, guest_address_v6, guest_mac};

use crate::guest::{GUEST, LEASED, echo_request, frame, guest, served, syn, to_gateway};

fn config() -> LanConfig {
    served(Vec::new())
}

/// A request for a lease under a name.
fn request(name: &str) -> Vec<u8> {
    let mut message = vec![0; 236];
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[28..34].copy_from_slice(&guest_mac(0).0);
    message.extend_from_slice(&[99, 130, 83, 99, 53, 1, 3, 50, 4]);
    message.extend_from_slice(&LEASED.octets());
    message.extend_from_slice(&[12, name.len() as u8]);
    message.extend_from_slice(name.as_bytes());
    message.push(255);
    let from = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 68);
    let to = SocketAddr::new(Ipv4Addr::BROADCAST.into(), 67);
    ip_frame((guest_mac(0), MacAddr::BROADCAST), (from.ip(), to.ip()), 17, &udp(from, to, &message))
}

/// The code and the data of the answers to a question of the guest's.
fn asked(probe: &mut Probe, port: PortId, name: &str, kind: u16) -> (u8, Vec<Vec<u8>>) {
    let query = dns_query(9, name, kind);
    let (from, to) = (SocketAddr::new(GUEST.into(), 5000), SocketAddr::new(GATEWAY_V6.into(), 53));
    let frames = probe.ask(port, &to_gateway(17, GATEWAY_V6, &udp(from, to, &query)));
    let Ok(Packet::Udp(_, _, answer)) = read(&frames[0], true) else { panic!("{frames:02x?}") };
    let mut data = Vec::new();
    let mut at = query.len();
    for _ in 0..answer[7] {
        // The question's name by a pointer, type, class, time to live, length.
        let length = usize::from(u16::from_be_bytes([answer[at + 10], answer[at + 11]]));
        data.push(answer[at + 12..at + 12 + length].to_vec());
        at += 12 + length;
    }
    (answer[3] & 15, data)
}

#[test]
fn names_are_told_over_tcp_at_the_gateways_addresses() {
    let (mut probe, port) = guest(config());
    for (server, guest, open) in [
        (GATEWAY_V6, GUEST, 53),
        (GATEWAY_V6, GUEST, 80),
        (GATEWAY_MAC.link_local(), guest_mac(0).link_local(), 53),
    ] {
        let syn = syn(guest, server, open);
        let frames = probe.ask(port, &frame(guest_mac(0), guest, server, 6, &tcp(&syn)));
        let Ok(Packet::Tcp(answer)) = read(&frames[0], true) else { panic!("{frames:02x?}") };
        assert_eq!((answer.source, answer.destination), (syn.destination, syn.source));
        assert_eq!(answer.has(flag::SYN), open == 53, "{server} {open}");
        assert_eq!(answer.has(flag::RST), open != 53, "{server} {open}");
    }
}

#[test]
fn a_leased_guest_is_found_at_the_addresses_that_it_was_seen_to_use() {
    const A: u16 = 1;
    const PTR: u16 = 12;
    const AAAA: u16 = 28;
    let (mut probe, port) = guest(config());
    assert_eq!(probe.ask(port, &request("web")).len(), 1, "a lease");
    assert_eq!(asked(&mut probe, port, "web.lan", A), (0, vec![LEASED.octets().to_vec()]));
    // By asking it has shown an address of its own; its link-local one is of no use to others.
    let second = guest_address_v6(9);
    for address in [second, guest_mac(0).link_local()] {
        probe.ask(port, &echo_request(address, GATEWAY_V6, b""));
    }
    let known = vec![GUEST.octets().to_vec(), second.octets().to_vec()];
    assert_eq!(asked(&mut probe, port, "web.lan", AAAA), (0, known));
    let reverse = |address: Ipv6Addr| {
        let digits = format!("{:032x}", address.to_bits());
        digits.chars().rev().map(|digit| format!("{digit}.")).collect::<String>() + "ip6.arpa"
    };
    assert_eq!(asked(&mut probe, port, &reverse(second), PTR), (0, vec![b"\x03web\x03lan\0".to_vec()]));
    assert_eq!(asked(&mut probe, port, &reverse(guest_address_v6(10)), PTR), (3, Vec::new()));
    probe.advance(Duration::from_secs(3601));
    assert_eq!(asked(&mut probe, port, "web.lan", AAAA), (3, Vec::new()), "its lease is over");
}
