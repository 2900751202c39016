//! A guest's TCP connection joined to a TCP socket, with back-pressure both ways: bytes are taken from the machine as the socket takes
//! them, and read from the socket as the machine has room.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use netloom_core::{FlowId, Refusal, ResetReason};
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_local;
use tokio::time::Instant;
use tracing::debug;

use super::dial::Dialer;
use super::target::Target;
use super::{Moved, Quota};
use crate::lan::{LanTask, READS_PER_TURN};
use crate::limit::{Lane, Share, reach};
use crate::socket::Socket;

/// A connection's socket, from the dial on.
pub(crate) struct Stream {
    id: FlowId,
    socket: OnceCell<Socket>,
    /// The socket takes no more for now.
    blocked: Cell<bool>,
    /// The guest takes no more for now.
    full: Cell<bool>,
    /// The guest sends no more after what the machine holds.
    guest_done: Cell<bool>,
    /// The socket's sending side is shut.
    shut: Cell<bool>,
    /// The flow is over.
    over: Cell<bool>,
    /// Both ends are connected.
    established: Cell<bool>,
    moved: Moved,
    quota: Quota,
    /// What a visitor of a guest moves under.
    visit: Option<Visit>,
    /// Who is told whether the guest answers.
    told: RefCell<Option<Told>>,
    wake: Notify,
    /// What the connection counts for, given back when it is over.
    _held: Option<Box<dyn Any>>,
}

/// A connection to a guest under the limits of who made it.
struct Visit {
    /// To the guest, and from it.
    upload: Paced,
    download: Paced,
    _share: Share,
}

/// One direction: what may move now, and until when nothing may.
struct Paced {
    lane: Lane,
    again_at: Cell<Option<Instant>>,
}

impl Visit {
    /// `None` where there is nothing to hold or to wait for.
    fn new(share: Share) -> Option<Self> {
        let paced = |lane| Paced { lane, again_at: Cell::new(None) };
        (!share.is_free()).then(|| Self {
            upload: paced(share.upload()),
            download: paced(share.download()),
            _share: share,
        })
    }
}

impl Paced {
    /// How many bytes may move; none until [`Self::again_at`].
    fn room(&self) -> usize {
        match self.lane.room(Instant::now()) {
            Ok(room) => room,
            Err(at) => {
                self.again_at.set(Some(at));
                0
            }
        }
    }
}

/// Hears whether a guest has answered a connection, or why it will not.
pub(crate) type Told = oneshot::Sender<Result<(), ResetReason>>;

/// A socket that is to be connected to a guest.
pub(crate) struct Outside {
    pub(crate) socket: Socket,
    pub(crate) told: Option<Told>,
    /// What who made it may use.
    pub(crate) share: Share,
    /// What the connection counts for.
    pub(crate) held: Option<Box<dyn Any>>,
}

/// What became of a turn of reading.
enum Turn {
    /// Nothing more to read now.
    Idle,
    /// There may be more, but others have their turn first.
    More,
    /// The target sends no more.
    End,
}

/// Dials `target` for a flow, and answers the flow when the target does.
pub(super) fn dial(
    lan: &Rc<LanTask>,
    id: FlowId,
    dialer: Arc<Dialer>,
    target: Target,
    quota: Quota,
) -> Rc<Stream> {
    let stream = Stream::new(id, OnceCell::new(), quota);
    let stream = Rc::new(stream);
    spawn_local(Rc::clone(&stream).run(Rc::clone(lan), dialer, target));
    stream
}

/// Joins a socket to a flow that we opened to a guest, from when the guest answers.
pub(super) fn join(lan: &Rc<LanTask>, id: FlowId, outside: Outside) -> Rc<Stream> {
    let Outside { socket, told, share, held } = outside;
    let stream = Rc::new(Stream {
        told: RefCell::new(told),
        visit: Visit::new(share),
        _held: held,
        ..Stream::new(id, OnceCell::from(socket), Quota::default())
    });
    spawn_local(Rc::clone(&stream).await_guest(Rc::clone(lan)));
    stream
}

