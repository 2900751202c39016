//! A guest's socket: its frames in to the machine, the port's frames out to the socket, and the keepalive between.
//!
//! Frames are written as the machine gives them, many to a write. Only while the socket takes them are frames taken out of the port's
//! queue, so what a slow reader is owed waits there, bounded, and is dropped and counted there.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use netloom_core::{Lan, PortId};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;
use tracing::{debug, info};

use super::framing::{self, CloseCode, Encapsulation, Framing, Incoming};
use super::keepalive::{Due, Keepalive};
use super::{LanTask, NewClient, READS_PER_TURN};
use crate::socket::Socket;

/// How long the other end has to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of frames that are gathered for one write.
const BATCH_BYTES: usize = 128 * 1024;
/// Unwritten bytes beyond which a client's pings are no longer answered.
const MAX_PENDING_BYTES: usize = 2 * BATCH_BYTES;

/// A guest's socket.
pub(super) struct Client {
    port: PortId,
    peer: String,
    socket: Socket,
    encapsulation: Encapsulation,
    framing: RefCell<Framing>,
    /// What the socket did not take yet: less than a batch and a frame, and answers to pings.
    pending: RefCell<Vec<u8>>,
    /// Whether the socket took less than it was given.
    blocked: Cell<bool>,
    state: Cell<State>,
    joined: Instant,
    wake: Notify,
    tally: RefCell<Tally>,
    _permits: (Arc<OwnedSemaphorePermit>, OwnedSemaphorePermit),
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// We have sent a close; the other end may answer until then.
    Closing {
        until: Instant,
    },
    /// The socket is done with.
    Gone(&'static str),
}

/// What passed, for the log.
#[derive(Debug, Default)]
struct Tally {
    frames_in: u64,
    frames_out: u64,
    text: u64,
    empty: u64,
    too_long: u64,
}

impl Client {
    /// A client at a port, and what was already read from its socket.
    pub(super) fn new(new: NewClient, port: PortId) -> io::Result<(Self, Bytes)> {
        let client = Self {
            port,
            peer: new.peer,
            socket: new.socket.attach()?,
            encapsulation: new.encapsulation,
            framing: RefCell::new(new.encapsulation.framing()),
            pending: RefCell::default(),
            blocked: Cell::new(false),
            state: Cell::new(State::Open),
            joined: Instant::now(),
            wake: Notify::new(),
            tally: RefCell::default(),
            _permits: new.permits,
        };
        Ok((client, new.read))
    }

    /// Since when it is on the LAN.
    pub(super) const fn joined(&self) -> Instant {
        self.joined
    }

    /// Serves the client until it is gone.
    pub(super) async fn run(self: Rc<Self>, lan: Rc<LanTask>, read: Bytes) {
        self.receive(&lan, &mut Vec::from(read));
        lan.drain();
        let mut keepalive = Keepalive::new(self.joined);
        let sleep = tokio::time::sleep_until(self.joined);
        tokio::pin!(sleep);
        let reason = loop {
            match self.state.get() {
                State::Gone(reason) => break reason,
                State::Closing { until } if until < sleep.deadline() => sleep.as_mut().reset(until),
                State::Closing { .. } | State::Open => {}
            }
            tokio::select! {
                ready = self.socket.readable() => {
                    keepalive.heard(Instant::now());
                    match ready.and_then(|()| self.read(&lan)) {
                        Ok(true) => tokio::task::yield_now().await,
                        Ok(false) => {}
                        Err(error) => {
                            debug!("{}: {error}", self.peer);
                            break "connection lost";
                        }
                    }
                }
                ready = self.socket.writable(), if self.blocked.get() => {
                    if ready.is_err() {
                        break "connection lost";
                    }
                    self.blocked.set(false);
                    if self.flush() {
                        lan.pump(self.port);
                        lan.drain();
                    }
                }
                () = self.wake.notified() => {}
                () = &mut sleep, if self.encapsulation.has_control() => {
                    if matches!(self.state.get(), State::Closing { .. }) {
                        break "closed";
                    }
                    match keepalive.check(Instant::now()) {
                        Due::Nothing(until) => sleep.as_mut().reset(until),
                        Due::Ping(until) => {
                            self.control(framing::put_ping);
                            sleep.as_mut().reset(until);
                        }
                        Due::Dead => break "no sign of life",
                    }
                }
            }
        };
        let tally = self.tally.take();
        info!(
            "{} left LAN {} after {} s: {reason}; {} frames in, {} out",
            self.peer,
            lan.settings.name,
            self.joined.elapsed().as_secs(),
            tally.frames_in,
            tally.frames_out
        );
        if tally.text + tally.too_long > 0 {
            info!(
                "{}: ignored {} text messages and {} that were too long",
                self.peer, tally.text, tally.too_long
            );
        }
        if tally.empty > 0 {
            info!("{}: ignored {} frames of no bytes", self.peer, tally.empty);
        }
        lan.leave(self.port);
    }

