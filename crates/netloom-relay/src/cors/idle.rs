//! Bodies that may take their time, but not be silent for ever.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::conduit::{Through, ThroughError};

/// When bytes last went either way of a request, and how long ago that may be.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    last: Arc<Mutex<Instant>>,
    timeout: Duration,
}

impl Activity {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { last: Arc::new(Mutex::new(Instant::now())), timeout }
    }

    fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn deadline(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) + self.timeout
    }

    /// What a future comes to; `None` if nothing moved for too long before that.
    pub(super) async fn watch<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        loop {
            let deadline = self.deadline();
            if deadline <= Instant::now() {
                return None;
            }
            tokio::select! {
                output = &mut future => return Some(output),
                () = sleep_until(deadline) => {}
            }
        }
    }
}

/// A body on its way to a target.
#[derive(Debug)]
pub(super) struct Upload<B> {
    body: B,
    activity: Activity,
}

impl<B> Upload<B> {
    pub(super) const fn new(body: B, activity: Activity) -> Self {
        Self { body, activity }
    }
}

impl<B: Body + Unpin> Body for Upload<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.activity.touch();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body on its way from a target. Only waiting for the target counts as silence, not waiting for the client.
#[derive(Debug)]
pub(crate) struct Download<B> {
    body: Through<B>,
    activity: Activity,
    /// While the target is waited for.
    waiting: Option<Pin<Box<Sleep>>>,
}

/// Why a download ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError<E> {
    /// The target's connection.
    #[error(transparent)]
    Target(#[from] E),
    /// Nothing came for too long.
    #[error("the target was silent for too long")]
    Silent,
}

impl<B> Download<B> {
    pub(super) const fn new(body: Through<B>, activity: Activity) -> Self {
        Self { body, activity, waiting: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Download<B> {
    type Data = Bytes;
    type Error = DownloadError<ThroughError<B::Error>>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.waiting = None;
            this.activity.touch();
            return Poll::Ready(frame.map(|frame| frame.map_err(DownloadError::Target)));
        }
        if this.body.is_held_up() {
            this.waiting = None;
            this.activity.touch();
            return Poll::Pending;
        }
        let activity = &this.activity;
        let sleep = this.waiting.get_or_insert_with(|| {
            activity.touch();
            Box::pin(sleep_until(activity.deadline()))
        });
        while sleep.as_mut().poll(context).is_ready() {
            let deadline = activity.deadline();
            if deadline <= Instant::now() {
                return Poll::Ready(Some(Err(DownloadError::Silent)));
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "idle_tests.rs"]
mod tests;
