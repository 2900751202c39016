//! Buffers grow where a quarter of them is taken in a round trip or half waits behind a gap, and beyond a first size only where that takes time.

use crate::tcp::tuning::Tuning;
use crate::time::{Duration, Instant};

const FIRST: usize = 64 * 1024;
const NEAR: usize = 256 * 1024;
const MOST: usize = 4 << 20;

/// What the receive buffer may hold after a second in which `bytes_per_ms` are taken.
fn after_a_second(rtt: Duration, bytes_per_ms: usize) -> usize {
    let mut tuning = Tuning::new(Instant::ZERO, MOST, MOST, 1460);
    for ms in 0..1000 {
        tuning.taken(Instant::from_us(ms * 1000), bytes_per_ms, rtt);
    }
    tuning.receive_limit()
}

#[test]
fn a_path_without_delay_needs_no_more_than_any_buffer() {
    assert_eq!(after_a_second(Duration::from_micros(200), 1000), FIRST);
    assert_eq!(after_a_second(Duration::from_micros(200), 1 << 20), NEAR);
    let mut tuning = Tuning::new(Instant::ZERO, MOST, MOST, 1460);
    tuning.sends(MOST, Duration::from_micros(200));
    assert_eq!(tuning.send_limit(), NEAR);
}

#[test]
fn a_slow_sender_on_a_long_path_keeps_the_first_size() {
    // 15 KB in a round trip of 100 ms.
    assert_eq!(after_a_second(Duration::from_millis(100), 150), FIRST);
}

#[test]
fn a_fast_sender_on_a_long_path_gets_four_times_what_is_under_way() {
    // 500 KB in a round trip: between once and twice four times as much.
    let limit = after_a_second(Duration::from_millis(100), 5000);
    assert!((2_000_000..4_000_000).contains(&limit), "{limit}");
    assert_eq!(after_a_second(Duration::from_millis(100), 1 << 20), MOST);
}

#[test]
fn what_waits_behind_a_gap_leaves_room_for_as_much() {
    let mut tuning = Tuning::new(Instant::ZERO, MOST, MOST, 1460);
    let rtt = Duration::from_millis(100);
    tuning.held(FIRST / 2, rtt);
    assert_eq!(tuning.receive_limit(), FIRST);
    tuning.held(FIRST, rtt);
    assert_eq!(tuning.receive_limit(), 2 * FIRST);
    tuning.held(MOST, Duration::from_micros(200));
    assert_eq!(tuning.receive_limit(), NEAR);
    tuning.held(MOST, rtt);
    assert_eq!(tuning.receive_limit(), MOST);
}

#[test]
fn a_buffer_of_nothing_does_not_grow() {
    let mut tuning = Tuning::new(Instant::ZERO, 0, 0, 1460);
    tuning.taken(Instant::ZERO, 1, Duration::from_millis(100));
    tuning.held(1, Duration::from_millis(100));
    assert_eq!(tuning.receive_limit(), 0);
}

#[test]
fn the_owner_bounds_both() {
    let mut tuning = Tuning::new(Instant::ZERO, MOST, MOST, 1460);
    tuning.bound(5000);
    assert_eq!((tuning.receive_limit(), tuning.send_limit()), (5000, 5000));
    tuning.bound(usize::MAX);
    assert_eq!((tuning.receive_limit(), tuning.send_limit()), (FIRST, NEAR));
}

#[test]
fn the_send_buffer_holds_twice_the_congestion_window() {
    let mut tuning = Tuning::new(Instant::ZERO, MOST, MOST, 1460);
    tuning.sends(NEAR / 2, Duration::from_millis(20));
    assert_eq!(tuning.send_limit(), NEAR);
    tuning.sends(NEAR / 2 + 1, Duration::from_millis(20));
    assert_eq!(tuning.send_limit(), 2 * NEAR);
}
