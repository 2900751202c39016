//! A session over a socket that takes little at a time, with rustls' own client at the other end.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{TcpListener, TcpStream as StdTcpStream};
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::TlsSocket;

const BYTES: usize = 3 << 20;

type Client = StreamOwned<ClientConnection, StdTcpStream>;

fn pattern(at: usize) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 13) as u8
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// Both ends: the relay's, after the handshake, and what the client's thread gives.
async fn pair<T: Send + 'static>(
    client: impl FnOnce(Client) -> T + Send + 'static,
) -> (TlsSocket, std::thread::JoinHandle<T>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key))
        .expect("a server");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let thread = std::thread::spawn(move || {
        let stream = StdTcpStream::connect(address).expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        client(StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a client"), stream))
    });
    let (stream, _) = listener.accept().expect("a client");
    SockRef::from(&stream).set_send_buffer_size(8192).expect("a small buffer");
    stream.set_nonblocking(true).expect("a socket");
    let stream = TcpStream::from_std(stream).expect("a socket");
    let stream = TlsAcceptor::from(Arc::new(server)).accept(stream).await.expect("a handshake");
    let (stream, session) = stream.into_inner();
    (TlsSocket::new(stream, session), thread)
}

#[test]
fn what_is_written_arrives_once_and_in_order() {
    run(async {
        let (socket, client) = pair(|mut client| {
            let mut got = vec![0; BYTES];
            client.read_exact(&mut got).expect("all of it");
            assert!(got.iter().enumerate().all(|(at, byte)| *byte == pattern(at)));
        })
        .await;
        let bytes: Vec<u8> = (0..BYTES).map(pattern).collect();
        let (mut written, mut blocked) = (0, 0);
        while written < BYTES {
            // As clients of a LAN and of Wisp do: they come again with what was not taken, and more behind it.
            let rest = &bytes[written..BYTES.min(written + 1 + (written * 31 + blocked * 977) % 300_000)];
            let (first, second) = rest.split_at(rest.len() / 3);
            match socket.try_write_vectored(&[IoSlice::new(first), IoSlice::new(&[]), IoSlice::new(second)]) {
                Ok(more) => written += more,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    blocked += 1;
                    socket.stream().writable().await.expect("a socket");
                }
            }
        }
        assert!(blocked > 0, "the socket took all at once");
        client.join().expect("it arrived");
    });
}

#[test]
fn what_arrives_is_read_to_its_end() {
    run(async {
        let (socket, client) = pair(|mut client| {
            let bytes: Vec<u8> = (0..BYTES).map(pattern).collect();
            client.write_all(&bytes).expect("sent");
            client.conn.send_close_notify();
            client.flush().expect("sent");
            // The other end says that it is gone too.
            assert_eq!(client.read(&mut [0]).expect("an end"), 0);
        })
        .await;
        let (mut got, mut buffer) = (Vec::new(), vec![0; 50_000]);
        loop {
            socket.readable().await.expect("a socket");
            match socket.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => got.extend_from_slice(&buffer[..read]),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert!(got.len() == BYTES && got.iter().enumerate().all(|(at, byte)| *byte == pattern(at)));
        drop(socket);
        client.join().expect("it went well");
    });
}

#[test]
fn what_is_no_tls_is_an_error() {
    run(async {
        let (socket, client) = pair(|mut client| {
            client.conn.complete_io(&mut client.sock).expect("a handshake");
            client
                .sock
                .write_all(&[0x17, 3, 3, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
                .expect("sent");
            client
        })
        .await;
        let error = loop {
            socket.readable().await.expect("a socket");
            match socket.read(&mut [0; 1000]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => break other.expect_err("nothing to read"),
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        drop(client.join());
    });
}
