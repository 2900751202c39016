//! The Wisp server against packets written by hand: what Wisp 1.2 and draft 6 of version 2 say, and what clients rely on.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use common::wisp::{LOOPBACK, WispClient, echo, listener, sink, source, target};
use common::{Guest, PATIENCE, Relay};
use netloom_proto::websocket::{Opcode, put_frame};
use netloom_proto::wisp::{Kind, Packet, Reason, extension};

#[test]
fn version_1_opens_tcp_streams_side_by_side() {
    let relay = Relay::start(&LOOPBACK);
    let echo = echo();
    let mut client = WispClient::version_1(&relay);
    assert_eq!(client.credits[0].0, 0);
    for stream in 1..=100 {
        client.open(stream, Kind::Tcp, echo);
        client.send(stream, Packet::Data(&stream.to_le_bytes()));
    }
    client.until("100 answers", |client| client.data.values().filter(|data| data.len() == 4).count() == 100);
    assert!((1..=100_u32).all(|stream| client.data[&stream] == stream.to_le_bytes()));
    assert!(client.closed.is_empty() && client.infos.is_empty());
}

#[test]
fn a_large_answer_comes_whole_before_the_close() {
    let relay = Relay::start(&LOOPBACK);
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let source = source(bytes.clone());
    let mut client = WispClient::version_1(&relay);
    client.open(7, Kind::Tcp, source);
    assert_eq!(client.reason(7), Reason::VOLUNTARY);
    assert!(client.data[&7] == bytes);
    assert!(client.pieces.iter().all(|(_, piece)| piece.len() <= 65_536));
}

#[test]
fn names_are_resolved() {
    let relay = Relay::start(&[&LOOPBACK[..], &["--record", "echo.test=127.0.0.1"]].concat());
    let echo = echo();
    let mut client = WispClient::version_1(&relay);
    client.open_host(1, Kind::Tcp, "Echo.Test", echo.port());
    client.send(1, Packet::Data(b"hello"));
    client.until("the echo", |client| client.data.contains_key(&1));
}

#[test]
fn every_failure_has_its_reason() {
    let relay = Relay::start(&LOOPBACK);
    let free = listener().1;
    let mut client = WispClient::version_1(&relay);
    for (stream, host, port, reason) in [
        (1, "127.0.0.1", free.port(), Reason::REFUSED),
        (2, "127.0.0.1", 0, Reason::INVALID),
        (3, "10.0.0.1", 80, Reason::BLOCKED),
        (4, "127.1", 80, Reason::INVALID),
        (5, "a b", 80, Reason::INVALID),
        (6, "\0", 80, Reason::INVALID),
        (7, "::1", 80, Reason::BLOCKED),
        (8, "::ffff:10.0.0.1", 80, Reason::BLOCKED),
    ] {
        client.open_host(stream, Kind::Tcp, host, port);
        assert_eq!(client.reason(stream), reason, "{host}:{port}");
        client.open_host(stream + 100, Kind::Udp, host, port);
        if reason != Reason::REFUSED {
            assert_eq!(client.reason(stream + 100), reason, "{host}:{port} by UDP");
        }
    }
    client.guest.send(&[1, 9, 0, 0, 0, 7, 80, 0, b'h']);
    assert_eq!(client.reason(9), Reason::INVALID, "an unknown kind");
    client.guest.send(&[1, 10, 0, 0, 0, 1, 80, 0, 0xff]);
    assert_eq!(client.reason(10), Reason::INVALID, "not UTF-8");
    let own = relay.address;
    client.open(11, Kind::Tcp, own);
    assert_eq!(client.reason(11), Reason::BLOCKED, "the relay itself");
}

#[test]
fn a_reset_of_the_target_is_not_its_end() {
    let relay = Relay::start(&LOOPBACK);
    let (target, _ended) = target(|mut stream| {
        stream.read_exact(&mut [0]).expect("a request");
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("closing resets");
    });
    let mut client = WispClient::version_1(&relay);
    client.open(1, Kind::Tcp, target);
    client.send(1, Packet::Data(b"x"));
    assert_eq!(client.reason(1), Reason::NETWORK);
}

