//! On a clock that stands still until everybody waits.

use std::convert::Infallible;

use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::*;
use crate::conduit::Sink;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A body of what is sent to it.
struct Channel(mpsc::Receiver<Bytes>);

impl Body for Channel {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn download(receiver: mpsc::Receiver<Bytes>) -> Download<Channel> {
    Download::new(Through::new(Channel(receiver), None, Sink::To(None)), Activity::new(TIMEOUT))
}

#[tokio::test(start_paused = true)]
async fn a_silent_target_ends_the_download() {
    let (sender, receiver) = mpsc::channel(1);
    let mut download = download(receiver);
    sender.send(Bytes::from_static(b"x")).await.expect("room");
    assert!(download.frame().await.is_some_and(|frame| frame.is_ok()));
    let begin = Instant::now();
    assert!(matches!(download.frame().await, Some(Err(DownloadError::Silent))));
    assert_eq!(begin.elapsed(), TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_not_the_targets_silence() {
    let (sender, receiver) = mpsc::channel(2);
    let mut download = download(receiver);
    sender.send(Bytes::from_static(b"x")).await.expect("room");
    // The target is waited for, answers, and the client takes its time.
    assert!(tokio::time::timeout(TIMEOUT / 2, download.frame()).await.is_ok());
    assert!(tokio::time::timeout(TIMEOUT / 2, download.frame()).await.is_err());
    sender.send(Bytes::from_static(b"y")).await.expect("room");
    sleep(TIMEOUT * 5).await;
    assert!(download.frame().await.is_some_and(|frame| frame.is_ok()));
    sleep(TIMEOUT * 5).await;
    assert!(tokio::time::timeout(TIMEOUT / 2, download.frame()).await.is_err(), "it waits anew");
}

#[tokio::test(start_paused = true)]
async fn an_upload_keeps_the_answer_waiting() {
    let (sender, receiver) = mpsc::channel(1);
    let activity = Activity::new(TIMEOUT);
    let mut upload = Upload::new(Channel(receiver), activity.clone());
    let uploading = tokio::spawn(async move {
        for _ in 0..5 {
            sleep(TIMEOUT * 9 / 10).await;
            sender.send(Bytes::from_static(b"x")).await.expect("room");
        }
        sender.closed().await;
    });
    let begin = Instant::now();
    let watched = activity.watch(async {
        while upload.frame().await.is_some() {}
        std::future::pending::<()>().await;
    });
    assert_eq!(watched.await, None);
    assert_eq!(begin.elapsed(), TIMEOUT * 9 / 10 * 5 + TIMEOUT);
    uploading.abort();
}
