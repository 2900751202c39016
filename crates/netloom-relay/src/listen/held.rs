//! What an answer holds until its body has ended: what counts as its client's is that for as long as it lasts.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use hyper::body::{Body as _, Frame, SizeHint};

use super::page::{Body, boxed};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A body, and what is given back with it.
#[derive(Debug)]
struct Held<H> {
    body: Body,
    /// Why it breaks off, once what came before that is out.
    broken: Option<Error>,
    _held: H,
}

/// An answer that holds something until its body has ended or is given up.
pub(super) fn hold<H: Send + Unpin + 'static>(answer: Response<Body>, held: H) -> Response<Body> {
    if answer.body().is_end_stream() {
        return answer;
    }
    boxed(answer.map(|body| Held { body, broken: None, _held: held }))
}

impl<H: Unpin> hyper::body::Body for Held<H> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Err(error)) => {
                // hyper drops what it has not written when a body fails, and writes it when one waits.
                self.broken = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
