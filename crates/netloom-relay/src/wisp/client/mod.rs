//! A client's WebSocket: its messages to its streams, what its streams' targets send back to it in turn, and the keepalive between.

mod input;
mod output;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use netloom_proto::websocket::{self, Decoder, Opcode, Role};
use netloom_proto::wisp::server::ServerConfig;
use netloom_proto::wisp::{Kind, Reason, Server, ServerInfo};
use socket2::SockRef;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::yield_now;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::access::{self, Pass};
use crate::egress::{Dialer, Target};
use crate::lan::keepalive::{Due, Keepalive};
use crate::limit::{Lane, Share};
use crate::socket::Socket;
use crate::wisp::dialect::{CloseCode, Dialect, PLAIN_STREAM};
use crate::wisp::pace::Pace;
use crate::wisp::tcp::Tcp;
use crate::wisp::turns::Turns;
use crate::wisp::udp::Udp;
use crate::wisp::worker::Worker;
use crate::wisp::{Form, NewClient};

/// How long the other end has to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a client may take over what is written before a close.
const MAX_CLOSING: Duration = Duration::from_secs(30);
/// How long a client of version 2 has to introduce itself.
const INTRODUCTION_TIMEOUT: Duration = Duration::from_secs(10);
/// DATA packets that a client may send on a TCP stream before it hears more.
const CREDIT_PACKETS: u32 = 128;
/// Bytes that the kernel may hold of a WebSocket before it has sent them: two turns.
const UNSENT_BYTES: u32 = 512 * 1024;
/// Unwritten bytes of control messages beyond which a client is not read.
const MAX_PENDING_BYTES: usize = 256 * 1024;
/// How long a client is not read without any target taking anything before the stream that holds most is ended.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A stream of a client.
#[derive(Clone)]
pub(in crate::wisp) enum Stream {
    Tcp(Rc<Tcp>),
    Udp(Rc<Udp>),
}

/// A client's WebSocket.
pub(in crate::wisp) struct Client {
    pub(in crate::wisp) worker: Rc<Worker>,
    pub(in crate::wisp) share: Share,
    key: u64,
    peer: String,
    socket: Socket,
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
    /// What may be read and written now by the client's limits, and until when nothing may.
    upload: Lane,
    upload_at: Cell<Option<Instant>>,
    download: Lane,
    download_at: Cell<Option<Instant>>,
    /// What a stream may send in its turn.
    allowed_bytes: Cell<usize>,
    state: Cell<State>,
    wake: Notify,
    tally: RefCell<Tally>,
    pass: Option<Pass>,
    /// What its streams go out by.
    dialer: RefCell<Arc<Dialer>>,
    _permits: (Arc<OwnedSemaphorePermit>, OwnedSemaphorePermit),
    _weight: Arc<()>,
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// We have sent a close; the other end may answer until then, and later if it still takes what was written before, but not for ever.
    Closing {
        until: Instant,
        at_most: Instant,
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
    pub(in crate::wisp) fn new(
        new: NewClient,
        key: u64,
        worker: &Rc<Worker>,
    ) -> io::Result<(Rc<Self>, Bytes, Option<Target>)> {
        let settings = &worker.settings;
        let socket = new.socket.attach()?;
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
            upload: new.share.upload(),
            upload_at: Cell::new(None),
            download: new.share.download(),
            download_at: Cell::new(None),
            allowed_bytes: Cell::new(usize::MAX),
            share: new.share,
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
            dialer: RefCell::new(Arc::clone(&worker.dialer)),
            pass: new.pass,
            _permits: new.permits,
            _weight: new.weight,
        });
        Ok((client, new.read, target))
    }

    /// What its streams go out by.
    pub(in crate::wisp) fn dialer(&self) -> Arc<Dialer> {
        Arc::clone(&self.dialer.borrow())
    }

    /// Has its streams go out by the rules of its token, or the client go if that was revoked.
    fn heed_rules(&self) {
        let Some(pass) = &self.pass else { return };
        match pass.rules() {
            Some(rules) => *self.dialer.borrow_mut() = self.worker.dialer.under(Some(&rules)),
            None => {
                info!("{}: token {} is revoked", self.peer, pass.name());
                self.close(CloseCode::POLICY);
                for (_, stream) in self.streams.take() {
                    stream.detach(false);
                }
            }
        }
    }

    /// What it speaks, for the log.
    pub(in crate::wisp) fn form(&self) -> &'static str {
        match &*self.dialect.borrow() {
            Dialect::Wisp(server) if server.is_ready() => "Wisp, version 1",
            Dialect::Wisp(_) => "Wisp, version 2",
            Dialect::Plain => "plain stream",
        }
    }

    /// Serves the client until it is gone.
    pub(in crate::wisp) async fn run(self: Rc<Self>, read: Bytes, target: Option<Target>) {
        let began = Instant::now();
        self.heed_rules();
        if let Some(target) = target.filter(|_| self.state.get() == State::Open) {
            let opened = self.open(PLAIN_STREAM, Kind::Tcp, Some(target));
            if opened.is_err() {
                self.end(PLAIN_STREAM, Reason::THROTTLED);
            }
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
        drop(self.socket.shutdown());
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
        let mut pass = self.pass.clone();
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
                ready = self.socket.readable(), if !self.paused.get() && self.upload_at.get().is_none() => {
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
                () = access::changed(&mut pass) => {
                    self.heed_rules();
                    self.serve();
                }
                () = reach(self.upload_at.get()) => {
                    // It was not asked to say anything meanwhile.
                    keepalive.heard(Instant::now());
                    self.upload_at.set(None);
                }
                () = reach(self.download_at.get()) => {
                    self.download_at.set(None);
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
            State::Closing { until, at_most } if until <= now => {
                if self.pending.borrow().is_empty() || now >= at_most {
                    return Some("closed");
                }
                self.state.set(State::Closing { until: now + CLOSE_TIMEOUT, at_most });
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

/// Waits until an instant, or for ever.
async fn reach(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
