//! Guests over `wss://`: the relay's own TLS.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use common::certificate::Files;
use common::http::ask;
use common::packet::{dhcp, dhcp_answer};
use common::{Guest, PATIENCE, Relay, netloom};
use netloom_proto::qemu::prefix;
use netloom_proto::websocket::{Decoder, Message, Opcode, Role, put_frame};
use rustix::process::Signal;

/// Asks for a lease as a page of container2wasm does.
fn lease_by_page(stream: impl Read + Write) -> bool {
    lease_as(1, stream)
}

/// The same as one of several guests.
fn lease_as(guest: u8, mut stream: impl Read + Write) -> bool {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("sec-websocket-protocol: binary"), "{head}");
    let frame = dhcp([2, 0, 0, 0, 0, guest], 1, &[]);
    let mut message = Vec::new();
    put_frame(&mut message, Opcode::Binary, &[&prefix(frame.len())[..], &frame].concat(), Some([1, 2, 3, 4]));
    stream.write_all(&message).expect("sent");
    let mut decoder = Decoder::new(Role::Client, 100_000);
    let (mut buffer, mut leased) = ([0; 4096], false);
    while !leased {
        let read = stream.read(&mut buffer).expect("an offer");
        assert!(read > 0, "the connection ended");
        let decoded = decoder.decode(&mut buffer[..read], |message| {
            if let Message::Binary(message) = message {
                leased |= dhcp_answer(&message[4..]).is_some();
            }
        });
        decoded.expect("the relay keeps the protocol");
    }
    leased
}

/// Starts what announces `wss://`.
fn start(line: &[&str]) -> Relay {
    let mut command = netloom();
    command.args(line);
    Relay::start_command(command)
}

/// Starts a relay that has these files.
fn serve(files: &Files) -> Relay {
    start(&[
        "relay",
        "--listen=0",
        &files.flag("--tls-cert", "chain.pem"),
        &files.flag("--tls-key", "key.pem"),
    ])
}

