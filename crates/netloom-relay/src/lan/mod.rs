//! A LAN at work: one thread that owns one machine, its clients' sockets and its flows' sockets.
//!
//! Everything on the thread shares [`LanTask`]. Its cells are borrowed only between two awaits, so no lock is ever held across a
//! socket's wait; and whatever touches the machine drains it at once with [`LanTask::drain`], which writes frames straight to the
//! sockets that are ready.

mod client;
mod clock;
mod framing;
pub(crate) mod keepalive;
#[cfg(test)]
mod keepalive_tests;
mod machine;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use netloom_core::{FlowId, Instant, Lan, PortId};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tracing::{debug, info, warn};

use crate::config::LanSettings;
use crate::egress::{self, Flow, LanEgress, ping::Complaint};
use crate::forward;
use crate::random;
use crate::socket::Detached;
use client::Client;
use clock::Clock;
pub(crate) use framing::Encapsulation;

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
    /// What the client takes of the relay's connections and of the LAN's clients, given back when dropped.
    pub(crate) permits: (Arc<OwnedSemaphorePermit>, OwnedSemaphorePermit),
}

/// A LAN as the listeners see it.
#[derive(Clone)]
pub(crate) struct LanHandle {
    name: String,
    sender: mpsc::UnboundedSender<NewClient>,
    slots: Arc<Semaphore>,
}

impl LanHandle {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Room for one more client, if there is any.
    pub(crate) fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    /// Where to send clients; as many can wait there as there are slots.
    pub(crate) fn sender(&self) -> mpsc::UnboundedSender<NewClient> {
        self.sender.clone()
    }
}

/// Starts a LAN's thread. `forwards` lead to its guests.
pub(crate) fn spawn(
    settings: LanSettings,
    egress: LanEgress,
    forwards: Vec<forward::Listener>,
    stop: watch::Receiver<bool>,
) -> io::Result<(LanHandle, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let seed = random::bytes()?;
    let handle = LanHandle {
        name: settings.name.clone(),
        sender,
        slots: Arc::new(Semaphore::new(settings.max_clients)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(format!("lan {}", settings.name)).spawn(move || {
        LocalSet::new().block_on(&runtime, async move {
            let task = Rc::new(LanTask::new(settings, egress, seed));
            for listener in forwards {
                spawn_local(forward::serve(Rc::clone(&task), listener));
            }
            task.run(receiver, stop).await;
        });
    })?;
    Ok((handle, thread))
}

/// What a LAN's thread works on.
pub(crate) struct LanTask {
    pub(crate) settings: LanSettings,
    pub(crate) machine: RefCell<Lan>,
    pub(crate) clock: Clock,
    pub(crate) flows: RefCell<HashMap<FlowId, Flow>>,
    /// Bytes just read from a socket, never kept across an await.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    pub(crate) egress: LanEgress,
    pub(crate) ping_complaint: Complaint,
    clients: RefCell<HashMap<PortId, Rc<Client>>>,
    /// Frames on their way to a socket, never kept across an await.
    outgoing: RefCell<Vec<u8>>,
    /// The deadline that the timer sleeps for.
    armed: Cell<Option<Instant>>,
    timer: Notify,
    emptied: Notify,
}

impl LanTask {
    fn new(settings: LanSettings, egress: LanEgress, seed: [u8; 32]) -> Self {
        let mut machine = Lan::new(machine::config(&settings, egress.dialer.policy().clone()), seed);
        let clock = Clock::start();
        machine.set_wall_clock(clock.now(), clock::unix_us());
        Self {
            egress,
            ping_complaint: Complaint::default(),
            settings,
            machine: RefCell::new(machine),
            clock,
            flows: RefCell::default(),
            scratch: RefCell::new(vec![0; READ_BYTES].into_boxed_slice()),
            clients: RefCell::default(),
            outgoing: RefCell::default(),
            armed: Cell::new(None),
            timer: Notify::new(),
            emptied: Notify::new(),
        }
    }

    async fn run(
        self: Rc<Self>,
        mut arrivals: mpsc::UnboundedReceiver<NewClient>,
        mut stop: watch::Receiver<bool>,
    ) {
        spawn_local(Rc::clone(&self).keep_time());
        spawn_local(Rc::clone(&self).tell_wall_clock());
        loop {
            tokio::select! {
                Some(new) = arrivals.recv() => self.join(new),
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        for client in self.clients.borrow().values() {
            client.stop();
        }
        let all_gone = async {
            while !self.clients.borrow().is_empty() {
                self.emptied.notified().await;
            }
        };
        if tokio::time::timeout(crate::relay::stop_timeout(), all_gone).await.is_err() {
            debug!("LAN {}: clients did not answer the close", self.settings.name);
        }
        for (drop, count) in self.machine.borrow().drops().nonzero() {
            debug!("LAN {}: dropped {count}: {}", self.settings.name, drop.name());
        }
    }

    fn join(self: &Rc<Self>, new: NewClient) {
        let peer = new.peer.clone();
        let config = machine::port(&self.settings);
        let port = self.machine.borrow_mut().open_port(config);
        match Client::new(new, port) {
            Ok((client, read)) => {
                let client = Rc::new(client);
                info!("{peer} joined LAN {}", self.settings.name);
                self.clients.borrow_mut().insert(port, Rc::clone(&client));
                spawn_local(client.run(Rc::clone(self), read));
            }
            Err(error) => {
                warn!("{peer}: {error}");
                self.machine.borrow_mut().close_port(port);
            }
        }
        self.drain();
    }

    fn leave(self: &Rc<Self>, port: PortId) {
        self.clients.borrow_mut().remove(&port);
        self.machine.borrow_mut().close_port(port);
        self.drain();
        if self.clients.borrow().is_empty() {
            self.emptied.notify_one();
        }
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

    /// Since when a port's client is on the LAN.
    pub(crate) fn joined(&self, port: PortId) -> Option<tokio::time::Instant> {
        Some(self.clients.borrow().get(&port)?.joined())
    }

    /// Moves frames from a port's queue to its client.
    fn pump(&self, port: PortId) {
        let client = self.clients.borrow().get(&port).map(Rc::clone);
        if let Some(client) = client {
            client.pump(&mut self.machine.borrow_mut(), self.clock.now(), &mut self.outgoing.borrow_mut());
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
            self.machine.borrow_mut().set_wall_clock(self.clock.now(), clock::unix_us());
        }
    }
}