#[test]
fn what_was_sent_before_a_close_arrives() {
    let relay = Relay::start(&LOOPBACK);
    let (sink, got) = sink();
    let mut client = WispClient::version_1(&relay);
    client.open(1, Kind::Tcp, sink);
    let mut sent = Vec::new();
    for n in 0..64_u8 {
        client.send(1, Packet::Data(&[n; 1000]));
        sent.extend_from_slice(&[n; 1000]);
    }
    client.send(1, Packet::Close(Reason::VOLUNTARY));
    assert!(got.recv_timeout(PATIENCE).expect("an end").expect("in order") == sent);
    // The connection's end is as good.
    client.open(1, Kind::Tcp, sink);
    client.send(1, Packet::Data(b"the last words"));
    client.guest.send_message(Opcode::Close, &1000_u16.to_be_bytes());
    assert_eq!(got.recv_timeout(PATIENCE).expect("an end").expect("in order"), b"the last words");
}

#[test]
fn a_close_with_an_error_resets_the_target() {
    let relay = Relay::start(&LOOPBACK);
    let (sink, got) = sink();
    let mut client = WispClient::version_1(&relay);
    client.open(1, Kind::Tcp, sink);
    client.send(1, Packet::Data(b"x"));
    client.sync();
    // Once the stream is open the reset reaches the target.
    client.send(1, Packet::Close(Reason::NETWORK));
    let ended = got.recv_timeout(PATIENCE);
    assert!(!matches!(ended, Ok(Ok(ref bytes)) if bytes.len() > 1), "{ended:?}");
}

#[test]
fn a_target_that_takes_nothing_stops_its_stream_and_no_other() {
    let relay = Relay::start(&LOOPBACK);
    let (stalled, address) = listener();
    let echo = echo();
    let mut client = WispClient::version_1(&relay);
    let credit = client.credits[0].1;
    client.open(1, Kind::Tcp, address);
    client.open(2, Kind::Tcp, echo);
    // A client that heeds credit: it may send twice the credit at most, and is never closed for it.
    let mut sent = 0_u32;
    let mut left = credit;
    while left > 0 {
        client.send(1, Packet::Data(&[1; 60_000]));
        left -= 1;
        sent += 1;
        client.sync();
        while let Some(at) = client.credits.iter().position(|(stream, _)| *stream == 1) {
            left = client.credits.remove(at).1;
        }
        assert!(sent < 10_000, "the credit never ends");
    }
    for n in 0..10 {
        client.send(2, Packet::Data(&[n; 100]));
    }
    client.until("the echo", |client| client.data.get(&2).is_some_and(|data| data.len() == 1000));
    assert!(client.closed.is_empty(), "{:?}", client.closed);
    // When the target takes again, all of it comes, and there is credit anew.
    let (mut stream, _) = stalled.accept().expect("the stream's connection");
    let mut got = vec![0; sent as usize * 60_000];
    stream.read_exact(&mut got).expect("all of it");
    client
        .until("credit", |client| client.credits.iter().any(|(stream, credit)| *stream == 1 && *credit > 0));
}

#[test]
fn what_was_under_way_beyond_the_credit_is_not_lost() {
    const PACKETS: usize = 6000;
    let relay = Relay::start(&LOOPBACK);
    let (stalled, address) = listener();
    let mut client = WispClient::version_1(&relay);
    client.open(1, Kind::Tcp, address);
    // As if every CONTINUE had come late: what the kernels held when the target stopped.
    for n in 0..PACKETS {
        client.send(1, Packet::Data(&[n as u8; 1460]));
    }
    client.sync();
    assert!(client.closed.is_empty(), "{:?}", client.closed);
    let (mut stream, _) = stalled.accept().expect("the stream's connection");
    let mut got = vec![0; PACKETS * 1460];
    stream.read_exact(&mut got).expect("all of it");
    assert!(got.chunks(1460).enumerate().all(|(n, packet)| packet == [n as u8; 1460]));
}

#[test]
fn udp_carries_datagrams_and_their_bounds() {
    let relay = Relay::start(&LOOPBACK);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut client = WispClient::version_1(&relay);
    client.open(1, Kind::Udp, socket.local_addr().expect("its address"));
    let mut buffer = vec![0; 65_536];
    for size in [10, 0, 1200, 9000, 65_507] {
        client.send(1, Packet::Data(&vec![size as u8; size]));
        let (read, from) = socket.recv_from(&mut buffer).expect("a datagram");
        assert_eq!(read, size);
        socket.send_to(&buffer[..read], from).expect("sent");
        let seen = client.pieces.len();
        client.until("the answer", |client| client.pieces.len() > seen);
        assert_eq!(client.pieces[seen], (1, vec![size as u8; size]));
    }
    client.send(1, Packet::Data(&vec![0; 65_508]));
    client.send(1, Packet::Data(b"after"));
    assert_eq!(socket.recv_from(&mut buffer).expect("a datagram").0, 5, "what is too long is lost alone");
    assert!(client.credits.iter().all(|(stream, _)| *stream == 0), "UDP has no credit");
}

