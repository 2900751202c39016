//! The server's end: the greeting of either version, and streams with the credit that clients have on them.
//!
//! The server holds no data: what a client sends is handed out where it lies, and counted until [`Server::taken`] says that it was moved.
//! A client's credit is set, not added to, so that packets under way come on top of it: whoever queues them has to hold twice the credit.

use std::collections::{BTreeMap, VecDeque};

use super::client::is_before;
use super::info::{ClientInfo, Password, ServerInfo};
use super::packet::{HEADER_BYTES, Packet, PacketError, data_header};
use super::{Kind, Reason};

/// What a server offers.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// What it tells a client that asked for version 2 by a subprotocol; `None` is version 1.
    pub info: Option<ServerInfo>,
    /// DATA packets that a client may send on a TCP stream before it hears more, 4 or more.
    pub credit_packets: u32,
    /// Streams that one client may have open.
    pub max_streams: usize,
}

/// What arrived. Streams have the client's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A client of version 2 has introduced itself: answer with [`Server::admit`] or [`Server::refuse`].
    Hello(ClientInfo),
    /// A stream is to be opened: answer with [`Server::opened`] or [`Server::close`].
    Connect {
        /// The new stream.
        stream: u32,
        /// What it carries.
        kind: Kind,
        /// The target's name or address, as the client wrote it.
        host: &'a str,
        /// The target's port, not 0.
        port: u16,
    },
    /// Bytes of a stream, or a datagram.
    Data(u32, &'a [u8]),
    /// The client will send no more on the stream; the other direction goes on.
    Fin(u32),
    /// More may be sent to the client on the stream.
    Writable(u32),
    /// The stream is over and its name void.
    Closed(u32, Reason),
    /// The connection is to be closed once the packets were sent.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// INFO was sent; the client's is awaited.
    Introducing,
    /// The client has introduced itself.
    Judged,
    Ready,
    Ended,
}

#[derive(Debug)]
struct Stream {
    kind: Kind,
    /// DATA packets that were not taken, and those that arrived since the client heard of its credit.
    queued: u32,
    since_credit: u32,
    /// How many bytes were sent, and up to where the client lets us, modulo 2³².
    sent: u32,
    until: Option<u32>,
}

/// One connection of a client. See the module's documentation.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    phase: Phase,
    client: Option<ClientInfo>,
    old_password: Option<Password>,
    streams: BTreeMap<u32, Stream>,
    control: VecDeque<Vec<u8>>,
    malformed: u64,
}

