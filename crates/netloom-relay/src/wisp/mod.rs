//! The Wisp server: clients' streams over one WebSocket each, joined to sockets of this host.
//!
//! ```text
//! WebSocket ─▶ decoder ─▶ dialect (wisp · plain) ─▶ stream (tcp · udp) ─▶ socket
//!           ◀─ pending ◀─ turns ◀──────────────────────────────────────◀─
//! ```
//!
//! Clients are spread over worker threads; everything of one client is on one of them. What a client sends is queued by stream, bounded by
//! the credit that it has, so that a target that takes nothing stops its own stream alone. What targets send is read only when the
//! WebSocket takes it, a piece of each stream in turn.

mod auth;
mod client;
mod dialect;
mod linger;
mod pace;
mod queue;
mod tcp;
mod turns;
mod udp;
mod worker;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use netloom_proto::wisp::{Kind, Reason};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::access::Pass;
use crate::config::WispSettings;
use crate::control::Occupancy;
use crate::egress::{DialError, Dialer, Target};
use crate::limit::Share;
use crate::socket::Detached;

/// What is spoken on a client's WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Wisp: version 2 if the client offered a subprotocol, else version 1.
    Wisp {
        /// Whether it is version 2.
        version_2: bool,
    },
    /// The bytes of one TCP connection.
    Plain(Target),
}

/// A client's socket after the upgrade.
pub(crate) struct NewClient {
    pub(crate) socket: Detached,
    /// Bytes that were read beyond the request's head.
    pub(crate) read: Bytes,
    /// Who it is, for the log.
    pub(crate) peer: String,
    /// What it may use.
    pub(crate) share: Share,
    pub(crate) form: Form,
    /// By what token it came, where tokens are asked for.
    pub(crate) pass: Option<Pass>,
    /// What the client takes of the relay's connections and of the server's clients, given back when dropped.
    pub(crate) permits: (Arc<OwnedSemaphorePermit>, OwnedSemaphorePermit),
    /// What the client weighs on its worker.
    pub(crate) weight: Arc<()>,
}

/// The server as the listeners see it.
pub(crate) struct WispHandle {
    workers: Vec<WorkerHandle>,
    slots: Arc<Semaphore>,
    max_clients: usize,
    is_closed: bool,
}

/// A worker as the listeners see it.
#[derive(Clone)]
pub(crate) struct WorkerHandle {
    pub(crate) sender: mpsc::UnboundedSender<NewClient>,
    pub(crate) weight: Arc<()>,
}

impl WispHandle {
    /// Whether a client may come in this form.
    ///
    /// # Errors
    /// Why not: to authenticate takes Wisp's version 2.
    pub(crate) fn admits(&self, form: &Form) -> Result<(), &'static str> {
        match form {
            Form::Wisp { version_2: true } => Ok(()),
            _ if !self.is_closed => Ok(()),
            Form::Wisp { version_2: false } => {
                Err("this server wants a password or key: connect by Wisp version 2, with a subprotocol")
            }
            Form::Plain(_) => Err("this server wants a password or key, which plain streams cannot give"),
        }
    }

    /// How many clients there are, and may be.
    pub(crate) fn occupancy(&self) -> Occupancy {
        Occupancy { free: Arc::clone(&self.slots), most: self.max_clients }
    }

    /// Room for one more client, if there is any.
    pub(crate) fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    /// The worker with the fewest clients.
    pub(crate) fn worker(&self) -> Option<WorkerHandle> {
        self.workers.iter().min_by_key(|worker| Arc::strong_count(&worker.weight)).cloned()
    }
}

/// Starts the workers, one for each core.
pub(crate) fn spawn(
    settings: &WispSettings,
    dialer: &Arc<Dialer>,
    stop: &watch::Receiver<bool>,
) -> io::Result<(WispHandle, Vec<JoinHandle<()>>)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut workers, mut threads) = (Vec::new(), Vec::new());
    for n in 0..cores {
        let (sender, receiver) = mpsc::unbounded_channel();
        threads.push(worker::spawn(n, settings.clone(), Arc::clone(dialer), receiver, stop.clone())?);
        workers.push(WorkerHandle { sender, weight: Arc::new(()) });
    }
    let slots = Arc::new(Semaphore::new(settings.max_clients));
    Ok((
        WispHandle { workers, slots, max_clients: settings.max_clients, is_closed: settings.is_closed() },
        threads,
    ))
}

/// What a client is told of a target that was not reached.
fn reason(error: &DialError) -> Reason {
    match error {
        DialError::BadHost(_) => Reason::INVALID,
        DialError::Denied(_) | DialError::NoUdp => Reason::BLOCKED,
        DialError::NotFound | DialError::NoAnswer | DialError::Unreachable(_) | DialError::Proxy(_) => {
            Reason::UNREACHABLE
        }
        DialError::Refused => Reason::REFUSED,
        DialError::Timeout => Reason::TIMEOUT,
        DialError::Socket(_) => Reason::THROTTLED,
    }
}

/// What a client is told of a socket that failed.
fn failure(kind: Kind, error: &io::Error) -> Reason {
    match (kind, error.kind()) {
        (Kind::Udp, io::ErrorKind::ConnectionRefused) => Reason::REFUSED,
        (Kind::Udp, io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            Reason::UNREACHABLE
        }
        _ => Reason::NETWORK,
    }
}
