//! A guest made by hand: it sends any message, frame by frame or byte by byte, and reads what comes, blocking.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::frame::{self, Mac};
use crate::namespace::Namespace;
use crate::websocket::{Handshake, Opcode, Wire, ask, encode};

/// A WebSocket guest without a kernel behind it.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    wire: Wire,
    frames: std::collections::VecDeque<Vec<u8>>,
}

impl Client {
    /// Connects from inside `namespace` and upgrades on `path`.
    ///
    /// # Errors
    /// When the relay does not listen or does not upgrade.
    pub fn connect(namespace: &Namespace, address: SocketAddr, path: &str) -> Result<Self> {
        Self::upgrade(namespace.connect(address, Duration::from_secs(5))??, path)
    }

    /// The same with a receive buffer so small that the relay's writes soon meet a full socket.
    ///
    /// # Errors
    /// When the relay does not listen or does not upgrade.
    pub fn connect_narrow(namespace: &Namespace, address: SocketAddr, path: &str) -> Result<Self> {
        let socket = namespace.run(move || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.set_recv_buffer_size(4096)?;
            socket.connect(&SockAddr::from(address))?;
            Ok::<Socket, io::Error>(socket)
        })??;
        Self::upgrade(socket.into(), path)
    }

    fn upgrade(mut stream: TcpStream, path: &str) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        let answer = ask(&mut stream, &Handshake::to(path))?;
        ensure!(answer.status == 101, "{path} did not upgrade: {}", answer.head);
        let mut wire = Wire::default();
        wire.feed(&answer.rest);
        Ok(Self { stream, wire, frames: std::collections::VecDeque::new() })
    }

    /// Sends one binary message.
    ///
    /// # Errors
    /// When the relay has closed the connection.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(message.len() + 14);
        encode(&mut bytes, true, Opcode::Binary, 0x1234_5678, message);
        self.stream.write_all(&bytes)
    }

    /// Sends bytes as they are, below the framing.
    ///
    /// # Errors
    /// When the relay has closed the connection.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next message, or nothing when none comes within `patience`.
    ///
    /// # Errors
    /// When the relay closes the connection or breaks the protocol.
    pub fn receive(&mut self, patience: Duration) -> io::Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + patience;
        let mut buffer = [0; 64 * 1024];
        loop {
            let frames = &mut self.frames;
            self.wire.messages(|message| frames.push_back(message.to_vec()))?;
            let owed = self.wire.take_unsent();
            if !owed.is_empty() {
                self.stream.write_all(&owed)?;
            }
            if let Some(frame) = self.frames.pop_front() {
                return Ok(Some(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.wire.feed(&buffer[..length]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The first value that `wanted` finds in a message; others are passed over.
    ///
    /// # Errors
    /// When none comes within `patience`, or the connection ends.
    pub fn expect<T>(&mut self, patience: Duration, wanted: impl Fn(&[u8]) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let frame = self.receive(left)?.context("the expected frame never came")?;
            if let Some(found) = wanted(&frame) {
                return Ok(found);
            }
        }
    }

    /// Asks by ARP who has `target`.
    ///
    /// # Errors
    /// When nobody answers within five seconds, or the connection ends.
    pub fn resolve(&mut self, own: Mac, address: Ipv4Addr, target: Ipv4Addr) -> Result<Mac> {
        self.send(&frame::arp_request(own, address, target))?;
        self.expect(Duration::from_secs(5), |frame| frame::arp_reply_from(frame, target))
            .with_context(|| format!("{target} did not answer ARP"))
    }

    /// What the pongs so far carried.
    #[must_use]
    pub fn pongs(&self) -> &[Vec<u8>] {
        self.wire.pongs()
    }

    /// Reads until the relay ends the connection, by Close or otherwise.
    ///
    /// # Errors
    /// When it is still open after `patience`.
    pub fn receive_to_the_end(&mut self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            match self.receive(deadline.saturating_duration_since(Instant::now())) {
                Ok(Some(_)) => {}
                Ok(None) => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => return Ok(()),
            }
        }
    }

    /// Closes with a reset instead of an orderly end, as a killed process with unread data does.
    ///
    /// # Errors
    /// When the socket is gone already.
    pub fn reset(self) -> io::Result<()> {
        let socket = Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO))
    }
}
