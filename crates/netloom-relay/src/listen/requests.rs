//! HTTP on a connection, in version 1.1, or 2 where TLS has agreed on it (ALPN): browsers stream what pages upload by the second alone.
//!
//! Bounds what a client makes us hold: a head has 10 s and 16 KiB, and what was sent and not yet read is limited by connection. A connection of
//! version 2 has 10 s for its first request, and ends when none was open for 60 s.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::held::hold;
use super::idle::Requests;
use super::page::Body;

/// How long a request head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request head, in bytes.
const MAX_HEAD_BYTES: u16 = 16 * 1024;
/// Most header lines of a request.
const MAX_HEADERS: usize = 64;
/// Most that is read of a body at once, in bytes, and so what a stalled target costs.
const MAX_READ_BYTES: usize = 128 * 1024;

/// Requests that one connection may have open at once, by version 2 (RFC 9113 section 5.1.2: at least 100 is what clients expect).
const MAX_STREAMS: u32 = 100;
/// What a client may send of one request before it is read, and of all together, in bytes (RFC 9113 section 6.9).
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// What of one answer may wait for the client, in bytes.
const MAX_SEND_BYTES: usize = 128 * 1024;
/// When a connection on which nothing comes is asked whether it stands, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves until the connection ends or is upgraded; once the relay stops, until what is under way is answered.
///
/// # Errors
/// What was wrong with it.
pub(super) async fn serve<S, F>(
    stream: S,
    is_http2: bool,
    mut stopping: watch::Receiver<bool>,
    respond: impl Fn(Request<Incoming>) -> F + Send + 'static,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let stream = TokioIo::new(stream);
    // Who comes later is told so in an answer.
    let is_late = *stopping.borrow();
    let stopped = async {
        let is_known = !is_late && stopping.wait_for(|stopping| *stopping).await.is_ok();
        if !is_known {
            std::future::pending::<()>().await;
        }
    };
    if is_http2 {
        let requests = Requests::default();
        let counted = requests.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            name_host(&mut request);
            let open = counted.begin();
            let answer = respond(request);
            async { Ok::<_, Infallible>(hold(answer.await, open)) }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEAD_BYTES.into())
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(MAX_SEND_BYTES)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(stream, service);
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stopped => {}
            () = requests.idle() => {}
        }
        connection.as_mut().graceful_shutdown();
        return tokio::select! {
            ended = connection => ended,
            () = requests.never_came() => Ok(()),
        };
    }
    let service = service_fn(move |request| {
        let answer = respond(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(MAX_HEAD_BYTES.into())
        .max_buf_size(MAX_READ_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stopped => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// Version 2 names the host in the URL alone (RFC 9113 section 8.3.1).
fn name_host(request: &mut Request<Incoming>) {
    if request.headers().contains_key(HOST) {
        return;
    }
    let authority = request.uri().authority().map(|authority| HeaderValue::try_from(authority.as_str()));
    if let Some(Ok(host)) = authority {
        request.headers_mut().insert(HOST, host);
    }
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