impl Stream {
    fn new(id: FlowId, socket: OnceCell<Socket>, quota: Quota) -> Self {
        Self {
            id,
            socket,
            blocked: Cell::new(false),
            full: Cell::new(false),
            guest_done: Cell::new(false),
            shut: Cell::new(false),
            over: Cell::new(false),
            established: Cell::new(false),
            moved: Moved::default(),
            quota,
            visit: None,
            told: RefCell::default(),
            wake: Notify::new(),
            _held: None,
        }
    }

    /// Until when the visitor's limits let nothing through to the guest, and from it.
    fn paused(&self) -> (Option<Instant>, Option<Instant>) {
        self.visit
            .as_ref()
            .map_or((None, None), |visit| (visit.upload.again_at.get(), visit.download.again_at.get()))
    }

    async fn await_guest(self: Rc<Self>, lan: Rc<LanTask>) {
        while !self.established.get() && !self.over.get() {
            tokio::select! {
                () = self.wake.notified() => {}
                () = poll_fn(|context| self.poll_given_up(context)) => {
                    self.fail(&lan, &io::ErrorKind::ConnectionAborted.into());
                    lan.drain();
                }
            }
        }
        self.splice(&lan).await;
    }

    pub(super) const fn moved(&self) -> &Moved {
        &self.moved
    }

    /// The guest has answered.
    pub(super) fn establish(&self) {
        self.established.set(true);
        self.tell(Ok(()));
        self.wake.notify_one();
    }

    /// Whether who is to be told of the answer has gone.
    fn poll_given_up(&self, context: &mut Context<'_>) -> Poll<()> {
        self.told.borrow_mut().as_mut().map_or(Poll::Pending, |told| told.poll_closed(context))
    }

    fn tell(&self, answer: Result<(), ResetReason>) {
        if let Some(told) = self.told.take() {
            // Nobody hears it who has gone.
            _ = told.send(answer);
        }
    }

    async fn run(self: Rc<Self>, lan: Rc<LanTask>, dialer: Arc<Dialer>, target: Target) {
        let dial = async {
            let _held = self.quota.dial().await;
            dialer.dial_tcp(&target).await
        };
        let dialled = tokio::select! {
            dialled = dial => dialled,
            () = self.ended() => return,
        };
        match dialled {
            Ok(socket) => {
                if self.over.get() || self.socket.set(Socket::Tcp(socket)).is_err() {
                    return;
                }
                lan.machine.borrow_mut().accept(lan.clock.now(), self.id);
            }
            Err(error) => {
                debug!("{target}: {error}");
                return self.refuse(&lan, Refusal::from(&error));
            }
        }
        lan.drain();
        // A guest may have sent with its SYN's answer still out.
        self.push(&lan);
        lan.drain();
        self.splice(&lan).await;
    }

    async fn splice(&self, lan: &Rc<LanTask>) {
        let Some(socket) = self.socket.get() else { return };
        let mut target_done = false;
        while !self.over.get() {
            let (upload_at, download_at) = self.paused();
            tokio::select! {
                ready = socket.readable(), if !target_done && !self.full.get() && upload_at.is_none() => {
                    match ready.and_then(|()| self.read(lan, socket)) {
                        Ok(Turn::Idle) => {}
                        Ok(Turn::More) => tokio::task::yield_now().await,
                        Ok(Turn::End) => {
                            target_done = true;
                            lan.machine.borrow_mut().fin(lan.clock.now(), self.id);
                            lan.drain();
                        }
                        Err(error) => {
                            self.fail(lan, &error);
                            lan.drain();
                        }
                    }
                }
                ready = socket.writable(), if self.blocked.get() => {
                    self.blocked.set(false);
                    match ready {
                        Ok(()) => self.push(lan),
                        Err(error) => self.fail(lan, &error),
                    }
                    lan.drain();
                }
                () = reach(upload_at), if upload_at.is_some() => self.go_on(|visit| &visit.upload),
                () = reach(download_at), if download_at.is_some() => {
                    self.go_on(|visit| &visit.download);
                    self.push(lan);
                    lan.drain();
                }
                () = self.wake.notified() => {}
            }
        }
    }

    /// More may move in a direction.
    fn go_on(&self, direction: impl FnOnce(&Visit) -> &Paced) {
        if let Some(visit) = &self.visit {
            direction(visit).again_at.set(None);
        }
    }

