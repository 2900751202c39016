//! TCP connections under hyper, from one to another of which a body may pass within the kernel (splice(2)).
//!
//! ```text
//! socket ─▶ hyper ─▶ Through ─▶ hyper ─▶ socket     heads, short bodies, TLS
//!    └───────────▶ pipe ─────────────────▲           the rest of a long body
//! ```
//!
//! hyper goes on to count: of what is in a pipe it is given as many bytes of a hole that nobody reads or writes. The sink
//! writes what is in the pipe in their place, and knows them by where they lie in memory.

mod pipe;
mod through;

use std::io::{self, IoSlice};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use pipe::Pipe;
pub(crate) use through::{Sink, Through, ThroughError};

/// A connection as hyper reads and writes it.
#[derive(Debug)]
pub(crate) struct Conduit {
    inner: Arc<Inner>,
    /// Whether what passes here is what the socket carries, without TLS.
    is_plain: bool,
}

#[derive(Debug)]
struct Inner {
    socket: TcpStream,
    reading: Mutex<Reading>,
    /// What is written in place of its hole.
    outgoing: Mutex<Option<Arc<Pipe>>>,
}

/// Who reads the socket.
#[derive(Debug, Default)]
struct Reading {
    /// hyper does no longer.
    is_detached: bool,
    /// It has asked for more since, so that what it had read has left it.
    is_drained: bool,
    /// hyper's, which waits for the socket.
    reader: Option<Waker>,
    /// Whose turn it is then.
    next: Option<Waker>,
}

/// What a body knows of a connection that it comes from or goes to.
#[derive(Clone, Debug)]
pub(crate) struct Handle(Weak<Inner>);

impl Conduit {
    /// `is_plain`: what passes is what the socket carries, without TLS.
    pub(crate) fn new(socket: TcpStream, is_plain: bool) -> Self {
        let inner = Inner { socket, reading: Mutex::default(), outgoing: Mutex::default() };
        Self { inner: Arc::new(inner), is_plain }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(Arc::downgrade(&self.inner))
    }

    /// The socket; `None` while a body passes.
    pub(crate) fn into_socket(self) -> Option<TcpStream> {
        Arc::into_inner(self.inner).map(|inner| inner.socket)
    }
}

impl Handle {
    fn inner(&self) -> Option<Arc<Inner>> {
        self.0.upgrade()
    }

    /// Whether hyper has not read all that came, and may not be used for another request.
    pub(crate) fn is_detached(&self) -> bool {
        self.inner().is_some_and(|inner| inner.reading().is_detached)
    }
}

impl Inner {
    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outgoing(&self) -> MutexGuard<'_, Option<Arc<Pipe>>> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// hyper reads no further.
    fn detach(&self) {
        let reader = {
            let mut reading = self.reading();
            reading.is_detached = true;
            reading.reader.take()
        };
        // It may wait for the socket, and learns of this when it asks again.
        reader.into_iter().for_each(Waker::wake);
    }

    /// Whether all that hyper had read has left it; wakes the task otherwise when it has.
    fn is_drained(&self, context: &Context<'_>) -> bool {
        let mut reading = self.reading();
        reading.next = Some(context.waker().clone());
        reading.is_drained
    }

    /// Fills a pipe that is empty from the socket: how many bytes, 0 at the end.
    fn poll_fill(&self, context: &mut Context<'_>, pipe: &Pipe, most: usize) -> Poll<io::Result<usize>> {
        ready!(pipe.poll_empty(context));
        loop {
            ready!(self.socket.poll_read_ready(context))?;
            match self.socket.try_io(Interest::READABLE, || pipe.fill(self.socket.as_fd(), most)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    fn poll_write(&self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let pipe = self.outgoing().clone();
        let first = slices.iter().position(|slice| !slice.is_empty()).unwrap_or(slices.len());
        let slices = &slices[first..];
        let end = slices.iter().position(Pipe::is_hole).unwrap_or(slices.len());
        loop {
            ready!(self.socket.poll_write_ready(context))?;
            let written = match (end, &pipe) {
                (0, None) if !slices.is_empty() => Err(io::ErrorKind::BrokenPipe.into()),
                (0, Some(pipe)) if !slices.is_empty() => self
                    .socket
                    .try_io(Interest::WRITABLE, || pipe.drain(self.socket.as_fd(), slices[0].len())),
                _ => self.socket.try_write_vectored(&slices[..end]),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }
}

impl AsyncRead for Conduit {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Inner { socket, .. } = &*self.inner;
        let mut reading = self.inner.reading();
        if reading.is_detached {
            reading.is_drained = true;
            reading.next.take().into_iter().for_each(Waker::wake);
            return Poll::Pending;
        }
        reading.reader = None;
        loop {
            if socket.poll_read_ready(context)?.is_pending() {
                reading.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            match socket.try_read_buf(buffer) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Conduit {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_write(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_write(context, slices)
    }

    /// hyper then keeps what it is to write where it lies.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(&self.inner.socket).shutdown(std::net::Shutdown::Write))
    }
}

impl Connection for Conduit {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.is_plain { connected.extra(self.handle()) } else { connected }
    }
}
