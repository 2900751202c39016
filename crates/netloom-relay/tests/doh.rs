//! DNS over HTTPS (RFC 8484), before a DNS server of the test's.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::Relay;
use common::http::{Message, ask};
use netloom_core::service::dns::{addresses, question};

const POST: [(&str, &str); 1] = [("Content-Type", "application/dns-message")];

fn query(name: &str) -> Vec<u8> {
    let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("a label"));
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

/// A server that knows `public.example` with two times to live, `private.example` with a private address, and `absent.example` not.
fn dns_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("its address");
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let asked = &buffer[..length];
            let name = question(asked).expect("a question").name;
            let found: &[([u8; 4], u32)] = match name.as_str() {
                "public.example" => &[([192, 0, 2, 1], 300), ([192, 0, 2, 2], 77)],
                "private.example" => &[([10, 0, 0, 1], 60)],
                _ => &[],
            };
            let mut answer = asked.to_vec();
            answer[2] = 0x81;
            answer[3] = 0x80 | if found.is_empty() { 3 } else { 0 };
            answer[7] = u8::try_from(found.len()).expect("few");
            for (address, ttl_s) in found {
                answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
                answer.extend_from_slice(&ttl_s.to_be_bytes());
                answer.extend_from_slice(&[0, 4]);
                answer.extend_from_slice(address);
            }
            if found.is_empty() {
                // An SOA with short names: it holds for 30 seconds.
                answer[9] = 1;
                answer.extend_from_slice(&[0, 0, 6, 0, 1, 0, 0, 0x0e, 0x10, 0, 22, 0, 0]);
                answer.extend([0_u32, 0, 0, 0, 30].iter().flat_map(|number| number.to_be_bytes()));
            }
            drop(socket.send_to(&answer, from));
        }
    });
    address
}

fn start(flags: &[&str]) -> Relay {
    let server = dns_server().to_string();
    Relay::start(&[&["--dns", &server, "--record", "web.lan=192.168.86.10"], flags].concat())
}

fn get(relay: &Relay, name: &str) -> Message {
    let path = format!("/dns-query?dns={}", URL_SAFE_NO_PAD.encode(query(name)));
    ask(relay.address, "GET", &path, &[], b"")
}

fn found(answer: &Message) -> Vec<String> {
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/dns-message")));
    assert_eq!(answer.body[..2], [0xab, 0xcd], "the query's identifier");
    addresses(&answer.body).map(|record| record.address.to_string()).collect()
}

#[test]
fn get_and_post() {
    let relay = start(&[]);
    let expected = ["192.0.2.1", "192.0.2.2"];
    let answer = get(&relay, "public.example");
    assert_eq!(found(&answer), expected);
    assert_eq!(answer.header("cache-control"), Some("max-age=77"), "the shortest time to live");
    let answer = ask(relay.address, "POST", "/dns-query", &POST, &query("public.example"));
    assert_eq!(found(&answer), expected);
    let typed = [("Content-Type", "Application/DNS-Message; x=y"), ("Accept", "application/dns-message")];
    assert_eq!(found(&ask(relay.address, "POST", "/dns-query", &typed, &query("public.example"))), expected);
    let absent = get(&relay, "absent.example");
    assert_eq!((found(&absent).len(), absent.body[3] & 15), (0, 3));
    assert_eq!(absent.header("cache-control"), Some("max-age=30"), "as long as it holds that there is none");
}

#[test]
fn names_known_here_and_addresses_that_are_not_passed_on() {
    let relay = start(&[]);
    let record = get(&relay, "web.lan");
    assert_eq!(
        (found(&record), record.header("cache-control")),
        (vec!["192.168.86.10".to_owned()], Some("max-age=60"))
    );
    assert_eq!(found(&get(&relay, "localhost")), [Ipv4Addr::LOCALHOST.to_string()]);
    assert!(found(&get(&relay, "private.example")).is_empty(), "a private address of a public name");
}

#[test]
fn what_is_no_query() {
    let relay = start(&[]);
    let long = vec![0; 65_536];
    let name = query("public.example");
    for (method, path, headers, body, status) in [
        ("GET", "/dns-query", &[][..], &b""[..], 400),
        ("GET", "/dns-query?dns=", &[], b"", 400),
        ("GET", "/dns-query?dns=%%%", &[], b"", 400),
        ("GET", "/dns-query?dns=AAAA", &[], b"", 400),
        ("POST", "/dns-query", &POST, b"", 400),
        ("POST", "/dns-query", &POST, b"short", 400),
        ("POST", "/dns-query", &POST, &long, 413),
        ("POST", "/dns-query", &[("Content-Type", "text/plain")], &name, 415),
        ("POST", "/dns-query", &[], &name, 415),
        ("PUT", "/dns-query", &POST, &name, 405),
    ] {
        let answer = ask(relay.address, method, path, headers, body);
        assert_eq!(answer.status(), status, "{method} {path}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    // A response is no query, and nobody may have it answered; a message that does not parse is told so in DNS.
    let mut response = name.clone();
    response[2] |= 0x80;
    assert_eq!(ask(relay.address, "POST", "/dns-query", &POST, &response).status(), 400);
    let cut = ask(relay.address, "POST", "/dns-query", &POST, &name[..name.len() - 3]);
    assert_eq!((cut.status(), cut.body[3] & 15, cut.header("cache-control")), (200, 1, Some("no-store")));
}

#[test]
fn a_server_that_is_silent_is_a_failure_in_dns() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let server = silent.local_addr().expect("its address").to_string();
    let relay = Relay::start(&["--dns", &server]);
    let answer = get(&relay, "public.example");
    assert_eq!(
        (answer.status(), answer.body[3] & 15, answer.header("cache-control")),
        (200, 2, Some("no-store"))
    );
}

#[test]
fn pages_that_the_gate_admits_may_read_it() {
    let relay = start(&["--origin", "https://page.example"]);
    let preflight = [
        ("Origin", "https://page.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    let answer = ask(relay.address, "OPTIONS", "/dns-query", &preflight, b"");
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("content-type, accept"));
    let posted = [POST[0], ("Origin", "https://page.example")];
    let answer = ask(relay.address, "POST", "/dns-query", &posted, &query("web.lan"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(answer.header("vary"), Some("origin"));
    for origin in ["https://evil.example", "null"] {
        for method in ["OPTIONS", "POST"] {
            let headers = [POST[0], ("Origin", origin)];
            let answer = ask(relay.address, method, "/dns-query", &headers, b"");
            assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (403, None));
        }
    }
}
