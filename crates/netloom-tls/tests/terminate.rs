//! A client that others wrote (rustls' own) against a terminator.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use netloom_tls::{Authority, Connection, ImportError, State, Terminator, TlsError};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SupportedProtocolVersion};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn authority() -> Authority {
    Authority::generate("Netloom test", now()).unwrap()
}

fn config(trusted: &Authority, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.certificate_der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn client(config: &Arc<ClientConfig>, name: &str) -> ClientConnection {
    ClientConnection::new(config.clone(), ServerName::try_from(name.to_owned()).unwrap()).unwrap()
}

/// Carries records both ways, at most `step` bytes at once, until neither side has any; what the client was sent.
fn run(client: &mut ClientConnection, server: &mut Connection, step: usize) -> Result<Vec<u8>, TlsError> {
    let (mut result, mut received) = (Ok(()), Vec::new());
    loop {
        let mut records = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut records).unwrap();
        }
        for piece in records.chunks(step) {
            let taken = server.handle_records(piece, now());
            result = result.and(taken);
        }
        let answer = server.take_outgoing();
        if records.is_empty() && answer.is_empty() {
            return result.map(|()| received);
        }
        let mut answer = answer.as_slice();
        while !answer.is_empty() {
            client.read_tls(&mut answer).unwrap();
            // What it thinks of it, it sends.
            let _ = client.process_new_packets();
            // Until there is no more, which is an error or the end.
            let _ = client.reader().read_to_end(&mut received);
        }
    }
}

#[test]
fn bytes_pass_both_ways_in_either_version_whatever_the_cuts() {
    let authority = authority();
    let terminator = Terminator::new(authority.clone()).unwrap();
    for (version, step) in [(&TLS13, 1), (&TLS13, usize::MAX), (&TLS12, 1), (&TLS12, usize::MAX)] {
        let mut client = client(&config(&authority, &[version]), "Example.com");
        let mut server = terminator.open("192.0.2.1", now()).unwrap();
        assert_eq!(server.state(), State::Handshaking);
        run(&mut client, &mut server, step).unwrap();
        assert_eq!(server.state(), State::Open);
        assert_eq!(server.server_name(), Some("example.com"));
        assert_eq!(client.alpn_protocol(), Some(&b"http/1.1"[..]));

        let request: Vec<u8> = (0..50_000_u32).map(|byte| byte as u8).collect();
        client.writer().write_all(&request).unwrap();
        run(&mut client, &mut server, step.max(7)).unwrap();
        assert_eq!(server.take_plaintext(), request);

        server.write(&request).unwrap();
        server.finish();
        assert_eq!(run(&mut client, &mut server, step.max(7)).unwrap(), request);

        client.send_close_notify();
        run(&mut client, &mut server, step).unwrap();
        assert_eq!(server.state(), State::PeerClosed);
    }
}

#[test]
fn a_guest_that_says_no_name_gets_a_certificate_for_the_address_it_dialled() {
    let authority = authority();
    let terminator = Terminator::new(authority.clone()).unwrap();
    for address in ["192.0.2.1", "2001:db8::1"] {
        let mut server = terminator.open(address, now()).unwrap();
        run(&mut client(&config(&authority, &[&TLS13]), address), &mut server, usize::MAX).unwrap();
        assert_eq!((server.state(), server.server_name()), (State::Open, None));
    }
    assert!(terminator.open("no host", now()).is_err());
}

#[test]
fn names_of_any_length_have_a_certificate() {
    let authority = authority();
    let terminator = Terminator::new(authority.clone()).unwrap();
    let long = format!("{}.{}.example", "a".repeat(63), "b".repeat(63));
    let mut server = terminator.open("192.0.2.1", now()).unwrap();
    run(&mut client(&config(&authority, &[&TLS13]), &long), &mut server, usize::MAX).unwrap();
    assert_eq!(server.state(), State::Open);
}

