//! Limits as clients meet them: what is refused and with which words, what is delayed, and who is behind a proxy.
#![allow(clippy::expect_used, reason = "tests")]

mod common;

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use common::http::{self, ask};
use common::leased::Leased;
use common::packet::{GATEWAY, dhcp, dhcp_answer, frame, mac};
use common::wisp::{WispClient, sink, source};
use common::{Guest, PATIENCE, Relay, wait_until};
use netloom_proto::websocket::Opcode;
use netloom_proto::wisp::{Kind, Reason};

fn get(relay: &Relay, headers: &[(&str, &str)]) -> http::Message {
    ask(relay.address, "GET", "/healthz", headers, b"")
}

#[test]
fn connections_of_an_address_are_limited_and_told_so() {
    let relay = Relay::start(&["--limit", "address.connections=2"]);
    let first = relay.guest();
    let _second = relay.guest();
    let refused = Guest::connect(relay.address, "/", &[]).err().expect("one too many");
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.to_ascii_lowercase().contains("retry-after: 10"), "{refused}");
    assert!(get(&relay, &[]).text().contains("limits.address.connections"));
    relay.wait_for_log("refused 127.0.0.1: as many connections are open");
    assert_eq!(relay.log().matches("refused 127.0.0.1").count(), 1, "logged once");
    drop(first);
    wait_until(|| get(&relay, &[]).status() == 200, || "its place for another".to_owned());
}

#[test]
fn connections_that_come_too_quickly_are_refused() {
    let relay = Relay::start(&["--limit", "address.connections_per_s=5"]);
    let began = Instant::now();
    let statuses: Vec<u16> = (0..12).map(|_| get(&relay, &[]).status()).collect();
    let served = statuses.iter().filter(|status| **status == 200).count();
    let most = 5 + usize::try_from(began.elapsed().as_secs() + 1).expect("few") * 5;
    assert!((5..=most).contains(&served), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
}

#[test]
fn as_many_connections_as_the_relay_has_is_503() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "[listen]\nmax_connections = 1\n").expect("written");
    let relay = Relay::start(&["--config", file.path().to_str().expect("text")]);
    let _guest = relay.guest();
    let refused = Guest::connect(relay.address, "/", &[]).err().expect("one too many");
    assert!(
        refused.starts_with("HTTP/1.1 503 ") && refused.to_ascii_lowercase().contains("retry-after"),
        "{refused}"
    );
}

#[test]
fn a_trusted_proxy_says_who_is_behind_it_and_nobody_else_does() {
    let limit = ["--limit", "address.connections_per_s=1"];
    let relay = Relay::start(&[&limit[..], &["--trusted-proxy", "127.0.0.1"]].concat());
    let behind = |relay: &Relay, name: &str| get(relay, &[("X-Forwarded-For", name)]).status();
    for n in 1..=20 {
        assert_eq!(behind(&relay, &format!("198.51.100.{n}, 203.0.113.{n}")), 200, "client {n}");
    }
    assert!((0..5).any(|_| behind(&relay, "203.0.113.7") == 429), "the same client again");
    let relay = Relay::start(&limit);
    assert!((1..=5).any(|n| behind(&relay, &format!("203.0.113.{n}")) == 429), "it is one address");
}

#[test]
fn a_guest_behind_a_proxy_is_logged_and_limited_by_its_own_address() {
    let relay = Relay::start(&["--limit", "address.connections=1", "--trusted-proxy", "127.0.0.0/8"]);
    let join = |name: &str| Guest::connect(relay.address, "/", &[&format!("X-Forwarded-For: {name}")]);
    let _one = join("203.0.113.1").expect("the first");
    let _two = join("203.0.113.2").expect("another address");
    assert!(join("203.0.113.1").is_err(), "the address has its one");
    relay.wait_for_log("203.0.113.1 (by 127.0.0.1:");
}

#[test]
fn flows_beyond_the_limit_are_refused() {
    let relay = Relay::start(&["--limit", "client.flows=3", "--allow", "127.0.0.1"]);
    let (address, _held) = sink();
    let mut client = WispClient::version_1(&relay);
    for stream in 1..=4 {
        client.open(stream, Kind::Tcp, address);
    }
    assert_eq!(client.reason(4), Reason::THROTTLED);
    let mut other = WispClient::version_1(&relay);
    other.open(1, Kind::Udp, address);
    other.sync();
}

/// Bytes per second, from the first to the last.
fn rate(bytes: usize, began: Instant) -> f64 {
    bytes as f64 / began.elapsed().as_secs_f64()
}

