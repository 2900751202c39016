//! The egress policy on guests' connections, by a guest made by hand: nothing of the host or its networks is reached, rules by name hold
//! for whom DNS gave the address, and every refusal is told and logged.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use common::Relay;
use common::leased::{Leased, answer, query};
use common::packet::{GATEWAY, echo_request, ethertype, tcp_syn, udp_payload};

/// What a guest is told of something that it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// ICMP: administratively prohibited.
    Prohibited,
    Reset,
    Answered,
}

/// Sends a packet, then a ping to the gateway; what came back before the ping's answer, which is sent when the packet has been judged.
fn told(leased: &mut Leased, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Told {
    leased.send(1, to, protocol, payload);
    leased.send(1, GATEWAY, 1, &echo_request(1, 1, b"done?"));
    let mut told = Told::Nothing;
    loop {
        let frame = leased.guest.next().expect("the connection lives");
        if ethertype(&frame) != 0x0800 || frame.len() < 36 {
            continue;
        }
        match (frame[23], frame[34], frame[35]) {
            (1, 0, _) => return told,
            (1, 3, 13) => told = Told::Prohibited,
            (6, ..) if frame.get(47).is_some_and(|flags| flags & 4 != 0) => told = Told::Reset,
            (6 | 17, ..) => told = Told::Answered,
            _ => {}
        }
    }
}

/// A relay whose LAN's guests reach no private networks, with more of its `[egress]` table.
fn closed_relay(egress: &str) -> Relay {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "[egress]\n{egress}\n[[lan]]\nname = \"default\"\nprivate = false\n").expect("written");
    Relay::start(&["--config", file.path().to_str().expect("text")])
}

#[test]
fn nothing_of_the_host_or_its_networks_is_reached() {
    let server = UdpSocket::bind("0.0.0.0:0").expect("a server");
    let port = server.local_addr().expect("its address").port();
    let relay = closed_relay("");
    let mut leased = Leased::new(&relay, 1);
    let datagram = common::packet::udp(4000, port, b"let me in");
    for (address, expected) in [
        ("127.0.0.1", Told::Prohibited),
        ("127.0.0.2", Told::Prohibited),
        ("169.254.169.254", Told::Prohibited),
        ("100.100.100.200", Told::Prohibited),
        ("10.0.0.1", Told::Prohibited),
        ("172.16.0.1", Told::Prohibited),
        ("192.168.1.1", Told::Prohibited),
        ("100.64.0.1", Told::Prohibited),
        ("192.0.0.192", Told::Prohibited),
        ("240.0.0.1", Told::Prohibited),
        ("0.0.0.0", Told::Prohibited),
        // Of groups no errors are told (RFC 1122 section 3.2.2).
        ("224.0.0.1", Told::Nothing),
        ("255.255.255.255", Told::Nothing),
    ] {
        let address: Ipv4Addr = address.parse().expect("an address");
        assert_eq!(told(&mut leased, address, 17, &datagram), expected, "UDP to {address}");
        let syn = tcp_syn(leased.address, address, 4000, port);
        let expected = if expected == Told::Prohibited { Told::Reset } else { expected };
        assert_eq!(told(&mut leased, address, 6, &syn), expected, "TCP to {address}");
    }
    server.set_nonblocking(true).expect("it can be asked");
    let arrived = server.recv(&mut [0; 100]);
    assert!(arrived.is_err(), "{arrived:?}");
    relay.wait_for_log("refused a guest's connection");
    relay.wait_for_log("(loopback; --allow opens it)");
}

#[test]
fn a_rule_by_name_is_about_whom_dns_gave_the_address() {
    let dns = UdpSocket::bind("127.0.0.1:0").expect("a server");
    dns.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
    let resolver = dns.local_addr().expect("its address");
    let target = UdpSocket::bind("127.0.0.2:0").expect("a target");
    let port = target.local_addr().expect("its address").port();
    let relay = closed_relay(&format!(
        "allow = [\"127.0.0.2:{port}/udp\", \"127.0.0.2:9\"]\ndeny = [\"*.evil.example\"]\nresolvers = [\"{resolver}\"]"
    ));
    let address = Ipv4Addr::new(127, 0, 0, 2);
    let datagram = common::packet::udp(4000, port, b"hello");
    let mut leased = Leased::new(&relay, 1);
    let lookup = |leased: &mut Leased, name: &str| {
        leased.udp(1, 5000, (GATEWAY, 53).into(), &query(7, name));
        let mut buffer = [0; 2000];
        let (read, from) = dns.recv_from(&mut buffer).expect("the query arrives");
        dns.send_to(&answer(&buffer[..read], &[address.into()]), from).expect("sent");
        let back = leased.guest.expect("the answer", |frame| udp_payload(frame, 5000).is_some());
        assert!(udp_payload(&back, 5000).expect("the answer").ends_with(&address.octets()));
    };

    lookup(&mut leased, "good.example");
    assert_eq!(told(&mut leased, address, 17, &datagram), Told::Nothing);
    let mut buffer = [0; 100];
    target.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
    assert_eq!(target.recv(&mut buffer).expect("it arrives"), 5);

    lookup(&mut leased, "very.evil.example");
    let again = common::packet::udp(4001, port, b"hello");
    assert_eq!(told(&mut leased, address, 17, &again), Told::Prohibited);
    relay.wait_for_log("deny *.evil.example");
    // A port and a protocol that no rule allows.
    let other = common::packet::udp(4002, 10, b"hello");
    assert_eq!(told(&mut leased, address, 17, &other), Told::Prohibited);

    // Another guest, which did not ask, is not concerned.
    let mut second = Leased::new(&relay, 2);
    second.udp(2, 4000, SocketAddr::new(address.into(), port), b"hello");
    assert_eq!(target.recv(&mut buffer).expect("it arrives"), 5);
}
