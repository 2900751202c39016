//! A guest's socket, whatever its kind, and reading a socket without asking it a second time whether it is empty.

use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

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
}

/// A guest's socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Detached {
    /// Has this thread's runtime wait for the socket.
    pub(crate) fn attach(self) -> io::Result<Socket> {
        Ok(match self {
            Self::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        })
    }
}

impl Socket {
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
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
        }
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }
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
