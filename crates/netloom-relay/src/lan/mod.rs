//! A LAN at work: one thread that owns one machine, its clients' sockets and its flows' sockets.
//!
//! Everything on the thread shares [`LanTask`]. Its cells are borrowed only between two awaits, so no lock is ever held across a
//! socket's wait; and whatever touches the machine drains it at once with [`LanTask::drain`], which writes frames straight to the
//! sockets that are ready.

mod client;
mod clock;
mod cookie;
mod framing;
mod handle;
pub(crate) mod keepalive;
#[cfg(test)]
mod keepalive_tests;
mod machine;
mod member;
mod reconfigure;
pub(crate) mod resume;
mod tap;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use netloom_core::{FlowId, Instant, Lan, PortId};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tracing::{debug, info, warn};

use crate::access::Pass;
use crate::capture::Captures;
use crate::config::LanSettings;
use crate::control::Names;
use crate::egress::{self, Dialer, Flow, LanEgress, ping::Complaint};
use crate::forward::{self, Forwards};
use crate::limit::{Limits, Share};
use crate::random;
use crate::relay::all_left;
use crate::socket::Detached;
use crate::tap::Tap;
use client::Client;
use clock::Clock;
pub(crate) use clock::unix_us;
pub(crate) use framing::Encapsulation;
use handle::Question;
pub(crate) use handle::{LanHandle, Stopped};
pub(crate) use member::{Kind, Member, Traffic};
use resume::{Aways, Origin};
use tap::TapPort;

/// Bytes that one read of a socket may bring.
pub(crate) const READ_BYTES: usize = 256 * 1024;
/// Reads of one socket before the others have their turn.
pub(crate) const READS_PER_TURN: usize = 4;
/// How often the machine is told the time of day, so that NTP follows when the host's clock is set.
const WALL_CLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// A guest's socket, after the upgrade if there is one.
pub(crate) struct NewClient {
    pub(crate) socket: Detached,
    pub(crate) encapsulation: Encapsulation,
    /// Bytes that were read beyond the request's head.
    pub(crate) read: Bytes,
    /// Who it is, for the log.
    pub(crate) peer: String,
    /// By what token it came, where tokens are asked for.
    pub(crate) pass: Option<Pass>,
    /// What it may use.
    pub(crate) share: Share,
    /// Whose it is.
    pub(crate) origin: Origin,
    /// What the client takes of the relay's connections and of the LAN's clients, given back when dropped.
    pub(crate) permits: (Arc<OwnedSemaphorePermit>, OwnedSemaphorePermit),
}

