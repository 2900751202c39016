//! A path with a rate and a round trip, simulated.

use super::*;

/// What the kernels of both ends hold.
const KERNEL_BYTES: u64 = 8_000_000;
/// How long a path is used.
const MILLISECONDS: u64 = 25_000;

/// Sends as the pace lets it over a path; bytes that arrived, and the most that was under way.
fn run(bytes_per_ms: u64, rtt_ms: u64) -> (u64, u64) {
    run_longer(bytes_per_ms, rtt_ms, rtt_ms)
}

/// The same over a path whose round trip changes after a second.
fn run_longer(bytes_per_ms: u64, rtt_ms: u64, later_rtt_ms: u64) -> (u64, u64) {
    let begin = Instant::now();
    let mut pace = Pace::default();
    let (mut sent, mut arrived, mut most) = (0_u64, 0_u64, 0);
    let mut pings: VecDeque<u64> = VecDeque::new();
    let mut pongs: VecDeque<(u64, u64)> = VecDeque::new();
    for ms in 0..MILLISECONDS {
        let now = begin + Duration::from_millis(ms);
        while pongs.front().is_some_and(|(at, _)| *at <= ms) {
            let (_, mark) = pongs.pop_front().expect("a pong");
            pace.pong(&mark.to_be_bytes(), now);
        }
        while pace.has_room() && sent < arrived + KERNEL_BYTES {
            sent += 64 * 1024;
            pings.extend(pace.send(64 * 1024, now).map(u64::from_be_bytes));
        }
        if ms > MILLISECONDS - 500 {
            most = most.max(sent - arrived);
        }
        arrived = (arrived + bytes_per_ms).min(sent);
        while pings.front().is_some_and(|mark| *mark <= arrived) {
            let rtt_ms = if ms < 1000 { rtt_ms } else { later_rtt_ms };
            pongs.extend(pings.pop_front().map(|mark| (ms + rtt_ms, mark)));
        }
    }
    (arrived, most)
}

#[test]
fn a_path_is_full_and_little_waits_before_it() {
    for (bytes_per_ms, rtt_ms) in [(400_000, 1), (10_000, 20), (100_000, 50)] {
        let (arrived, most) = run(bytes_per_ms, rtt_ms);
        assert!(arrived >= bytes_per_ms * MILLISECONDS * 9 / 10, "{bytes_per_ms}/ms, {rtt_ms} ms: {arrived}");
        // The shortest round trip is measured with a small window under way, so that much stays on a slow path.
        let bound = 4 * bytes_per_ms * rtt_ms + 3 * MIN_WINDOW_BYTES;
        assert!(most <= bound, "{bytes_per_ms}/ms, {rtt_ms} ms: {most} of {bound}");
    }
}

#[test]
fn a_path_that_becomes_longer_is_full_again() {
    let (arrived, _) = run_longer(50_000, 10, 100);
    // Within the memory of the shorter round trip it was not.
    assert!(arrived >= 50_000 * MILLISECONDS * 6 / 10, "{arrived}");
}

#[test]
fn who_never_answers_is_not_paced() {
    let mut pace = Pace::default();
    let now = Instant::now();
    assert!((0..1000).all(|_| {
        pace.send(64 * 1024, now);
        pace.has_room()
    }));
    assert_eq!(pace.deadline(), None);
}

#[test]
fn bulk_waits_for_pongs_and_no_longer_than_patience() {
    let mut pace = Pace::default();
    let begin = Instant::now();
    let mark = pace.send(300_000, begin).expect("a ping");
    assert_eq!(pace.send(1, begin), None);
    pace.pong(b"not ours", begin);
    pace.pong(&mark, begin + Duration::from_micros(100));
    let mut sent = 0;
    while pace.has_room() {
        pace.send(64 * 1024, begin);
        sent += 64 * 1024;
    }
    assert!((MIN_WINDOW_BYTES..2 * MIN_WINDOW_BYTES).contains(&sent), "{sent}");
    assert_eq!(pace.deadline(), Some(begin + PATIENCE));
    pace.give_up();
    assert!(pace.has_room());
}
