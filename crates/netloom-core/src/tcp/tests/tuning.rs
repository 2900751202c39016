//! Buffers grow where half of them is taken in a round trip that takes time, and nowhere else.

use crate::tcp::tuning::Tuning;
use crate::time::{Duration, Instant};

const FIRST: usize = 256 * 1024;
const MOST: usize = 4 << 20;

/// What the receive buffer may hold after a second in which `bytes_per_ms` are taken.
fn after_a_second(rtt: Duration, bytes_per_ms: usize) -> usize {
    let mut tuning = Tuning::new(Instant::ZERO, MOST, MOST);
    for ms in 0..1000 {
        tuning.taken(Instant::from_us(ms * 1000), bytes_per_ms, rtt);
    }
    tuning.receive_limit()
}

#[test]
fn a_path_without_delay_keeps_the_first_size() {
    assert_eq!(after_a_second(Duration::from_micros(200), 1 << 20), FIRST);
    let mut tuning = Tuning::new(Instant::ZERO, MOST, MOST);
    tuning.sends(MOST, Duration::from_micros(200));
    assert_eq!(tuning.send_limit(), FIRST);
}

#[test]
fn a_slow_sender_on_a_long_path_keeps_the_first_size() {
    // 100 KB in a round trip of 100 ms.
    assert_eq!(after_a_second(Duration::from_millis(100), 1000), FIRST);
}

#[test]
fn a_fast_sender_on_a_long_path_gets_twice_what_is_under_way() {
    // 500 KB in a round trip: between once and twice twice as much.
    let limit = after_a_second(Duration::from_millis(100), 5000);
    assert!((1_000_000..=2_097_152).contains(&limit), "{limit}");
    assert_eq!(after_a_second(Duration::from_millis(100), 1 << 20), MOST);
}

#[test]
fn the_owner_bounds_both() {
    let mut tuning = Tuning::new(Instant::ZERO, MOST, MOST);
    tuning.bound(5000);
    assert_eq!((tuning.receive_limit(), tuning.send_limit()), (5000, 5000));
    tuning.bound(usize::MAX);
    assert_eq!((tuning.receive_limit(), tuning.send_limit()), (FIRST, FIRST));
}

#[test]
fn the_send_buffer_holds_twice_the_congestion_window() {
    let mut tuning = Tuning::new(Instant::ZERO, MOST, MOST);
    tuning.sends(FIRST / 2, Duration::from_millis(20));
    assert_eq!(tuning.send_limit(), FIRST);
    tuning.sends(FIRST / 2 + 1, Duration::from_millis(20));
    assert_eq!(tuning.send_limit(), 2 * FIRST);
}
