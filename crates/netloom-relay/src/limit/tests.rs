use std::time::Duration;

use tokio::time::{Instant, advance, sleep_until};

use super::*;

fn limits(client: Scope, address: Scope, token: Scope) -> Limits {
    Limits::new(&LimitSettings { client, address, token, ..LimitSettings::new(false) })
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[tokio::test(start_paused = true)]
async fn connections_of_an_address_are_counted_and_given_back() {
    let address = Scope { connections: Some(2), ..Scope::default() };
    let limits = limits(Scope::default(), address, Scope::default());
    let (one, two) = (limits.arrive(ip("192.0.2.1")), limits.arrive(ip("192.0.2.1")));
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(limits.arrive(ip("192.0.2.1")).err(), Some(Refused::Connections { of: "address" }));
    assert!(limits.arrive(ip("192.0.2.2")).is_ok(), "another address");
    drop(one);
    assert!(limits.arrive(ip("::ffff:192.0.2.1")).is_ok(), "the same address");
}

#[tokio::test(start_paused = true)]
async fn a_64_of_ipv6_is_one_address() {
    let address = Scope { connections: Some(1), ..Scope::default() };
    let limits = limits(Scope::default(), address, Scope::default());
    let one = limits.arrive(ip("2001:db8:0:1::1"));
    assert!(one.is_ok());
    assert!(limits.arrive(ip("2001:db8:0:1:ffff::2")).is_err());
    assert!(limits.arrive(ip("2001:db8:0:2::1")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn connections_that_come_too_quickly_are_refused_until_time_has_passed() {
    let address = Scope { connections_per_s: Some(10), ..Scope::default() };
    let limits = limits(Scope::default(), address, Scope::default());
    let admitted = (0..1000).filter(|_| limits.arrive(ip("192.0.2.1")).is_ok()).count();
    assert_eq!(admitted, 10);
    let refused = limits.arrive(ip("192.0.2.1")).expect_err("too quick");
    assert!(
        matches!(refused, Refused::ConnectionsPerS { of: "address", .. }) && refused.retry_after_s() == 1
    );
    advance(Duration::from_secs(10)).await;
    assert_eq!((0..1000).filter(|_| limits.arrive(ip("192.0.2.1")).is_ok()).count(), 10);
}

#[tokio::test(start_paused = true)]
async fn only_other_hosts_have_limits_by_default() {
    let limits = limits(Scope::default(), Scope::default(), Scope::default());
    assert!((0..2000).all(|_| limits.arrive(ip("127.0.0.1")).is_ok()));
    assert_eq!((0..2000).filter(|_| limits.arrive(ip("192.0.2.1")).is_ok()).count(), 200);
    let lifted = Scope { connections_per_s: Some(0), ..Scope::default() };
    limits.apply(&LimitSettings { address: lifted, ..LimitSettings::new(true) });
    assert!((0..2000).all(|_| limits.arrive(ip("192.0.2.1")).is_ok()), "lifted while in force");
}

#[tokio::test(start_paused = true)]
async fn addresses_are_forgotten_that_have_nothing_open() {
    let limits = limits(Scope::default(), Scope::default(), Scope::default());
    for n in 0..200_000_u32 {
        if n % 1000 == 0 {
            advance(Duration::from_secs(1)).await;
        }
        let _ = limits.arrive(std::net::Ipv4Addr::from_bits(n).into());
    }
    let known = limits.by_address.lock().expect("no panic").parties.len();
    assert!(known <= 2 * MIN_SWEEP, "{known} addresses are remembered");
}

#[tokio::test(start_paused = true)]
async fn addresses_beyond_the_bound_share_one_count() {
    let address = Scope { connections: Some(1), ..Scope::default() };
    let limits = limits(Scope::default(), address, Scope::default());
    let all: Vec<_> = (1..=MAX_PARTIES as u32 + 2)
        .map(|n| limits.arrive(std::net::Ipv4Addr::from_bits(n + (1 << 24)).into()))
        .collect();
    assert_eq!(all.iter().filter(|share| share.is_ok()).count(), MAX_PARTIES + 1);
}

#[tokio::test(start_paused = true)]
async fn flows_are_refused_and_dials_wait() {
    let client = Scope { flows: Some(3), pending_dials: Some(2), ..Scope::default() };
    let address = Scope { flows: Some(4), pending_dials: Some(3), ..Scope::default() };
    let limits = limits(client, address, Scope::default());
    let (one, two) =
        (limits.arrive(ip("192.0.2.1")).expect("room"), limits.arrive(ip("192.0.2.1")).expect("room"));
    let mut flows: Vec<_> = (0..3).map(|_| one.flow().expect("a flow")).collect();
    assert_eq!(one.flow().err(), Some(Refused::Flows { of: "client" }));
    flows.push(two.flow().expect("a flow"));
    assert_eq!(two.flow().err(), Some(Refused::Flows { of: "address" }));
    flows.remove(0);
    flows.push(two.flow().expect("a flow that was given back"));
    let held = (one.dial().await, one.dial().await);
    let waiting = tokio::spawn(async move { one.dial().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(held.0);
    drop(waiting.await.expect("its turn"));
}

#[tokio::test(start_paused = true)]
async fn a_token_has_limits_of_its_own_beside_those_of_all() {
    let token = Scope { connections: Some(1), ..Scope::default() };
    let limits = limits(Scope::default(), Scope::default(), token);
    let join = |id: &str, own: Scope| limits.local().with_token(&limits, id, &own);
    let one = join("a", Scope::default());
    assert!(one.is_ok());
    assert_eq!(join("a", Scope::default()).err(), Some(Refused::Connections { of: "token" }));
    assert!(join("b", Scope::default()).is_ok());
    let more = Scope { connections: Some(2), ..Scope::default() };
    assert!(join("a", more).is_ok(), "by its own limit");
}

/// Moves what is to be moved for a while, piece by piece as a socket would; how much that was.
async fn carry(lane: Lane, piece_bytes: usize, until: Instant) -> u64 {
    let mut carried = 0;
    loop {
        let now = Instant::now();
        if now >= until {
            return carried;
        }
        match lane.room(now) {
            Ok(room) => {
                let bytes = if piece_bytes > 16_384 { piece_bytes } else { room.min(piece_bytes) };
                lane.spend(bytes);
                carried += bytes as u64;
                tokio::task::yield_now().await;
            }
            Err(at) => sleep_until(at.min(until)).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_held_whatever_the_pieces() {
    for piece_bytes in [60, 1514, 16_384, 65_549, 524_288] {
        for rate in [40_980, 1_000_000, 100_000_000] {
            let client = Scope { download_bytes_per_s: Some(rate), ..Scope::default() };
            let share = limits(client, Scope::default(), Scope::default()).local();
            let seconds = if rate > 1_000_000 { 2 } else { 60 };
            if piece_bytes < 1000 && rate > 1_000_000 {
                continue;
            }
            let carried =
                carry(share.download(), piece_bytes, Instant::now() + Duration::from_secs(seconds)).await;
            let exact = rate * seconds;
            let slack = rate / 5 + piece_bytes as u64 + 32_768;
            assert!(carried.abs_diff(exact) <= slack, "{carried} of {exact} in pieces of {piece_bytes}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn clients_share_a_rate_evenly_and_one_that_is_slower_keeps_its_own() {
    let address = Scope { upload_bytes_per_s: Some(5_000_000), ..Scope::default() };
    let limits = limits(Scope::default(), address, Scope::default());
    let until = Instant::now() + Duration::from_secs(10);
    let slow = Scope { upload_bytes_per_s: Some(20_000), ..Scope::default() };
    let mut tasks = Vec::new();
    for n in 0..50 {
        let share = limits.arrive(ip("192.0.2.1")).expect("room");
        let share = if n == 0 { share.with_token(&limits, "slow", &slow).expect("room") } else { share };
        // Some send in smaller pieces, and many more of them.
        let piece_bytes = if n % 2 == 0 { 500 } else { 16_000 };
        tasks.push(tokio::spawn(carry(share.upload(), piece_bytes, until)));
    }
    let mut carried = Vec::new();
    for task in tasks {
        carried.push(task.await.expect("carried"));
    }
    let total: u64 = carried.iter().sum();
    assert!(total.abs_diff(50_000_000) < 5_000_000, "{total}");
    assert!(carried[0].abs_diff(200_000) < 20_000, "{} of 200000", carried[0]);
    for bytes in &carried[1..] {
        assert!(bytes.abs_diff(1_016_000) < 101_600, "{carried:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_rate_does_not_wait() {
    let share = limits(Scope::default(), Scope::default(), Scope::default()).local();
    let lane = share.upload();
    assert_eq!(lane.room(Instant::now()), Ok(usize::MAX));
    lane.spend(1 << 40);
    assert_eq!(lane.room(Instant::now()), Ok(usize::MAX));
}
