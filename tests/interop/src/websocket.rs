//! A WebSocket client written apart from the relay's own codec, so that the two cannot share a fault.
//!
//! RFC 6455 sections 4.1 (opening handshake) and 5 (framing). [`Wire`] holds the bytes of both directions without any
//! I/O; [`WebSocket`] is that on a socket, as one end of a [`crate::splice::Splice`].

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::namespace::Namespace;
use crate::splice::{End, READ_BUDGET_BYTES};

/// Frame types of RFC 6455 section 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// The next part of a message.
    Continuation = 0,
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// A question that wants a [`Opcode::Pong`].
    Ping = 9,
    /// The answer.
    Pong = 10,
}

/// What to put into the opening handshake.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The path with its query.
    pub path: String,
    /// The Host header; the address when absent.
    pub host: Option<String>,
    /// The Origin header, if any.
    pub origin: Option<String>,
    /// More header lines, each without its line end.
    pub headers: Vec<String>,
}

impl Handshake {
    /// A handshake for `path` with nothing out of the ordinary.
    #[must_use]
    pub fn to(path: &str) -> Self {
        Self { path: path.to_owned(), host: None, origin: None, headers: Vec::new() }
    }

    /// The same from a page at `origin`.
    #[must_use]
    pub fn from_origin(mut self, origin: &str) -> Self {
        self.origin = Some(origin.to_owned());
        self
    }

    /// The same under another Host.
    #[must_use]
    pub fn for_host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }
}

/// A server's answer to an opening handshake.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Status line and header lines as sent.
    pub head: String,
    /// What came after the head: frames, or the body of a refusal.
    pub rest: Vec<u8>,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Sends an opening handshake and reads the answer, whatever it is.
///
/// # Errors
/// When the server closes or stays silent instead of answering HTTP.
pub fn ask(stream: &mut TcpStream, handshake: &Handshake) -> Result<Answer> {
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    let address = stream.peer_addr()?.to_string();
    let host = handshake.host.as_deref().unwrap_or(&address);
    let mut request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n",
        handshake.path
    );
    for line in
        handshake.origin.iter().map(|origin| format!("Origin: {origin}")).chain(handshake.headers.clone())
    {
        request += &line;
        request += "\r\n";
    }
    request += "\r\n";
    stream.write_all(request.as_bytes())?;

    let mut bytes = Vec::new();
    let head_bytes = loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).context("no answer to the handshake")?;
        ensure!(length > 0, "closed during the handshake");
        bytes.extend_from_slice(&chunk[..length]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let rest = bytes.split_off(head_bytes);
    let head = String::from_utf8(bytes)?;
    let status = head.split(' ').nth(1).context("no status line")?.parse()?;
    let answer = Answer { status, head, rest };
    if status == 101 {
        let digest =
            Sha1::new().chain_update(KEY).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
        ensure!(answer.header("sec-websocket-accept") == Some(&*STANDARD.encode(digest)), "wrong accept key");
    }
    Ok(answer)
}

/// Takes bytes of the header of a server's frame, however they are cut; gives the payload's length once they are all there.
pub fn take_head(head: &mut Vec<u8>, bytes: &mut &[u8]) -> Option<u64> {
    loop {
        match **head {
            [_, short @ ..=125] => return Some(u64::from(short)),
            [_, 126, a, b] => return Some(u64::from(u16::from_be_bytes([a, b]))),
            [_, 127, ref length @ ..] if length.len() == 8 => {
                return length.first_chunk().map(|length| u64::from_be_bytes(*length));
            }
            _ => {}
        }
        let (first, rest) = bytes.split_first()?;
        head.push(*first);
        *bytes = rest;
    }
}

