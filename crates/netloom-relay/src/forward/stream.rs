//! Connections to a forward's TCP port or unix socket.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use netloom_core::ResetReason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_local;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::listener::Attached;
use super::{Active, Open, guest};
use crate::config::ForwardGuest;
use crate::egress::{self, Outside};
use crate::lan::LanTask;
use crate::limit::Share;
use crate::listen;
use crate::socket::Socket;

/// Connections that may wait for the guest at one listener, and those of a LAN that come by host name.
pub(crate) const MAX_WAITING: usize = 256;
/// How long accepting rests when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who has connected.
struct Visitor {
    socket: Socket,
    peer: Option<SocketAddr>,
    share: Share,
}

/// Accepts for as long as it is polled.
pub(super) async fn serve(lan: Rc<LanTask>, active: Rc<Active>) {
    let waiting = Arc::new(Semaphore::new(MAX_WAITING));
    loop {
        match poll_fn(|context| poll_accept(&active, context)).await {
            Ok((socket, peer)) => {
                let share = lan.limits.visit(peer.map(|peer| peer.ip()));
                match (share, Arc::clone(&waiting).try_acquire_owned()) {
                    (Ok(share), Ok(permit)) => {
                        let visitor = Visitor { socket, peer, share };
                        spawn_local(open(Rc::clone(&lan), Rc::clone(&active), visitor, permit));
                    }
                    _ => socket.reset_on_drop(),
                }
            }
            Err(error) if listen::is_transient(&error) => {}
            Err(error) => {
                let forward = &active.forward;
                warn!("cannot accept for {forward}: {error}; raise the limit of open files (ulimit -n)");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn poll_accept(active: &Active, context: &mut Context<'_>) -> Poll<io::Result<(Socket, Option<SocketAddr>)>> {
    match &*active.socket.borrow() {
        Some(Attached::Tcp(listener)) => {
            let (stream, peer) = ready!(listener.poll_accept(context))?;
            if let Err(error) = stream.set_nodelay(true) {
                debug!("{peer}: {error}");
            }
            Poll::Ready(Ok((Socket::Tcp(stream), Some(peer))))
        }
        Some(Attached::Unix(listener, _)) => {
            Poll::Ready(Ok((Socket::Unix(ready!(listener.poll_accept(context))?.0), None)))
        }
        Some(Attached::Udp(_)) | None => Poll::Pending,
    }
}

/// Why a guest was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreached {
    /// None such is on the LAN.
    #[error("it is not there")]
    Absent,
    /// It has nobody at that port.
    #[error("it refuses connections to that port")]
    Refused,
    /// It does not answer.
    #[error("it does not answer")]
    Silent,
    /// It has as many connections as it may, as many as may wait for one that is not there, or the LAN stops.
    #[error("it takes no more connections")]
    Full,
}

/// Connects a socket of this host to a guest, once that is there, and answers when the guest has.
///
/// # Errors
/// [`Unreached`]: why it did not.
pub(crate) async fn lead(
    lan: &Rc<LanTask>,
    guest: &ForwardGuest,
    port: u16,
    socket: Socket,
) -> Result<(), Unreached> {
    let address = match guest::find(lan, guest, None) {
        Some(address) => address,
        None => {
            let _waiting = lan.visitors.try_acquire().map_err(|_| Unreached::Full)?;
            guest::wait_for(lan, guest, None).await.ok_or(Unreached::Absent)?
        }
    };
    let (told, answered) = oneshot::channel();
    let outside = Outside { socket, told: Some(told), share: Share::default(), held: None };
    egress::connect_guest(lan, None, SocketAddr::new(address, port), outside).map_err(|_| Unreached::Full)?;
    match answered.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(ResetReason::Refused | ResetReason::Reset)) => Err(Unreached::Refused),
        Ok(Err(_)) | Err(_) => Err(Unreached::Silent),
    }
}

/// Opens a connection's other half, once its guest is there.
async fn open(
    lan: Rc<LanTask>,
    active: Rc<Active>,
    Visitor { socket, peer, share }: Visitor,
    _waiting: OwnedSemaphorePermit,
) {
    let forward = &active.forward;
    let shown = peer.map_or_else(|| forward.listen.to_string(), |peer| peer.to_string());
    let source = peer.filter(|_| forward.keep_source);
    let Some(address) = guest::wait_for(&lan, &forward.guest, source.map(|source| source.ip())).await else {
        warn!("{shown}: no guest {} on LAN {} for {forward}", forward.guest, lan.settings().name);
        return socket.reset_on_drop();
    };
    let guest = SocketAddr::new(address, forward.port);
    debug!("{shown} to guest {guest}, by {forward}");
    let held = Open::new(&active);
    let outside = Outside { socket, told: None, share, held: Some(Box::new(held)) };
    if let Err(error) = egress::connect_guest(&lan, source, guest, outside) {
        warn!("{shown}: cannot connect to guest {guest}: {error}");
    }
}
