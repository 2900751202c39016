//! How long a connection of version 2 may last without requests, by a clock of the test's.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::*;
use crate::listen::page::boxed;

/// How long the slow answer takes.
const SLOW: Duration = Duration::from_secs(600);

/// A body that begins at once, and ends after a long silence.
struct Slow(Pin<Box<Sleep>>, u8);

impl hyper::body::Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.1 += 1;
        match self.1 {
            1 => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"begun"))))),
            3 => Poll::Ready(None),
            _ => {
                self.1 = 1;
                ready!(self.0.as_mut().poll(context));
                self.1 = 2;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b", ended")))))
            }
        }
    }
}

/// A connection that is served, and the task that serves it.
fn start() -> (DuplexStream, watch::Sender<bool>, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(async move {
        let respond = |request: Request<Incoming>| async move {
            match request.uri().path() {
                "/slow" => boxed(Response::new(Slow(Box::pin(sleep(SLOW)), 0))),
                _ => boxed(Response::new(Empty::new())),
            }
        };
        drop(serve(theirs, true, stopping, respond).await);
    });
    (ours, stop, serving)
}

async fn client(stream: DuplexStream) -> SendRequest<Empty<Bytes>> {
    let (sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("version 2");
    tokio::spawn(async { drop(connection.await) });
    sender
}

async fn get(sender: &mut SendRequest<Empty<Bytes>>, path: &str) -> Bytes {
    let request = Request::get(format!("https://localhost{path}")).body(Empty::new()).expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    answer.into_body().collect().await.expect("all of it").to_bytes()
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_nothing_is_let_go() {
    for is_client in [false, true] {
        let (stream, _stop, serving) = start();
        let _kept: Box<dyn std::any::Any> =
            if is_client { Box::new(client(stream).await) } else { Box::new(stream) };
        timeout(Duration::from_secs(12), serving).await.expect("it ends").expect("in order");
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_no_more_is_let_go_and_who_asks_now_and_then_is_not() {
    let (stream, _stop, serving) = start();
    let mut sender = client(stream).await;
    for _ in 0..5 {
        get(&mut sender, "/").await;
        sleep(Duration::from_secs(55)).await;
        assert!(!serving.is_finished());
    }
    timeout(Duration::from_secs(6), serving).await.expect("it ends").expect("in order");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_its_time_gets_it() {
    let (stream, _stop, serving) = start();
    let mut sender = client(stream).await;
    let began = Instant::now();
    assert_eq!(get(&mut sender, "/slow").await, "begun, ended");
    assert!(began.elapsed() >= SLOW && !serving.is_finished());
    get(&mut sender, "/").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_as_the_relay_stops_is_answered() {
    let (stream, stop, serving) = start();
    let mut sender = client(stream).await;
    let answer = tokio::spawn(async move { get(&mut sender, "/slow").await });
    sleep(Duration::from_secs(1)).await;
    stop.send_replace(true);
    assert_eq!(answer.await.expect("answered"), "begun, ended");
    timeout(Duration::from_secs(1), serving).await.expect("it ends").expect("in order");
}
