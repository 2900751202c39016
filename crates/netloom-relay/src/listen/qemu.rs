//! Listeners for QEMU itself: `-netdev stream` and `-netdev socket` over TCP and unix sockets, each for one LAN.
//!
//! No gate is here, for no browser speaks this: what one can be made to send begins with bytes that are no length of a frame.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tracing::{debug, warn};

use super::{ACCEPT_PAUSE, Entrance, is_transient};
use crate::config::{QemuAddress, QemuListen};
use crate::lan::{Encapsulation, NewClient};
use crate::socket::{self, Detached};

/// Who may connect to a unix socket of ours: who we run as.
const SOCKET_MODE: u32 = 0o600;

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

/// The file of a unix socket, which goes with it.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

impl QemuListener {
    /// Binds a listener, on this thread's runtime.
    ///
    /// # Errors
    /// What the kernel says: the address in use, one that is not this host's, no right to it.
    pub(crate) fn bind(listen: &QemuListen) -> io::Result<Self> {
        let socket = match &listen.address {
            QemuAddress::Tcp(address) => ListenerSocket::Tcp(TcpListener::from_std(super::bind(*address)?)?),
            QemuAddress::Unix(path) => {
                let listener = bind_unix(path)?;
                ListenerSocket::Unix(UnixListener::from_std(listener)?, SocketFile(path.clone()))
            }
        };
        Ok(Self { lan: listen.lan.clone(), socket })
    }

    /// Where it listens, a port that the kernel chose included, and for which LAN.
    pub(crate) fn bound(&self) -> io::Result<QemuListen> {
        let address = match &self.socket {
            ListenerSocket::Tcp(listener) => QemuAddress::Tcp(listener.local_addr()?),
            ListenerSocket::Unix(_, file) => QemuAddress::Unix(file.0.clone()),
        };
        Ok(QemuListen { lan: self.lan.clone(), address })
    }

    async fn accept(&self) -> io::Result<(Detached, String)> {
        match &self.socket {
            ListenerSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                socket::keep_alive(&stream)?;
                Ok((Detached::Tcp(stream.into_std()?), peer.to_string()))
            }
            ListenerSocket::Unix(listener, file) => {
                let (stream, _) = listener.accept().await?;
                Ok((Detached::Unix(stream.into_std()?), file.0.display().to_string()))
            }
        }
    }
}

/// Binds a unix socket, in place of one that a relay left behind which was killed.
fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Nobody can connect before it listens.
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl Entrance {
    /// Accepts guests of QEMU for as long as it is polled.
    pub(crate) async fn accept_qemu(self: Arc<Self>, listener: QemuListener) {
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => self.receive_qemu(&listener.lan, socket, peer),
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    warn!("cannot accept a connection: {error}; raise the limit of open files (ulimit -n)");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn receive_qemu(&self, lan: &str, socket: Detached, peer: String) {
        let Some(lan) = self.lans.iter().find(|handle| handle.name() == lan) else { return };
        let Some(permit) = self.permit(&peer) else { return };
        let Some(slot) = lan.slot() else {
            return debug!("refused {peer}: the LAN has as many clients as max_clients allows");
        };
        // A LAN that has stopped drops its channel; the socket closes with it.
        drop(lan.sender().send(NewClient {
            socket,
            encapsulation: Encapsulation::Qemu,
            read: Bytes::new(),
            peer,
            permits: (permit, slot),
        }));
    }
}
