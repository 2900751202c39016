//! Ports of this host that lead to guests: TCP, UDP and unix sockets, to guests that come late, leave, and come back elsewhere.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::machine::Machine;
use common::{PATIENCE, Relay, netloom, wait_until};

/// Where the relay says that it forwards, in the order of its flags.
fn forwards(relay: &Relay) -> Vec<String> {
    let lines = relay.banner.lines().filter_map(|line| line.strip_prefix("forwarding "));
    lines.filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
}

fn port(relay: &Relay, n: usize) -> SocketAddr {
    let listen = &forwards(relay)[n];
    listen.trim_start_matches("udp:").parse().expect("an address")
}

/// What a server says until it ends.
fn said(to: SocketAddr) -> String {
    let mut stream = TcpStream::connect(to).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

fn udp(local: &str) -> UdpSocket {
    let socket = UdpSocket::bind(local).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    socket
}

/// Sends until an answer comes: datagrams may be lost.
fn asked(socket: &UdpSocket, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut answer = vec![0; 65_536];
    let mut read = None;
    wait_until(
        || {
            socket.send_to(data, to).expect("sent");
            match socket.recv_from(&mut answer) {
                Ok((length, from)) => {
                    assert_eq!(from, to, "the answer comes from where it was asked");
                    read = Some(length);
                }
                Err(error) => {
                    // A signal of a relay that another test ends may come meanwhile.
                    let none = [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::Interrupted];
                    assert!(none.contains(&error.kind()), "{error}");
                }
            }
            read.is_some()
        },
        || format!("an answer from {to}"),
    );
    answer.truncate(read.unwrap_or_default());
    answer
}

#[test]
fn tcp_goes_from_end_to_end() {
    let relay =
        Relay::start(&["--forward", "127.0.0.1:0=first:7", "--forward", "127.0.0.1:0=192.168.86.9:9"]);
    // It comes before its guest, and waits.
    let mut stream = TcpStream::connect(port(&relay, 0)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut writer, written) = (stream.try_clone().expect("the socket"), sent.clone());
    let writing = std::thread::spawn(move || {
        writer.write_all(&written).expect("sent");
        writer.shutdown(Shutdown::Write).expect("the end");
    });
    let _guest = Machine::start(&relay, "/", 1, 9);
    let mut back = Vec::new();
    stream.read_to_end(&mut back).expect("all of it, and the end");
    writing.join().expect("all was sent");
    assert!(back == sent, "{} bytes came back", back.len());
    // This host's loopback is nothing that a guest could answer, so the gateway asks.
    assert_eq!(said(port(&relay, 1)).split(':').next(), Some("192.168.86.1"));
}

#[test]
fn a_guests_refusal_is_a_reset() {
    let relay = Relay::start(&["--forward", "127.0.0.1:0=first:81"]);
    let _guest = Machine::start(&relay, "/", 1, 9);
    let mut stream = TcpStream::connect(port(&relay, 0)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let error = stream.read(&mut [0]).expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn datagrams_of_many_peers_are_told_apart() {
    let relay =
        Relay::start(&["--forward", "udp:127.0.0.1:0=first:7", "--forward", "udp:127.0.0.1:0=first:9"]);
    let _guest = Machine::start(&relay, "/", 1, 9);
    let echo = port(&relay, 0);
    let peers: Vec<UdpSocket> = (0..200).map(|_| udp("127.0.0.1:0")).collect();
    for round in 0..3 {
        for (n, peer) in peers.iter().enumerate() {
            let data = format!("peer {n}, round {round}");
            peer.send_to(data.as_bytes(), echo).expect("sent");
        }
        for (n, peer) in peers.iter().enumerate() {
            let data = format!("peer {n}, round {round}");
            let mut buffer = [0; 64];
            match peer.recv_from(&mut buffer) {
                Ok((length, from)) => assert_eq!((&buffer[..length], from), (data.as_bytes(), echo)),
                Err(_) => assert_eq!(asked(peer, echo, data.as_bytes()), data.as_bytes()),
            }
        }
    }
    // To the guest they are ports of the gateway, each its own.
    let who = port(&relay, 1);
    let seen: std::collections::HashSet<_> = peers[..5].iter().map(|peer| asked(peer, who, b"?")).collect();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|peer| peer.starts_with(b"192.168.86.1:")));
    // Longer than a frame carries, and as long as one may be.
    for length in [0, 1472, 1473, 9000, 65_507] {
        let (data, peer) = (vec![7; length], udp("127.0.0.1:0"));
        assert!(asked(&peer, echo, &data) == data, "{length} bytes");
    }
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let relay = Relay::start(&["--forward", "udp:0.0.0.0:0=first:7", "--forward", "udp:[::]:0=first:7"]);
    let _guest = Machine::start(&relay, "/", 1, 9);
    let (v4, v6) = (port(&relay, 0).port(), port(&relay, 1).port());
    for address in ["127.0.0.1", "127.0.0.2", "127.3.4.5"] {
        let to = SocketAddr::new(address.parse().expect("an address"), v4);
        assert_eq!(asked(&udp("127.0.0.1:0"), to, b"hello"), b"hello");
    }
    let to = SocketAddr::new("::1".parse().expect("an address"), v6);
    assert_eq!(asked(&udp("[::1]:0"), to, b"hello"), b"hello");
}

#[test]
fn forwards_follow_a_guest_that_comes_back_elsewhere() {
    let relay = Relay::start(&[
        "--forward=127.0.0.1:0=web:9",
        "--forward=127.0.0.1:0=02:00:00:00:00:01:9",
        "--forward=udp:127.0.0.1:0=web:7",
        "--forward=127.0.0.1:0=first:9",
        "--forward=udp:127.0.0.1:0=02:00:00:00:00:01:7",
    ]);
    let peer = udp("127.0.0.1:0");
    let first = Machine::leased(&relay, 1, "web");
    let before = first.address;
    for n in [0, 1, 3] {
        assert!(said(port(&relay, n)).starts_with("192.168.86.1:"));
    }
    assert_eq!(asked(&peer, port(&relay, 2), b"before"), b"before");
    drop(first);
    // Another card with the same name, and the same card with another address.
    let named = Machine::leased(&relay, 2, "web");
    assert_ne!(named.address, before);
    let moved = Machine::start(&relay, "/", 1, 77);
    for n in [0, 1, 3] {
        assert!(said(port(&relay, n)).starts_with("192.168.86.1:"), "by {}", forwards(&relay)[n]);
    }
    assert_eq!(asked(&peer, port(&relay, 2), b"after"), b"after");
    assert_eq!(asked(&peer, port(&relay, 4), b"after"), b"after");
    drop((named, moved));
}

#[test]
fn a_guest_is_named_by_the_lans_dns_too() {
    let relay = Relay::start(&["--record=web.lan=192.168.86.10", "--forward=127.0.0.1:0=web.lan:9"]);
    let _other = Machine::start(&relay, "/", 1, 9);
    let _guest = Machine::start(&relay, "/", 2, 10);
    assert!(said(port(&relay, 0)).starts_with("192.168.86.1:"));
}

#[test]
fn each_lan_has_forwards_of_its_own() {
    let relay = Relay::start(&[
        "--lan=lab=192.168.86.0/25",
        "--forward=127.0.0.1:0=lab/first:9",
        "--forward=udp:127.0.0.1:0=lab/first:7",
    ]);
    let _guest = Machine::start(&relay, "/lan/lab", 1, 9);
    assert!(said(port(&relay, 0)).starts_with("192.168.86.1:"));
    assert_eq!(asked(&udp("127.0.0.1:0"), port(&relay, 1), b"lab"), b"lab");
    assert!(relay.banner.contains("LAN lab"), "{}", relay.banner);
}

#[test]
fn a_unix_socket_leads_to_a_guest() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guest.sock");
    let relay = Relay::start(&["--forward", &format!("unix:{}=first:7", path.display())]);
    let _guest = Machine::start(&relay, "/", 1, 9);
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(b"through a file").expect("sent");
    stream.shutdown(Shutdown::Write).expect("the end");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    assert_eq!(text, "through a file");
}