    /// Reads from the socket what the guest has room for.
    fn read(&self, lan: &Rc<LanTask>, socket: &Socket) -> io::Result<Turn> {
        for _ in 0..READS_PER_TURN {
            if self.over.get() {
                return Ok(Turn::Idle);
            }
            let emptied = {
                let mut scratch = lan.scratch.borrow_mut();
                let mut machine = lan.machine.borrow_mut();
                let room = machine.room(self.id).min(scratch.len());
                if room == 0 {
                    // An offer that is not taken is what makes the machine say when there is room again.
                    let taken = machine.write(lan.clock.now(), self.id, &scratch[..1]);
                    debug_assert_eq!(taken, 0, "no room, so nothing is taken");
                    self.full.set(true);
                    return Ok(Turn::Idle);
                }
                let visit = self.visit.as_ref();
                let room = visit.map_or(room, |visit| visit.upload.room().min(room));
                if room == 0 {
                    return Ok(Turn::Idle);
                }
                let read = match socket.read(&mut scratch[..room]) {
                    Ok(0) => return Ok(Turn::End),
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Turn::Idle),
                    Err(error) => return Err(error),
                };
                if let Some(visit) = visit {
                    visit.upload.lane.spend(read);
                }
                self.moved.sent(machine.write(lan.clock.now(), self.id, &scratch[..read]));
                read < room
            };
            lan.drain();
            if emptied {
                return Ok(Turn::Idle);
            }
        }
        Ok(Turn::More)
    }

    /// Writes to the socket what the guest sent, as much as it takes. The caller drains the machine.
    pub(super) fn push(&self, lan: &LanTask) {
        let Some(socket) = self.socket.get() else { return };
        if self.blocked.get() || self.over.get() || self.paused().1.is_some() {
            return;
        }
        let visit = self.visit.as_ref();
        loop {
            let mut machine = lan.machine.borrow_mut();
            let [first, second] = machine.peek(self.id);
            if first.is_empty() && second.is_empty() {
                break;
            }
            let most = visit.map_or(usize::MAX, |visit| visit.download.room());
            if most == 0 {
                return self.wake.notify_one();
            }
            let first = &first[..first.len().min(most)];
            let second = &second[..second.len().min(most - first.len())];
            let written = socket.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)]);
            match written {
                Ok(written) => {
                    if let Some(visit) = visit {
                        visit.download.lane.spend(written);
                    }
                    machine.take(lan.clock.now(), self.id, written);
                    self.moved.received(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked.set(true);
                    return self.wake.notify_one();
                }
                Err(error) => {
                    drop(machine);
                    return self.fail(lan, &error);
                }
            }
        }
        if self.guest_done.get() && !self.shut.replace(true) {
            // Fails only if the target has reset meanwhile, which reading tells.
            drop(socket.shutdown_write());
        }
    }

    /// The guest sends no more after what has arrived.
    pub(super) fn finish(&self, lan: &LanTask) {
        self.guest_done.set(true);
        self.push(lan);
    }

    /// The guest has room again.
    pub(super) fn resume(&self) {
        self.full.set(false);
        self.wake.notify_one();
    }

    /// Both sides are done.
    pub(super) fn end(&self) {
        self.over.set(true);
        self.wake.notify_one();
    }

    /// The guest is gone: the target is told by a reset.
    pub(super) fn abort(&self, why: ResetReason) {
        self.tell(Err(why));
        if let Some(socket) = self.socket.get() {
            socket.reset_on_drop();
        }
        self.end();
    }

    async fn ended(&self) {
        while !self.over.get() {
            self.wake.notified().await;
        }
    }

    fn refuse(&self, lan: &Rc<LanTask>, why: Refusal) {
        if !self.over.replace(true) {
            lan.flows.borrow_mut().remove(&self.id);
            lan.machine.borrow_mut().refuse(lan.clock.now(), self.id, why);
            lan.drain();
        }
    }

    /// The socket failed: the guest is told by a reset. The caller, or the drain under way, sends it.
    fn fail(&self, lan: &LanTask, error: &io::Error) {
        if !self.over.replace(true) {
            debug!("flow {:?}: {error}", self.id);
            lan.flows.borrow_mut().remove(&self.id);
            lan.machine.borrow_mut().reset(self.id);
            self.wake.notify_one();
        }
    }
}