#[test]
fn a_relay_and_c2w_net_speak_tls() {
    let files = Files::new();
    let (certificate, key) = (files.path("chain.pem"), files.path("key.pem"));
    let relay = serve(&files);
    assert!(relay.banner.contains("relay_url: \"wss://"), "{}", relay.banner);
    let c2w_net = start(&[
        "c2w-net",
        "--listen-ws",
        "--enable-tls",
        "--ws-cert",
        certificate.to_str().expect("text"),
        "--ws-key",
        key.to_str().expect("text"),
        "localhost:0",
    ]);
    for relay in [&relay, &c2w_net] {
        assert!(lease_by_page(files.connect(relay.address)));
        // What is not encrypted is not served, but told where to go.
        let told = ask(relay.address, "GET", "/healthz?a", &[("Host", "localhost:80")], &[]);
        let there = format!("https://localhost:{}/healthz?a", relay.address.port());
        assert_eq!((told.status(), told.header("location")), (308, Some(there.as_str())));
        let upgrade =
            Guest::connect(relay.address, "/", &["Host: localhost"]).map(drop).expect_err("refused");
        assert!(upgrade.starts_with("HTTP/1.1 426"), "{upgrade}");
        assert_eq!(ask(relay.address, "GET", "/", &[("Host", "evil.example")], &[]).status(), 403);
        // What is neither harms nobody.
        let mut noise = TcpStream::connect(relay.address).expect("it listens");
        noise.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        noise.write_all(&[0, 1, 2, 3]).expect("sent");
        noise.shutdown(std::net::Shutdown::Write).expect("shut");
        let mut said = Vec::new();
        match noise.read_to_end(&mut said) {
            Ok(_) => assert!(!said.starts_with(b"HTTP"), "served in the clear"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert!(lease_by_page(files.connect(relay.address)));
    }
}

/// An address of the banner, by what is before it.
fn address(relay: &Relay, before: &str) -> SocketAddr {
    let line = relay.banner.lines().find_map(|line| line.strip_prefix(before)).expect("announced");
    line.split('/').next().and_then(|text| text.parse().ok()).expect("an address")
}

#[test]
fn plain_addresses_and_redirects_are_beside_those_with_tls() {
    let files = Files::new();
    let relay = start(&[
        "relay",
        "--listen=0",
        "--listen-plain=0",
        "--listen-redirect=0",
        &files.flag("--tls-cert", "chain.pem"),
        &files.flag("--tls-key", "key.pem"),
    ]);
    let secure = address(&relay, "listening on wss://");
    let plain = address(&relay, "listening on ws://");
    let redirect = address(&relay, "redirecting http://");
    assert!(lease_by_page(files.connect(secure)));
    assert_eq!(ask(plain, "GET", "/healthz", &[], &[]).text(), "ok\n");
    assert!(Guest::connect(plain, "/", &[]).is_ok());
    let told = ask(redirect, "GET", "/cors/x?y", &[("Host", "localhost")], &[]);
    let there = format!("https://localhost:{}/cors/x?y", secure.port());
    assert_eq!((told.status(), told.header("location")), (308, Some(there.as_str())));
    assert_eq!(ask(redirect, "POST", "/", &[("Host", "localhost")], b"x").status(), 308);
    assert_eq!(ask(redirect, "GET", "/", &[("Host", "evil.example")], &[]).status(), 403);
    let upgrade = Guest::connect(redirect, "/", &["Host: localhost"]).map(drop).expect_err("refused");
    assert!(upgrade.starts_with("HTTP/1.1 426") && !upgrade.contains("ocation:"), "{upgrade}");
}

#[test]
fn guests_under_tls_take_one_descriptor_each() {
    let files = Files::new();
    let relay = serve(&files);
    let mut first = files.connect(relay.address);
    assert!(lease_by_page(&mut first));
    let before = relay.descriptors();
    let mut more: Vec<_> = (0..8).map(|_| files.connect(relay.address)).collect();
    assert!((2..).zip(&mut more).all(|(guest, stream)| lease_as(guest, stream)));
    assert_eq!(relay.descriptors(), before + more.len());
    drop(more);
    common::wait_until(|| relay.descriptors() == before, || "descriptors given back".to_owned());
}

#[test]
fn files_are_read_again_and_wrong_ones_change_nothing() {
    let files = Files::new();
    let relay = serve(&files);
    let mut stays = files.connect(relay.address);
    assert!(lease_as(1, &mut stays));
    let renewed = Files::new();
    let replace = |name: &str| {
        std::fs::copy(renewed.path(name), files.path(name)).expect("copied");
    };
    replace("chain.pem");
    // Half of what belongs together.
    relay.signal(Signal::HUP);
    relay.wait_for_log("not the certificate's");
    assert!(lease_as(2, files.connect(relay.address)));
    replace("key.pem");
    relay.signal(Signal::HUP);
    relay.wait_for_log("certificate and key: read again");
    assert!(lease_as(3, renewed.connect(relay.address)));
    stays.conn.send_close_notify();
    stays.flush().expect("the old session goes on");
}

/// What OpenSSL says of a connection by a version.
fn openssl(files: &Files, relay: &Relay, more: &[&str]) -> String {
    let mut child = std::process::Command::new("openssl")
        .args(["s_client", "-connect", &relay.address.to_string(), "-servername", "localhost", "-brief"])
        .args(["-verify_return_error", "-ign_eof", "-CAfile"])
        .arg(files.path("chain.pem"))
        .args(more)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("openssl is there");
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // One that is refused reads nothing.
    drop(child.stdin.take().expect("its input").write_all(request));
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn openssl_agrees_on_sound_versions_and_suites_alone() {
    let files = Files::new();
    let relay = serve(&files);
    for (flags, version) in [
        (&["-tls1_3"][..], "TLSv1.3"),
        (&["-tls1_2"], "TLSv1.2"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "TLSv1.2"),
        (&["-alpn", "http/1.1"], "TLSv1.3"),
    ] {
        let said = openssl(&files, &relay, flags);
        assert!(said.contains(&format!("Protocol version: {version}")), "{flags:?}: {said}");
        assert!(said.contains("HTTP/1.1 200") && said.contains("Verification: OK"), "{flags:?}: {said}");
    }
    for flags in [
        &["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"][..],
        &["-tls1", "-cipher", "DEFAULT:@SECLEVEL=0"],
        // No forward secrecy, and no authenticated encryption.
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
        &["-alpn", "spdy/1"],
    ] {
        let said = openssl(&files, &relay, flags);
        assert!(!said.contains("HTTP/1.1 200"), "{flags:?}: {said}");
    }
}

#[test]
fn files_that_are_wrong_are_told_with_the_fix() {
    let files = Files::new();
    std::fs::write(files.path("other.pem"), rcgen::KeyPair::generate().expect("a key").serialize_pem())
        .expect("written");
    let (certificate, key) = (files.flag("--tls-cert", "chain.pem"), files.flag("--tls-key", "key.pem"));
    for (flags, parts) in [
        (vec![certificate.clone()], ["--tls-cert", "add --tls-key"]),
        (vec![key.clone()], ["--tls-key", "add --tls-cert"]),
        (vec![files.flag("--tls-cert", "missing.pem"), key.clone()], ["--tls-cert", "name a PEM file"]),
        (vec![files.flag("--tls-cert", "key.pem"), key.clone()], ["--tls-cert", "no certificate"]),
        (vec![certificate.clone(), files.flag("--tls-key", "chain.pem")], ["--tls-key", "no private key"]),
        (
            vec![certificate.clone(), files.flag("--tls-key", "other.pem")],
            ["--tls-key", "not the certificate's"],
        ),
    ] {
        let output = netloom().arg("relay").args(&flags).output().expect("it runs");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{flags:?}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{flags:?}: {said}");
    }
}
