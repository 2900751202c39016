//! Connections to guests' web servers: HTTP/1.1 over one end of a pair of sockets, the other of which is a guest's on its LAN's thread.
//!
//! A client's connection keeps the last one it had, for a next request without a body: what may be asked twice.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tracing::debug;

use crate::config::GuestHost;
use crate::forward::{self, Unreached};
use crate::lan::LanHandle;
use crate::socket::Socket;

/// How long a guest that is there has to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// What is read of a guest's answer at once, in bytes; and its longest head.
const MAX_READ_BYTES: usize = 128 * 1024;

type RequestBody = Either<Incoming, Empty<Bytes>>;

/// Why a guest has not answered a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// There is no connection.
    #[error(transparent)]
    Unreached(#[from] Unreached),
    /// There is one, and no answer on it.
    #[error("{0}")]
    Broken(String),
}

impl From<hyper::Error> for NoAnswer {
    fn from(error: hyper::Error) -> Self {
        Self::Broken(format!("it does not speak HTTP as it should ({error})"))
    }
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// The connection of a client's last request, and where it leads.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Option<(GuestHost, SendRequest<RequestBody>)>>);

impl Kept {
    /// Sends a request to a guest, on the kept connection if that will do.
    pub(super) async fn send(
        &self,
        lan: &LanHandle,
        guest: &GuestHost,
        request: Request<Incoming>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let (parts, body) = request.into_parts();
        let is_repeatable = body.is_end_stream() && parts.method.is_idempotent();
        if is_repeatable && let Some(mut sender) = self.take(guest).await {
            let again = Request::from_parts(parts.clone(), Either::Right(Empty::new()));
            match sender.send_request(again).await {
                Ok(answer) => {
                    self.keep(guest, sender);
                    return Ok(answer);
                }
                // The guest may close what it has answered on.
                Err(error) => debug!("guest {}: {error}", guest.guest),
            }
        }
        let body = if body.is_end_stream() { Either::Right(Empty::new()) } else { Either::Left(body) };
        let mut sender = connect(lan, guest).await?;
        let answer = sender.send_request(Request::from_parts(parts, body)).await?;
        self.keep(guest, sender);
        Ok(answer)
    }

    async fn take(&self, guest: &GuestHost) -> Option<SendRequest<RequestBody>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (_, mut sender) = kept.filter(|(known, _)| known == guest)?;
        sender.ready().await.ok()?;
        Some(sender)
    }

    fn keep(&self, guest: &GuestHost, sender: SendRequest<RequestBody>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((guest.clone(), sender));
    }
}

/// Connects to a guest, once it is there.
async fn connect(lan: &LanHandle, guest: &GuestHost) -> Result<SendRequest<RequestBody>, NoAnswer> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let (mut told, answered) = oneshot::channel();
    let GuestHost { guest, port, .. } = guest.clone();
    let asked = lan.ask(move |lan| {
        let lan = Rc::clone(lan);
        spawn_local(async move {
            let lead = async {
                match UnixStream::from_std(theirs) {
                    Ok(socket) => forward::lead(&lan, &guest, port, Socket::Unix(socket)).await,
                    Err(_) => Err(Unreached::Full),
                }
            };
            tokio::select! {
                led = lead => drop(told.send(led)),
                // Nobody waits for it any more.
                () = told.closed() => {}
            }
        });
    });
    asked.await.map_err(|_| Unreached::Full)?;
    timeout(CONNECT_TIMEOUT, answered)
        .await
        .map_err(|_| Unreached::Silent)?
        .map_err(|_| Unreached::Full)??;
    let (sender, connection) = Builder::new()
        .max_buf_size(MAX_READ_BYTES)
        .handshake(TokioIo::new(UnixStream::from_std(ours)?))
        .await?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!("a guest's web server: {error}");
        }
    });
    Ok(sender)
}
