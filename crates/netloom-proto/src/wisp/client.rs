//! The client's end: the greeting of either version, streams with their credit, and what arrives for them.
//!
//! The client holds no data. What a stream sends is written to the caller's buffer when the caller can send it, and only while there is
//! credit; what arrives is handed out where it lies. Packets for streams that are closed already are late, not wrong.

use core::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use super::info::{ClientInfo, KeyAnswer, KeyChallenge, Password, ServerInfo};
use super::packet::{Packet, put_data};
use super::{Kind, Reason};

/// The version that is spoken where the server speaks it too.
const VERSION: (u8, u8) = (2, 0);

/// Names a stream for as long as the client lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u32);

/// What a client offers and wants.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    /// Given to a server that knows passwords.
    pub password: Option<Password>,
    /// Whether the caller can sign a challenge.
    pub has_key: bool,
    /// How many bytes a server that heeds it may send on a TCP stream before `extend`, if they are to be bounded.
    pub stream_credit_bytes: Option<u32>,
}

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Streams can be opened.
    Ready,
    /// The server wants its challenge signed: [`Client::challenge`] tells it, [`Client::sign`] answers it.
    Challenge,
    /// The server does not take us; the connection is over.
    Refused(Reason),
    /// The stream's target has answered, as a server tells that confirms.
    Opened(StreamId),
    /// The stream has credit again after it had none.
    Credit(StreamId),
    /// Bytes of a stream, or a datagram.
    Data(StreamId, &'a [u8]),
    /// The target will send no more; the other direction goes on.
    Fin(StreamId),
    /// The stream is over and its id is void.
    Closed(StreamId, Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has arrived.
    Greeting,
    /// A challenge waits for its signature.
    Signing,
    /// Our INFO is under way; CONTINUE follows.
    Answered,
    Ready,
    Refused,
}

#[derive(Debug)]
struct Stream {
    kind: Kind,
    /// DATA packets that may be sent. Datagrams have no credit.
    credit: u32,
    confirmed: bool,
}

/// One connection to a server, from its first message. See the module's documentation.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    phase: Phase,
    server: Option<ServerInfo>,
    /// The credit of a new stream.
    first_credit: u32,
    streams: BTreeMap<u32, Stream>,
    next_id: u32,
    /// Packets without data, in order.
    control: VecDeque<Vec<u8>>,
    /// Whether a packet has left.
    has_sent: bool,
    malformed: u64,
}

impl Client {
    /// A client of a connection that has just been opened.
    #[must_use]
    pub const fn new(config: ClientConfig) -> Self {
        Self {
            config,
            phase: Phase::Greeting,
            server: None,
            first_credit: 0,
            streams: BTreeMap::new(),
            next_id: 1,
            control: VecDeque::new(),
            has_sent: false,
            malformed: 0,
        }
    }

    /// Whether streams can be opened.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// What the server told of itself, if it speaks version 2 with us.
    #[must_use]
    pub const fn server(&self) -> Option<&ServerInfo> {
        self.server.as_ref()
    }

    /// Whether the server opens UDP streams. In version 1 it must.
    #[must_use]
    pub fn has_udp(&self) -> bool {
        self.server.as_ref().is_none_or(|server| server.udp)
    }