#[test]
fn downloads_and_uploads_of_wisp_keep_their_rate_and_lose_nothing() {
    let limits = ["--limit", "client.download_bytes_per_s=400k", "--limit", "client.upload_bytes_per_s=200k"];
    let relay = Relay::start(&[&limits[..], &["--allow", "127.0.0.1"]].concat());
    let content: Vec<u8> = (0..800_000_u32).map(|n| (n % 251) as u8).collect();
    let target = source(content.clone());
    let began = Instant::now();
    let mut stream = plain(&relay, target);
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("all of it");
    let (measured, payload) = (rate(received.len(), began), unframed(&received));
    assert_eq!(payload, content);
    assert!(measured < 440_000.0, "{measured} B/s");
    let (target, delivered) = sink();
    let began = Instant::now();
    let mut stream = plain(&relay, target);
    let mut out = Vec::new();
    for piece in content[..400_000].chunks(10_000) {
        netloom_proto::websocket::put_frame(&mut out, Opcode::Binary, piece, Some([1, 2, 3, 4]));
    }
    netloom_proto::websocket::put_close(&mut out, 1000, Some([1, 2, 3, 4]));
    stream.write_all(&out).expect("sent");
    let bytes = delivered.recv_timeout(PATIENCE).expect("in time").expect("in order");
    let measured = rate(bytes.len(), began);
    assert_eq!(bytes, content[..400_000]);
    assert!(measured < 220_000.0, "{measured} B/s");
}

/// A plain stream to a target, after the upgrade.
fn plain(relay: &Relay, target: SocketAddr) -> TcpStream {
    let guest = Guest::connect(relay.address, &format!("/wisp/{target}"), &[]).expect("a stream");
    guest.stream
}

/// What the messages of a server carry.
fn unframed(bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut decoder = netloom_proto::websocket::Decoder::streaming(netloom_proto::websocket::Role::Client);
    let mut bytes = bytes.to_vec();
    let each = |message: netloom_proto::websocket::Message<'_>| {
        if let netloom_proto::websocket::Message::Binary(piece) = message {
            payload.extend_from_slice(piece);
        }
    };
    decoder.decode(&mut bytes, each).expect("WebSocket");
    payload
}

#[test]
fn a_guest_keeps_its_rates_and_loses_nothing() {
    let limits = ["--limit", "client.download_bytes_per_s=300k", "--limit", "client.upload_bytes_per_s=300k"];
    let relay = Relay::start(&limits);
    let mut one = relay.guest();
    let (source, group) = (mac(1), mac(2));
    let mut two = relay.guest();
    two.send(&frame([0xff; 6], group, 0x88b5, &[0; 46]));
    one.expect("the other guest", |frame| frame[6..12] == group);
    let frames: Vec<Vec<u8>> = (0..400_u16)
        .map(|n| frame(group, source, 0x88b5, &[&n.to_be_bytes()[..], &[7; 1400]].concat()))
        .collect();
    let began = Instant::now();
    let bytes: usize = frames.iter().map(Vec::len).sum();
    one.send_all(&frames);
    for sent in &frames {
        assert_eq!(&two.expect("the next", |frame| frame[6..12] == source), sent);
    }
    let measured = rate(bytes, began);
    assert!(measured < 330_000.0, "{measured} B/s");
}

#[test]
fn a_storm_of_broadcasts_is_cut_and_what_is_for_one_guest_is_not() {
    let relay = Relay::start(&["--limit", "broadcast_frames_per_s=50"]);
    let (mut noisy, mut quiet) = (relay.guest(), relay.guest());
    quiet.send(&frame([0xff; 6], mac(2), 0x88b5, &[0; 46]));
    noisy.expect("the other guest", |frame| frame[6..12] == mac(2));
    let mut storm: Vec<Vec<u8>> = (0..2000_u16)
        .map(|n| frame([0xff; 6], mac(1), 0x88b5, &[&n.to_be_bytes()[..], &[0; 44]].concat()))
        .collect();
    storm.push(frame(mac(2), mac(1), 0x88b6, &[0; 46]));
    noisy.send_all(&storm);
    let mut heard = 0;
    while common::packet::ethertype(&quiet.next().expect("a frame")) == 0x88b5 {
        heard += 1;
    }
    assert!((50..1000).contains(&heard), "{heard} broadcasts of 2000 were heard");
    // Others are heard at once.
    quiet.send(&dhcp(mac(2), 1, &[]));
    quiet.expect("an offer", |frame| dhcp_answer(frame).is_some_and(|(kind, _)| kind == 2));
}

/// Connects again and again, and asks nothing, until it is told to stop.
fn flood(relay: SocketAddr, attempts: &AtomicUsize, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        drop(TcpStream::connect(relay));
        attempts.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ends the flood, and does so when what runs beside it panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether another is answered; who is turned away may be reset.
fn is_let_in(relay: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(relay) else { return false };
    _ = stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {relay}\r\n\r\n").as_bytes());
    http::read(&mut BufReader::new(stream), true).is_some_and(|answer| answer.status() == 200)
}

#[test]
fn a_flood_of_connections_does_not_harm_a_guest_that_is_there() {
    const ATTEMPTS: usize = 2000;
    let relay = Relay::start(&["--limit", "address.connections_per_s=20"]);
    let mut guest = Leased::new(&relay, 1);
    let (attempts, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| flood(relay.address, &attempts, &is_over));
        }
        let _end = End(&is_over);
        let mut sequence = 0_u16;
        while attempts.load(Ordering::Relaxed) < ATTEMPTS {
            let request = common::packet::echo_request(7, sequence, b"still there?");
            guest.send(1, GATEWAY, 1, &request);
            guest.guest.expect("an answer", |frame| frame.ends_with(b"still there?") && frame[34] == 0);
            sequence = sequence.wrapping_add(1);
        }
    });
    wait_until(|| is_let_in(relay.address), || "a place for another".to_owned());
}
