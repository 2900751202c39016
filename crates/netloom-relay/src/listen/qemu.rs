//! Listeners for QEMU itself: `-netdev stream` and `-netdev socket` over TCP and unix sockets, each for one LAN.
//!
//! No gate is here, for no browser speaks this: what one can be made to send begins with bytes that are no length of a frame.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::{TcpListener, UnixListener};
use tracing::{debug, warn};

use super::Entrance;
use super::accept::{ACCEPT_PAUSE, bind, is_transient};
use super::unix::{SocketFile, bind_unix};
use crate::config::{QemuAddress, QemuListen};
use crate::lan::resume::Origin;
use crate::lan::{Encapsulation, NewClient};
use crate::socket::{self, Detached};

/// A listener for QEMU, and the LAN that it leads to.
#[derive(Debug)]
pub(crate) struct QemuListener {
    lan: String,
    socket: ListenerSocket,
}

#[derive(Debug)]
enum ListenerSocket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl QemuListener {
    /// Binds a listener, on this thread's runtime.
    ///
    /// # Errors
    /// What the kernel says: the address in use, one that is not this host's, no right to it.
    pub(crate) fn bind(listen: &QemuListen) -> io::Result<Self> {
        let socket = match &listen.address {
            QemuAddress::Tcp(address) => ListenerSocket::Tcp(TcpListener::from_std(bind(*address)?)?),
            QemuAddress::Unix(path) => {
                let (listener, file) = bind_unix(path)?;
                ListenerSocket::Unix(UnixListener::from_std(listener)?, file)
            }
        };
        Ok(Self { lan: listen.lan.clone(), socket })
    }

    /// Where it listens, a port that the kernel chose included, and for which LAN.
    pub(crate) fn bound(&self) -> io::Result<QemuListen> {
        let address = match &self.socket {
            ListenerSocket::Tcp(listener) => QemuAddress::Tcp(listener.local_addr()?),
            ListenerSocket::Unix(_, file) => QemuAddress::Unix(file.path().to_owned()),
        };
        Ok(QemuListen { lan: self.lan.clone(), address })
    }

    async fn accept(&self) -> io::Result<(Detached, String, Option<IpAddr>)> {
        match &self.socket {
            ListenerSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                socket::keep_alive(&stream)?;
                Ok((Detached::Tcp(stream.into_std()?), peer.to_string(), Some(peer.ip())))
            }
            ListenerSocket::Unix(listener, file) => {
                let (stream, _) = listener.accept().await?;
                Ok((Detached::Unix(stream.into_std()?), file.path().display().to_string(), None))
            }
        }
    }
}

impl Entrance {
    /// Accepts guests of QEMU for as long as it is polled.
    pub(crate) async fn accept_qemu(self: Arc<Self>, listener: QemuListener) {
        loop {
            match listener.accept().await {
                Ok((socket, peer, address)) => self.receive_qemu(&listener.lan, socket, peer, address),
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    warn!("cannot accept a connection: {error}; raise the limit of open files (ulimit -n)");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn receive_qemu(&self, lan: &str, socket: Detached, peer: String, address: Option<IpAddr>) {
        let Some(lan) = self.lan(lan) else { return };
        let Some(permit) = self.permit(&peer) else { return };
        let limits = &self.limits;
        let Ok(share) = address.map_or_else(|| Ok(limits.local()), |address| limits.arrive(address)) else {
            return;
        };
        let Some(slot) = lan.slot() else {
            return debug!("refused {peer}: the LAN has as many clients as max_clients allows");
        };
        // A LAN that has stopped drops its channel; the socket closes with it.
        drop(lan.sender().send(NewClient {
            socket,
            encapsulation: Encapsulation::Qemu,
            read: Bytes::new(),
            peer,
            pass: None,
            share,
            origin: Origin { address, ..Origin::default() },
            permits: (permit, slot),
        }));
    }
}
