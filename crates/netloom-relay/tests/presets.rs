//! LANs as c2w-net, v86 and websockproxy lay them out, as their guests see them.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::net::Ipv4Addr;

use common::Relay;
use common::packet::{arp_request, dhcp, dhcp_answer, is_arp_reply, udp_payload};

/// What a guest is offered: its address, and a DHCP option's bytes.
fn offer(relay: &Relay, mac: [u8; 6], option: u8) -> (Ipv4Addr, Vec<u8>) {
    let mut guest = relay.guest();
    guest.send(&dhcp(mac, 1, &[]));
    let frame = guest.expect("an offer", |frame| dhcp_answer(frame).is_some());
    let (kind, address) = dhcp_answer(&frame).expect("an offer");
    assert_eq!(kind, 2);
    let mut options = &udp_payload(&frame, 68).expect("DHCP")[240..];
    while let [code, length, rest @ ..] = options
        && *code != 255
    {
        let (value, rest) = rest.split_at(usize::from(*length));
        if *code == option {
            return (address, value.to_vec());
        }
        options = rest;
    }
    panic!("no option {option}");
}

/// The MAC address behind an address, as a guest with another asks for it.
fn mac_of(relay: &Relay, wanted: Ipv4Addr, asking: Ipv4Addr) -> [u8; 6] {
    let mut guest = relay.guest();
    guest.send(&arp_request([2, 0, 0, 0, 9, 9], asking, wanted));
    let reply = guest.expect("an answer", |frame| is_arp_reply(frame, wanted));
    reply[22..28].try_into().expect("six octets")
}

const CONTAINER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const RANDOM: [u8; 6] = [2, 0x17, 0x5c, 9, 8, 7];

#[test]
fn c2w() {
    let relay = Relay::start(&["--preset=c2w"]);
    let gateway = Ipv4Addr::new(192, 168, 127, 1);
    let address = |last| Ipv4Addr::new(192, 168, 127, last);
    // Who has the MAC address of c2w-net's `-mac` has .3, all others what is free from .2 on.
    assert_eq!(offer(&relay, RANDOM, 51), (address(2), 3600_u32.to_be_bytes().to_vec()));
    assert_eq!(offer(&relay, CONTAINER, 54), (address(3), gateway.octets().to_vec()));
    assert_eq!(offer(&relay, [2, 1, 1, 1, 1, 1], 26), (address(4), 1500_u16.to_be_bytes().to_vec()));
    assert_eq!(offer(&relay, RANDOM, 3).1, gateway.octets());
    assert_eq!(offer(&relay, RANDOM, 6).1, gateway.octets());
    assert_eq!(offer(&relay, RANDOM, 1).1, [255, 255, 255, 0]);
    assert_eq!(mac_of(&relay, gateway, address(9)), [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd]);
}

#[test]
fn c2w_with_the_hosts_loopback() {
    let relay = Relay::start(&["--preset=c2w", "--host-loopback"]);
    let host = Ipv4Addr::new(192, 168, 127, 254);
    assert_eq!(mac_of(&relay, host, Ipv4Addr::new(192, 168, 127, 9)), [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd]);
}

#[test]
fn v86() {
    let relay = Relay::start(&["--preset=v86"]);
    assert_eq!(offer(&relay, RANDOM, 54), (Ipv4Addr::new(192, 168, 86, 100), vec![192, 168, 86, 1]));
    let gateway = Ipv4Addr::new(192, 168, 86, 1);
    assert_eq!(mac_of(&relay, gateway, Ipv4Addr::new(192, 168, 86, 9)), [0x52, 0x54, 0, 1, 2, 3]);
}

#[test]
fn websockproxy() {
    let relay = Relay::start(&["--preset=websockproxy"]);
    assert_eq!(offer(&relay, RANDOM, 51), (Ipv4Addr::new(10, 5, 0, 2), 900_u32.to_be_bytes().to_vec()));
    assert_eq!(offer(&relay, RANDOM, 3).1, [10, 5, 0, 1]);
    assert_eq!(offer(&relay, RANDOM, 1).1, [255, 255, 0, 0]);
}

#[test]
fn what_is_said_beside_a_preset_wins() {
    let relay = Relay::start(&["--preset=c2w", "--subnet=10.1.2.0/24", "--mtu=9000"]);
    assert_eq!(offer(&relay, RANDOM, 26), (Ipv4Addr::new(10, 1, 2, 100), 9000_u16.to_be_bytes().to_vec()));
    assert_eq!(
        mac_of(&relay, Ipv4Addr::new(10, 1, 2, 1), Ipv4Addr::new(10, 1, 2, 9)),
        [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd]
    );
}