#[test]
fn a_udp_port_that_nobody_has_ends_the_stream() {
    let relay = Relay::start(&LOOPBACK);
    let free =
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("a port");
    let mut client = WispClient::version_1(&relay);
    client.open(1, Kind::Udp, free);
    client.send(1, Packet::Data(b"anyone?"));
    assert_eq!(client.reason(1), Reason::REFUSED);
}

#[test]
fn a_silent_udp_stream_ends() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "[wisp]\nudp_idle_s = 1\n").expect("written");
    let path = file.path().to_str().expect("text");
    let relay = Relay::start(&[&LOOPBACK[..], &["--config", path]].concat());
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let mut client = WispClient::version_1(&relay);
    client.open(1, Kind::Udp, socket.local_addr().expect("its address"));
    assert_eq!(client.reason(1), Reason::IDLE);
}

#[test]
fn version_2_greets_confirms_and_half_closes() {
    let relay = Relay::start(&LOOPBACK);
    let (sink, got) = target(|mut stream| {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("a request");
        stream.write_all(b"answer after the end").expect("sent");
        text
    });
    let mut client = WispClient::version_2(
        &relay,
        &[(extension::STREAM_OPEN_CONFIRMATION, b""), (extension::HALF_CLOSE, b"")],
    );
    assert!(client.guest.head.to_ascii_lowercase().contains("sec-websocket-protocol: wisp-v2\r\n"));
    client.open(5, Kind::Tcp, sink);
    client.until("the confirmation", |client| client.credits.iter().any(|(stream, _)| *stream == 5));
    client.send(5, Packet::Data(b"request"));
    client.send(5, Packet::Fin);
    assert_eq!(got.recv_timeout(PATIENCE).expect("a request"), "request");
    client.until("the end", |client| client.fins == [5]);
    assert_eq!(client.data[&5], b"answer after the end");
    // UDP was not named.
    client.open(6, Kind::Udp, sink);
    assert_eq!(client.reason(6), Reason::BLOCKED);
}

#[test]
fn stream_credit_bounds_what_a_target_sends() {
    let relay = Relay::start(&LOOPBACK);
    let source = source(vec![9; 200_000]);
    let mut client = WispClient::version_2(&relay, &[(extension::STREAM_CREDIT, &10_000_u32.to_le_bytes())]);
    client.open(1, Kind::Tcp, source);
    client.until("as much as may be", |client| client.data.get(&1).is_some_and(|data| data.len() >= 10_000));
    client.sync();
    assert_eq!(client.data[&1].len(), 10_000);
    client.send(1, Packet::Continue(210_000));
    assert_eq!(client.reason(1), Reason::VOLUNTARY);
    assert_eq!(client.data[&1].len(), 200_000);
}

#[test]
fn who_asks_for_version_2_introduces_itself() {
    let relay = Relay::start(&LOOPBACK);
    let mut client = WispClient::connect(&relay, "/wisp/", &["Sec-WebSocket-Protocol: anything"]);
    client.open_host(1, Kind::Tcp, "127.0.0.1", 80);
    assert_eq!(client.reason(0), Reason::INCOMPATIBLE);
    while client.guest.fill() {}
    assert_eq!(client.guest.closed, Some(Some(1000)));
}

#[test]
fn nonsense_is_passed_over() {
    let relay = Relay::start(&LOOPBACK);
    let echo = echo();
    let mut client = WispClient::version_1(&relay);
    for message in [
        &[][..],
        &[2],
        &[2, 1, 0, 0],
        &[1, 1, 0, 0, 0],
        &[3, 1, 0, 0, 0, 1, 0, 0, 0],
        &[0x77, 1, 0, 0, 0, 1],
        &[4, 9, 0, 0, 0],
        &[2, 9, 0, 0, 0, 1, 2, 3],
        &[0xf0, 1, 0, 0, 0, 1, 0, 1, 0],
        &[0xe1, 1, 0, 0, 0],
        &[5, 0, 0, 0, 0, 2, 0],
    ] {
        client.guest.send(message);
    }
    client.guest.send_message(Opcode::Text, b"text");
    client.open(1, Kind::Tcp, echo);
    // In fragments, the second empty, as some clients send.
    for (opcode, piece) in [(0x02, &[2, 1, 0, 0, 0][..]), (0x00, &[]), (0x80, b"abc")] {
        let mut frame = Vec::new();
        put_frame(&mut frame, Opcode::Binary, piece, Some([0; 4]));
        frame[0] = opcode;
        client.guest.stream.write_all(&frame).expect("sent");
    }
    client.until("the echo", |client| client.data.get(&1).is_some_and(|data| data == b"abc"));
    // A name used again is the new stream's.
    client.open(1, Kind::Tcp, echo);
    client.send(1, Packet::Data(b"def"));
    client.until("the echo", |client| client.data[&1] == b"abcdef");
    client.send(0, Packet::Close(Reason::VOLUNTARY));
    while client.guest.fill() {}
    assert_eq!(client.guest.closed, Some(Some(1000)));
}