/// Appends one masked frame, as a client must send it.
pub fn encode(out: &mut Vec<u8>, fin: bool, opcode: Opcode, mask: u32, payload: &[u8]) {
    out.push(u8::from(fin) << 7 | opcode as u8);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let key = mask.to_ne_bytes();
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    let wide = u64::from(mask) << 32 | u64::from(mask);
    let mut words = out[start..].chunks_exact_mut(8);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(wide.to_ne_bytes()) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The bytes of a client's connection, without the socket.
#[derive(Debug, Default)]
pub struct Wire {
    inbound: Vec<u8>,
    taken: usize,
    message: Vec<u8>,
    outbound: Vec<u8>,
    sent: usize,
    mask: u32,
    pongs: Vec<Vec<u8>>,
}

impl Wire {
    /// Queues a binary message.
    pub fn push(&mut self, payload: &[u8]) {
        self.mask = self.mask.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        encode(&mut self.outbound, true, Opcode::Binary, self.mask, payload);
    }

    /// Takes in bytes from the server.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.inbound.extend_from_slice(bytes);
    }

    /// Hands over every whole binary message that has arrived and queues the answers to pings.
    ///
    /// # Errors
    /// When the server closes, or breaks the protocol: a masked or reserved frame, a text message.
    pub fn messages(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        while let Some((head, payload_bytes)) = header(&self.inbound[self.taken..])? {
            let start = self.taken + head;
            let Some(payload) = self.inbound.get(start..start + payload_bytes) else { break };
            let first = self.inbound[self.taken];
            let fin = first & 0x80 != 0;
            match first & 0x0f {
                2 if fin => each(payload),
                2 => self.message = payload.to_vec(),
                0 => {
                    self.message.extend_from_slice(payload);
                    if fin {
                        each(&std::mem::take(&mut self.message));
                    }
                }
                8 => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server sent Close")),
                9 => encode(&mut self.outbound, true, Opcode::Pong, self.mask, payload),
                10 => self.pongs.push(payload.to_vec()),
                other => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("opcode {other}"))),
            }
            self.taken = start + payload_bytes;
        }
        self.inbound.drain(..self.taken);
        self.taken = 0;
        Ok(())
    }

    /// What the pongs so far carried.
    #[must_use]
    pub fn pongs(&self) -> &[Vec<u8>] {
        &self.pongs
    }

    /// Takes what is queued, for a caller that writes it whole.
    pub fn take_unsent(&mut self) -> Vec<u8> {
        let unsent = self.outbound.split_off(self.sent);
        self.outbound.clear();
        self.sent = 0;
        unsent
    }

    fn unsent(&self) -> &[u8] {
        &self.outbound[self.sent..]
    }

    fn advance(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent == self.outbound.len() {
            self.outbound.clear();
            self.sent = 0;
        }
    }
}

/// The length of a frame's header and of its payload, once the header is whole.
fn header(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0x70 != 0 || second & 0x80 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a reserved bit or a masked frame from the server",
        ));
    }
    Ok(match (second & 0x7f, rest) {
        (126, [a, b, ..]) => Some((4, usize::from(u16::from_be_bytes([*a, *b])))),
        (127, rest) => rest.first_chunk().map(|length| (10, u64::from_be_bytes(*length) as usize)),
        (126, _) => None,
        (length, _) => Some((2, usize::from(length))),
    })
}

/// A client's connection, open and not blocking.
#[derive(Debug)]
pub struct WebSocket {
    stream: TcpStream,
    wire: Wire,
    buffer: Box<[u8]>,
}

impl WebSocket {
    /// Connects from inside `namespace` and upgrades.
    ///
    /// # Errors
    /// When the relay does not listen or does not upgrade.
    pub fn connect(namespace: &Namespace, address: SocketAddr, handshake: &Handshake) -> Result<Self> {
        let mut stream = namespace.connect(address, Duration::from_secs(5))??;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        let answer = ask(&mut stream, handshake)?;
        if answer.status != 101 {
            bail!(
                "{} did not upgrade: {}{}",
                handshake.path,
                answer.head,
                String::from_utf8_lossy(&answer.rest)
            );
        }
        stream.set_nonblocking(true)?;
        let mut wire = Wire::default();
        wire.feed(&answer.rest);
        Ok(Self { stream, wire, buffer: vec![0; READ_BUDGET_BYTES].into() })
    }
}

impl End for WebSocket {
    fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.wire.messages(&mut each)?;
        match self.stream.read(&mut self.buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.wire.feed(&self.buffer[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        self.wire.messages(each)
    }

    fn send(&mut self, frame: &[u8]) {
        self.wire.push(frame);
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.wire.unsent().is_empty() {
            match self.stream.write(self.wire.unsent()) {
                Ok(length) => self.wire.advance(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn backlog_bytes(&self) -> usize {
        self.wire.unsent().len()
    }
}
