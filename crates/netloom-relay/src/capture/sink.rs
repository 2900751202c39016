//! Between a LAN's thread, which writes a capture, and the connection that reads it: bytes that wait, bounded, so that a slow reader loses
//! frames and holds up nobody.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame};

/// Bytes that may wait for the reader.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    ended: bool,
    reader_gone: bool,
    waker: Option<Waker>,
}

/// The writing end.
pub(super) struct Sink(Arc<Mutex<State>>);

/// The reading end: the body of an answer.
pub(crate) struct Reader(Arc<Mutex<State>>);

/// Both ends of a capture's bytes.
pub(super) fn sink() -> (Sink, Reader) {
    let state = Arc::<Mutex<State>>::default();
    (Sink(Arc::clone(&state)), Reader(state))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink {
    /// Whether nobody reads any more.
    pub(super) fn is_abandoned(&self) -> bool {
        lock(&self.0).reader_gone
    }

    /// Has `write` append its bytes if there is room for so many; tells whether there was.
    pub(super) fn write(&self, bytes: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = lock(&self.0);
        if state.reader_gone || state.waiting.len() + bytes > QUEUE_BYTES {
            return false;
        }
        write(&mut state.waiting);
        wake(state);
        true
    }

    /// Appends what may not be missing, room or not.
    pub(super) fn put(&self, bytes: &[u8]) {
        let mut state = lock(&self.0);
        state.waiting.extend_from_slice(bytes);
        wake(state);
    }

    /// Has `write` append what ends the file, room or not.
    pub(super) fn end(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = lock(&self.0);
        write(&mut state.waiting);
        state.ended = true;
        wake(state);
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut state = lock(&self.0);
        if !state.waiting.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut state.waiting).into()))));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.reader_gone = true;
        state.waiting = Vec::new();
    }
}
