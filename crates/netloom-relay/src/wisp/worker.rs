//! A worker: one thread with some of the clients, and what they share on it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tracing::{debug, info, warn};

use super::NewClient;
use super::auth::Auth;
use super::client::Client;
use super::dialect::PIECE_BYTES;
use crate::config::WispSettings;
use crate::egress::Dialer;
use crate::relay::all_left;

/// Pieces that one read of a socket may bring.
const READ_PIECES: usize = 8;
/// Bytes that may wait for the targets of all clients together before those who have much wait.
const MAX_HELD_BYTES: usize = 512 * 1024 * 1024;
/// Empty buffers that are kept for streams that need one.
const SPARE_BUFFERS: usize = 16;
/// Largest buffer that is kept.
const SPARE_BYTES: usize = 512 * 1024;

/// What the clients of one thread share.
pub(super) struct Worker {
    pub(super) settings: WispSettings,
    pub(super) dialer: Arc<Dialer>,
    pub(super) auth: Auth,
    /// Bytes just read from a socket, those for a client in pieces behind room for their headers; never kept across an await.
    pub(super) scratch: RefCell<Box<[u8]>>,
    /// A packet on its way into a message.
    pub(super) packet: RefCell<Vec<u8>>,
    spare: RefCell<Vec<VecDeque<u8>>>,
    clients: RefCell<HashMap<u64, Rc<Client>>>,
    emptied: Notify,
    held_bytes: Cell<usize>,
}

/// Starts a worker.
pub(super) fn spawn(
    number: usize,
    settings: WispSettings,
    dialer: Arc<Dialer>,
    arrivals: mpsc::UnboundedReceiver<NewClient>,
    stop: watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    let auth = Auth::new(&settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("wisp {number}")).spawn(move || {
        LocalSet::new().block_on(&runtime, async move {
            Rc::new(Worker::new(settings, dialer, auth)).run(arrivals, stop).await;
        });
    })
}

impl Worker {
    fn new(settings: WispSettings, dialer: Arc<Dialer>, auth: Auth) -> Self {
        Self {
            auth,
            settings,
            dialer,
            scratch: RefCell::new(vec![0; READ_PIECES * PIECE_BYTES].into_boxed_slice()),
            packet: RefCell::default(),
            spare: RefCell::default(),
            clients: RefCell::default(),
            emptied: Notify::new(),
            held_bytes: Cell::new(0),
        }
    }

    async fn run(
        self: Rc<Self>,
        mut arrivals: mpsc::UnboundedReceiver<NewClient>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut joined = 0;
        loop {
            tokio::select! {
                Some(new) = arrivals.recv() => {
                    joined += 1;
                    self.join(joined, new);
                }
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        for client in self.clients.borrow().values() {
            client.stop();
        }
        if !all_left(&self.clients, &self.emptied).await {
            debug!("Wisp clients did not answer the close");
        }
    }

    fn join(self: &Rc<Self>, key: u64, new: NewClient) {
        let peer = new.peer.clone();
        match Client::new(new, key, self) {
            Ok((client, read, target)) => {
                info!("{peer} connected: {}", client.form());
                self.clients.borrow_mut().insert(key, Rc::clone(&client));
                spawn_local(client.run(read, target));
            }
            Err(error) => warn!("{peer}: {error}"),
        }
    }

    pub(super) fn leave(&self, key: u64) {
        self.clients.borrow_mut().remove(&key);
        if self.clients.borrow().is_empty() {
            self.emptied.notify_one();
        }
    }

    /// A buffer that another stream had, or a new one.
    pub(super) fn spare(&self) -> VecDeque<u8> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps an empty buffer, so that streams without data hold none.
    pub(super) fn keep(&self, buffer: VecDeque<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_BUFFERS && (1..=SPARE_BYTES).contains(&buffer.capacity()) {
            spare.push(buffer);
        }
    }

    /// Counts bytes that wait for a target.
    pub(super) fn hold(&self, bytes: usize) {
        self.held_bytes.set(self.held_bytes.get() + bytes);
    }

    pub(super) fn release(&self, bytes: usize) {
        self.held_bytes.set(self.held_bytes.get().saturating_sub(bytes));
    }

    /// Whether more waits than this thread has memory for.
    pub(super) fn is_full(&self) -> bool {
        self.held_bytes.get() > MAX_HELD_BYTES
    }
}
