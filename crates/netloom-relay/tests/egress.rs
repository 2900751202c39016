//! The way out: leases, UDP, ping and DNS of a guest made by hand, to servers of the test on this host's loopback.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};

use common::Relay;
use common::leased::{Leased, answer, query};
use common::packet::{GATEWAY, echo_request, ethertype, udp_payload};
use netloom_core::service::dns::addresses;

const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 254);

#[test]
fn leases_are_from_the_pool_and_stay_with_their_guest() {
    let relay = Relay::start(&["--lease", "02:00:00:00:00:09=192.168.86.9"]);
    let first = Leased::new(&relay, 1).address;
    assert!((100..=253).contains(&first.octets()[3]), "{first}");
    assert_eq!(Leased::new(&relay, 1).address, first, "the same guest gets the same lease");
    assert_ne!(Leased::new(&relay, 2).address, first);
    assert_eq!(Leased::new(&relay, 9).address, Ipv4Addr::new(192, 168, 86, 9));
}

#[test]
fn udp_goes_out_and_comes_back() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a server");
    server.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
    let port = server.local_addr().expect("its address").port();
    let relay = Relay::start(&["--host-loopback"]);
    let mut leased = Leased::new(&relay, 1);
    for payload in [&b"first"[..], &[7; 1400], b"last"] {
        leased.udp(1, 4000, (HOST, port).into(), payload);
        let mut buffer = [0; 2000];
        let (read, from) = server.recv_from(&mut buffer).expect("the datagram arrives");
        assert_eq!(&buffer[..read], payload);
        server.send_to(&buffer[..read], from).expect("sent");
        let back = leased.guest.expect("the answer", |frame| udp_payload(frame, 4000).is_some());
        assert_eq!(udp_payload(&back, 4000), Some(payload));
        assert_eq!(back[26..30], HOST.octets(), "it comes from the address that was asked");
    }
}

#[test]
fn a_refused_udp_port_is_told() {
    let port = {
        let closed = UdpSocket::bind("127.0.0.1:0").expect("a port");
        closed.local_addr().expect("its address").port()
    };
    let relay = Relay::start(&["--host-loopback"]);
    let mut leased = Leased::new(&relay, 1);
    leased.udp(1, 4000, (HOST, port).into(), b"anybody?");
    let told = leased.guest.expect("an ICMP error", |frame| ethertype(frame) == 0x0800 && frame[23] == 1);
    assert_eq!(told[34..36], [3, 3], "port unreachable");
}

#[test]
fn the_hosts_loopback_is_closed_by_default() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a server");
    let port = server.local_addr().expect("its address").port();
    let relay = Relay::start(&[]);
    let mut leased = Leased::new(&relay, 1);
    leased.udp(1, 4000, (HOST, port).into(), b"let me in");
    leased.udp(1, 4000, (Ipv4Addr::LOCALHOST, port).into(), b"let me in");
    // Answered in order, so what was sent before has been judged.
    leased.send(1, GATEWAY, 1, &echo_request(1, 1, b"done?"));
    leased
        .guest
        .expect("the gateway's echo", |frame| ethertype(frame) == 0x0800 && frame[23] == 1 && frame[34] == 0);
    server.set_nonblocking(true).expect("it can be asked");
    let arrived = server.recv(&mut [0; 100]);
    assert!(arrived.is_err(), "{arrived:?}");
}

#[test]
fn names_are_answered_by_the_resolver_of_the_host() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a server");
    server.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
    let upstream = server.local_addr().expect("its address");
    let relay = Relay::start(&["--dns", &upstream.to_string(), "--record", "fixed.example=192.0.2.99"]);
    let mut leased = Leased::new(&relay, 1);

    let asked = query(0x1234, "name.example");
    leased.udp(1, 5000, (GATEWAY, 53).into(), &asked);
    let mut buffer = [0; 2000];
    let (read, from) = server.recv_from(&mut buffer).expect("the query arrives");
    assert_eq!(buffer[2..read], asked[2..], "as the guest sent it but for the identifier");
    let mut forged = answer(&buffer[..read], &[Ipv4Addr::new(192, 0, 2, 66).into()]);
    forged[0] ^= 0xff;
    server.send_to(&forged, from).expect("sent");
    server.send_to(&answer(&buffer[..read], &[Ipv4Addr::new(192, 0, 2, 7).into()]), from).expect("sent");
    let back = leased.guest.expect("the answer", |frame| udp_payload(frame, 5000).is_some());
    let back = udp_payload(&back, 5000).expect("the answer");
    assert_eq!(back, answer(&asked, &[Ipv4Addr::new(192, 0, 2, 7).into()]));

    leased.udp(1, 5001, (GATEWAY, 53).into(), &query(7, "fixed.example"));
    let back = leased.guest.expect("the fixed answer", |frame| udp_payload(frame, 5001).is_some());
    assert!(udp_payload(&back, 5001).expect("the answer").ends_with(&[192, 0, 2, 99]));
}

