//! Guests' web servers by host name: what arrives there, what comes back, and who is let in.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use common::http::{Message, ask};
use common::leased::Leased;
use common::machine::Machine;
use common::{Guest, PATIENCE, Relay, wait_until};

fn get(relay: &Relay, host: &str, path: &str, headers: &[(&str, &str)]) -> Message {
    let host = format!("{host}:{}", relay.address.port());
    let headers = [&[("Host", host.as_str())], headers].concat();
    ask(relay.address, "GET", path, &headers, b"")
}

#[test]
fn a_guests_web_server_is_reached_by_its_name() {
    let relay = Relay::start(&["--lan=lab=192.168.86.0/25", "--host=web.example=lab/192.168.86.9:8080"]);
    let _guest = Machine::leased(&relay, 1, "web");
    let _other = Machine::start(&relay, "/lan/lab", 2, 9);
    for (host, port) in [
        ("web.localhost", "80"),
        ("first.localhost", "80"),
        ("8080.web.localhost", "8080"),
        ("02-00-00-00-00-01.localhost", "80"),
        ("first.lab.localhost", "80"),
        ("web.example", "8080"),
    ] {
        let answer = get(&relay, host, "/some/path?query=1", &[("X-Forwarded-Host", "evil.example")]);
        assert_eq!((answer.status(), answer.header("x-port")), (200, Some(port)), "{host}");
        let text = answer.text().to_ascii_lowercase();
        assert!(text.starts_with("get /some/path?query=1 http/1.1\r\n"), "{text}");
        let own = format!("{host}:{}", relay.address.port());
        assert!(text.contains(&format!("\r\nhost: {own}\r\n")), "{text}");
        assert!(text.contains(&format!("\r\nx-forwarded-host: {own}\r\n")), "{text}");
        assert!(text.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{text}");
        assert!(text.contains("\r\nx-forwarded-proto: http\r\n") && !text.contains("evil"), "{text}");
        assert_eq!(answer.all("set-cookie"), ["a=1"]);
    }
    // What is the relay's own is the guest's there.
    for path in ["/healthz", "/dns-query", "/cors/http://example.com/", "/api/lans", "/metrics", "/"] {
        assert!(
            get(&relay, "web.localhost", path, &[]).text().starts_with(&format!("GET {path} ")),
            "{path}"
        );
    }
    assert_eq!(get(&relay, "localhost", "/healthz", &[]).text(), "ok\n");
}

#[test]
fn bodies_go_both_ways_as_they_come() {
    let relay = Relay::start(&[]);
    let _guest = Machine::start(&relay, "/", 1, 9);
    let body = vec![b'x'; 300_000];
    let host = format!("first.localhost:{}", relay.address.port());
    let answer = ask(relay.address, "POST", "/", &[("Host", &host)], &body);
    assert!(answer.body.ends_with(&body), "{} bytes came back", answer.body.len());
    // The answer begins before the request has ended.
    let mut stream = TcpStream::connect(relay.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = format!("POST /echo HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut seen = String::new();
    for n in 0..3 {
        let word = format!("part{n}");
        stream.write_all(format!("5\r\n{word}\r\n").as_bytes()).expect("sent");
        while !seen.contains(&word) {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).expect("it comes back at once");
            assert!(read > 0, "ended after {seen}");
            seen += &String::from_utf8_lossy(&buffer[..read]);
        }
    }
}

#[test]
fn an_upgraded_connection_is_carried_as_it_is() {
    let relay = Relay::start(&[]);
    let _guest = Machine::start(&relay, "/", 1, 9);
    let host = format!("first.localhost:{}", relay.address.port());
    let mut stream = TcpStream::connect(relay.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = format!(
        "GET /upgrade HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).expect("text").to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101 ") && answer.contains("upgrade: websocket"), "{answer}");
    assert!(answer.contains("x-guest: yes"), "{answer}");
    let sent: Vec<u8> = (0..500_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut writer, written) = (stream.try_clone().expect("the socket"), sent.clone());
    let writing = std::thread::spawn(move || writer.write_all(&written).expect("sent"));
    let mut back = vec![0; sent.len()];
    stream.read_exact(&mut back).expect("all of it");
    writing.join().expect("all was sent");
    assert!(back == sent);
}

#[test]
fn a_clients_connection_keeps_one_to_the_guest() {
    let relay = Relay::start(&[]);
    let _guest = Machine::start(&relay, "/", 1, 9);
    let host = format!("first.localhost:{}", relay.address.port());
    let mut stream = std::io::BufReader::new(TcpStream::connect(relay.address).expect("it listens"));
    stream.get_ref().set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut on = |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes()).expect("sent");
        let answer = common::http::read(&mut stream, true).expect("an answer");
        answer.header("x-connection").expect("its number").to_owned()
    };
    let first = on("/");
    assert_eq!(on("/again"), first);
    assert_eq!(on("/gone"), first);
    assert_ne!(on("/after"), first, "one that the guest has ended is none");
}

