//! A connection whose bytes move under its limits, for those who read and write it as a stream: HTTP's.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Lane, Share};

/// What a connection moves under: of a proxy's, the client's whose request it carries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pacing(Arc<Mutex<Option<(Lane, Lane)>>>);

impl Pacing {
    /// From now on it is this client's, which goes on with what it has if it was its own already.
    pub(crate) fn set(&self, share: &Share) {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !lanes.as_ref().is_some_and(|(upload, _)| upload.is_of(share)) {
            *lanes = Some((share.upload(), share.download()));
        }
    }

    /// Whether nothing bounds the rate of its bytes, so that they may pass by where nobody counts them.
    pub(crate) fn is_free(&self) -> bool {
        self.with(|(upload, download)| upload.is_free() && download.is_free()).unwrap_or(true)
    }

    fn with<T>(&self, each: impl FnOnce(&(Lane, Lane)) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(each)
    }
}

/// A stream under limits.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    stream: S,
    pacing: Pacing,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, pacing: Pacing) -> Self {
        Self { stream, pacing, reading: None, writing: None }
    }

    /// The stream, which somebody else paces from now on.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

/// Waits until there is room; how much.
fn poll_room(
    sleep: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
    room: impl Fn(Instant) -> Option<Result<usize, Instant>>,
) -> Poll<usize> {
    loop {
        let until = match room(Instant::now()) {
            None => return Poll::Ready(usize::MAX),
            Some(Ok(bytes)) => return Poll::Ready(bytes),
            Some(Err(until)) => until,
        };
        let sleep = sleep.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        ready!(sleep.as_mut().poll(cx));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, pacing, reading, .. } = self.get_mut();
        let room = ready!(poll_room(reading, cx, |now| pacing.with(|(upload, _)| upload.room(now))));
        let read = if room < buffer.remaining() {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
            ready!(Pin::new(stream).poll_read(cx, &mut part))?;
            let read = part.filled().len();
            buffer.advance(read);
            read
        } else {
            let before = buffer.filled().len();
            ready!(Pin::new(stream).poll_read(cx, buffer))?;
            buffer.filled().len() - before
        };
        pacing.with(|(upload, _)| upload.spend(read));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, pacing, writing, .. } = self.get_mut();
        let room = ready!(poll_room(writing, cx, |now| pacing.with(|(_, download)| download.room(now))));
        let written = if room == usize::MAX {
            ready!(Pin::new(stream).poll_write_vectored(cx, slices))?
        } else {
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            ready!(Pin::new(stream).poll_write(cx, &first[..first.len().min(room)]))?
        };
        pacing.with(|(_, download)| download.spend(written));
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "paced_tests.rs"]
mod tests;
