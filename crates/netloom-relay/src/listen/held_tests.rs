//! Answers that break off, as a client of version 1.1 sees them.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::*;
use crate::listen::requests::serve;

/// A body whose first half has come with the news that there is no other.
struct Half(bool);

impl hyper::body::Body for Half {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let is_first = !std::mem::replace(&mut self.0, true);
        let data = is_first.then(|| Frame::data(Bytes::from_static(b"half")));
        Poll::Ready(Some(data.ok_or_else(|| "broken off".into())))
    }
}

#[tokio::test]
async fn what_came_before_an_answer_breaks_off_arrives() {
    let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
    let (_stop, stopping) = watch::channel(false);
    let respond = |_| async { hold(boxed(Response::new(Half(false))), ()) };
    let serving = tokio::spawn(serve(theirs, false, stopping, respond));
    ours.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut seen = Vec::new();
    ours.read_to_end(&mut seen).await.expect("an end");
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(seen.starts_with("HTTP/1.1 200 OK") && seen.ends_with("half\r\n"), "{seen}");
    assert!(serving.await.expect("no panic").is_err(), "it broke off");
}