#[test]
fn a_session_is_resumed() {
    let authority = authority();
    let terminator = Terminator::new(authority.clone()).unwrap();
    for version in [&TLS13, &TLS12] {
        let config = config(&authority, &[version]);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut client = client(&config, "example.com");
            run(&mut client, &mut terminator.open("192.0.2.1", now()).unwrap(), usize::MAX).unwrap();
            kinds.push(client.handshake_kind());
        }
        assert_eq!(kinds[1], Some(HandshakeKind::Resumed));
    }
}

#[test]
fn a_guest_without_the_authority_says_so() {
    let terminator = Terminator::new(authority()).unwrap();
    let mut server = terminator.open("192.0.2.1", now()).unwrap();
    let error = run(&mut client(&config(&authority(), &[&TLS13]), "example.com"), &mut server, usize::MAX);
    assert!(matches!(error, Err(TlsError::Untrusted(_))), "{error:?}");
    assert_eq!(server.handle_records(b"more", now()), error.map(|_| ()));
}

#[test]
fn what_is_not_tls_is_answered_with_an_alert_and_held_no_longer() {
    let terminator = Terminator::new(authority()).unwrap();
    let mut server = terminator.open("192.0.2.1", now()).unwrap();
    let error = server.handle_records(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", now()).unwrap_err();
    assert!(matches!(error, TlsError::Protocol(_)), "{error:?}");
    // Alert, TLS 1.2, fatal.
    let alert = server.take_outgoing();
    assert_eq!(&alert[..2], &[21, 3], "{alert:?}");
    assert_eq!(server.write(b"late").unwrap_err(), TlsError::Protocol(rustls::Error::HandshakeNotComplete));
}

#[test]
fn an_authority_survives_as_text_and_its_guests_go_on_trusting_it() {
    let first = authority();
    let second = Authority::from_pem(&first.to_pem(), now()).unwrap();
    assert_eq!(second.certificate_der(), first.certificate_der());
    assert_eq!(second.to_pem(), first.to_pem());
    assert!(!first.certificate_pem().contains("PRIVATE"));
    let mut server = Terminator::new(second).unwrap().open("192.0.2.1", now()).unwrap();
    run(&mut client(&config(&first, &[&TLS13]), "example.com"), &mut server, usize::MAX).unwrap();
}

#[test]
fn what_is_no_authority_is_told_why() {
    let (one, other) = (authority(), authority());
    let sections = |pem: &str| {
        let at = pem.find("-----BEGIN PRIVATE").unwrap();
        (pem[..at].to_owned(), pem[at..].to_owned())
    };
    let ((certificate, key), (_, foreign)) = (sections(&one.to_pem()), sections(&other.to_pem()));
    let read = |pem: &str, now: u64| Authority::from_pem(pem, now).map(|_| ()).unwrap_err();
    assert!(matches!(read("", now()), ImportError::NoCertificate));
    assert!(matches!(read(&key, now()), ImportError::NoCertificate));
    assert!(matches!(read(&certificate, now()), ImportError::NoKey));
    assert!(matches!(read(&(certificate.clone() + &foreign), now()), ImportError::Mismatch));
    let later = now() + 11 * 365 * 86_400;
    assert!(matches!(read(&one.to_pem(), later), ImportError::Expired));
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned() + &key;
    assert!(matches!(read(&damaged, now()), ImportError::Certificate));
}

#[test]
fn garbage_of_any_kind_ends_in_an_error_or_waits() {
    let terminator = Terminator::new(authority()).unwrap();
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    for _ in 0..300 {
        let mut server = terminator.open("192.0.2.1", now()).unwrap();
        let length = usize::from(random()) * 4;
        let mut bytes: Vec<u8> = (0..length).map(|_| random()).collect();
        // Half of them begin as a handshake does.
        if random() & 1 == 0 && bytes.len() > 5 {
            bytes[..5].copy_from_slice(&[22, 3, 1, 0, random()]);
        }
        for piece in bytes.chunks(1 + usize::from(random())) {
            let _ = server.handle_records(piece, now());
            let _ = server.write(piece);
        }
        server.finish();
        assert_eq!(server.take_plaintext(), []);
    }
}
