//! A relay that stops: who is there may go on until the deadline, who asks anew is told to come later.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

use common::http::{ask, read};
use common::leased::Leased;
use common::machine::Machine;
use common::packet::udp_payload;
use common::{Guest, PATIENCE, Relay, netloom};
use netloom_proto::websocket::Opcode;
use rustix::process::Signal;

const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 254);

fn connect(relay: &Relay) -> TcpStream {
    let stream = TcpStream::connect(relay.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

#[test]
fn who_is_connected_goes_on_and_who_asks_anew_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = format!("unix:{}", folder.path().join("c.sock").display());
    let flags = ["--host-loopback", "--drain-timeout", "3600", "--control", &control];
    let mut relay = Relay::start(&flags);
    let mut leased = Leased::new(&relay, 1);
    let server = UdpSocket::bind("127.0.0.1:0").expect("a server");
    server.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let to = SocketAddr::from((HOST, server.local_addr().expect("its address").port()));
    leased.udp(1, 4000, to, b"hello");
    let (_, from) = server.recv_from(&mut [0; 100]).expect("the datagram arrives");
    let mut idle = connect(&relay);
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", relay.address);
    idle.write_all(head.as_bytes()).expect("sent");
    let healthy = read(&mut BufReader::new(idle.try_clone().expect("the socket")), true).expect("an answer");
    assert_eq!(healthy.status(), 200);

    relay.signal(Signal::TERM);
    relay.wait_for_log("stopping");
    assert_eq!(idle.read(&mut [0; 16]).expect("an end"), 0, "a connection that waits is closed");
    for path in ["/healthz", "/", "/nothing"] {
        let told = ask(relay.address, "GET", path, &[], b"");
        assert_eq!((told.status(), told.header("retry-after")), (503, Some("10")), "{path}");
        assert_eq!(told.text(), "the relay is stopping\n");
    }
    for path in ["/", "/lan/default", "/wisp/"] {
        let refused = Guest::connect(relay.address, path, &[]).err().expect("no new client");
        assert!(refused.starts_with("HTTP/1.1 503 "), "{path}: {refused}");
    }
    let asked = |verb: &str| {
        let output = netloom().args([verb, "--control", &control]).output().expect("it runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert!(asked("leases").contains("02:00:00:00:00:01"), "operators see who is left");
    assert!(asked("reload").contains("the relay is stopping"));

    server.send_to(b"still there?", from).expect("sent");
    let back = leased.guest.expect("the datagram", |frame| udp_payload(frame, 4000).is_some());
    assert_eq!(udp_payload(&back, 4000), Some(&b"still there?"[..]));
    leased.guest.send_message(Opcode::Close, &[]);
    drop(leased);
    assert!(relay.wait().success(), "with the last client it ends");
    assert!(!folder.path().join("c.sock").exists());
}

#[test]
fn an_answer_under_way_goes_on() {
    let mut relay = Relay::start(&["--drain-timeout", "3600"]);
    let guest = Machine::start(&relay, "/", 1, 9);
    let mut stream = connect(&relay);
    let host = format!("first.localhost:{}", relay.address.port());
    let head = format!("POST /echo HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut seen = String::new();
    for n in 0..3 {
        let word = format!("part{n}");
        stream.write_all(format!("5\r\n{word}\r\n").as_bytes()).expect("sent");
        while !seen.contains(&word) {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).expect("it comes back");
            assert!(read > 0, "ended after {seen}");
            seen += &String::from_utf8_lossy(&buffer[..read]);
        }
        if n == 0 {
            relay.signal(Signal::TERM);
            relay.wait_for_log("stopping");
        }
    }
    drop((stream, guest));
    assert!(relay.wait().success());
}

#[test]
fn at_the_deadline_guests_are_told() {
    let mut relay = Relay::start(&["--drain-timeout", "1"]);
    let mut guest = relay.guest();
    relay.signal(Signal::TERM);
    while guest.closed.is_none() {
        assert!(guest.fill(), "it ends without a close");
    }
    assert_eq!(guest.closed, Some(Some(1001)));
    guest.send_message(Opcode::Close, &1001_u16.to_be_bytes());
    assert!(relay.wait().success());
}
