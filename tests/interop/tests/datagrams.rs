//! UDP of a Linux guest through the NAT: every length, in fragments where it must be, and refusals.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use netloom_interop::echo::UdpEcho;
use netloom_interop::lab::{Guest, Lab, SERVER};
use netloom_interop::transfer::Pattern;

fn socket(guest: &Guest) -> UdpSocket {
    let socket = guest.namespace.bind_udp("0.0.0.0:0".parse().unwrap()).unwrap();
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
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    let echo = UdpEcho::start(&lab.server, SocketAddr::from((SERVER, 0))).unwrap();
    let socket = socket(&guest);
    // 1472 fills a packet of 1500; what is longer is cut by both kernels and by the machine.
    for length in [0, 1, 2, 100, 1400, 1472, 1473, 8000, 60_000, 65_507] {
        let sent = datagram(length, length as u64);
        socket.send_to(&sent, echo.address()).unwrap();
        let (came, peer) = receive(&socket);
        assert!(came == sent, "{length} bytes went out, {} came back", came.len());
        assert_eq!(peer, echo.address());
    }
}

#[test]
fn one_socket_speaks_to_many_servers_at_once() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    let echoes: Vec<_> =
        (0..20).map(|_| UdpEcho::start(&lab.server, SocketAddr::from((SERVER, 0))).unwrap()).collect();
    let socket = socket(&guest);
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

#[test]
fn a_refused_port_is_told_to_the_guest() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    let socket = socket(&guest);
    socket.connect((SERVER, 9)).unwrap();
    socket.send(b"anybody?").unwrap();
    let error = socket.recv(&mut [0; 100]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}