    /// Reads what the socket has; tells whether there may be more.
    fn read(&self, lan: &Rc<LanTask>) -> io::Result<bool> {
        for _ in 0..READS_PER_TURN {
            let emptied = {
                let mut scratch = lan.scratch.borrow_mut();
                let read = match self.socket.read(&mut scratch) {
                    Ok(0) => {
                        self.state.set(State::Gone(match self.state.get() {
                            State::Open => "connection ended",
                            State::Closing { .. } | State::Gone(_) => "closed",
                        }));
                        return Ok(false);
                    }
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                };
                self.receive(lan, &mut scratch[..read]);
                read < scratch.len()
            };
            lan.drain();
            if emptied || self.state.get() != State::Open {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hands the frames in `bytes` to the machine. The caller drains it.
    fn receive(&self, lan: &LanTask, bytes: &mut [u8]) {
        let now = lan.clock.now();
        let mut machine = lan.machine.borrow_mut();
        let mut tally = self.tally.borrow_mut();
        let closed = self.framing.borrow_mut().receive(bytes, |message| match message {
            Incoming::Frame(frame) => {
                tally.frames_in += 1;
                machine.handle_frame(now, self.port, frame);
            }
            Incoming::Text => tally.text += 1,
            Incoming::Empty => tally.empty += 1,
            Incoming::TooLong => tally.too_long += 1,
            Incoming::Ping(payload) => self.control(|out| framing::put_pong(out, payload)),
        });
        drop(machine);
        if let Some(code) = closed {
            self.answer_close(code);
        }
    }

    /// Moves frames from the port's queue to the socket, until the one is empty or the other takes no more.
    pub(super) fn pump(&self, machine: &mut Lan, now: netloom_core::Instant, batch: &mut Vec<u8>) {
        if self.state.get() != State::Open || self.blocked.get() || !self.flush() {
            return;
        }
        loop {
            batch.clear();
            let mut frames = 0;
            while batch.len() < BATCH_BYTES {
                let Some(frame) = machine.poll_frame(now, self.port) else { break };
                self.encapsulation.put_frame(batch, frame);
                frames += 1;
            }
            if frames == 0 {
                return;
            }
            self.tally.borrow_mut().frames_out += frames;
            let written = self.write(batch);
            if written < batch.len() {
                self.pending.borrow_mut().extend_from_slice(&batch[written..]);
                return;
            }
        }
    }

    /// Writes what is pending; tells whether all of it went.
    fn flush(&self) -> bool {
        let mut pending = self.pending.borrow_mut();
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
                    self.state.set(State::Gone("connection lost"));
                    self.wake.notify_one();
                    return bytes.len();
                }
            }
        }
        written
    }

    /// Sends a control frame behind what is pending, unless far too much is.
    fn control(&self, put: impl FnOnce(&mut Vec<u8>)) {
        {
            let mut pending = self.pending.borrow_mut();
            if pending.len() > MAX_PENDING_BYTES {
                return;
            }
            put(&mut pending);
        }
        if !self.blocked.get() {
            self.flush();
        }
    }

    /// The relay stops.
    pub(super) fn stop(&self) {
        self.close(CloseCode::GOING_AWAY);
    }

    /// Begins to close; the other end has a second to answer.
    fn close(&self, code: CloseCode) {
        if self.state.get() == State::Open && !self.encapsulation.has_control() {
            self.state.set(State::Gone("closed"));
            self.wake.notify_one();
        } else if self.state.get() == State::Open {
            self.control(|out| framing::put_close(out, code));
            if self.state.get() == State::Open {
                self.state.set(State::Closing { until: Instant::now() + CLOSE_TIMEOUT });
                self.wake.notify_one();
            }
        }
    }

    /// The other end has closed, or broke the protocol: says so once, and is done.
    fn answer_close(&self, code: CloseCode) {
        match self.state.get() {
            State::Open if code.is_protocol_error() => {
                info!("{}: broke the protocol: no WebSocket, or no frames behind their lengths", self.peer);
                self.close(code);
            }
            State::Open => {
                self.control(|out| framing::put_close(out, code));
                self.state.set(State::Gone("closed"));
            }
            State::Closing { .. } => self.state.set(State::Gone("closed")),
            State::Gone(_) => {}
        }
        self.wake.notify_one();
    }
}
