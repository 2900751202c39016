//! What a client sends: messages to their streams, and when the client is not read because too much of it waits.

use std::io;
use std::rc::Rc;

use netloom_proto::websocket::{self, Message, Opcode};
use netloom_proto::wisp::server::Event;
use netloom_proto::wisp::{Kind, Reason, Server};
use tokio::task::{spawn_local, yield_now};
use tokio::time::Instant;
use tracing::{debug, info};

use super::{CREDIT_PACKETS, Client, MAX_PENDING_BYTES, State, Stream};
use crate::egress::Target;
use crate::limit::Refused;
use crate::wisp::dialect::CloseCode;
use crate::wisp::tcp::Tcp;
use crate::wisp::udp::Udp;

/// A read of so many bytes may be followed by more.
const GATHER_BYTES: usize = 32 * 1024;
/// Bytes that are read before they are written to their targets.
const MAX_GATHERED_BYTES: usize = 1024 * 1024;
/// Bytes that wait for a client's targets beyond which it is not read.
const MAX_HELD_BYTES: usize = 32 * 1024 * 1024;
/// The same for a plain connection, which has no credit, and for every client when there is no memory for more.
const MIN_HELD_BYTES: usize = 1024 * 1024;
/// Bytes that wait for one target when its client has sent more than its credit.
const MAX_STREAM_BYTES: usize = 12 * 1024 * 1024;

impl Client {
    /// Reads what the socket has, and what comes meanwhile if that was much: then each target gets much in one write.
    pub(super) async fn gather(self: &Rc<Self>) -> io::Result<()> {
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
        let room = match self.upload.room(Instant::now()) {
            Ok(room) => room,
            Err(at) => {
                self.upload_at.set(Some(at));
                return Ok(0);
            }
        };
        let mut scratch = self.worker.scratch.borrow_mut();
        let room = room.min(scratch.len());
        match self.socket.read(&mut scratch[..room]) {
            Ok(0) => {
                self.state.set(State::Gone(match self.state.get() {
                    State::Open => "connection ended",
                    State::Closing { .. } | State::Gone(_) => "closed",
                }));
                Ok(0)
            }
            Ok(read) => {
                self.upload.spend(read);
                self.receive(&mut scratch[..read]);
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Hands messages to their streams, unless we have closed. The caller flushes those touched, and serves.
    pub(super) fn receive(self: &Rc<Self>, bytes: &mut [u8]) {
        let mut closing = None;
        self.tally.borrow_mut().bytes_in += bytes.len() as u64;
        let is_open = self.state.get() == State::Open;
        let result = self.decoder.borrow_mut().decode(bytes, |message| match message {
            Message::Close(code) => self.answer_close(code.map_or(CloseCode::NORMAL, CloseCode)),
            _ if !is_open => {}
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
                let opened = self.open(stream, kind, Target::parse(host.as_bytes(), port).ok());
                if let Some((refused, server)) = opened.err().zip(server) {
                    debug!("{}: {refused}", self.peer);
                    server.close(stream, Reason::THROTTLED);
                }
            }
            // More than any client sends that heeds its credit.
            Event::Data(id, _)
                if server.as_ref().is_some_and(|server| is_flooded(server, id, stream(id).as_ref())) =>
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
    pub(super) fn open(self: &Rc<Self>, id: u32, kind: Kind, target: Option<Target>) -> Result<(), Refused> {
        let held = self.share.flow()?;
        self.tally.borrow_mut().streams += 1;
        let stream = match kind {
            Kind::Tcp => {
                let tcp = Tcp::new(id, held);
                spawn_local(Rc::clone(&tcp).run(Rc::clone(self), target));
                Stream::Tcp(tcp)
            }
            Kind::Udp => {
                let udp = Udp::new(id, held);
                spawn_local(Rc::clone(&udp).run(Rc::clone(self), target));
                Stream::Udp(udp)
            }
        };
        self.streams.borrow_mut().insert(id, stream);
        Ok(())
    }

    /// Counts bytes that wait for a target.
    pub(in crate::wisp) fn hold(&self, bytes: usize) {
        self.worker.hold(bytes);
        self.held_bytes.set(self.held_bytes.get() + bytes);
    }

    /// Counts bytes that wait no more.
    pub(in crate::wisp) fn release(&self, bytes: usize) {
        self.worker.release(bytes);
        self.held_bytes.set(self.held_bytes.get() - bytes);
        self.taken_bytes.set(self.taken_bytes.get() + bytes as u64);
        if self.paused.get() {
            self.wake.notify_one();
        }
    }

    /// Whether the client is not to be read: too much of what it sent waits, or too much that it was told.
    pub(super) fn is_paused(&self) -> bool {
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
    pub(super) fn end_largest(&self) {
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
}

/// Whether more waits on a TCP stream than a client sends that heeds its credit. Credit is set anew while packets are under way, so that
/// twice the credit may come, and on top of it what the kernels of both ends held when the target stopped.
fn is_flooded(server: &Server, id: u32, stream: Option<&Stream>) -> bool {
    let Some(Stream::Tcp(tcp)) = stream else { return false };
    server.queued(id) > 2 * CREDIT_PACKETS && tcp.held_bytes() > MAX_STREAM_BYTES
}
