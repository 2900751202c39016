//! Connections to targets: dialled by the egress' dialler, so that its policy holds for each of them, and kept for the next request.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tower_service::Service;

use super::connect_to::ConnectTo;
use super::idle::Upload;
use crate::conduit::{Conduit, Through};
use crate::config::CorsSettings;
use crate::egress::{DialError, Dialer, Target};
use crate::tls;

/// How long a connection waits for its next request. Servers commonly wait five seconds or more.
const KEEP_IDLE: Duration = Duration::from_secs(4);
/// Connections to one target that wait at most.
const MAX_IDLE: usize = 64;
/// Most that is read from a target at once, in bytes, and so what a stalled client costs.
const MAX_READ_BYTES: usize = 128 << 10;

pub(super) type RequestBody = Either<Upload<Through<Incoming>>, Empty<Bytes>>;
pub(super) type Client = legacy::Client<HttpsConnector<Connector>, RequestBody>;

/// Dials for the client.
#[derive(Clone)]
pub(super) struct Connector {
    dialer: Arc<Dialer>,
    connect_to: Arc<[ConnectTo]>,
}

/// A client that dials by `dialer`.
///
/// # Errors
/// If this build's TLS cannot be set up.
pub(super) fn client(settings: &CorsSettings, dialer: Arc<Dialer>) -> Result<Client, rustls::Error> {
    let tls = tls::client_config(settings.authorities.as_ref())?;
    let connector = Connector { dialer, connect_to: settings.connect_to.clone().into() };
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEEP_IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .http1_max_buf_size(MAX_READ_BYTES)
        .set_host(false)
        .build(https))
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Conduit>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { dialer, connect_to } = self.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().to_ascii_lowercase();
            let port = uri.port_u16().unwrap_or(80);
            let (host, port) = ConnectTo::apply(&connect_to, &host, port);
            let stream = dialer.dial_tcp(&Target::parse(host.as_bytes(), port)?).await?;
            Ok(TokioIo::new(Conduit::new(stream, uri.scheme() == Some(&Scheme::HTTP))))
        })
    }
}

/// Whether an error is that of a connection which the target has closed, as it may when it has answered.
pub(super) fn is_gone(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    find::<hyper::Error>(error).is_some_and(|error| error.is_incomplete_message() || error.is_canceled())
        || find::<io::Error>(error)
            .is_some_and(|error| matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected))
}

/// The first error of a kind in a chain of errors.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// What a chain of errors comes down to.
pub(super) fn reason(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}
