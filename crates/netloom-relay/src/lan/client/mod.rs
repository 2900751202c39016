//! A guest's socket: its frames in to the machine, the port's frames out to the socket, and the keepalive between.

mod output;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use netloom_core::PortId;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::spawn_local;
use tokio::time::Instant;
use tracing::{debug, info};

use super::framing::{self, CloseCode, Encapsulation, Framing, Incoming};
use super::keepalive::{Due, Keepalive};
use super::resume::{Claim, Origin};
use super::{LanTask, Member, NewClient, READS_PER_TURN};
use crate::access::{self, Pass};
use crate::egress::Dialer;
use crate::limit::{Lane, Places, Share, reach};
use crate::socket::Socket;

/// How long the other end has to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A guest's socket.
pub(super) struct Client {
    /// At another port once it has come back for its guest.
    member: Rc<Member>,
    origin: Origin,
    claim: Claim,
    socket: Socket,
    encapsulation: Encapsulation,
    framing: RefCell<Framing>,
    /// What the socket did not take yet: less than a batch and a frame, and answers to pings.
    pending: RefCell<Vec<u8>>,
    /// Whether the socket took less than it was given.
    blocked: Cell<bool>,
    /// What may be read and written now by the client's limits, and until when nothing may.
    upload: Lane,
    upload_at: Cell<Option<Instant>>,
    download: Lane,
    download_at: Cell<Option<Instant>>,
    share: Rc<Share>,
    state: Cell<State>,
    /// When the other end last gave a sign of life.
    heard: Cell<Instant>,
    wake: Notify,
    tally: RefCell<Tally>,
    pass: Option<Pass>,
    /// What its guests go out by, where the rules of its token make that another than the LAN's.
    dialer: RefCell<Option<Arc<Dialer>>>,
}

/// What a connection takes of the relay's, the LAN's, its address's and its token's, given back when dropped: its guest's flows, and who waits
/// for a word of it, outlive it.
pub(super) struct Room {
    _permits: (Arc<OwnedSemaphorePermit>, OwnedSemaphorePermit),
    _places: Places,
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
    Gone(End),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By the will of either end.
    Closed(&'static str),
    /// By neither's: whoever is behind it may come back.
    Lost(&'static str),
    /// Its port is another connection's.
    Replaced,
}

impl End {
    const fn reason(self) -> &'static str {
        match self {
            Self::Closed(reason) | Self::Lost(reason) => reason,
            Self::Replaced => "its guest is on another connection",
        }
    }
}

/// What was ignored, for the log.
#[derive(Debug, Default)]
struct Tally {
    text: u64,
    empty: u64,
    too_long: u64,
}

impl Client {
    /// A client at a port, the room that it takes, and what was already read from its socket.
    pub(super) fn new(mut new: NewClient, port: PortId) -> io::Result<(Self, Room, Bytes)> {
        let room = Room { _permits: new.permits, _places: new.share.take_places() };
        let client = Self {
            member: Rc::new(Member::new(port, new.peer, new.encapsulation.kind())),
            origin: new.origin,
            claim: Claim::default(),
            socket: new.socket.attach()?,
            encapsulation: new.encapsulation,
            framing: RefCell::new(new.encapsulation.framing()),
            pending: RefCell::default(),
            blocked: Cell::new(false),
            upload: new.share.upload(),
            upload_at: Cell::new(None),
            download: new.share.download(),
            download_at: Cell::new(None),
            share: Rc::new(new.share),
            state: Cell::new(State::Open),
            heard: Cell::new(Instant::now()),
            wake: Notify::new(),
            tally: RefCell::default(),
            pass: new.pass,
            dialer: RefCell::default(),
        };
        Ok((client, room, new.read))
    }

    /// What its guests go out by, if not as the LAN's others do.
    pub(super) fn dialer(&self) -> Option<Arc<Dialer>> {
        self.dialer.borrow().clone()
    }

