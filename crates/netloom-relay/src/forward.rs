//! Ports of this host that lead to guests: a connection to one becomes a connection of the gateway to the guest, from end to end.
//!
//! The guest is looked for with each connection, so a forward follows it through restarts and new addresses. A connection that comes before
//! its guest waits for it a while, since machines take their time to boot.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use netloom_core::Neighbor;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use crate::config::{Forward, ForwardGuest};
use crate::egress;
use crate::lan::LanTask;
use crate::listen;

/// How long a connection waits for its guest to be there.
const GUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Connections that may wait at one listener.
const MAX_WAITING: usize = 256;
/// How long accepting rests when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port of this host that leads to a guest.
pub(crate) struct Listener {
    socket: std::net::TcpListener,
    forward: Forward,
}

impl Listener {
    /// Binds a forward's port.
    ///
    /// # Errors
    /// What the kernel says: the port in use, an address that is not this host's, no right to the port.
    pub(crate) fn bind(forward: &Forward) -> io::Result<Self> {
        Ok(Self { socket: listen::bind(forward.listen)?, forward: forward.clone() })
    }

    /// The forward, with the port that the kernel chose.
    pub(crate) fn bound(&self) -> io::Result<Forward> {
        Ok(Forward { listen: self.socket.local_addr()?, ..self.forward.clone() })
    }
}

/// Accepts for as long as it is polled, on the LAN's thread.
pub(crate) async fn serve(lan: Rc<LanTask>, listener: Listener) {
    let Listener { socket, forward } = listener;
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return warn!("cannot serve {forward}: {error}"),
    };
    let forward = Rc::new(forward);
    let waiting = Arc::new(Semaphore::new(MAX_WAITING));
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => match Arc::clone(&waiting).try_acquire_owned() {
                Ok(permit) => {
                    spawn_local(open(Rc::clone(&lan), Rc::clone(&forward), stream, peer, permit));
                }
                Err(_) => refuse(&stream),
            },
            Err(error) if listen::is_transient(&error) => {}
            Err(error) => {
                warn!("cannot accept for {forward}: {error}; raise the limit of open files (ulimit -n)");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Opens a connection's other half, once its guest is there.
async fn open(
    lan: Rc<LanTask>,
    forward: Rc<Forward>,
    stream: TcpStream,
    peer: SocketAddr,
    _waiting: OwnedSemaphorePermit,
) {
    let until = Instant::now() + GUEST_TIMEOUT;
    let address = loop {
        if let Some(address) = find(&lan, &forward.guest) {
            break address;
        }
        if Instant::now() >= until {
            warn!("{peer}: no guest {} on LAN {} for {forward}", forward.guest, lan.settings.name);
            return refuse(&stream);
        }
        sleep(LOOK_INTERVAL).await;
    };
    if let Err(error) = stream.set_nodelay(true) {
        debug!("{peer}: {error}");
    }
    let guest = SocketAddr::new(address, forward.port);
    debug!("{peer} to guest {guest}, by {forward}");
    if let Err(error) = egress::connect_guest(&lan, guest, stream) {
        warn!("{peer}: cannot connect to guest {guest}: {error}");
    }
}

/// Where the guest of a forward is now.
fn find(lan: &LanTask, guest: &ForwardGuest) -> Option<IpAddr> {
    let machine = lan.machine.borrow();
    let now = lan.clock.now();
    let is_meant = |neighbor: &Neighbor<'_>| match guest {
        ForwardGuest::First => true,
        ForwardGuest::Address(address) => neighbor.address == *address,
        ForwardGuest::Mac(mac) => neighbor.guest.mac == *mac,
        ForwardGuest::Name(name) => neighbor.name.is_some_and(|known| known.eq_ignore_ascii_case(name)),
    };
    let rank = |neighbor: &Neighbor<'_>| {
        let is_fixed = lan.settings.leases.iter().any(|(mac, _)| *mac == neighbor.guest.mac);
        (!is_fixed, lan.joined(neighbor.guest.port), neighbor.address.is_ipv6())
    };
    machine.neighbors(now).filter(is_meant).min_by_key(rank).map(|neighbor| neighbor.address)
}

/// Resets a connection that leads nowhere.
fn refuse(stream: &TcpStream) {
    drop(SockRef::from(stream).set_linger(Some(Duration::ZERO)));
}