impl Server {
    /// A server for a connection that has just been opened.
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        let mut server = Self {
            phase: if config.info.is_some() { Phase::Introducing } else { Phase::Ready },
            config,
            client: None,
            old_password: None,
            streams: BTreeMap::new(),
            control: VecDeque::new(),
            malformed: 0,
        };
        match &server.config.info {
            Some(info) => {
                let mut rest = Vec::new();
                info.put(&mut rest);
                server.push(0, Packet::Info(&rest));
            }
            None => server.push(0, Packet::Continue(server.config.credit_packets)),
        }
        server
    }

    /// What the client told of itself, in version 2.
    #[must_use]
    pub const fn client(&self) -> Option<&ClientInfo> {
        self.client.as_ref()
    }

    /// What we told of ourselves, in version 2.
    #[must_use]
    pub const fn info(&self) -> Option<&ServerInfo> {
        self.config.info.as_ref()
    }

    /// The client's password if what it wrote is read as draft 5 had it, which is how older clients answer.
    #[must_use]
    pub const fn old_password(&self) -> Option<&Password> {
        self.old_password.as_ref()
    }

    /// Whether streams can be opened.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Messages that were no packets, or made no sense from a client.
    #[must_use]
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }

    /// How many streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Lets in a client that has introduced itself.
    pub fn admit(&mut self) {
        if self.phase == Phase::Judged {
            self.phase = Phase::Ready;
            self.push(0, Packet::Continue(self.config.credit_packets));
        }
    }

    /// Sends a client away.
    pub fn refuse(&mut self, reason: Reason) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.streams.clear();
            self.push(0, Packet::Close(reason));
        }
    }

    /// Takes a message from the client and hands out what it says.
    pub fn handle_message(&mut self, message: &[u8], each: &mut impl FnMut(&mut Self, Event<'_>)) {
        if self.phase == Phase::Ended {
            return;
        }
        match Packet::parse(message) {
            Ok((0, packet)) => self.handle_connection(packet, each),
            Ok((id, packet)) if self.phase == Phase::Ready => self.handle_stream(id, packet, each),
            // A client of version 2 introduces itself first.
            Ok(_) => {
                self.malformed += 1;
                self.refuse(Reason::INCOMPATIBLE);
                each(self, Event::End);
            }
            Err(PacketError::Kind(id) | PacketError::Host(id))
                if id != 0 && !self.streams.contains_key(&id) =>
            {
                self.malformed += 1;
                self.push(id, Packet::Close(Reason::INVALID));
            }
            Err(_) => self.malformed += 1,
        }
    }

    fn handle_connection(&mut self, packet: Packet<'_>, each: &mut impl FnMut(&mut Self, Event<'_>)) {
        match (packet, self.phase, &self.config.info) {
            (Packet::Info(info), Phase::Introducing, Some(ours)) => {
                let old_layout = ours.password.is_some_and(|offer| offer.old_layout);
                let Some(mut client) = ClientInfo::parse(info, old_layout) else {
                    self.malformed += 1;
                    self.refuse(Reason::INCOMPATIBLE);
                    return each(self, Event::End);
                };
                // Only what both ends name is used.
                client.udp &= ours.udp;
                client.confirms &= ours.confirms;
                client.half_close &= ours.half_close;
                client.stream_credit = client.stream_credit.filter(|_| ours.stream_credit);
                if ours.password.is_some_and(|offer| !offer.old_layout) {
                    let old = ClientInfo::parse(info, true).and_then(|old| old.password);
                    self.old_password = old.map(|(password, _)| password);
                }
                self.client = Some(client.clone());
                self.phase = Phase::Judged;
                each(self, Event::Hello(client));
            }
            (Packet::Close(_), ..) => {
                self.phase = Phase::Ended;
                self.streams.clear();
                each(self, Event::End);
            }
            _ => self.malformed += 1,
        }
    }

    fn handle_stream(&mut self, id: u32, packet: Packet<'_>, each: &mut impl FnMut(&mut Self, Event<'_>)) {
        if let Packet::Connect { kind, port, host } = packet {
            return self.handle_connect(id, kind, host, port, each);
        }
        // Late, after our CLOSE.
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match packet {
            Packet::Data(bytes) => {
                stream.queued = stream.queued.saturating_add(1);
                stream.since_credit = stream.since_credit.saturating_add(1);
                each(self, Event::Data(id, bytes));
            }
            Packet::Close(reason) => {
                self.streams.remove(&id);
                each(self, Event::Closed(id, reason));
            }
            Packet::Continue(until) if stream.until.is_some() => {
                stream.until = Some(until);
                each(self, Event::Writable(id));
            }
            Packet::Fin if self.client.as_ref().is_some_and(|client| client.half_close) => {
                each(self, Event::Fin(id));
            }
            _ => self.malformed += 1,
        }
    }

    fn handle_connect(
        &mut self,
        id: u32,
        kind: Kind,
        host: &str,
        port: u16,
        each: &mut impl FnMut(&mut Self, Event<'_>),
    ) {
        // The new stream takes the name, as with other servers: CLOSE would be read as the new one's.
        if self.streams.remove(&id).is_some() {
            self.malformed += 1;
            each(self, Event::Closed(id, Reason::CLIENT));
        }
        let has_udp = self.client.as_ref().is_none_or(|client| client.udp);
        let reason = match kind {
            _ if port == 0 => Some(Reason::INVALID),
            Kind::Udp if !has_udp => Some(Reason::BLOCKED),
            _ if self.streams.len() >= self.config.max_streams => Some(Reason::THROTTLED),
            _ => None,
        };
        if let Some(reason) = reason {
            return self.push(id, Packet::Close(reason));
        }
        let until =
            self.client.as_ref().and_then(|client| client.stream_credit).filter(|_| kind == Kind::Tcp);
        self.streams.insert(id, Stream { kind, queued: 0, since_credit: 0, sent: 0, until });
        each(self, Event::Connect { stream: id, kind, host, port });
    }

    /// The target of a stream has answered.
    pub fn opened(&mut self, stream: u32) {
        let confirms = self.client.as_ref().is_some_and(|client| client.confirms);
        if confirms && self.streams.get(&stream).is_some_and(|stream| stream.kind == Kind::Tcp) {
            self.credit(stream);
        }
    }

    /// So many DATA packets of a stream were moved; the client hears of its credit in time.
    pub fn taken(&mut self, stream: u32, packets: u32) {
        let Some(state) = self.streams.get_mut(&stream) else { return };
        state.queued = state.queued.saturating_sub(packets);
        let is_due = state.since_credit >= self.config.credit_packets / 4;
        if state.kind == Kind::Tcp && is_due && state.queued < self.config.credit_packets / 2 {
            self.credit(stream);
        }
    }

    fn credit(&mut self, stream: u32) {
        let Some(state) = self.streams.get_mut(&stream) else { return };
        state.since_credit = 0;
        let packets = self.config.credit_packets.saturating_sub(state.queued);
        self.push(stream, Packet::Continue(packets));
    }

    /// DATA packets of a stream that were not taken.
    #[must_use]
    pub fn queued(&self, stream: u32) -> u32 {
        self.streams.get(&stream).map_or(0, |stream| stream.queued)
    }

    /// Whether a stream has that name.
    #[must_use]
    pub fn is_open(&self, stream: u32) -> bool {
        self.streams.contains_key(&stream)
    }

    /// How many bytes the client lets us send on a stream now.
    #[must_use]
    pub fn room(&self, stream: u32) -> usize {
        let Some(stream) = self.streams.get(&stream) else { return 0 };
        match stream.until {
            None => usize::MAX,
            Some(until) if is_before(until, stream.sent) => 0,
            Some(until) => until.wrapping_sub(stream.sent) as usize,
        }
    }

    /// The header of a DATA packet of so many bytes, no more than `room`, which are then to follow it; `None` if it cannot be sent.
    ///
    /// It must leave after everything that [`Self::poll_control`] had to tell.
    pub fn send_data(&mut self, stream: u32, bytes: usize) -> Option<[u8; HEADER_BYTES]> {
        if bytes > self.room(stream) {
            return None;
        }
        let state = self.streams.get_mut(&stream)?;
        state.sent = state.sent.wrapping_add(bytes as u32);
        Some(data_header(stream))
    }

    /// Appends a DATA packet to `out`, as [`Self::send_data`] has it; false, and nothing is appended, if it cannot be sent.
    pub fn put_data(&mut self, out: &mut Vec<u8>, stream: u32, parts: [&[u8]; 2]) -> bool {
        let Some(header) = self.send_data(stream, parts[0].len() + parts[1].len()) else { return false };
        out.extend_from_slice(&header);
        out.extend_from_slice(parts[0]);
        out.extend_from_slice(parts[1]);
        true
    }

    /// The target will send no more on a stream. Without the extension the stream ends with that.
    pub fn fin(&mut self, stream: u32) {
        if self.client.as_ref().is_some_and(|client| client.half_close) {
            if self.streams.contains_key(&stream) {
                self.push(stream, Packet::Fin);
            }
        } else {
            self.close(stream, Reason::VOLUNTARY);
        }
    }

    /// Ends a stream; its name is void and nothing more is heard of it.
    pub fn close(&mut self, stream: u32, reason: Reason) {
        if self.streams.remove(&stream).is_some() {
            self.push(stream, Packet::Close(reason));
        }
    }

    /// Appends the next packet without data to `out`; false if there is none.
    pub fn poll_control(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(packet) = self.control.pop_front() else { return false };
        out.extend_from_slice(&packet);
        true
    }

    fn push(&mut self, stream: u32, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        packet.put(&mut bytes, stream);
        self.control.push_back(bytes);
    }
}
