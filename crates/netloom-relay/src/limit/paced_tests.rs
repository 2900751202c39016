use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::time::advance;

use super::super::Limits;
use super::*;
use crate::config::{LimitSettings, Scope};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const BYTES_PER_S: u64 = 100_000;
const SENT_BYTES: usize = 100_000;

fn limits() -> Limits {
    let rate = Scope { upload_bytes_per_s: Some(BYTES_PER_S), ..Scope::default() };
    Limits::new(&LimitSettings { client: rate, address: rate, ..LimitSettings::new(false) })
}

/// Reads of what lies there until nothing may be read, or all was; how much that was.
fn read_now<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut [u8]) -> usize {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut all = ReadBuf::new(buffer);
    while let Poll::Ready(read) = Pin::new(&mut *stream).poll_read(&mut cx, &mut all) {
        read.expect("it reads");
        if all.remaining() == 0 {
            break;
        }
    }
    all.filled().len()
}

#[tokio::test(start_paused = true)]
async fn connections_one_after_another_read_no_more_than_the_rate_of_their_address() {
    let limits = limits();
    let mut read = 0;
    for _ in 0..50 {
        let (mut client, ours) = duplex(SENT_BYTES);
        client.write_all(&vec![7; SENT_BYTES]).await.expect("it lies there");
        let pacing = Pacing::default();
        pacing.set(&limits.arrive(ADDRESS).expect("room"));
        read += read_now(&mut Paced::new(ours, pacing), &mut vec![0; SENT_BYTES]);
    }
    // What may move at once after a silence, and a piece.
    assert!(read <= 20_000, "{read} bytes in no time");
}

#[tokio::test(start_paused = true)]
async fn requests_one_after_another_go_on_with_the_rate_of_their_connection() {
    let limits = limits();
    let (mut client, ours) = duplex(20 * SENT_BYTES);
    client.write_all(&vec![7; 20 * SENT_BYTES]).await.expect("it lies there");
    let pacing = Pacing::default();
    let mut paced = Paced::new(ours, pacing.clone());
    let mut read = 0;
    for _ in 0..20 {
        // As a proxy's, each of which is a client of its own.
        pacing.set(&limits.arrive(ADDRESS).expect("room"));
        read += read_now(&mut paced, &mut vec![0; SENT_BYTES]);
    }
    assert!(read <= 20_000, "{read} bytes in no time");
    advance(Duration::from_secs(30)).await;
    paced.read_exact(&mut vec![0; SENT_BYTES]).await.expect("it goes on");
}

#[test]
fn a_connection_is_its_clients_and_its_tokens() {
    let limits = limits();
    let share = limits.arrive(ADDRESS).expect("room");
    let again = limits.arrive(ADDRESS).expect("room");
    let other = limits.arrive(Ipv4Addr::new(192, 0, 2, 2).into()).expect("room");
    let token = share.clone().with_token(&limits, "alice", &Scope::default()).expect("room");
    let lane = share.upload();
    assert!(lane.is_of(&share) && lane.is_of(&again) && !lane.is_of(&other) && !lane.is_of(&token));
    assert!(token.upload().is_of(&token) && token.upload().is_of(&again));
    assert!(!limits.local().upload().is_of(&limits.local()), "what has no address is itself alone");
}