    /// Has its guests go out by the rules of its token, or the client go if it has none any more that leads here.
    pub(super) fn heed_rules(&self, lan: &LanTask) {
        let Some(pass) = &self.pass else { return };
        let settings = lan.settings();
        let name = &settings.name;
        let Some(rules) = pass.rules().filter(|rules| rules.lan(Some(name)).is_some()) else {
            info!("{}: token {} no longer leads to LAN {name}", self.member.peer, pass.name());
            return self.close(CloseCode::POLICY_VIOLATION);
        };
        let own = rules.are_of_egress().then(|| lan.egress.dialer.under(Some(&rules)));
        let policy = own.as_ref().map(|dialer| dialer.terms().policy.clone());
        lan.machine.borrow_mut().set_port_policy(self.port(), policy);
        *self.dialer.borrow_mut() = own;
    }

    /// Who it is.
    pub(super) const fn member(&self) -> &Rc<Member> {
        &self.member
    }

    /// What it may use.
    pub(super) const fn share(&self) -> &Rc<Share> {
        &self.share
    }

    pub(super) fn port(&self) -> PortId {
        self.member.port()
    }

    pub(super) const fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// When the other end last gave a sign of life.
    pub(super) const fn heard(&self) -> Instant {
        self.heard.get()
    }

    /// Whether its socket is done with.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.state.get(), State::Gone(_))
    }

    /// Asks the other end for a sign of life.
    pub(super) fn ask_for_life(&self) {
        if self.encapsulation.has_control() {
            self.control(framing::put_ping);
        }
    }

    /// Ends it without a word: its port is another connection's.
    pub(super) fn replace(&self) {
        self.state.set(State::Gone(End::Replaced));
        self.wake.notify_one();
    }

    /// Serves the client until it is gone.
    pub(super) async fn run(self: Rc<Self>, lan: Rc<LanTask>, room: Room, read: Bytes) {
        self.heed_rules(&lan);
        self.receive(&lan, &mut Vec::from(read));
        lan.drain();
        if self.claim.is_open() {
            spawn_local(Rc::clone(&lan).ask_for_guests(Rc::clone(&self)));
        }
        let mut pass = self.pass.clone();
        let mut keepalive = Keepalive::new(self.heard.get());
        let sleep = tokio::time::sleep_until(self.heard.get());
        tokio::pin!(sleep);
        let end = loop {
            match self.state.get() {
                State::Gone(end) => break end,
                State::Closing { until } if until < sleep.deadline() => sleep.as_mut().reset(until),
                State::Closing { .. } | State::Open => {}
            }
            tokio::select! {
                ready = self.socket.readable(), if self.upload_at.get().is_none() => {
                    self.heard.set(Instant::now());
                    keepalive.heard(self.heard.get());
                    match ready.and_then(|()| self.read(&lan)) {
                        Ok(true) => tokio::task::yield_now().await,
                        Ok(false) => {}
                        Err(error) => {
                            debug!("{}: {error}", self.member.peer);
                            break self.lost("connection lost");
                        }
                    }
                }
                ready = self.socket.writable(), if self.blocked.get() => {
                    if ready.is_err() {
                        break self.lost("connection lost");
                    }
                    self.blocked.set(false);
                    if self.flush() {
                        lan.pump(self.port());
                        lan.drain();
                    }
                }
                () = reach(self.upload_at.get()) => {
                    // It was not asked to say anything meanwhile.
                    keepalive.heard(Instant::now());
                    self.upload_at.set(None);
                }
                () = reach(self.download_at.get()) => {
                    self.download_at.set(None);
                    lan.pump(self.port());
                    lan.drain();
                }
                () = self.wake.notified() => {}
                () = access::changed(&mut pass) => self.heed_rules(&lan),
                () = &mut sleep, if self.encapsulation.has_control() => {
                    if matches!(self.state.get(), State::Closing { .. }) {
                        break End::Closed("closed");
                    }
                    match keepalive.check(Instant::now()) {
                        Due::Nothing(until) => sleep.as_mut().reset(until),
                        Due::Ping(until) => {
                            self.control(framing::put_ping);
                            sleep.as_mut().reset(until);
                        }
                        Due::Dead => break End::Lost("no sign of life"),
                    }
                }
            }
        };
        drop(room);
        let tally = self.tally.take();
        info!(
            "{} left LAN {} after {} s: {}; {} frames in, {} out",
            self.member.peer,
            lan.settings().name,
            self.member.joined().elapsed().as_secs(),
            end.reason(),
            self.member.traffic.frames_in.get(),
            self.member.traffic.frames_out.get()
        );
        if tally.text + tally.too_long > 0 {
            info!(
                "{}: ignored {} text messages and {} that were too long",
                self.member.peer, tally.text, tally.too_long
            );
        }
        if tally.empty > 0 {
            info!("{}: ignored {} frames of no bytes", self.member.peer, tally.empty);
        }
        lan.leave(&self, matches!(end, End::Lost(_)));
    }

