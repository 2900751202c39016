//! Listening sockets, and the count of connections.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::Entrance;
use super::connection::Connection;
use super::limits::turn_away;
use super::visitor::Visitor;
use crate::conduit::Conduit;
use crate::socket;
use crate::tls;

/// How long accepting rests when the process has no descriptor left.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds a listener.
///
/// # Errors
/// What the kernel says: the port in use, an address that is not this host's, no right to the port.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// In the clear.
    Http,
    /// TLS.
    Https,
    /// In the clear, to say that TLS is elsewhere.
    Redirect,
}

/// A connection after its handshake, if it has one. Where TLS is expected, who speaks in the clear is let in nevertheless, to be told.
async fn open(acceptor: Option<TlsAcceptor>, stream: TcpStream) -> io::Result<Connection> {
    match acceptor {
        Some(acceptor) if tls::is_expected_by(&stream).await? => {
            Ok(Connection::Tls(Box::new(tls::accept(&acceptor, stream).await?)))
        }
        _ => Ok(Connection::Plain(Conduit::new(stream, true))),
    }
}

impl Entrance {
    /// Accepts for as long as it is polled.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener, scheme: Scheme) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.receive(stream, peer, scheme),
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    warn!("cannot accept a connection: {error}; raise the limit of open files (ulimit -n)");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn receive(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, scheme: Scheme) {
        let Some(standing) = self.judge(peer) else { return turn_away(&stream) };
        let Ok(local) = stream.local_addr() else { return };
        if let Err(error) = stream.set_nodelay(true).and_then(|()| socket::keep_alive(&stream)) {
            debug!("{peer}: {error}");
        }
        let acceptor = self.tls().filter(|_| scheme == Scheme::Https);
        let redirect_to = match scheme {
            Scheme::Redirect => Some(self.https_port),
            Scheme::Http | Scheme::Https => None,
        };
        let visitor = Visitor {
            is_tls: acceptor.is_some(),
            redirect_to,
            ..Visitor::new(Arc::clone(self), peer, local.ip(), standing)
        };
        tokio::spawn(async move {
            match open(acceptor, stream).await {
                Ok(stream) => {
                    // Who speaks in the clear where TLS is expected is told so.
                    let told = (visitor.is_tls && !stream.is_tls()).then_some(local.port());
                    let redirect_to = visitor.redirect_to.or(told);
                    Arc::new(Visitor { redirect_to, ..visitor }).serve(stream).await;
                }
                Err(error) => debug!("{peer}: no TLS: {error}"),
            }
        });
    }

    /// Room for one more connection; that there is none is logged once.
    pub(super) fn permit(&self, peer: &impl Display) -> Option<Arc<OwnedSemaphorePermit>> {
        let connections = if self.is_stopping() { &self.late_connections } else { &self.connections };
        let permit = Arc::clone(connections).try_acquire_owned().ok();
        if permit.is_none() && !self.full_logged.swap(true, Ordering::Relaxed) {
            warn!("refused {peer}: as many connections are open as max_connections allows");
        }
        permit.map(Arc::new)
    }
}

/// Errors of one connection that ended before it was accepted (accept(2)).
pub(crate) fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied)
}
