//! A client's WebSocket: its messages to its streams, what its streams' targets send back to it in turn, and the keepalive between.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use netloom_proto::websocket::{self, Decoder, Message, Opcode, Role};
use netloom_proto::wisp::server::{Event, ServerConfig};
use netloom_proto::wisp::{Kind, Reason, Server, ServerInfo};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::{spawn_local, yield_now};
use tokio::time::Instant;
use tracing::{debug, info};

use super::dialect::{CloseCode, Dialect, HEAD_BYTES, PAYLOAD_BYTES, PIECE_BYTES, PLAIN_STREAM};
use super::pace::Pace;
use super::tcp::Tcp;
use super::turns::{Share, Turns};
use super::udp::Udp;
use super::worker::Worker;
use super::{Form, NewClient};
use crate::egress::Target;
use crate::lan::keepalive::{Due, Keepalive};
use crate::socket;

/// How long the other end has to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a client may take over what is written before a close.
const MAX_CLOSING: Duration = Duration::from_secs(30);
/// How long a client of version 2 has to introduce itself.
const INTRODUCTION_TIMEOUT: Duration = Duration::from_secs(10);
/// DATA packets that a client may send on a TCP stream before it hears more.
const CREDIT_PACKETS: u32 = 128;
/// A read of so many bytes may be followed by more.
const GATHER_BYTES: usize = 32 * 1024;
/// Bytes that are read before they are written to their targets.
const MAX_GATHERED_BYTES: usize = 256 * 1024;
/// Bytes toward the client in one go, before other clients have their turn.
const TURN_BYTES: usize = 256 * 1024;
/// Bytes that the kernel may hold of a WebSocket before it has sent them: two turns.
const UNSENT_BYTES: u32 = 512 * 1024;
/// Unwritten bytes of control messages beyond which a client is not read.
const MAX_PENDING_BYTES: usize = 256 * 1024;
/// Bytes that wait for a client's targets beyond which it is not read.
const MAX_HELD_BYTES: usize = 32 * 1024 * 1024;
/// The same for a plain connection, which has no credit, and for every client when there is no memory for more.
const MIN_HELD_BYTES: usize = 1024 * 1024;
/// How long a client is not read without any target taking anything before the stream that holds most is ended.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Dials of one client at once; further ones wait.
const PENDING_DIALS: usize = 256;

/// A stream of a client.
#[derive(Clone)]
pub(super) enum Stream {
    Tcp(Rc<Tcp>),
    Udp(Rc<Udp>),
}

/// A client's WebSocket.
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    pub(super) dials: Semaphore,
    key: u64,
    peer: SocketAddr,
    socket: TcpStream,
    decoder: RefCell<Decoder>,
    dialect: RefCell<Dialect>,
    streams: RefCell<HashMap<u32, Stream>>,
    turns: RefCell<Turns<Stream>>,
    pace: RefCell<Pace>,
    awaits_pongs: Cell<bool>,
    /// Streams that got something that is not written yet.
    touched: RefCell<Vec<Rc<Tcp>>>,
    /// What the socket did not take yet.
    pending: RefCell<Vec<u8>>,
    /// Whether the socket took less than it was given.
    blocked: Cell<bool>,
    /// Streams have more for the socket, but others had to have their turn.
    more: Cell<bool>,
    held_bytes: Cell<usize>,
    /// Not read for now: too much waits.
    paused: Cell<bool>,
    /// Bytes that targets have taken.
    taken_bytes: Cell<u64>,
    /// Just now, by what it said of itself.
    refused: Cell<bool>,
    state: Cell<State>,
    wake: Notify,
    tally: RefCell<Tally>,
    _permits: (Arc<OwnedSemaphorePermit>, OwnedSemaphorePermit),
    _weight: Arc<()>,
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// We have sent a close; the other end may answer until then.
    Closing {
        began: Instant,
        until: Instant,
    },
    /// The socket is done with.
    Gone(&'static str),
}

/// What passed, for the log.
#[derive(Debug, Default)]
struct Tally {
    streams: u64,
    bytes_in: u64,
    bytes_out: u64,
    text: u64,
}