/// Starts a LAN's thread. `forwards` lead to its guests, `taps` are ports of it.
pub(crate) fn spawn(
    settings: LanSettings,
    egress: LanEgress,
    limits: Arc<Limits>,
    forwards: Vec<forward::Listener>,
    taps: Vec<Tap>,
    stop: watch::Receiver<bool>,
) -> io::Result<(LanHandle, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (questions, asked) = mpsc::unbounded_channel();
    let seed = random::bytes()?;
    let resumes = Arc::new(AtomicBool::new(settings.resume_s > 0));
    let handle = LanHandle {
        name: settings.name.clone(),
        sender,
        questions,
        resumes: Arc::clone(&resumes),
        slots: Arc::new(Semaphore::new(settings.max_clients)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(format!("lan {}", settings.name)).spawn(move || {
        LocalSet::new().block_on(&runtime, async move {
            let task = Rc::new(LanTask::new(settings, egress, limits, resumes, seed));
            for listener in forwards {
                forward::serve(&task, listener);
            }
            for tap in taps {
                task.join_tap(tap);
            }
            task.run(receiver, asked, stop).await;
        });
    })?;
    Ok((handle, thread))
}

/// What a LAN's thread works on.
pub(crate) struct LanTask {
    settings: RefCell<Rc<LanSettings>>,
    pub(crate) machine: RefCell<Lan>,
    pub(crate) clock: Clock,
    pub(crate) flows: RefCell<HashMap<FlowId, Flow>>,
    /// Bytes just read from a socket, never kept across an await.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    pub(crate) egress: LanEgress,
    pub(crate) limits: Arc<Limits>,
    pub(crate) ping_complaint: Complaint,
    pub(crate) forwards: Forwards,
    pub(crate) captures: Captures,
    /// The names that its DNS server gives fixed addresses.
    pub(crate) names: RefCell<Names>,
    /// Whoever is at a port.
    pub(crate) members: RefCell<BTreeMap<PortId, Rc<Member>>>,
    /// What those passed who have left.
    pub(crate) past_traffic: Traffic,
    clients: RefCell<HashMap<PortId, Rc<Client>>>,
    taps: RefCell<HashMap<PortId, Rc<TapPort>>>,
    aways: RefCell<Aways>,
    /// Whether clients may come back, for those who let them in.
    resumes: Arc<AtomicBool>,
    is_stopping: Cell<bool>,
    /// Frames on their way to a socket, never kept across an await.
    outgoing: RefCell<Vec<u8>>,
    /// The deadline that the timer sleeps for.
    armed: Cell<Option<Instant>>,
    timer: Notify,
    emptied: Notify,
}

impl LanTask {
    fn new(
        settings: LanSettings,
        egress: LanEgress,
        limits: Arc<Limits>,
        resumes: Arc<AtomicBool>,
        seed: [u8; 32],
    ) -> Self {
        let mut machine = Lan::new(machine::config(&settings, egress.dialer.terms().policy.clone()), seed);
        let clock = Clock::start();
        machine.set_wall_clock(clock.now(), unix_us());
        let gateway_mac = settings.gateway_mac;
        let names = Names::new(machine.dns_records().to_vec());
        Self {
            egress,
            limits,
            ping_complaint: Complaint::default(),
            forwards: Forwards::default(),
            settings: RefCell::new(Rc::new(settings)),
            machine: RefCell::new(machine),
            clock,
            flows: RefCell::default(),
            scratch: RefCell::new(vec![0; READ_BYTES].into_boxed_slice()),
            captures: Captures::new(gateway_mac),
            names: RefCell::new(names),
            members: RefCell::default(),
            past_traffic: Traffic::default(),
            clients: RefCell::default(),
            taps: RefCell::default(),
            aways: RefCell::default(),
            resumes,
            is_stopping: Cell::new(false),
            outgoing: RefCell::default(),
            armed: Cell::new(None),
            timer: Notify::new(),
            emptied: Notify::new(),
        }
    }

    async fn run(
        self: Rc<Self>,
        mut arrivals: mpsc::UnboundedReceiver<NewClient>,
        mut questions: mpsc::UnboundedReceiver<Question>,
        mut stop: watch::Receiver<bool>,
    ) {
        spawn_local(Rc::clone(&self).keep_time());
        spawn_local(Rc::clone(&self).tell_wall_clock());
        loop {
            tokio::select! {
                Some(new) = arrivals.recv() => self.join(new),
                Some(question) = questions.recv() => question(&self),
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        self.is_stopping.set(true);
        // Another LAN may have its ports and interfaces once this one has stopped.
        forward::remove_all(&self);
        let leaving = self.leave_taps(|_| true);
        for client in self.clients.borrow().values() {
            client.stop();
        }
        if !all_left(&self.clients, &self.emptied).await {
            debug!("LAN {}: clients did not answer the close", self.settings().name);
        }
        for tap in leaving {
            tap.gone().await;
        }
        for (drop, count) in self.machine.borrow().drops().nonzero() {
            debug!("LAN {}: dropped {count}: {}", self.settings().name, drop.name());
        }
    }

    /// What it is told, which changes with the configuration.
    pub(crate) fn settings(&self) -> Rc<LanSettings> {
        Rc::clone(&self.settings.borrow())
    }

    fn join(self: &Rc<Self>, new: NewClient) {
        let peer = new.peer.clone();
        let config = machine::port(&self.settings());
        let port = self.machine.borrow_mut().open_port(config);
        self.machine.borrow_mut().limit_broadcast(port, self.limits.broadcast_frames_per_s());
        match Client::new(new, port) {
            Ok((client, room, read)) => {
                let client = Rc::new(client);
                info!("{peer} joined LAN {}", self.settings().name);
                self.members.borrow_mut().insert(port, Rc::clone(client.member()));
                self.clients.borrow_mut().insert(port, Rc::clone(&client));
                spawn_local(client.run(Rc::clone(self), room, read));
            }
            Err(error) => {
                warn!("{peer}: {error}");
                self.machine.borrow_mut().close_port(port);
            }
        }
        self.drain();
    }

    /// A client is gone. If its connection was lost, it may come back.
    fn leave(self: &Rc<Self>, client: &Rc<Client>, was_lost: bool) {
        let port = client.port();
        let is_there = self.clients.borrow().get(&port).is_some_and(|there| Rc::ptr_eq(there, client));
        if is_there {
            self.clients.borrow_mut().remove(&port);
            if !(was_lost && self.park(port, client)) {
                self.close_port(port);
            }
            self.drain();
        }
        if self.clients.borrow().is_empty() {
            self.emptied.notify_one();
        }
    }

    /// Closes a port, and forgets who was there. The caller drains the machine.
    fn close_port(&self, port: PortId) {
        self.forget_member(port);
        self.captures.end_port(port);
        self.machine.borrow_mut().close_port(port);
    }

    /// Forgets who was at a port, but not what passed there.
    fn forget_member(&self, port: PortId) {
        if let Some(member) = self.members.borrow_mut().remove(&port) {
            self.past_traffic.add(&member.traffic);
        }
    }

    /// Has a client go; tells whether there is one of this number, which [`Member::id`] is.
    pub(crate) fn kick(&self, id: u64) -> bool {
        let client = self.clients.borrow().values().find(|client| client.member().id == id).map(Rc::clone);
        client.map(|client| client.kick()).is_some() || self.kick_tap(id)
    }

    /// Hands out all that the machine has to say. To be called after everything that may make it speak.
    pub(crate) fn drain(self: &Rc<Self>) {
        loop {
            let mut quiet = true;
            loop {
                let event = self.machine.borrow_mut().poll_event();
                let Some(event) = event else { break };
                quiet = false;
                egress::handle_event(self, event);
            }
            loop {
                let query = self.machine.borrow_mut().poll_query();
                let Some(query) = query else { break };
                quiet = false;
                egress::dns::handle_query(self, query);
            }
            loop {
                let port = self.machine.borrow_mut().poll_port();
                let Some(port) = port else { break };
                quiet = false;
                self.pump(port);
            }
            egress::count_denials(self);
            if quiet {
                break;
            }
        }
        let next = self.machine.borrow_mut().poll_timeout().map(|(at, _)| at);
        if next.is_some_and(|next| self.armed.get().is_none_or(|armed| next < armed)) {
            self.timer.notify_one();
        }
    }

    /// What the guests of a port go out by.
    pub(crate) fn dialer(&self, port: PortId) -> Arc<Dialer> {
        let own = self.clients.borrow().get(&port).and_then(|client| client.dialer());
        own.unwrap_or_else(|| Arc::clone(&self.egress.dialer))
    }

    /// What a port's client may use.
    pub(crate) fn share(&self, port: PortId) -> Option<Rc<Share>> {
        Some(Rc::clone(self.clients.borrow().get(&port)?.share()))
    }

    /// Since when somebody is at a port; those whose connection is lost come last.
    pub(crate) fn joined(&self, port: PortId) -> Option<(bool, tokio::time::Instant)> {
        let here = self.members.borrow().get(&port).map(|member| (false, member.joined()));
        here.or_else(|| Some((true, self.away_since(port)?)))
    }

    /// Moves frames from a port's queue to its client.
    fn pump(&self, port: PortId) {
        let client = self.clients.borrow().get(&port).map(Rc::clone);
        if let Some(client) = client {
            client.pump(
                &mut self.machine.borrow_mut(),
                self.clock.now(),
                &mut self.outgoing.borrow_mut(),
                &self.captures,
            );
        } else if let Some(tap) = self.taps.borrow().get(&port) {
            tap.pump(&mut self.machine.borrow_mut(), self.clock.now(), &self.captures);
        }
    }

    /// Wakes the machine at its deadlines.
    async fn keep_time(self: Rc<Self>) {
        loop {
            let next = self.machine.borrow_mut().poll_timeout().map(|(at, _)| at);
            self.armed.set(next);
            let Some(next) = next else {
                self.timer.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(self.clock.at(next)) => {
                    self.machine.borrow_mut().handle_timeout(self.clock.now());
                    self.drain();
                }
                () = self.timer.notified() => {}
            }
        }
    }

    async fn tell_wall_clock(self: Rc<Self>) {
        loop {
            tokio::time::sleep(WALL_CLOCK_INTERVAL).await;
            self.machine.borrow_mut().set_wall_clock(self.clock.now(), unix_us());
        }
    }
}
