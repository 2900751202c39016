//! The way in: gate, routing, upgrade, and the end.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use common::{Guest, PATIENCE, Relay};
use netloom_proto::websocket::Opcode;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

#[test]
fn hosts_and_origins() {
    let relay = Relay::start(&["--origin", "https://page.example", "--public-name", "relay.example"]);
    let port = relay.address.port();
    for (headers, status) in [
        (vec![], 101),
        (vec!["Origin: http://localhost:1234".to_owned()], 101),
        (vec![format!("Origin: http://127.0.0.1:{port}")], 101),
        (vec!["Origin: https://page.example".to_owned()], 101),
        (vec!["Origin: https://evil.example".to_owned()], 403),
        (vec!["Origin: null".to_owned()], 403),
        (vec!["Origin: http://page.example".to_owned()], 403),
        (vec![format!("Host: relay.example:{port}")], 101),
        (vec![format!("Host: localhost:{port}")], 101),
        (vec![format!("Host: evil.example:{port}")], 403),
        (vec![format!("Host: evil.example:{port}"), format!("Origin: http://evil.example:{port}")], 403),
    ] {
        let lines: Vec<&str> = headers.iter().map(String::as_str).collect();
        let head = Guest::connect(relay.address, "/", &lines).map_or_else(|head| head, |guest| guest.head);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{headers:?}: {head}");
    }
    for _ in 0..3 {
        assert!(Guest::connect(relay.address, "/", &["Origin: https://evil.example"]).is_err());
    }
    relay.wait_for_log("--origin null");
    relay.wait_for_log("--public-name evil.example");
    assert_eq!(
        relay.log().matches("--origin https://evil.example").count(),
        1,
        "logged once: {}",
        relay.log()
    );
}

#[test]
fn every_origin_when_asked() {
    let relay = Relay::start(&["--origin", "*"]);
    for origin in ["Origin: https://evil.example", "Origin: null"] {
        assert!(Guest::connect(relay.address, "/", &[origin]).is_ok());
    }
    assert!(
        Guest::connect(relay.address, "/", &["Host: evil.example"]).is_err(),
        "the host is still checked"
    );
}

#[test]
fn routes() {
    let relay = Relay::start(&["--lan", "lab"]);
    for (path, status) in [
        ("/", 101),
        ("/anything", 101),
        ("/lan/lab", 101),
        ("/lan/default", 101),
        ("/lan/none", 404),
        ("/lan/", 404),
    ] {
        let head = Guest::connect(relay.address, path, &[]).map_or_else(|head| head, |guest| guest.head);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}");
    }
    let host = format!("Host: {}", relay.address);
    for (request, status) in [
        ("GET /healthz", 200),
        ("GET /", 200),
        ("GET /none", 404),
        ("GET /lan/lab", 426),
        ("POST /", 405),
        ("BREW /", 405),
    ] {
        let answer = relay.request(&format!("{request} HTTP/1.1\r\n{host}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
    }
    assert!(relay.request("GET /healthz HTTP/1.1\r\nHost: evil.example").starts_with("HTTP/1.1 403"));
    assert!(relay.request("GET /healthz HTTP/1.1").starts_with("HTTP/1.1 400"));
    assert!(relay.request(&format!("GET / HTTP/1.1\r\n{host}")).contains("relay_url"));
}

#[test]
fn subprotocols_and_extensions() {
    let relay = Relay::start(&[]);
    let connect = |lines: &[&str]| {
        Guest::connect(relay.address, "/", lines).map(|guest| guest.head.to_ascii_lowercase())
    };
    assert!(!connect(&[]).expect("admitted").contains("sec-websocket-protocol"));
    let head = connect(&["Sec-WebSocket-Protocol: first, second"]).expect("admitted");
    assert!(head.contains("sec-websocket-protocol: first\r\n"), "{head}");
    let head = connect(&["Sec-WebSocket-Protocol: base64, binary"]).expect("admitted");
    assert!(head.contains("sec-websocket-protocol: binary\r\n"), "{head}");
    let head =
        connect(&["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]).expect("admitted");
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
}

#[test]
fn pings_are_answered_and_closes_too() {
    let relay = Relay::start(&[]);
    let mut guest = relay.guest();
    guest.send_message(Opcode::Ping, b"are you there");
    while guest.pongs.is_empty() {
        assert!(guest.fill(), "the connection ended");
    }
    assert_eq!(guest.pongs, [b"are you there"]);
    guest.send_message(Opcode::Close, &1000_u16.to_be_bytes());
    while guest.fill() {}
    assert_eq!(guest.closed, Some(Some(1000)));
    relay.wait_for_log("left LAN default");
}

#[test]
fn breaking_the_protocol_closes_that_client_only() {
    let relay = Relay::start(&[]);
    let mut bystander = relay.guest();
    let mut guest = relay.guest();
    guest.stream.write_all(&[0x82, 0x01, 0xff]).expect("an unmasked frame");
    while guest.fill() {}
    assert_eq!(guest.closed, Some(Some(1002)));
    bystander.send_message(Opcode::Ping, b"x");
    while bystander.pongs.is_empty() {
        assert!(bystander.fill(), "the bystander's connection ended");
    }
}

#[test]
fn an_endless_head_is_refused() {
    let relay = Relay::start(&[]);
    let mut stream = TcpStream::connect(relay.address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let line = format!("X-Filler: {}\r\n", "x".repeat(1000));
    // The relay may end the connection while we still write.
    let written = stream.write_all(format!("GET / HTTP/1.1\r\n{}", line.repeat(40)).as_bytes());
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 431") || written.is_err() || read.is_err(), "{text}");
    assert!(!text.contains(" 200 "), "{text}");
}

#[test]
fn a_stop_tells_the_guests() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut relay = Relay::start(&["--lan", "lab"]);
        let mut guests = [relay.guest(), relay.guest_on("/lan/lab")];
        relay.signal(signal);
        for guest in &mut guests {
            while guest.fill() && guest.closed.is_none() {}
            assert_eq!(guest.closed, Some(Some(1001)));
            guest.send_message(Opcode::Close, &1001_u16.to_be_bytes());
        }
        assert_eq!(relay.wait().code(), Some(0));
    }
}

#[test]
fn the_announcement_is_what_to_paste() {
    let relay = Relay::start(&[]);
    let line = format!("net_device: {{ type: \"virtio\", relay_url: \"ws://{}/\" }}", relay.address);
    assert!(relay.banner.contains(&line), "{}", relay.banner);
}