impl Client {
    /// A client on a worker, what was already read from its socket, and the one target of a plain connection.
    pub(super) fn new(
        new: NewClient,
        key: u64,
        worker: &Rc<Worker>,
    ) -> io::Result<(Rc<Self>, Bytes, Option<Target>)> {
        let settings = &worker.settings;
        let socket = TcpStream::from_std(new.stream)?;
        // What the kernel holds is ahead of whatever comes next, so it should not be much.
        #[cfg(target_os = "linux")]
        SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES)?;
        let (dialect, decoder, target) = match new.form {
            Form::Plain(target) => (Dialect::Plain, Decoder::streaming(Role::Server), Some(target)),
            Form::Wisp { version_2 } => {
                let (password, key) = worker.auth.offer()?;
                let info = version_2.then(|| ServerInfo {
                    version: (2, 0),
                    udp: settings.udp,
                    password,
                    key,
                    motd: settings.motd.clone(),
                    confirms: true,
                    half_close: true,
                    stream_credit: true,
                });
                let config =
                    ServerConfig { info, credit_packets: CREDIT_PACKETS, max_streams: settings.max_streams };
                let decoder = Decoder::new(Role::Server, settings.max_message_bytes);
                (Dialect::Wisp(Box::new(Server::new(config))), decoder, None)
            }
        };
        let client = Rc::new(Self {
            worker: Rc::clone(worker),
            dials: Semaphore::new(PENDING_DIALS),
            key,
            peer: new.peer,
            socket,
            decoder: RefCell::new(decoder),
            dialect: RefCell::new(dialect),
            streams: RefCell::default(),
            turns: RefCell::default(),
            pace: RefCell::default(),
            awaits_pongs: Cell::new(false),
            touched: RefCell::default(),
            pending: RefCell::default(),
            blocked: Cell::new(false),
            more: Cell::new(false),
            held_bytes: Cell::new(0),
            paused: Cell::new(false),
            taken_bytes: Cell::new(0),
            refused: Cell::new(false),
            state: Cell::new(State::Open),
            wake: Notify::new(),
            tally: RefCell::default(),
            _permits: new.permits,
            _weight: new.weight,
        });
        Ok((client, new.read, target))
    }

    /// What it speaks, for the log.
    pub(super) fn form(&self) -> &'static str {
        match &*self.dialect.borrow() {
            Dialect::Wisp(server) if server.is_ready() => "Wisp, version 1",
            Dialect::Wisp(_) => "Wisp, version 2",
            Dialect::Plain => "plain stream",
        }
    }

    /// Serves the client until it is gone.
    pub(super) async fn run(self: Rc<Self>, read: Bytes, target: Option<Target>) {
        let began = Instant::now();
        if let Some(target) = target {
            self.open(PLAIN_STREAM, Kind::Tcp, Some(target));
        }
        self.receive(&mut Vec::from(read));
        for stream in self.touched.take() {
            stream.flush(&self);
        }
        self.serve();
        let reason = self.wait(began).await;
        for (_, stream) in self.streams.take() {
            stream.detach(true);
        }
        self.turns.borrow_mut().clear();
        // Streams that still deliver what they were sent keep the client's memory, not its connection.
        drop(SockRef::from(&self.socket).shutdown(std::net::Shutdown::Both));
        let tally = self.tally.take();
        info!(
            "{} left after {} s: {reason}; {} streams, {} bytes in, {} out",
            self.peer,
            began.elapsed().as_secs(),
            tally.streams,
            tally.bytes_in,
            tally.bytes_out
        );
        if tally.text > 0 {
            info!("{}: ignored {} text messages", self.peer, tally.text);
        }
        self.worker.leave(self.key);
    }

    /// Waits for whatever happens to the socket; why it is over.
    async fn wait(self: &Rc<Self>, began: Instant) -> &'static str {
        let mut keepalive = Keepalive::new(began);
        let mut stalled = None;
        let sleep = tokio::time::sleep_until(began + INTRODUCTION_TIMEOUT);
        tokio::pin!(sleep);
        loop {
            match self.state.get() {
                State::Gone(reason) => return reason,
                State::Closing { until, .. } if until < sleep.deadline() => sleep.as_mut().reset(until),
                State::Closing { .. } | State::Open => {}
            }
            match (self.is_paused(), stalled) {
                (false, _) => stalled = None,
                (true, None) => {
                    let until = Instant::now() + STALL_TIMEOUT;
                    stalled = Some((until, self.taken_bytes.get()));
                    let until = until.min(sleep.deadline());
                    sleep.as_mut().reset(until);
                }
                (true, Some(_)) => {}
            }
            if let Some(deadline) = self.pace.borrow().deadline().filter(|at| *at < sleep.deadline()) {
                sleep.as_mut().reset(deadline);
            }
            tokio::select! {
                ready = self.socket.readable(), if !self.paused.get() => {
                    keepalive.heard(Instant::now());
                    let read = match ready {
                        Ok(()) => self.gather().await,
                        Err(error) => Err(error),
                    };
                    if let Err(error) = read {
                        debug!("{}: {error}", self.peer);
                        return "connection lost";
                    }
                    self.serve();
                }
                ready = self.socket.writable(), if self.blocked.get() => {
                    if ready.is_err() {
                        return "connection lost";
                    }
                    self.blocked.set(false);
                    self.serve();
                }
                () = self.wake.notified() => {
                    if self.more.take() {
                        yield_now().await;
                    }
                    self.serve();
                }
                () = &mut sleep => {
                    let now = Instant::now();
                    if self.pace.borrow().deadline().is_some_and(|deadline| deadline <= now) {
                        self.pace.borrow_mut().give_up();
                        self.serve();
                    }
                    if let Some(reason) = self.check(now, began) {
                        return reason;
                    }
                    if let Some((_, taken)) = stalled.take_if(|(until, _)| *until <= now)
                        && self.taken_bytes.get() == taken
                    {
                        self.end_largest();
                    }
                    if self.paused.get() {
                        keepalive.heard(now);
                    }
                    match keepalive.check(now) {
                        Due::Nothing(until) => sleep.as_mut().reset(until),
                        Due::Ping(until) => {
                            self.control(|out| websocket::put_frame(out, Opcode::Ping, &[], None));
                            self.serve();
                            sleep.as_mut().reset(until);
                        }
                        Due::Dead => return "no sign of life",
                    }
                    if let Some((until, _)) = stalled {
                        let until = until.min(sleep.deadline());
                        sleep.as_mut().reset(until);
                    }
                }
            }
        }
    }

    /// What has its time: a close that is not answered, an introduction that does not come.
    fn check(&self, now: Instant, began: Instant) -> Option<&'static str> {
        match self.state.get() {
            State::Closing { began, until } if until <= now => {
                if self.pending.borrow().is_empty() || now >= began + MAX_CLOSING {
                    return Some("closed");
                }
                self.state.set(State::Closing { began, until: now + CLOSE_TIMEOUT });
            }
            State::Closing { .. } | State::Gone(_) => {}
            State::Open => {
                let waits = matches!(&*self.dialect.borrow(), Dialect::Wisp(server) if !server.is_ready());
                if waits && now >= began + INTRODUCTION_TIMEOUT {
                    return Some("no introduction");
                }
            }
        }
        None
    }

    /// Reads what the socket has, and what comes meanwhile if that was much: then each target gets much in one write.
    async fn gather(self: &Rc<Self>) -> io::Result<()> {
        let mut total = 0;
        loop {
            let read = self.read();
            total += *read.as_ref().unwrap_or(&0);
            let ended = match read {
                Ok(read) => read < GATHER_BYTES || total >= MAX_GATHERED_BYTES,
                Err(_) => true,
            };
            if ended {
                for stream in self.touched.take() {
                    stream.flush(self);
                }
                read?;
                // Others have their turn.
                if total >= GATHER_BYTES {
                    yield_now().await;
                }
                return Ok(());
            }
            yield_now().await;
        }
    }

    /// Reads what the socket has; how many bytes.
    fn read(self: &Rc<Self>) -> io::Result<usize> {
        let mut scratch = self.worker.scratch.borrow_mut();
        match socket::read(&self.socket, &mut scratch) {
            Ok(0) => {
                self.state.set(State::Gone(match self.state.get() {
                    State::Open => "connection ended",
                    State::Closing { .. } | State::Gone(_) => "closed",
                }));
                Ok(0)
            }
            Ok(read) => {
                self.receive(&mut scratch[..read]);
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Hands messages to their streams. The caller flushes those touched, and serves.
    fn receive(self: &Rc<Self>, bytes: &mut [u8]) {
        let mut closing = None;
        self.tally.borrow_mut().bytes_in += bytes.len() as u64;
        let result = self.decoder.borrow_mut().decode(bytes, |message| match message {
            Message::Binary(message) => {
                self.dialect.borrow_mut().handle_message(message, &mut |server, event| {
                    if event == Event::End {
                        closing = closing.or(Some(CloseCode::NORMAL));
                    }
                    self.handle_event(server, event);
                });
            }
            Message::Text if self.dialect.borrow().is_plain() => closing = Some(CloseCode::UNSUPPORTED),
            Message::Text => self.tally.borrow_mut().text += 1,
            // What is skipped of a stream cannot be mended.
            Message::TooLong => closing = Some(CloseCode::TOO_BIG),
            Message::Ping(payload) => {
                self.control(|out| websocket::put_frame(out, Opcode::Pong, payload, None));
            }
            Message::Pong(payload) => self.pace.borrow_mut().pong(payload, Instant::now()),
            Message::Close(code) => {
                self.answer_close(code.map_or(CloseCode::NORMAL, CloseCode));
            }
        });
        if self.refused.take() {
            closing = Some(CloseCode::POLICY);
        }
        if let Err(error) = result {
            debug!("{}: broke the WebSocket protocol: {error}", self.peer);
            closing = Some(CloseCode::PROTOCOL_ERROR);
        }
        if let Some(code) = closing {
            self.close(code);
        }
    }

    fn handle_event(self: &Rc<Self>, server: Option<&mut Server>, event: Event<'_>) {
        let stream = |id| self.streams.borrow().get(&id).cloned();
        match event {
            Event::Hello(info) => {
                let Some(server) = server else { return };
                let challenge = server.info().and_then(|info| info.key.as_ref());
                match self.worker.auth.judge(&info, server.old_password(), challenge) {
                    Ok(()) => server.admit(),
                    Err(reason) => {
                        info!("{}: not admitted: {}", self.peer, reason.text());
                        server.refuse(reason);
                        self.refused.set(true);
                    }
                }
            }
            Event::Connect { stream, kind, host, port } => {
                self.open(stream, kind, Target::parse(host.as_bytes(), port).ok());
            }
            // More than any client sends that heeds its credit.
            Event::Data(id, _)
                if server.as_ref().is_some_and(|server| is_flooded(server, id, &stream(id))) =>
            {
                debug!("{}: stream {id} does not heed its credit", self.peer);
                if let Some((stream, server)) = self.streams.borrow_mut().remove(&id).zip(server) {
                    server.close(id, Reason::CLIENT);
                    stream.detach(false);
                }
            }
            Event::Data(id, bytes) => match stream(id) {
                Some(Stream::Tcp(tcp)) => {
                    let is_first = tcp.receive(self, bytes);
                    if is_first {
                        self.touched.borrow_mut().push(tcp);
                    }
                }
                Some(Stream::Udp(udp)) => {
                    udp.send(bytes);
                    if let Some(server) = server {
                        server.taken(id, 1);
                    }
                }
                None => {}
            },
            Event::Fin(id) => {
                if let Some(Stream::Tcp(tcp)) = stream(id) {
                    tcp.finish();
                }
            }
            Event::Writable(id) => {
                if let Some(Stream::Tcp(tcp)) = stream(id) {
                    tcp.resume();
                }
            }
            Event::Closed(id, reason) => {
                if let Some(stream) = self.streams.borrow_mut().remove(&id) {
                    stream.detach(matches!(reason, Reason::VOLUNTARY | Reason::UNKNOWN));
                }
            }
            Event::End => {
                for (_, stream) in self.streams.take() {
                    stream.detach(true);
                }
            }
        }
    }

    /// Opens a stream; without a target it is told so when its task runs.
    fn open(self: &Rc<Self>, id: u32, kind: Kind, target: Option<Target>) {
        self.tally.borrow_mut().streams += 1;
        let stream = match kind {
            Kind::Tcp => {
                let tcp = Tcp::new(id);
                spawn_local(Rc::clone(&tcp).run(Rc::clone(self), target));
                Stream::Tcp(tcp)
            }
            Kind::Udp => {
                let udp = Udp::new(id);
                spawn_local(Rc::clone(&udp).run(Rc::clone(self), target));
                Stream::Udp(udp)
            }
        };
        self.streams.borrow_mut().insert(id, stream);
    }

    /// The target of a stream has answered.
    pub(super) fn opened(&self, id: u32) {
        self.dialect.borrow_mut().opened(id);
        self.serve();
    }

    /// So many messages of a stream have reached its target. The caller serves.
    pub(super) fn taken(&self, id: u32, messages: u32) {
        self.dialect.borrow_mut().taken(id, messages);
    }

    /// How many bytes of a stream the client takes now.
    pub(super) fn room(&self, id: u32) -> usize {
        self.dialect.borrow().room(id)
    }

    /// The target of a stream sends no more. The caller serves.
    pub(super) fn fin(&self, id: u32) {
        let (is_over, code) = self.dialect.borrow_mut().fin(id);
        if is_over && let Some(stream) = self.streams.borrow_mut().remove(&id) {
            stream.detach(true);
        }
        if let Some(code) = code {
            self.close(code);
        }
    }

    /// Ends a stream, which knows it already. The caller serves.
    pub(super) fn end(&self, id: u32, reason: Reason) {
        self.streams.borrow_mut().remove(&id);
        let code = self.dialect.borrow_mut().close(id, reason);
        if let Some(code) = code {
            self.close(code);
        }
    }

    /// Counts bytes that wait for a target.
    pub(super) fn hold(&self, bytes: usize) {
        self.worker.hold(bytes);
        self.held_bytes.set(self.held_bytes.get() + bytes);
    }

    /// Counts bytes that wait no more.
    pub(super) fn release(&self, bytes: usize) {
        self.worker.release(bytes);
        self.held_bytes.set(self.held_bytes.get() - bytes);
        self.taken_bytes.set(self.taken_bytes.get() + bytes as u64);
        if self.paused.get() {
            self.wake.notify_one();
        }
    }

    /// Whether the client is not to be read: too much of what it sent waits, or too much that it was told.
    fn is_paused(&self) -> bool {
        let held = self.held_bytes.get();
        let most = if self.dialect.borrow().is_plain() || self.worker.is_full() {
            MIN_HELD_BYTES
        } else {
            MAX_HELD_BYTES
        };
        // Once paused, until half of it has gone.
        let most = if self.paused.get() { most / 2 } else { most };
        let paused = held > most || self.pending.borrow().len() > MAX_PENDING_BYTES;
        self.paused.set(paused);
        paused
    }

    /// Ends the stream of which most waits.
    fn end_largest(&self) {
        let largest = self.streams.borrow().iter().fold(None, |most: Option<(u32, usize)>, (id, stream)| {
            let held = stream.held_bytes();
            if most.is_none_or(|(_, bytes)| held > bytes) { Some((*id, held)) } else { most }
        });
        if let Some((id, held)) = largest.filter(|(_, held)| *held > 0) {
            info!("{}: stream {id} ended: its target takes nothing, and {held} bytes wait", self.peer);
            if let Some(stream) = self.streams.borrow_mut().remove(&id) {
                stream.detach(false);
            }
            self.end(id, Reason::THROTTLED);
            self.serve();
        }
    }

    /// A stream has something for the client.
    pub(super) fn enqueue(&self, stream: Stream, share: Share) {
        self.turns.borrow_mut().push(stream, share);
    }

    /// Whether the socket takes no more for now.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    /// Writes what is to be said, then lets streams write in turn, until the socket takes no more or others have to have their turn.
    pub(super) fn serve(&self) {
        let mut budget = TURN_BYTES;
        loop {
            if self.blocked.get() || !self.flush() || self.state.get() != State::Open {
                return;
            }
            if budget == 0 {
                if !self.turns.borrow().is_empty() {
                    self.more.set(true);
                    self.wake.notify_one();
                }
                return;
            }
            let bulk = self.pace.borrow().has_room();
            let Some(stream) = self.turns.borrow_mut().pop(bulk) else {
                // The pongs that are waited for have their time, which the client's task minds.
                if !self.awaits_pongs.replace(!bulk) && !bulk {
                    self.wake.notify_one();
                }
                return;
            };
            let sent = match &stream {
                Stream::Tcp(tcp) => tcp.take_turn(self),
                Stream::Udp(udp) => udp.take_turn(self),
            };
            budget = budget.saturating_sub(sent);
        }
    }

    /// Whether no other stream waits for its turn.
    pub(super) fn is_alone(&self) -> bool {
        self.turns.borrow().is_empty()
    }

    /// Writes what a stream's target has sent, which lies in `buffer` in pieces, each behind room for its headers. Everything else must have
    /// been flushed.
    pub(super) fn send_data(&self, id: u32, buffer: &mut [u8], bytes: usize) {
        let mut messages = Vec::with_capacity(1 + bytes / PAYLOAD_BYTES);
        let mut left = bytes;
        for piece in buffer.chunks_mut(PIECE_BYTES) {
            let payload_bytes = left.min(PAYLOAD_BYTES);
            let Some(head) = piece.first_chunk_mut::<HEAD_BYTES>() else { break };
            let start = self.dialect.borrow_mut().put_head(id, payload_bytes, head);
            let Some(start) = start else { return };
            messages.push(IoSlice::new(&piece[start..HEAD_BYTES + payload_bytes]));
            left -= payload_bytes;
            if left == 0 {
                break;
            }
        }
        self.tally.borrow_mut().bytes_out += bytes as u64;
        let mut written = match self.socket.try_write_vectored(&messages) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return self.lose(),
        };
        let mut pending = self.pending.borrow_mut();
        for message in messages {
            let (_, rest) = message.split_at(written.min(message.len()));
            written -= message.len() - rest.len();
            pending.extend_from_slice(rest);
        }
        if let Some(mark) = self.pace.borrow_mut().send(bytes, Instant::now()) {
            websocket::put_frame(&mut pending, Opcode::Ping, &mark, None);
        }
    }

    /// Writes what is pending; tells whether all of it went.
    fn flush(&self) -> bool {
        let mut pending = self.pending.borrow_mut();
        self.dialect.borrow_mut().put_control(&mut pending, &mut self.worker.packet.borrow_mut());
        if pending.is_empty() {
            return true;
        }
        let written = self.write(&pending);
        if written < pending.len() {
            pending.drain(..written);
            return false;
        }
        // An idle client holds no buffer.
        *pending = Vec::new();
        true
    }

    /// Writes as much as the socket takes.
    fn write(&self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.socket.try_write(&bytes[written..]) {
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked.set(true);
                    self.wake.notify_one();
                    break;
                }
                Err(_) => {
                    self.lose();
                    return bytes.len();
                }
            }
        }
        written
    }

    fn lose(&self) {
        self.state.set(State::Gone("connection lost"));
        self.wake.notify_one();
    }

    /// Appends a control frame to what is pending, unless far too much is.
    fn control(&self, put: impl FnOnce(&mut Vec<u8>)) {
        let mut pending = self.pending.borrow_mut();
        if pending.len() <= 2 * MAX_PENDING_BYTES {
            put(&mut pending);
        }
    }

    /// The relay stops.
    pub(super) fn stop(&self) {
        self.close(CloseCode::GOING_AWAY);
        self.serve();
    }

    /// Begins to close; the other end has a second to answer.
    fn close(&self, code: CloseCode) {
        if self.state.get() == State::Open {
            let mut pending = self.pending.borrow_mut();
            self.dialect.borrow_mut().put_control(&mut pending, &mut self.worker.packet.borrow_mut());
            websocket::put_close(&mut pending, code.0, None);
            let now = Instant::now();
            self.state.set(State::Closing { began: now, until: now + CLOSE_TIMEOUT });
            self.wake.notify_one();
        }
    }

    /// The other end has closed.
    fn answer_close(&self, code: CloseCode) {
        if self.state.get() == State::Open {
            self.control(|out| websocket::put_close(out, code.0, None));
            self.write_last();
        }
        self.state.set(State::Gone("closed"));
        self.wake.notify_one();
    }

    /// Writes what the socket takes of what is pending, behind which nothing comes.
    fn write_last(&self) {
        let pending = self.pending.take();
        self.write(&pending);
    }
}

/// Whether more packets wait on a TCP stream than a client may have sent: its credit is set anew while packets are under way, so
/// twice the credit.
fn is_flooded(server: &Server, id: u32, stream: &Option<Stream>) -> bool {
    matches!(stream, Some(Stream::Tcp(_))) && server.queued(id) > 2 * CREDIT_PACKETS
}

impl Stream {
    /// The client is done with the stream: what it sent is delivered still, if it ended in order.
    fn detach(&self, in_order: bool) {
        match self {
            Self::Tcp(tcp) => tcp.detach(in_order),
            Self::Udp(udp) => udp.end(),
        }
    }

    fn held_bytes(&self) -> usize {
        match self {
            Self::Tcp(tcp) => tcp.held_bytes(),
            Self::Udp(_) => 0,
        }
    }
}