#[test]
fn a_message_beyond_the_limit_ends_the_connection() {
    let relay = Relay::start(&LOOPBACK);
    let mut client = WispClient::version_1(&relay);
    client.guest.stream.write_all(&[0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0]).expect("sent");
    client.guest.stream.write_all(&vec![0; 0x10_0001]).expect("sent");
    while client.guest.fill() {}
    assert_eq!(client.guest.closed, Some(Some(1009)));
}

#[test]
fn routes_of_the_server() {
    let relay = Relay::start(&[]);
    for (path, status) in [
        ("/wisp/", 101),
        ("/wisp/any/prefix/", 101),
        ("/wisp", 101),
        ("/wisp/x", 400),
        ("/wisp/x:0", 400),
        ("/wisp/127.1:80", 400),
        ("/wispy", 101),
    ] {
        let head = Guest::connect(relay.address, path, &[]).map_or_else(|head| head, |guest| guest.head);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}");
    }
    let relay = Relay::start(&["--no-wisp"]);
    let head = Guest::connect(relay.address, "/wisp/", &[]).map_or_else(|head| head, |guest| guest.head);
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    let relay = Relay::start(&["--root", "wisp"]);
    for path in ["/", "/secret/"] {
        let mut client = WispClient::connect(&relay, path, &[]);
        client.until("the first CONTINUE", |client| !client.credits.is_empty());
    }
    drop(relay.guest_on("/lan/default"));
}

#[test]
fn plain_streams_carry_bytes() {
    let relay = Relay::start(&[&LOOPBACK[..], &["--root", "wisp"]].concat());
    let echo = echo();
    for path in [format!("/{echo}"), format!("/wisp/{echo}"), format!("/wisp/prefix/{echo}")] {
        let mut guest = Guest::connect(relay.address, &path, &[]).expect("admitted");
        let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 253) as u8).collect();
        guest.send(&sent[..100_000]);
        guest.send(&sent[100_000..]);
        let mut got = Vec::new();
        while got.len() < sent.len() {
            got.extend(guest.next().expect("more"));
        }
        assert!(got == sent);
    }
    let closed = |path: String| {
        let mut guest = Guest::connect(relay.address, &path, &[]).expect("admitted");
        let mut got = Vec::new();
        while let Some(bytes) = guest.next() {
            got.extend(bytes);
        }
        (guest.closed.flatten(), got)
    };
    assert_eq!(closed(format!("/{}", source(vec![5; 1_000_000]))), (Some(1000), vec![5; 1_000_000]));
    assert_eq!(closed(format!("/{}", listener().1)), (Some(1014), vec![]), "refused");
    assert_eq!(closed("/10.0.0.1:80".to_owned()), (Some(1008), vec![]), "denied");
}

#[test]
fn what_a_plain_stream_sent_before_its_close_arrives() {
    let relay = Relay::start(&LOOPBACK);
    let (sink, got) = sink();
    let mut guest = Guest::connect(relay.address, &format!("/wisp/{sink}"), &[]).expect("admitted");
    guest.send(&[3; 500_000]);
    guest.send_message(Opcode::Close, &1000_u16.to_be_bytes());
    assert!(got.recv_timeout(PATIENCE).expect("an end").expect("in order") == [3; 500_000]);
}

#[test]
fn a_stop_tells_clients_and_delivers() {
    let mut relay = Relay::start(&LOOPBACK);
    let (sink, got) = sink();
    let mut client = WispClient::version_1(&relay);
    client.open(1, Kind::Tcp, sink);
    client.send(1, Packet::Data(b"before the stop"));
    client.sync();
    relay.signal(rustix::process::Signal::TERM);
    while client.guest.fill() && client.guest.closed.is_none() {}
    assert_eq!(client.guest.closed, Some(Some(1001)));
    client.guest.send_message(Opcode::Close, &1001_u16.to_be_bytes());
    assert_eq!(relay.wait().code(), Some(0));
    assert_eq!(got.recv_timeout(PATIENCE).expect("an end").expect("in order"), b"before the stop");
}