#[test]
fn who_may_not_ask_is_refused() {
    let relay = Relay::start(&["--origin=https://ide.example"]);
    let _guest = Machine::start(&relay, "/", 1, 9);
    let own = format!("http://first.localhost:{}", relay.address.port());
    let cross = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")];
    let with = |more: &[(&'static str, &'static str)]| [&cross[..], more].concat();
    let cases: Vec<(Vec<(&str, &str)>, u16)> = vec![
        (vec![("Origin", own.as_str())], 200),
        (vec![("Origin", "https://ide.example")], 200),
        (vec![("Origin", "http://localhost:3000")], 200),
        (vec![("Origin", "https://evil.example")], 403),
        (vec![("Origin", "null")], 403),
        (vec![("Origin", "http://evil.localhost")], 403),
        (vec![("Origin", "null"), ("Sec-Fetch-Site", "same-origin")], 200),
        (cross.to_vec(), 403),
        (with(&[("Referer", "https://evil.example/page")]), 403),
        (with(&[("Referer", "https://ide.example/page")]), 200),
        (vec![("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")], 200),
        (vec![("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")], 200),
        (vec![("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "cors")], 403),
        // Behind a proxy nobody knows who is on this host.
        (vec![("X-Forwarded-For", "192.0.2.1")], 403),
        (vec![("Via", "1.1 proxy")], 403),
    ];
    for (headers, status) in cases {
        assert_eq!(get(&relay, "first.localhost", "/", &headers).status(), status, "{headers:?}");
    }
    // A guest's page does not reach the relay, by whatever name.
    let origin = format!("Origin: {own}");
    for host in ["localhost", "127.0.0.1"] {
        let host = format!("Host: {host}:{}", relay.address.port());
        assert!(
            Guest::connect(relay.address, "/", &[&host, &origin]).is_err_and(|head| head.contains(" 403 "))
        );
    }
    // Nor does a name that is nobody's reach anything of the relay's.
    let answer = get(&relay, "evil.example", "/healthz", &[]);
    assert_eq!(answer.status(), 403);
}

#[test]
fn a_guest_that_is_not_there_is_told() {
    let relay =
        Relay::start(&["--no-guest-hosts", "--host=web.example=first:81", "--host=late.example=late:80"]);
    assert_eq!(get(&relay, "first.localhost", "/", &[]).status(), 403, "not asked for");
    let waiting = std::thread::spawn({
        let address = relay.address;
        move || ask(address, "GET", "/", &[("Host", "late.example")], b"")
    });
    let _guest = Machine::leased(&relay, 1, "late");
    let refused = get(&relay, "web.example", "/", &[]);
    assert_eq!(refused.status(), 502);
    assert!(refused.text().contains("port 81 of guest first on LAN default"), "{}", refused.text());
    assert_eq!(waiting.join().expect("an answer").status(), 200, "it waits for its guest");
    assert_eq!(get(&relay, "nobody.localhost", "/", &[]).status(), 403);
    wait_until(|| relay.log().contains("nobody.localhost"), || relay.log());
}

#[test]
fn who_waits_for_a_guest_has_a_bound_and_takes_nothing_once_gone() {
    const MOST: usize = 256;
    let relay = Relay::start(&[]);
    let host = format!("first.localhost:{}", relay.address.port());
    let ask_for = |port: &str| {
        let mut stream = TcpStream::connect(relay.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        write!(stream, "GET / HTTP/1.1\r\nHost: {port}{host}\r\n\r\n").expect("sent");
        stream
    };
    let at_rest = relay.descriptors();
    let waiting: Vec<_> = (0..=MOST).map(|_| ask_for("")).collect();
    let mut full = None;
    wait_until(
        || {
            full = full.take().or_else(|| waiting.iter().find(|stream| is_answered(stream)));
            full.is_some()
        },
        || "one that is not let wait".to_owned(),
    );
    let mut answer = [0; 1000];
    let read = full.expect("it").read(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..read]).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 503 ") && answer.contains("retry-after:"), "{answer}");
    assert!(answer.contains("takes no more connections"), "{answer}");
    drop(waiting);
    wait_until(|| relay.descriptors() == at_rest, || "an end of their waiting".to_owned());

    // One that is there and does not answer.
    let _guest = Leased::new(&relay, 1);
    let with_guest = relay.descriptors();
    let waiting: Vec<_> = (0..10).map(|_| ask_for("81.")).collect();
    wait_until(|| relay.descriptors() == with_guest + 30, || "connections to the guest".to_owned());
    drop(waiting);
    wait_until(|| relay.descriptors() == with_guest, || "an end of the connections".to_owned());
}

/// Whether something lies there.
fn is_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("it does not block");
    let answered = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).expect("it blocks");
    answered
}
