//! A connection as hyper reads it: in the clear or under TLS, and taken apart again for whose it is after an upgrade.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::conduit::{Conduit, Handle};
use crate::socket::Detached;
use crate::tls;

/// A connection that was accepted.
#[derive(Debug)]
pub(super) enum Connection {
    Plain(Conduit),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    pub(super) const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// By which bodies may pass without hyper; those under TLS have to be encrypted.
    pub(super) fn handle(&self) -> Option<Handle> {
        match self {
            Self::Plain(conduit) => Some(conduit.handle()),
            Self::Tls(_) => None,
        }
    }

    /// Whether both ends have agreed on version 2 of HTTP.
    pub(super) fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(tls::HTTP_2),
        }
    }

    /// Leaves this thread's runtime.
    pub(super) fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Self::Plain(conduit) => {
                let socket = conduit.into_socket().ok_or(io::ErrorKind::ResourceBusy)?;
                Detached::Tcp(socket.into_std()?)
            }
            Self::Tls(stream) => {
                let (stream, session) = stream.into_inner();
                Detached::Tls(stream.into_std()?, Box::new(session))
            }
        })
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