    /// Whether the server tells when a stream's target has answered.
    #[must_use]
    pub fn confirms(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.confirms)
    }

    /// Whether one direction of a TCP stream can end before the other.
    #[must_use]
    pub fn has_half_close(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.half_close)
    }

    /// How many bytes the server may send on a new TCP stream, if it heeds that.
    #[must_use]
    pub fn stream_credit_bytes(&self) -> Option<u32> {
        self.config
            .stream_credit_bytes
            .filter(|_| self.server.as_ref().is_some_and(|server| server.stream_credit))
    }

    /// Messages that were no packets, or made no sense from a server.
    #[must_use]
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }

    /// How many streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The challenge that waits for its signature.
    #[must_use]
    pub fn challenge(&self) -> Option<&KeyChallenge> {
        self.server.as_ref().filter(|_| self.phase == Phase::Signing)?.key.as_ref()
    }

    /// Answers the challenge; `None` if it cannot be signed after all, which a server may take or not.
    pub fn sign(&mut self, answer: Option<KeyAnswer>) {
        if self.phase == Phase::Signing {
            self.answer_info(answer);
        }
    }

    /// Takes a message from the server and hands out what it says. A message that says nothing is counted.
    pub fn handle_message(&mut self, message: &[u8], each: &mut impl FnMut(&mut Self, Event<'_>)) {
        if self.phase == Phase::Refused {
            return;
        }
        match Packet::parse(message) {
            Ok((0, packet)) => self.handle_connection(packet, each),
            Ok((id, packet)) => self.handle_stream(id, packet, each),
            Err(_) => self.malformed += 1,
        }
    }

    fn handle_connection(&mut self, packet: Packet<'_>, each: &mut impl FnMut(&mut Self, Event<'_>)) {
        match (packet, self.phase) {
            (Packet::Continue(credit), Phase::Greeting | Phase::Answered) => {
                self.first_credit = credit;
                self.phase = Phase::Ready;
                each(self, Event::Ready);
            }
            // A server of an early draft says CONTINUE first, and takes an INFO that is our first packet.
            (Packet::Info(info), Phase::Greeting | Phase::Ready)
                if self.server.is_none() && !self.has_sent =>
            {
                let Some(server) = ServerInfo::parse(info) else { return self.malformed += 1 };
                let (signs, was_ready) = (server.key.is_some() && self.config.has_key, self.is_ready());
                self.server = Some(server);
                if signs && !was_ready {
                    self.phase = Phase::Signing;
                    each(self, Event::Challenge);
                } else {
                    self.answer_info(None);
                    if was_ready {
                        self.phase = Phase::Ready;
                    }
                }
            }
            (Packet::Close(reason), _) => {
                self.phase = Phase::Refused;
                self.streams.clear();
                self.control.clear();
                each(self, Event::Refused(reason));
            }
            (Packet::Info(_) | Packet::Continue(_), _) => {}
            _ => self.malformed += 1,
        }
    }

    fn answer_info(&mut self, key: Option<KeyAnswer>) {
        let Some(server) = &self.server else { return };
        let password = server.password.zip(self.config.password.clone());
        let info = ClientInfo {
            version: server.version.min(VERSION),
            udp: server.udp,
            password: password.map(|(offer, password)| (password, offer.old_layout)),
            key,
            motd: server.motd.is_some(),
            confirms: server.confirms,
            half_close: server.half_close,
            stream_credit: self.config.stream_credit_bytes.filter(|_| server.stream_credit),
        };
        let mut rest = Vec::new();
        info.put(&mut rest);
        self.push(0, Packet::Info(&rest));
        self.phase = Phase::Answered;
    }

    fn handle_stream(&mut self, id: u32, packet: Packet<'_>, each: &mut impl FnMut(&mut Self, Event<'_>)) {
        let confirms = self.confirms();
        // Late, or never opened: which, cannot be told.
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match packet {
            Packet::Data(bytes) => each(self, Event::Data(StreamId(id), bytes)),
            Packet::Continue(credit) => {
                let had_none = core::mem::replace(&mut stream.credit, credit) == 0;
                if confirms && !core::mem::replace(&mut stream.confirmed, true) {
                    each(self, Event::Opened(StreamId(id)));
                }
                if had_none && credit > 0 {
                    each(self, Event::Credit(StreamId(id)));
                }
            }
            Packet::Close(reason) => {
                self.streams.remove(&id);
                each(self, Event::Closed(StreamId(id), reason));
            }
            Packet::Fin if self.has_half_close() => each(self, Event::Fin(StreamId(id))),
            Packet::Fin | Packet::Connect { .. } | Packet::Info(_) => self.malformed += 1,
        }
    }

    /// Opens a stream; `None` while the client is not ready, or if the server does not know the kind.
    pub fn open(&mut self, kind: Kind, host: &str, port: u16) -> Option<StreamId> {
        if !self.is_ready() || (kind == Kind::Udp && !self.has_udp()) {
            return None;
        }
        let id = self.next_id;
        // Ids are used again only after 2³² − 1 streams, and then not those of streams that are open still.
        let mut next = id;
        loop {
            next = next.wrapping_add(1).max(1);
            if !self.streams.contains_key(&next) {
                break;
            }
        }
        self.next_id = next;
        self.streams.insert(id, Stream { kind, credit: self.first_credit, confirmed: false });
        self.push(id, Packet::Connect { kind, port, host });
        Some(StreamId(id))
    }

    /// Whether DATA may be sent on a stream now.
    #[must_use]
    pub fn has_credit(&self, stream: StreamId) -> bool {
        self.streams.get(&stream.0).is_some_and(|stream| stream.kind == Kind::Udp || stream.credit > 0)
    }

    /// Appends a DATA packet to `out`; the payload lies in two parts of a ring. False, and nothing is appended, without credit.
    ///
    /// It must leave after everything that [`Self::poll_control`] had to tell.
    pub fn put_data(&mut self, out: &mut Vec<u8>, stream: StreamId, parts: [&[u8]; 2]) -> bool {
        let Some(state) = self.streams.get_mut(&stream.0) else { return false };
        if state.kind == Kind::Tcp {
            if state.credit == 0 {
                return false;
            }
            state.credit -= 1;
        }
        put_data(out, stream.0, parts);
        true
    }

    /// Queues a DATA packet behind the packets without data, for what is small and goes right behind CONNECT. False without credit.
    pub fn push_data(&mut self, stream: StreamId, parts: [&[u8]; 2]) -> bool {
        let mut bytes = Vec::new();
        let has_credit = self.put_data(&mut bytes, stream, parts);
        if has_credit {
            self.control.push_back(bytes);
        }
        has_credit
    }

    /// Ends our direction of a TCP stream, after the DATA that was put; only with [`Self::has_half_close`].
    pub fn fin(&mut self, stream: StreamId) {
        if self.has_half_close() && self.is_tcp(stream) {
            self.push(stream.0, Packet::Fin);
        }
    }

    /// Lets the server send on a TCP stream up to this byte of it, modulo 2³².
    pub fn extend(&mut self, stream: StreamId, until: u32) {
        if self.stream_credit_bytes().is_some() && self.is_tcp(stream) {
            self.push(stream.0, Packet::Continue(until));
        }
    }

    fn is_tcp(&self, stream: StreamId) -> bool {
        self.streams.get(&stream.0).is_some_and(|stream| stream.kind == Kind::Tcp)
    }

    /// Ends a stream; its id is void and nothing more is heard of it.
    pub fn close(&mut self, stream: StreamId, reason: Reason) {
        if self.streams.remove(&stream.0).is_some() {
            self.push(stream.0, Packet::Close(reason));
        }
    }

    /// Appends the next packet without data to `out`; false if there is none.
    pub fn poll_control(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(packet) = self.control.pop_front() else { return false };
        self.has_sent = true;
        out.extend_from_slice(&packet);
        true
    }

    fn push(&mut self, stream: u32, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        packet.put(&mut bytes, stream);
        self.control.push_back(bytes);
    }
}

/// Whether `a` is before `b` of bytes that are counted modulo 2³².
#[must_use]
pub fn is_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32).cmp(&0) == Ordering::Less
}
