//! A forward's socket, from when it is bound until it is served.

use std::io;
use std::net::SocketAddr;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UdpSocket, UnixListener};

use crate::config::{Forward, ForwardListen};
use crate::listen::{self, SocketFile};

/// What the kernel may hold of datagrams that we did not read yet, in bytes: as much as it allows up to this.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A port of this host that leads to a guest.
pub(crate) struct Listener {
    socket: Bound,
    forward: Forward,
}

enum Bound {
    Tcp(std::net::TcpListener),
    Udp(std::net::UdpSocket),
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// The same on the thread that serves it.
pub(super) enum Attached {
    Tcp(TcpListener),
    Udp(UdpSocket),
    #[expect(dead_code, reason = "the file goes with its forward")]
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Binds a forward's port.
    ///
    /// # Errors
    /// What the kernel says: the port in use, an address that is not this host's, no right to the port.
    pub(crate) fn bind(forward: &Forward) -> io::Result<Self> {
        let socket = match &forward.listen {
            ForwardListen::Tcp(address) => Bound::Tcp(listen::bind(*address)?),
            ForwardListen::Udp(address) => Bound::Udp(bind_udp(*address)?),
            ForwardListen::Unix(path) => {
                let (listener, file) = listen::bind_unix(path)?;
                Bound::Unix(listener, file)
            }
        };
        Ok(Self { socket, forward: forward.clone() })
    }

    /// The forward, as it was asked for.
    pub(super) const fn asked(&self) -> &Forward {
        &self.forward
    }

    /// The forward, with the port that the kernel chose.
    pub(crate) fn bound(&self) -> io::Result<Forward> {
        let listen = match &self.socket {
            Bound::Tcp(socket) => ForwardListen::Tcp(socket.local_addr()?),
            Bound::Udp(socket) => ForwardListen::Udp(socket.local_addr()?),
            Bound::Unix(_, file) => ForwardListen::Unix(file.path().to_owned()),
        };
        Ok(Forward { listen, ..self.forward.clone() })
    }

    /// Has this thread's runtime wait for the socket.
    pub(super) fn attach(self) -> io::Result<Attached> {
        Ok(match self.socket {
            Bound::Tcp(socket) => Attached::Tcp(TcpListener::from_std(socket)?),
            Bound::Udp(socket) => Attached::Udp(UdpSocket::from_std(socket)?),
            Bound::Unix(socket, file) => Attached::Unix(UnixListener::from_std(socket)?, file),
        })
    }
}

/// A UDP socket that tells to which of this host's addresses each datagram came, if it is bound to all of them, so that the answer comes from
/// there.
fn bind_udp(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if address.ip().is_unspecified() {
        if address.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
    }
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
