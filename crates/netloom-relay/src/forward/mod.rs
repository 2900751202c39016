//! Ports of this host that lead to guests: a connection to one becomes a connection of the gateway to the guest, from end to end, and whoever
//! sends datagrams to one has a flow of datagrams with it.
//!
//! The guest is looked for with each connection, so a forward follows it through restarts and new addresses. A connection that comes before
//! its guest waits for it a while, since machines take their time to boot.

mod datagram;
mod guest;
mod listener;
mod peers;
mod stream;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use tokio::task::{AbortHandle, spawn_local};
use tokio::time::Instant;

use crate::config::{Forward, ForwardListen};
use crate::lan::LanTask;
use crate::limit::Lane;
pub(crate) use datagram::Peer;
use listener::Attached;
pub(crate) use listener::Listener;
pub(crate) use stream::{Unreached, lead};

/// The forwards of a LAN.
#[derive(Default)]
pub(crate) struct Forwards(RefCell<BTreeMap<ForwardListen, Entry>>);

struct Entry {
    /// As it was asked for, which may leave the port to the kernel.
    asked: Forward,
    active: Rc<Active>,
    accepting: AbortHandle,
}

/// A forward at work.
struct Active {
    forward: Forward,
    /// Gone once the forward is removed, so that another may listen there at once.
    socket: RefCell<Option<Attached>>,
    open: Cell<usize>,
    total: Cell<u64>,
    dropped: Cell<u64>,
}

impl Active {
    /// Whether a datagram may pass by the limits of whose it is. It cannot wait, so what is too much is dropped.
    fn admits(&self, lane: &Lane, bytes: usize) -> bool {
        let admitted = lane.room(Instant::now()).is_ok();
        if admitted {
            lane.spend(bytes);
        } else {
            self.dropped.update(|count| count + 1);
        }
        admitted
    }
}

/// One connection or peer, counted while it lasts.
struct Open(Rc<Active>);

impl Open {
    fn new(active: &Rc<Active>) -> Self {
        active.open.set(active.open.get() + 1);
        active.total.set(active.total.get() + 1);
        Self(Rc::clone(active))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

/// A forward and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// The forward, with the port that it has.
    pub(crate) forward: Forward,
    /// Connections, or peers that send datagrams, now.
    pub(crate) open: usize,
    /// Those since it began.
    pub(crate) total: u64,
    /// Datagrams that the limits of their senders' addresses did not let through.
    pub(crate) dropped: u64,
}

/// Why a forward was not added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddError {
    /// This LAN has one there.
    #[error("{0} leads to a guest already; remove that forward first, or listen elsewhere")]
    Exists(ForwardListen),
    /// The kernel refuses.
    #[error("cannot listen on {0} ({1}); end who listens there, or choose another")]
    Bind(ForwardListen, io::Error),
}

/// Why a forward was not removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoveError {
    /// There is none.
    #[error("no forward of this LAN listens on {0}")]
    Unknown(ForwardListen),
}

/// Adds a forward to a LAN at work; answers it with the port that the kernel chose.
///
/// # Errors
/// [`AddError`]: where it listens is taken.
pub(crate) fn add(lan: &Rc<LanTask>, forward: &Forward) -> Result<Forward, AddError> {
    let refused = |error| AddError::Bind(forward.listen.clone(), error);
    if lan.forwards.0.borrow().contains_key(&forward.listen) {
        return Err(AddError::Exists(forward.listen.clone()));
    }
    let listener = Listener::bind(forward).map_err(refused)?;
    let bound = listener.bound().map_err(refused)?;
    start(lan, listener).map_err(refused)?;
    Ok(bound)
}

/// Takes a bound forward into service.
pub(crate) fn serve(lan: &Rc<LanTask>, listener: Listener) {
    if let Err(error) = start(lan, listener) {
        tracing::warn!("LAN {}: cannot serve a forward: {error}", lan.settings().name);
    }
}

fn start(lan: &Rc<LanTask>, listener: Listener) -> io::Result<()> {
    let forward = listener.bound()?;
    let asked = listener.asked().clone();
    let socket = listener.attach()?;
    let is_udp = matches!(socket, Attached::Udp(_));
    let active = Rc::new(Active {
        forward,
        socket: RefCell::new(Some(socket)),
        open: Cell::new(0),
        total: Cell::new(0),
        dropped: Cell::new(0),
    });
    let (task, served) = (Rc::clone(lan), Rc::clone(&active));
    let accepting = if is_udp {
        spawn_local(datagram::serve(task, served)).abort_handle()
    } else {
        spawn_local(stream::serve(task, served)).abort_handle()
    };
    let listen = active.forward.listen.clone();
    if let Some(address) = listen.address() {
        lan.egress.dialer.added().insert(address);
    }
    lan.forwards.0.borrow_mut().insert(listen, Entry { asked, active, accepting });
    Ok(())
}

/// Ends a forward. Connections that stand go on; peers that send datagrams are forgotten.
///
/// # Errors
/// [`RemoveError`] if there is none.
pub(crate) fn remove(lan: &Rc<LanTask>, listen: &ForwardListen) -> Result<Forward, RemoveError> {
    let entry = lan.forwards.0.borrow_mut().remove(listen);
    let Some(Entry { active, accepting, .. }) = entry else {
        return Err(RemoveError::Unknown(listen.clone()));
    };
    active.socket.take();
    accepting.abort();
    if let Some(address) = active.forward.listen.address() {
        lan.egress.dialer.added().remove(address);
    }
    Ok(active.forward.clone())
}

/// Ends the forward that was asked for in these words, if it is there.
pub(crate) fn withdraw(lan: &Rc<LanTask>, asked: &Forward) {
    let find = |(listen, entry): (&ForwardListen, &Entry)| (entry.asked == *asked).then(|| listen.clone());
    let listen = lan.forwards.0.borrow().iter().find_map(find);
    if let Some(listen) = listen {
        // It was there a moment ago.
        _ = remove(lan, &listen);
    }
}

/// Ends all forwards of a LAN.
pub(crate) fn remove_all(lan: &Rc<LanTask>) {
    for Status { forward, .. } in list(lan) {
        // It was there a moment ago.
        _ = remove(lan, &forward.listen);
    }
}

/// The forwards of a LAN, in the order of where they listen.
pub(crate) fn list(lan: &LanTask) -> Vec<Status> {
    let status = |Entry { active, .. }: &Entry| Status {
        forward: active.forward.clone(),
        open: active.open.get(),
        total: active.total.get(),
        dropped: active.dropped.get(),
    };
    lan.forwards.0.borrow().values().map(status).collect()
}
