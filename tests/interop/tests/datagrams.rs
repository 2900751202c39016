//! UDP of a Linux guest through the NAT: every length, in fragments where it must be, and refusals.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use netloom_interop::echo::UdpEcho;
use netloom_interop::lab::{GATEWAY, GATEWAY_V6, Guest, Lab, SERVER_V6, SERVERS};
use netloom_interop::transfer::Pattern;

fn lab(flags: &[&str]) -> (Lab, Guest) {
    let lab = Lab::new(&[&["--ipv6", "ula"], flags].concat()).unwrap();
    let (guest, ..) = lab.dual_stack_guest(None).unwrap();
    (lab, guest)
}

/// A socket toward a server.
fn socket(guest: &Guest, server: IpAddr) -> UdpSocket {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = guest.namespace.bind_udp(SocketAddr::new(any, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn datagram(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Pattern::new(seed).fill(&mut bytes);
    bytes
}

/// The next datagram, and where it came from.
fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = vec![0; 65_536];
    let (length, peer) = socket.recv_from(&mut bytes).expect("a datagram");
    bytes.truncate(length);
    (bytes, peer)
}

#[test]
fn datagrams_of_every_length_are_echoed() {
    let (lab, guest) = lab(&[]);
    for server in SERVERS {
        let echo = UdpEcho::start(&lab.server, SocketAddr::new(server, 0)).unwrap();
        let socket = socket(&guest, server);
        // 1472 fills a packet of 1500, 1452 one of IPv6; what is longer is cut by both kernels and by the machine.
        for length in [0, 1, 2, 100, 1400, 1452, 1453, 1472, 1473, 8000, 60_000, 65_507] {
            let sent = datagram(length, length as u64);
            socket.send_to(&sent, echo.address()).unwrap();
            let (came, peer) = receive(&socket);
            assert!(came == sent, "{length} bytes went to {server}, {} came back", came.len());
            assert_eq!(peer, echo.address());
        }
    }
}

#[test]
fn ipv6_carries_datagrams_that_ipv4_cannot() {
    let (lab, guest) = lab(&[]);
    let echo = UdpEcho::start(&lab.server, SocketAddr::from((SERVER_V6, 0))).unwrap();
    let socket = socket(&guest, SERVER_V6.into());
    let sent = datagram(65_527, 1);
    socket.send_to(&sent, echo.address()).unwrap();
    assert!(receive(&socket).0 == sent);
}

#[test]
fn the_gateway_tells_the_time_and_echoes_over_both_families() {
    let (_lab, guest) = lab(&[]);
    for gateway in [GATEWAY.into(), GATEWAY_V6.into()] {
        let socket = socket(&guest, gateway);
        let sent = datagram(3000, 1);
        socket.send_to(&sent, (gateway, 7)).unwrap();
        assert!(receive(&socket) == (sent, (gateway, 7).into()), "{gateway} echoes");
        // Version 4, mode 3: a client's question (RFC 5905 section 7.3).
        let question = [&[0x23][..], &[0; 47]].concat();
        socket.send_to(&question, (gateway, 123)).unwrap();
        let (answer, _) = receive(&socket);
        assert_eq!((answer.len(), answer[0] & 7), (48, 4), "{gateway} answers as a server");
    }
}

#[test]
fn one_socket_speaks_to_many_servers_at_once() {
    let (lab, guest) = lab(&[]);
    for server in SERVERS {
        let echoes: Vec<_> =
            (0..20).map(|_| UdpEcho::start(&lab.server, SocketAddr::new(server, 0)).unwrap()).collect();
        let socket = socket(&guest, server);
        for (number, echo) in echoes.iter().enumerate() {
            socket.send_to(&datagram(200, number as u64), echo.address()).unwrap();
        }
        let mut came: Vec<_> = echoes.iter().map(|_| receive(&socket)).collect();
        came.sort_by_key(|(_, peer)| peer.port());
        let mut expected: Vec<_> = echoes
            .iter()
            .enumerate()
            .map(|(number, echo)| (datagram(200, number as u64), echo.address()))
            .collect();
        expected.sort_by_key(|(_, peer)| peer.port());
        assert!(came == expected, "each answer comes from the server that was asked");
    }
}

/// What the guest's kernel makes of what comes back instead of an answer.
fn refused(guest: &Guest, server: SocketAddr) -> ErrorKind {
    let socket = socket(guest, server.ip());
    socket.connect(server).unwrap();
    socket.send(b"anybody?").unwrap();
    socket.recv(&mut [0; 100]).unwrap_err().kind()
}

#[test]
fn a_refused_port_is_told_to_the_guest() {
    let (_lab, guest) = lab(&[]);
    for server in SERVERS {
        assert_eq!(refused(&guest, SocketAddr::new(server, 9)), ErrorKind::ConnectionRefused);
    }
}

#[test]
fn an_address_that_is_denied_is_told_to_the_guest() {
    let (_lab, guest) = lab(&["--deny", "10.77.0.0/24", "--deny", "fd77::/64"]);
    // Linux takes the IPv4 code for an unreachable host, and the IPv6 one for a lack of permission.
    let told = SERVERS.map(|server| refused(&guest, SocketAddr::new(server, 9)));
    assert_eq!(told, [ErrorKind::HostUnreachable, ErrorKind::PermissionDenied]);
}
