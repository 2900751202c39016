//! A client of the Wisp server that sends packets as it is told and keeps what comes, by stream.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use netloom_proto::wisp::{Kind, Packet, Reason};

use super::{Guest, PATIENCE, Relay};

/// Flags that let streams reach this host.
pub const LOOPBACK: [&str; 2] = ["--allow", "127.0.0.0/8"];

/// A client of version 1 or 2, as far as packets go.
pub struct WispClient {
    pub guest: Guest,
    /// What came for each stream.
    pub data: BTreeMap<u32, Vec<u8>>,
    /// Datagrams and pieces as they came.
    pub pieces: Vec<(u32, Vec<u8>)>,
    pub closed: BTreeMap<u32, Reason>,
    /// Every CONTINUE.
    pub credits: Vec<(u32, u32)>,
    pub fins: Vec<u32>,
    /// Bodies of INFO.
    pub infos: Vec<Vec<u8>>,
}

impl WispClient {
    pub fn connect(relay: &Relay, path: &str, headers: &[&str]) -> Self {
        let guest =
            Guest::connect(relay.address, path, headers).unwrap_or_else(|answer| panic!("refused: {answer}"));
        Self {
            guest,
            data: BTreeMap::new(),
            pieces: Vec::new(),
            closed: BTreeMap::new(),
            credits: Vec::new(),
            fins: Vec::new(),
            infos: Vec::new(),
        }
    }

    /// Version 1, greeted.
    pub fn version_1(relay: &Relay) -> Self {
        let mut client = Self::connect(relay, "/wisp/", &[]);
        client.until("the first CONTINUE", |client| !client.credits.is_empty());
        client
    }

    /// Version 2 with these extensions, each a number and its metadata, greeted.
    pub fn version_2(relay: &Relay, extensions: &[(u8, &[u8])]) -> Self {
        let mut client = Self::connect(relay, "/wisp/", &["Sec-WebSocket-Protocol: wisp-v2"]);
        client.until("INFO", |client| !client.infos.is_empty());
        client.introduce(extensions);
        client.until("the first CONTINUE", |client| !client.credits.is_empty());
        client
    }

    pub fn introduce(&mut self, extensions: &[(u8, &[u8])]) {
        let mut info = vec![2, 0];
        for (id, metadata) in extensions {
            info.push(*id);
            info.extend_from_slice(&(metadata.len() as u32).to_le_bytes());
            info.extend_from_slice(metadata);
        }
        self.send(0, Packet::Info(&info));
    }

    pub fn send(&mut self, stream: u32, packet: Packet<'_>) {
        let mut message = Vec::new();
        packet.put(&mut message, stream);
        self.guest.send(&message);
    }

    pub fn open(&mut self, stream: u32, kind: Kind, target: SocketAddr) {
        self.open_host(stream, kind, &target.ip().to_string(), target.port());
    }

    pub fn open_host(&mut self, stream: u32, kind: Kind, host: &str, port: u16) {
        self.send(stream, Packet::Connect { kind, port, host });
    }

    /// Reads until something has come.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            match self.guest.next() {
                Some(message) => self.take(&message),
                None => panic!("the connection ended ({:?}) without {what}", self.guest.closed),
            }
        }
    }

    /// Why a stream was closed.
    pub fn reason(&mut self, stream: u32) -> Reason {
        self.until("a CLOSE", |client| client.closed.contains_key(&stream));
        self.closed[&stream]
    }

    fn take(&mut self, message: &[u8]) {
        match Packet::parse(message) {
            Ok((stream, Packet::Data(bytes))) => {
                assert!(!self.closed.contains_key(&stream), "DATA after CLOSE");
                self.data.entry(stream).or_default().extend_from_slice(bytes);
                self.pieces.push((stream, bytes.to_vec()));
            }
            Ok((stream, Packet::Continue(credit))) => self.credits.push((stream, credit)),
            Ok((stream, Packet::Close(reason))) => drop(self.closed.insert(stream, reason)),
            Ok((stream, Packet::Fin)) => self.fins.push(stream),
            Ok((0, Packet::Info(info))) => self.infos.push(info.to_vec()),
            other => panic!("a server does not send {other:?}"),
        }
    }

    /// A ping that is answered: the connection lives, and what was sent before it was read.
    pub fn sync(&mut self) {
        let seen = self.guest.pongs.len();
        self.guest.send_message(netloom_proto::websocket::Opcode::Ping, b"sync");
        while self.guest.pongs.len() == seen {
            assert!(self.guest.fill(), "the connection ended");
        }
    }
}

/// A listener on this host's loopback.
pub fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// A target that serves each of its connections on a thread of its own; what that gives back can be waited for.
pub fn target<T: Send + 'static>(
    serve: impl Fn(TcpStream) -> T + Clone + Send + 'static,
) -> (SocketAddr, mpsc::Receiver<T>) {
    let (listener, address) = listener();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let (serve, sender) = (serve.clone(), sender.clone());
            std::thread::spawn(move || drop(sender.send(serve(stream))));
        }
    });
    (address, receiver)
}

/// A target that sends back what it gets.
pub fn echo() -> SocketAddr {
    target(|mut stream| {
        let mut copy = stream.try_clone().expect("a second handle");
        drop(std::io::copy(&mut stream, &mut copy));
    })
    .0
}

/// A target that reads to the end, and tells what it got; `Err` if the end was a reset.
pub fn sink() -> (SocketAddr, mpsc::Receiver<Result<Vec<u8>, std::io::ErrorKind>>) {
    target(|mut stream| {
        let mut got = Vec::new();
        stream.read_to_end(&mut got).map(|_| got).map_err(|error| error.kind())
    })
}

/// A target that sends some bytes and ends.
pub fn source(bytes: Vec<u8>) -> SocketAddr {
    target(move |mut stream| drop(stream.write_all(&bytes))).0
}
