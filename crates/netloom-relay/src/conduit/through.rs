//! A body on its way from one connection to another.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Extensions;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper_util::client::legacy::connect::CaptureConnection;

use super::pipe::Pipe;
use super::{Handle, Inner};

/// Bodies of which less is left are not worth a pipe.
const MIN_BYTES: u64 = 256 << 10;

/// Where a body goes.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    /// To this connection.
    To(Option<Handle>),
    /// To the one that hyper's client will have chosen by then.
    Chosen(CaptureConnection),
}

impl Sink {
    fn inner(&self) -> Option<Arc<Inner>> {
        match self {
            Self::To(handle) => handle.as_ref()?.inner(),
            Self::Chosen(capture) => {
                let mut extensions = Extensions::new();
                capture.connection_metadata().as_ref()?.get_extras(&mut extensions);
                extensions.get::<Handle>()?.inner()
            }
        }
    }
}

/// A body of known length between connections that have no TLS leaves hyper as soon as hyper has given what it had read of it.
#[derive(Debug)]
pub(crate) struct Through<B> {
    body: B,
    source: Option<Handle>,
    sink: Sink,
    left: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing was asked for yet.
    Begun,
    /// By hyper, to the end.
    Plain,
    /// By hyper, until it has given what it had read.
    Draining(Splice),
    /// By the pipe.
    Spliced(Splice),
}

#[derive(Clone, Debug)]
struct Splice {
    source: Arc<Inner>,
    pipe: Arc<Pipe>,
}

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThroughError<E> {
    /// hyper's reason.
    #[error(transparent)]
    Body(#[from] E),
    /// The socket's.
    #[error("{0}")]
    Socket(io::Error),
}

impl<B: Body> Through<B> {
    /// `source`: the connection that it comes from.
    pub(crate) fn new(body: B, source: Option<Handle>, sink: Sink) -> Self {
        let left = body.size_hint().exact().unwrap_or(0);
        Self { body, source, sink, left, state: State::Begun }
    }

    /// Whether what came of it has to leave the pipe first, before more is asked of where it comes from.
    pub(crate) fn is_held_up(&self) -> bool {
        matches!(&self.state, State::Spliced(splice) if !splice.pipe.is_empty())
    }

    /// Leaves hyper, if that is possible and worth it.
    fn begin(&self) -> State {
        let splice = || {
            let source = self.source.as_ref().filter(|_| self.left >= MIN_BYTES)?.inner()?;
            let sink = self.sink.inner()?;
            let mut outgoing = sink.outgoing();
            // What a body before this one has left in its pipe goes first.
            if outgoing.as_ref().is_some_and(|pipe| !pipe.is_empty()) {
                return None;
            }
            let pipe = Arc::new(Pipe::new().ok()?);
            *outgoing = Some(Arc::clone(&pipe));
            source.detach();
            Some(Splice { source, pipe })
        };
        splice().map_or(State::Plain, State::Draining)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Through<B> {
    type Data = Bytes;
    type Error = ThroughError<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            let drained = match &this.state {
                State::Begun => {
                    this.state = this.begin();
                    continue;
                }
                State::Plain => None,
                State::Draining(splice) => splice.source.is_drained(context).then(|| splice.clone()),
                State::Spliced(_) if this.left == 0 => return Poll::Ready(None),
                State::Spliced(Splice { source, pipe }) => {
                    let most = usize::try_from(this.left).unwrap_or(usize::MAX);
                    let filled = match ready!(source.poll_fill(context, pipe, most)) {
                        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                        other => other,
                    };
                    return Poll::Ready(Some(match filled {
                        Ok(filled) => {
                            this.left -= filled as u64;
                            Ok(Frame::data(pipe.stand_in(filled)))
                        }
                        Err(error) => Err(ThroughError::Socket(error)),
                    }));
                }
            };
            let polled = Pin::new(&mut this.body).poll_frame(context);
            match (polled, drained) {
                // What hyper gave before it asked for more was there when it did.
                (Poll::Pending, Some(splice)) => this.state = State::Spliced(splice),
                (Poll::Pending, None) => return Poll::Pending,
                (Poll::Ready(frame), _) => {
                    let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                    this.left = this.left.saturating_sub(data.map_or(0, Bytes::len) as u64);
                    return Poll::Ready(frame.map(|frame| frame.map_err(ThroughError::Body)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            State::Spliced(_) => self.left == 0,
            _ => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.state {
            State::Spliced(_) => SizeHint::with_exact(self.left),
            _ => self.body.size_hint(),
        }
    }
}