#[test]
fn answers_tell_no_address_that_is_denied_in_either_family() {
    let server = UdpSocket::bind("[::1]:0").expect("a server, over IPv6");
    server.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
    let upstream = server.local_addr().expect("its address");
    let relay = Relay::start(&["--dns", &upstream.to_string(), "--deny", "2001:db8:bad::/48"]);
    let mut leased = Leased::new(&relay, 1);
    leased.udp(1, 5000, (GATEWAY, 53).into(), &query(9, "name.example"));
    let mut buffer = [0; 2000];
    let (read, from) = server.recv_from(&mut buffer).expect("the query arrives");
    let told = ["127.0.0.1", "192.0.2.7", "::1", "fe80::1", "::ffff:127.0.0.1", "fd00:ec2::254", "ff02::1"];
    let told = told.into_iter().chain(["64:ff9b::7f00:1", "2001:db8:bad::1", "2001:db8::7", "fd12::1"]);
    let told: Vec<IpAddr> = told.map(|text| text.parse().expect("an address")).collect();
    server.send_to(&answer(&buffer[..read], &told), from).expect("sent");
    let back = leased.guest.expect("the answer", |frame| udp_payload(frame, 5000).is_some());
    let left: Vec<_> = addresses(udp_payload(&back, 5000).expect("the answer"))
        .map(|told| told.address.to_string())
        .collect();
    assert_eq!(left, ["192.0.2.7", "2001:db8::7"], "a private address is not for a public name to tell");
    leased.udp(1, 5001, (GATEWAY, 53).into(), &query(10, "name.home.arpa"));
    let (read, from) = server.recv_from(&mut buffer).expect("the query arrives");
    server.send_to(&answer(&buffer[..read], &told), from).expect("sent");
    let back = leased.guest.expect("the answer", |frame| udp_payload(frame, 5001).is_some());
    let left: Vec<_> = addresses(udp_payload(&back, 5001).expect("the answer"))
        .map(|told| told.address.to_string())
        .collect();
    // Private addresses are reached, since this relay listens on loopback.
    assert_eq!(left, ["192.0.2.7", "2001:db8::7", "fd12::1"]);
}

#[test]
fn a_cut_answer_is_asked_for_again_by_tcp() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a server");
    let upstream = tcp.local_addr().expect("its address");
    let server = UdpSocket::bind(upstream).expect("the same port by UDP");
    server.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
    let relay = Relay::start(&["--dns", &upstream.to_string()]);
    let mut leased = Leased::new(&relay, 1);
    let asked = query(0x4321, "long.example");
    leased.udp(1, 5000, (GATEWAY, 53).into(), &asked);
    let mut buffer = [0; 2000];
    let (read, from) = server.recv_from(&mut buffer).expect("the query arrives");
    let mut cut = buffer[..read].to_vec();
    cut[2] |= 0x82;
    server.send_to(&cut, from).expect("sent");

    let (mut stream, _) = tcp.accept().expect("it comes by TCP");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut again = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut again).expect("the query");
    assert_eq!(again[2..], asked[2..]);
    let whole = answer(&again, &[Ipv4Addr::new(192, 0, 2, 8).into()]);
    stream.write_all(&(u16::try_from(whole.len()).expect("it fits")).to_be_bytes()).expect("sent");
    stream.write_all(&whole).expect("sent");
    let back = leased.guest.expect("the answer", |frame| udp_payload(frame, 5000).is_some());
    assert_eq!(udp_payload(&back, 5000), Some(&answer(&asked, &[Ipv4Addr::new(192, 0, 2, 8).into()])[..]));
}

#[test]
fn a_failing_resolver_is_a_failure_told() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a server");
    server.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
    let closed = {
        let closed = UdpSocket::bind("127.0.0.1:0").expect("a port");
        closed.local_addr().expect("its address")
    };
    let upstream = server.local_addr().expect("its address");
    let relay = Relay::start(&["--dns", &closed.to_string(), "--dns", &upstream.to_string()]);
    let mut leased = Leased::new(&relay, 1);
    leased.udp(1, 5000, (GATEWAY, 53).into(), &query(9, "name.example"));
    let mut buffer = [0; 2000];
    let (read, from) = server.recv_from(&mut buffer).expect("the next server is asked");
    let mut failure = buffer[..read].to_vec();
    failure[2] |= 0x80;
    failure[3] |= 2;
    server.send_to(&failure, from).expect("sent");
    let back = leased.guest.expect("the answer", |frame| udp_payload(frame, 5000).is_some());
    assert_eq!(udp_payload(&back, 5000).expect("the answer")[3] & 0x0f, 2, "SERVFAIL");
}
