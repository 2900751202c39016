//! Guests over `wss://`: the relay's own TLS.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use common::packet::{dhcp, dhcp_answer};
use common::{PATIENCE, Relay, netloom};
use netloom_proto::qemu::prefix;
use netloom_proto::websocket::{Decoder, Message, Opcode, Role, put_frame};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A certificate for localhost and its key, in files.
struct Files {
    folder: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

impl Files {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("chain.pem"), made.cert.pem()).expect("written");
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).expect("written");
        Self { folder, certificate: made.cert.der().clone() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn flag(&self, flag: &str, name: &str) -> String {
        format!("{flag}={}", self.path(name).display())
    }

    /// A browser's connection, which trusts this certificate.
    fn connect(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        StreamOwned::new(client, stream)
    }
}

/// Asks for a lease as a page of container2wasm does.
fn lease_by_page(mut stream: impl Read + Write) -> bool {
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
    let frame = dhcp([2, 0, 0, 0, 0, 1], 1, &[]);
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

#[test]
fn a_relay_and_c2w_net_speak_tls() {
    let files = Files::new();
    let (certificate, key) = (files.path("chain.pem"), files.path("key.pem"));
    let relay = start(&[
        "relay",
        "--listen=0",
        &files.flag("--tls-cert", "chain.pem"),
        &files.flag("--tls-key", "key.pem"),
    ]);
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
        // What is not encrypted is not served, and harms nobody.
        let mut plain = TcpStream::connect(relay.address).expect("it listens");
        plain.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
        let mut said = Vec::new();
        match plain.read_to_end(&mut said) {
            Ok(_) => assert!(!said.starts_with(b"HTTP"), "served in the clear"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert!(lease_by_page(files.connect(relay.address)));
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
