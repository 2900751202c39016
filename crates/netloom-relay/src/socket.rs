//! A guest's socket, whatever its kind, and reading a socket without asking it a second time whether it is empty.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustls::ServerConnection;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::{TcpStream, UdpSocket, UnixStream};

use crate::tls::TlsSocket;

/// Silence after which the kernel asks a TCP peer for a sign of life, and how often it asks before the peer is given up: as long together as
/// WebSocket's pings take.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(7);

/// A socket that no thread waits for yet.
#[derive(Debug)]
pub(crate) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
    /// TCP under TLS, with its session.
    Tls(std::net::TcpStream, Box<ServerConnection>),
}

/// A guest's socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsSocket>),
}

impl Detached {
    /// Has this thread's runtime wait for the socket.
    pub(crate) fn attach(self) -> io::Result<Socket> {
        Ok(match self {
            Self::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
            Self::Tls(stream, session) => {
                Socket::Tls(Box::new(TlsSocket::new(TcpStream::from_std(stream)?, *session)))
            }
        })
    }
}

impl Socket {
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
            Self::Tls(socket) => socket.readable().await,
        }
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
            Self::Tls(socket) => socket.stream().writable().await,
        }
    }

    /// See [`read`].
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => read(stream, buffer),
            Self::Unix(stream) => {
                let try_io = |attempt: &mut dyn FnMut() -> _| stream.try_io(Interest::READABLE, attempt);
                read_once(stream, &mut [IoSliceMut::new(buffer)], try_io)
            }
            Self::Tls(socket) => socket.read(buffer),
        }
    }

    /// See [`TcpStream::try_write_vectored`].
    pub(crate) fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(parts),
            Self::Unix(stream) => stream.try_write_vectored(parts),
            Self::Tls(socket) => socket.try_write_vectored(parts),
        }
    }

    /// Says that no more follows what was written.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            Self::Unix(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            Self::Tls(socket) => {
                socket.notify_close();
                SockRef::from(socket.stream()).shutdown(Shutdown::Write)
            }
        }
    }

    /// Has the other end see a reset when this is dropped. A unix socket has none: it sees the end.
    pub(crate) fn reset_on_drop(&self) {
        if let Self::Tcp(stream) = self {
            // Fails only where the peer has reset already.
            drop(SockRef::from(stream).set_linger(Some(Duration::ZERO)));
        }
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Tls(socket) => socket.try_write(bytes),
        }
    }

    /// Ends both directions, though what has the socket keeps it.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        if let Self::Tls(socket) = self {
            socket.notify_close();
        }
        SockRef::from(self).shutdown(Shutdown::Both)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(socket) => socket.stream().as_fd(),
        }
    }
}

/// The error that the socket was given, as by ICMP: it makes the socket ready, but not readable.
pub(crate) fn take_error(socket: &UdpSocket) -> io::Result<()> {
    match socket.try_io(Interest::ERROR, || match socket.take_error()? {
        Some(error) => Err(error),
        None => Err(io::ErrorKind::WouldBlock.into()),
    }) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        other => other,
    }
}

/// Writes as much as a socket takes, by its `try_write`; less than all of it if the socket takes no more for now.
pub(crate) fn write_ready(
    bytes: &[u8],
    mut try_write: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match try_write(&bytes[written..]) {
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// Writes what is pending; tells whether all of it went.
pub(crate) fn flush(pending: &mut Vec<u8>, write: impl FnOnce(&[u8]) -> usize) -> bool {
    if pending.is_empty() {
        return true;
    }
    let written = write(pending);
    if written < pending.len() {
        pending.drain(..written);
        return false;
    }
    // An idle client holds no buffer.
    *pending = Vec::new();
    true
}

/// Has the kernel find out that the peer is gone, for a protocol that has no sign of life of its own.
pub(crate) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_keepalive(&KEEPALIVE)
}

/// Reads once, as [`TcpStream::try_read`] does. A read that does not fill the buffer has emptied the socket, so the next read need not
/// be tried: the socket is waited for as if a read had found nothing.
pub(crate) fn read(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    read_once(stream, &mut [IoSliceMut::new(buffer)], |attempt| stream.try_io(Interest::READABLE, attempt))
}

/// The same into several buffers, one after the other.
pub(crate) fn read_vectored(stream: &TcpStream, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    read_once(stream, buffers, |attempt| stream.try_io(Interest::READABLE, attempt))
}

fn read_once(
    socket: impl AsFd,
    buffers: &mut [IoSliceMut<'_>],
    try_io: impl FnOnce(&mut dyn FnMut() -> io::Result<()>) -> io::Result<()>,
) -> io::Result<usize> {
    let room = buffers.iter().map(|buffer| buffer.len()).sum();
    let mut read = None;
    let result = try_io(&mut || {
        let length = rustix::io::readv(&socket, &mut *buffers)?;
        read = Some(length);
        // The end of the stream stays readable.
        if (1..room).contains(&length) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match read {
        Some(length) => Ok(length),
        None => result.map(|()| 0),
    }
}
