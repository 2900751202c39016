//! Both kinds of proxy, played by a thread that compares what it is told.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::*;
use crate::egress::dial::{Dialer, Terms};
use crate::egress::dns::Upstream;
use crate::egress::fixture::{address, run, server};
use crate::egress::refusals::Way;
use crate::egress::resolver::Resolver;
use netloom_core::{Policy, Rule};

/// A proxy that, for each step, expects these bytes and answers those. What it has last it leaves open.
fn proxy_server(steps: Vec<(Vec<u8>, Vec<u8>)>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        for (expected, answer) in steps {
            let mut said = vec![0; expected.len()];
            stream.read_exact(&mut said).expect("a message");
            assert_eq!(String::from_utf8_lossy(&said), String::from_utf8_lossy(&expected));
            stream.write_all(&answer).expect("answered");
        }
    });
    (address, thread)
}

fn dial(url: &str, host: &str) -> Result<Vec<u8>, DialError> {
    let (dns, _) = server(|name, kind| match (name, kind) {
        ("web.example", 1) => (0, 60, vec![address("192.0.2.7")]),
        ("inside.example", 1) => (0, 60, vec![address("10.0.0.1")]),
        _ => (0, 60, Vec::new()),
    });
    let dialer = Dialer::new(
        Way::Stream,
        Terms::new(
            Policy { deny: vec!["*.denied.example".parse().expect("a rule")], ..Policy::default() },
            Resolver::new(Vec::new(), Arc::new(Upstream::new(vec![dns]))),
            Some(parse(url).expect("a proxy")),
        ),
        Arc::default(),
        Arc::default(),
    );
    let target = Target::parse(host.as_bytes(), 443).expect("a target");
    run(async {
        assert!(matches!(dialer.open_udp(&target).await, Err(DialError::NoUdp | DialError::Denied(_))));
        let mut stream = dialer.dial_tcp(&target).await?;
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.expect("the end");
        Ok(read)
    })
}

#[test]
fn socks5_takes_addresses_that_were_checked() {
    let connected = [&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"hello"].concat();
    for host in ["web.example", "192.0.2.7"] {
        let request = vec![5, 1, 0, 1, 192, 0, 2, 7, 1, 187];
        let (proxy, thread) = proxy_server(vec![(vec![5, 1, 0], vec![5, 0]), (request, connected.clone())]);
        assert_eq!(dial(&format!("socks5://{proxy}"), host).expect("connected"), b"hello");
        thread.join().expect("as it should be");
    }
    let denied = dial("socks5://127.0.0.1:9", "inside.example");
    assert!(matches!(denied, Err(DialError::Denied(_))), "{denied:?}");
}

#[test]
fn socks5h_takes_names_and_a_password() {
    let request = [&[5, 1, 0, 3, 14][..], b"inside.example", &[1, 187]].concat();
    let (proxy, thread) = proxy_server(vec![
        (vec![5, 2, 0, 2], vec![5, 2]),
        ([&[1, 2][..], b"me", &[4], b"p@ss"].concat(), vec![1, 0]),
        (request, [&[5, 0, 0, 3, 1][..], b"x", &[0, 9], b"hello"].concat()),
    ]);
    assert_eq!(dial(&format!("socks5h://me:p%40ss@{proxy}"), "inside.example").expect("connected"), b"hello");
    thread.join().expect("as it should be");
}

#[test]
fn what_a_name_alone_tells_is_refused_before_the_proxy_is_asked() {
    for host in ["localhost", "a.denied.example", "printer.lan", "127.0.0.1", "::1", "10.0.0.1"] {
        for url in ["socks5h://127.0.0.1:9", "http://127.0.0.1:9"] {
            let denied = dial(url, host);
            assert!(matches!(denied, Err(DialError::Denied(_))), "{host}: {denied:?}");
        }
    }
    assert!(matches!(dial("http://127.0.0.1:9", "printer.lan"), Err(DialError::Denied(Rule::Private))));
}

#[test]
fn http_connect() {
    for (host, authority) in [("web.example", "web.example:443"), ("2001:db8::7", "[2001:db8::7]:443")] {
        let request = format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n"
        );
        let answer = b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\nhello".to_vec();
        let (proxy, thread) = proxy_server(vec![(request.into_bytes(), answer)]);
        assert_eq!(dial(&format!("http://me:p%40ss@{proxy}"), host).expect("connected"), b"hello");
        thread.join().expect("as it should be");
    }
}

#[test]
fn what_a_proxy_refuses_is_told() {
    let web = |answer: &[u8]| {
        let request = vec![5, 1, 0, 1, 192, 0, 2, 7, 1, 187];
        let steps = vec![(vec![5, 1, 0], vec![5, 0]), (request, answer.to_vec())];
        let (proxy, _) = proxy_server(steps);
        dial(&format!("socks5://{proxy}"), "192.0.2.7").expect_err("refused")
    };
    assert!(matches!(web(&[5, 5, 0, 1]), DialError::Refused));
    assert!(matches!(web(&[5, 4, 0, 1]), DialError::Unreachable(_)));
    assert!(matches!(web(&[5, 6, 0, 1]), DialError::Timeout));
    assert!(matches!(web(&[5, 1, 0, 1]), DialError::Proxy(_)));
    assert!(matches!(web(b"HTTP"), DialError::Proxy(_)));
    assert!(matches!(web(&[5, 0, 0]), DialError::Proxy(_)), "an answer that is cut");
    let endless = vec![b'x'; 20_000];
    for answer in
        [&b"HTTP/1.1 407 Who?\r\n\r\n"[..], b"HTTP/1.1 502 No\r\n\r\n", b"SSH-2.0\r\n\r\n", &endless]
    {
        let request = b"CONNECT 192.0.2.7:443 HTTP/1.1\r\nHost: 192.0.2.7:443\r\n\r\n".to_vec();
        let (proxy, _) = proxy_server(vec![(request, answer.to_vec())]);
        let error = dial(&format!("http://{proxy}"), "192.0.2.7").expect_err("refused");
        assert!(matches!(error, DialError::Proxy(_)), "{error:?}");
    }
    assert!(matches!(dial("socks5://127.0.0.1:1", "192.0.2.7"), Err(DialError::Proxy(_))), "no proxy");
}

#[test]
fn urls() {
    for (text, written) in [
        ("socks5://127.0.0.1", "socks5://127.0.0.1:1080"),
        ("SOCKS5H://Proxy.Example:9050/", "socks5h://proxy.example:9050"),
        ("http://[2001:db8::1]", "http://[2001:db8::1]:3128"),
        ("http://[2001:db8::1]:80", "http://[2001:db8::1]:80"),
        ("http://a@b@proxy:8080", "http://a%40b:@proxy:8080"),
        ("http://me:a:b@proxy:8080", "http://me:a%3Ab@proxy:8080"),
    ] {
        let proxy = parse(text).expect(text);
        assert_eq!(proxy.to_string(), written);
        assert_eq!(parse(written).expect("what is shown"), proxy);
    }
    let long = format!("socks5://{}:x@proxy:1", "u".repeat(256));
    for text in [
        "proxy:1080",
        "https://proxy",
        "socks4://proxy",
        "socks5://",
        "socks5://:1",
        "socks5://a:0",
        "http://%zz:x@a:1",
        "http://:x@a:1",
        &long,
    ] {
        let said = parse(text).expect_err(text);
        assert!(said.contains("write socks5://HOST:PORT"), "{said}");
    }
}
