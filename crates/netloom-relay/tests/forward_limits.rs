//! What those may use who come to a forward's port: the limits of their address.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use common::machine::{ECHO, Machine};
use common::{PATIENCE, Relay, wait_until};

/// Where the only forward of a relay listens.
fn forwarded(relay: &Relay) -> SocketAddr {
    let line = relay.banner.lines().find_map(|line| line.strip_prefix("forwarding "));
    let listen = line.and_then(|line| line.split(' ').next()).expect("a forward");
    listen.trim_start_matches("udp:").parse().expect("an address")
}

fn start(forward: &str, limits: &[&str]) -> (Relay, Machine, SocketAddr) {
    let limits = limits.iter().flat_map(|limit| ["--limit", *limit]);
    let flags: Vec<&str> = ["--forward", forward].into_iter().chain(limits).collect();
    let relay = Relay::start(&flags);
    let guest = Machine::start(&relay, "/", 1, 9);
    let to = forwarded(&relay);
    (relay, guest, to)
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Sends until something comes back: before the guest is known, datagrams are lost.
fn ask(socket: &UdpSocket, to: SocketAddr, data: &[u8]) -> usize {
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    let (mut came, mut buffer) = (0, [0; 2000]);
    wait_until(
        || {
            socket.send_to(data, to).expect("sent");
            came = socket.recv(&mut buffer).unwrap_or(0);
            came > 0
        },
        || format!("an answer from {to}"),
    );
    came
}

/// Whether what is sent comes back.
fn is_served(stream: &mut TcpStream) -> bool {
    let mut back = [0; 5];
    stream.write_all(b"hello").is_ok() && stream.read_exact(&mut back).is_ok() && back == *b"hello"
}

#[test]
fn connections_of_an_address_are_limited() {
    // The guest's own is one of the address, too.
    let (relay, _guest, to) = start(&format!("127.0.0.1:0=first:{ECHO}"), &["address.connections=3"]);
    let (mut one, mut two) = (connect(to), connect(to));
    assert!(is_served(&mut one) && is_served(&mut two));
    assert!(!is_served(&mut connect(to)), "one too many");
    relay.wait_for_log("refused 127.0.0.1: as many connections are open as limits.address.connections");
    drop(one);
    wait_until(|| is_served(&mut connect(to)), || "its place for another".to_owned());
    assert!(is_served(&mut two), "those that stand go on");
}

#[test]
fn bytes_of_an_address_keep_their_rate_each_way_and_none_is_lost() {
    let limits = ["address.upload_bytes_per_s=400k", "address.download_bytes_per_s=200k"];
    let (_relay, _guest, to) = start(&format!("127.0.0.1:0=first:{ECHO}"), &limits);
    let content: Vec<u8> = (0..400_000_u32).map(|n| (n % 251) as u8).collect();
    let began = Instant::now();
    let mut stream = connect(to);
    let (mut writer, sent) = (stream.try_clone().expect("the socket"), content.clone());
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).expect("sent");
        writer.shutdown(Shutdown::Write).expect("ended");
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).expect("all of it");
    writing.join().expect("all was sent");
    let rate = back.len() as f64 / began.elapsed().as_secs_f64();
    assert!(back == content, "{} bytes came back", back.len());
    assert!(rate < 220_000.0, "{rate} B/s");
}

#[test]
fn datagrams_beyond_the_rate_are_dropped_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = format!("unix:{}", folder.path().join("c.sock").display());
    let relay = Relay::start(&[
        "--control",
        &control,
        "--forward",
        &format!("udp:127.0.0.1:0=first:{ECHO}"),
        "--limit",
        "address.upload_bytes_per_s=50k",
    ]);
    let _guest = Machine::start(&relay, "/", 1, 9);
    let to = forwarded(&relay);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    assert_eq!(ask(&socket, to, b"hello"), 5);
    let dropped = || {
        let output = common::netloom().args(["forward", "list", "--json", "--control", &control]).output();
        let list: serde_json::Value = serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON");
        list[0]["dropped"].as_u64().expect("a count")
    };
    for _ in 0..200 {
        socket.send_to(&[7; 1000], to).expect("sent");
    }
    wait_until(|| dropped() > 0, || "datagrams that were dropped".to_owned());
    assert!(dropped() < 200, "some came through");
}

#[test]
fn peers_of_an_address_are_limited() {
    // The guest's own connection is one of the address, too.
    let (_relay, _guest, to) = start(&format!("udp:127.0.0.1:0=first:{ECHO}"), &["address.connections=2"]);
    let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    assert_eq!(ask(&one, to, b"hello"), 5);
    other.send_to(b"hello", to).expect("sent");
    // What is sent later has come back: the other's, before it, was dropped.
    wait_until(|| ask(&one, to, b"again!") == 6, || "what was sent later".to_owned());
    other.set_nonblocking(true).expect("it can be asked");
    assert!(other.recv(&mut [0; 16]).is_err(), "one too many");
}