/// The key of RFC 8032 section 7.1, test 1.
fn key_pair() -> ring::signature::Ed25519KeyPair {
    let seed = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
        0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key")
}

/// The public half, in base64.
const PUBLIC_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// What a client with these extensions hears: the first CONTINUE, or why not.
fn admission(relay: &Relay, extensions: impl Fn(&[u8]) -> Vec<(u8, Vec<u8>)>) -> Option<Reason> {
    let mut client = WispClient::connect(relay, "/wisp/", &["Sec-WebSocket-Protocol: wisp-v2"]);
    client.until("INFO", |client| !client.infos.is_empty());
    let info = client.infos[0].clone();
    let extensions = extensions(&info);
    let borrowed: Vec<(u8, &[u8])> = extensions.iter().map(|(id, data)| (*id, data.as_slice())).collect();
    client.introduce(&borrowed);
    client.until("an answer", |client| !client.credits.is_empty() || !client.closed.is_empty());
    let reason = client.closed.get(&0).copied();
    if reason.is_some() {
        while client.guest.fill() {}
        assert_eq!(client.guest.closed, Some(Some(1008)));
    }
    reason
}

#[test]
fn passwords_of_either_layout() {
    let relay = Relay::start(&["--wisp-user", "alice=open = sesame", "--wisp-user", "bob=x"]);
    let with = |metadata: Vec<u8>| admission(&relay, |_| vec![(extension::PASSWORD, metadata.clone())]);
    let draft_6 =
        |user: &str, password: &str| [&[user.len() as u8][..], user.as_bytes(), password.as_bytes()].concat();
    let draft_5 = |user: &str, password: &str| {
        let lengths = [user.len() as u8, password.len() as u8, 0];
        [&lengths[..], user.as_bytes(), password.as_bytes()].concat()
    };
    assert_eq!(with(draft_6("alice", "open = sesame")), None);
    assert_eq!(with(draft_5("alice", "open = sesame")), None);
    assert_eq!(with(draft_6("bob", "open = sesame")), Some(Reason::BAD_PASSWORD));
    assert_eq!(with(draft_6("alice", "")), Some(Reason::BAD_PASSWORD));
    assert_eq!(with(draft_6("eve", "x")), Some(Reason::BAD_PASSWORD));
    assert_eq!(with(vec![200, 1]), Some(Reason::AUTHENTICATION_REQUIRED));
    assert_eq!(admission(&relay, |_| vec![]), Some(Reason::AUTHENTICATION_REQUIRED));
    relay.wait_for_log("not admitted: wrong name or password");
    assert!(!relay.log().contains("sesame"));
    for path in ["/wisp/", "/wisp/127.0.0.1:80"] {
        let head = Guest::connect(relay.address, path, &[]).map_or_else(|head| head, |guest| guest.head);
        assert!(head.starts_with("HTTP/1.1 403"), "{path}: {head}");
    }
}

#[test]
fn keys_sign_the_challenge() {
    let relay = Relay::start(&["--wisp-key", PUBLIC_KEY]);
    let pair = key_pair();
    let public = ring::signature::KeyPair::public_key(&pair).as_ref().to_vec();
    // The extension's number and length, `required`, the algorithms, and then the challenge.
    let challenge = |info: &[u8]| {
        let at = 2 + info[2..].windows(2).position(|pair| pair == [extension::KEY, 66]).expect("a challenge");
        assert_eq!(info[at..at + 7], [extension::KEY, 66, 0, 0, 0, 1, 1]);
        info[at + 7..at + 71].to_vec()
    };
    let answer = |hash: &'static ring::digest::Algorithm, forged: bool| {
        let (pair, public) = (&pair, &public);
        move |info: &[u8]| {
            let mut signed = challenge(info);
            signed[0] ^= u8::from(forged);
            let name = ring::digest::digest(hash, public);
            let metadata = [&[1][..], name.as_ref(), pair.sign(&signed).as_ref()].concat();
            vec![(extension::KEY, metadata)]
        }
    };
    assert_eq!(admission(&relay, answer(&ring::digest::SHA256, false)), None);
    assert_eq!(admission(&relay, answer(&ring::digest::SHA512, false)), None, "draft 4");
    assert_eq!(admission(&relay, answer(&ring::digest::SHA256, true)), Some(Reason::BAD_SIGNATURE));
    assert_eq!(admission(&relay, answer(&ring::digest::SHA384, false)), Some(Reason::BAD_SIGNATURE));
    assert_eq!(admission(&relay, |_| vec![]), Some(Reason::AUTHENTICATION_REQUIRED));
}