#[test]
fn a_forward_reaches_no_host_but_guests() {
    // The addresses that stand for the host, and the gateway's own, are nobody's.
    let relay = Relay::start(&[
        "--host-loopback",
        "--forward=udp:127.0.0.1:0=192.168.86.254:7",
        "--forward=udp:127.0.0.1:0=192.168.86.1:7",
    ]);
    let _guest = Machine::start(&relay, "/", 1, 9);
    let peer = udp("127.0.0.1:0");
    for n in 0..2 {
        peer.send_to(b"?", port(&relay, n)).expect("sent");
        assert!(peer.recv_from(&mut [0; 64]).is_err(), "{}", forwards(&relay)[n]);
    }
}

#[test]
fn a_guest_does_not_reach_the_relays_forwards() {
    let relay = Relay::start(&["--host-loopback", "--forward=127.0.0.1:0=first:9"]);
    let mut guest = common::leased::Leased::new(&relay, 3);
    let target = port(&relay, 0);
    let syn = common::packet::tcp_syn(guest.address, Ipv4Addr::new(192, 168, 86, 254), 4000, target.port());
    guest.send(3, Ipv4Addr::new(192, 168, 86, 254), 6, &syn);
    let is_reset = |frame: &[u8]| frame.len() >= 54 && frame[23] == 6 && frame[47] & 4 != 0;
    guest.guest.expect("a reset", is_reset);
    relay.wait_for_log("the relay's own listener");
    assert!(IpAddr::is_loopback(&target.ip()));
}

#[test]
fn mistakes_are_told_in_one_line() {
    for (flags, words) in [
        (&["--forward=udp:53"][..], &["--forward", "udp:5353=dns.lan:53"][..]),
        (&["--forward=53=first:53,keep"], &["keep-source"]),
        (&["--forward=unix:=first:53"], &["path"]),
        (&["--forward=unix:/run/a=first:53,keep-source"], &["no address"]),
        (&["--forward=53=lab/first:53"], &["--lan lab"]),
        (&["--forward=5353=first:53", "--forward=5353=first:54"], &["twice"]),
        (&["--forward=5353=first:53,keep-source", "--no-gateway"], &["keep-source", "gateway"]),
        (&["--host=web"], &["--host", "web.example.com=first:80"]),
        (&["--host=localhost=first:80"], &["--host", "web.localhost"]),
        (&["--host=web.example=lab/first:80"], &["--lan lab"]),
        (&["--host=web.example=first:80", "--public-name=web.example"], &["--public-name"]),
    ] {
        let output = netloom().arg("relay").args(flags).arg("--check").output().expect("it runs");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{flags:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{flags:?}: {said}");
    }
}