    /// Reads what the socket has; tells whether there may be more.
    fn read(&self, lan: &Rc<LanTask>) -> io::Result<bool> {
        for _ in 0..READS_PER_TURN {
            let room = match self.upload.room(Instant::now()) {
                Ok(room) => room,
                Err(at) => {
                    self.upload_at.set(Some(at));
                    return Ok(false);
                }
            };
            let emptied = {
                let mut scratch = lan.scratch.borrow_mut();
                let room = room.min(scratch.len());
                let read = match self.socket.read(&mut scratch[..room]) {
                    Ok(0) => {
                        self.state.set(State::Gone(self.lost("connection ended")));
                        return Ok(false);
                    }
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                };
                self.upload.spend(read);
                self.receive(lan, &mut scratch[..read]);
                read < room
            };
            lan.drain();
            if emptied || self.state.get() != State::Open {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How it ended, when its connection did: who is sent away does not keep a port by resetting the connection.
    fn lost(&self, reason: &'static str) -> End {
        match self.state.get() {
            State::Open => End::Lost(reason),
            State::Closing { .. } => End::Closed("closed"),
            State::Gone(end) => end,
        }
    }

    /// Hands the frames in `bytes` to the machine, unless we have closed. The caller drains it.
    fn receive(&self, lan: &Rc<LanTask>, bytes: &mut [u8]) {
        let now = lan.clock.now();
        let mut machine = lan.machine.borrow_mut();
        let mut tally = self.tally.borrow_mut();
        let mut resumed = false;
        let is_open = self.state.get() == State::Open;
        let closed = self.framing.borrow_mut().receive(bytes, |message| match message {
            _ if !is_open => {}
            Incoming::Frame(frame) => {
                if self.claim.is_open() {
                    resumed |= lan.judge_first(&mut machine, self, frame);
                }
                self.member.traffic.received(frame.len());
                lan.captures.received(&self.member, frame);
                machine.handle_frame(now, self.port(), frame);
            }
            Incoming::Text => tally.text += 1,
            Incoming::Empty => tally.empty += 1,
            Incoming::TooLong => tally.too_long += 1,
            Incoming::Ping(payload) => self.control(|out| framing::put_pong(out, payload)),
        });
        drop(machine);
        drop(tally);
        if resumed {
            lan.pump(self.port());
        }
        if let Some(code) = closed {
            self.answer_close(code);
        }
    }

    /// The relay stops.
    pub(super) fn stop(&self) {
        self.close(CloseCode::GOING_AWAY);
    }

    /// An operator wants it gone.
    pub(super) fn kick(&self) {
        self.close(CloseCode::POLICY_VIOLATION);
    }

    /// Begins to close; the other end has a second to answer.
    fn close(&self, code: CloseCode) {
        if self.state.get() != State::Open {
            return;
        }
        if self.encapsulation.has_control() {
            self.state.set(State::Closing { until: Instant::now() + CLOSE_TIMEOUT });
            self.control(|out| framing::put_close(out, code));
        } else {
            self.state.set(State::Gone(End::Closed("closed")));
        }
        self.wake.notify_one();
    }

    /// The other end has closed, or broke the protocol: says so once, and is done.
    fn answer_close(&self, code: CloseCode) {
        match self.state.get() {
            State::Open if code.is_protocol_error() => {
                info!(
                    "{}: broke the protocol: no WebSocket, or no frames behind their lengths",
                    self.member.peer
                );
                self.close(code);
            }
            State::Open => {
                self.control(|out| framing::put_close(out, code));
                // A page that is loaded anew says so too, and its guest may be restored.
                let is_left = code == CloseCode::GOING_AWAY;
                self.state.set(State::Gone(if is_left {
                    End::Lost("gone away")
                } else {
                    End::Closed("closed")
                }));
            }
            State::Closing { .. } => self.state.set(State::Gone(End::Closed("closed"))),
            State::Gone(_) => {}
        }
        self.wake.notify_one();
    }
}
