//! The congestion window against what its RFCs say in closed form.

use proptest::prelude::*;

use crate::tcp::Congestion;
use crate::tcp::congestion::CongestionWindow;
use crate::time::{Duration, Instant};

const MSS: usize = 1000;

/// A window that loses once with so many segments under way, and is back from it.
fn after_a_loss(algorithm: Congestion, flight: usize) -> CongestionWindow {
    let mut window = CongestionWindow::new(algorithm, MSS);
    window.set_cwnd(flight * MSS);
    window.lost(flight * MSS);
    window.recovered();
    window
}

/// A round trip in which the whole window is acknowledged, two segments at a time.
fn round(window: &mut CongestionWindow, now: Instant, rtt: Duration) {
    let mut left = window.cwnd();
    while left > 0 {
        let bytes = left.min(2 * MSS);
        window.acknowledged(now, bytes, true, rtt);
        left -= bytes;
    }
}

fn segments(window: &CongestionWindow) -> f64 {
    window.cwnd() as f64 / MSS as f64
}

/// RFC 9438 4.2, equation 1, with K of equation 2.
fn cubic(seconds: f64, w_max: f64, cwnd_epoch: f64) -> f64 {
    let k = ((w_max - cwnd_epoch) / 0.4).cbrt();
    0.4 * (seconds - k).powi(3) + w_max
}

proptest! {
    #[test]
    fn a_loss_leaves_of_the_window_what_the_algorithm_says(flight in 1..5000_usize) {
        let cwnd = |algorithm| segments(&after_a_loss(algorithm, flight));
        // RFC 5681 3.1, equation 4, in whole segments.
        prop_assert!((cwnd(Congestion::Reno) - ((flight / 2).max(2) as f64)).abs() < 0.01);
        // RFC 9438 4.6.
        prop_assert!((cwnd(Congestion::Cubic) - (flight as f64 * 0.7).max(2.0)).abs() < 0.01);
        prop_assert_eq!(after_a_loss(Congestion::None, flight).cwnd(), usize::MAX);
    }

    #[test]
    fn reno_grows_by_a_segment_a_round_trip(flight in 4..1000_usize, rounds in 1..100_usize) {
        let mut window = after_a_loss(Congestion::Reno, flight);
        let before = segments(&window);
        let rtt = Duration::from_millis(100);
        for n in 0..rounds {
            round(&mut window, Instant::from_us(100_000 * n as u64), rtt);
        }
        let grown = segments(&window) - before;
        // RFC 5681 3.1: no faster, and hardly slower.
        prop_assert!(grown <= rounds as f64 && grown > 0.9 * rounds as f64 - 1.0, "{grown} in {rounds} rounds");
    }

    #[test]
    fn cubic_follows_its_function_or_reno_whichever_is_larger(
        w_max in 4..2000_usize,
        rtt_ms in 1..1000_u64,
        seconds in 1..30_u64,
    ) {
        let mut window = after_a_loss(Congestion::Cubic, w_max);
        let rtt = Duration::from_millis(rtt_ms);
        let (w_max, epoch) = (w_max as f64, segments(&window));
        // RFC 9438 4.3.
        let alpha = 3.0 * (1.0 - 0.7) / (1.0 + 0.7);
        let mut w_est = epoch;
        let mut previous = epoch;
        let mut now = Instant::from_us(1_000_000);
        let (start, rtt_s) = (now, rtt.as_secs_f64());
        while now < start + Duration::from_secs(seconds) && segments(&window) < 20_000.0 {
            round(&mut window, now, rtt);
            let time = now.since(start).as_secs_f64();
            w_est += if w_est < w_max { alpha } else { 1.0 };
            let cwnd = segments(&window);
            // RFC 9438 4.4: by no more than half of itself in a round trip.
            prop_assert!(cwnd >= previous && cwnd <= 1.5 * previous + 2.0, "from {previous} to {cwnd}");
            let least = w_est.min(1.2 * previous).max(cubic(time - rtt_s, w_max, epoch).min(1.2 * previous));
            let most = w_est.max(cubic(time + rtt_s, w_max, epoch));
            prop_assert!(
                cwnd >= 0.97 * least - 2.0 && cwnd <= 1.03 * most + 2.0,
                "at {time} s {cwnd} segments, not from {least} to {most}"
            );
            previous = cwnd;
            now += rtt;
        }
    }

    #[test]
    fn a_window_that_does_not_hold_the_sender_back_does_not_grow(
        flight in 4..1000_usize,
        reno: bool,
        steps in proptest::collection::vec((1..5000_u64, 1..10_000_usize), 1..50),
    ) {
        let mut window = after_a_loss(if reno { Congestion::Reno } else { Congestion::Cubic }, flight);
        let before = window.cwnd();
        let mut now = Instant::from_us(1_000_000);
        for (ms, bytes) in steps {
            now += Duration::from_millis(ms);
            window.acknowledged(now, bytes, false, Duration::from_millis(50));
            prop_assert_eq!(window.cwnd(), before);
        }
        // RFC 9438 5.8: and it has gathered no right to grow at once.
        window.acknowledged(now, MSS, true, Duration::from_millis(50));
        prop_assert!(window.cwnd() <= before + MSS);
    }

    #[test]
    fn a_window_that_was_idle_comes_back_by_slow_start(
        flight in 30..1000_usize,
        reno: bool,
        rounds in 1..100_u64,
        idle_ms in 300..10_000_u64,
        rtt_ms in 1..200_u64,
    ) {
        let mut window = after_a_loss(if reno { Congestion::Reno } else { Congestion::Cubic }, flight);
        let rtt = Duration::from_millis(rtt_ms);
        let mut now = Instant::from_us(1_000_000);
        for _ in 0..rounds {
            round(&mut window, now, rtt);
            now += rtt;
        }
        now += Duration::from_millis(idle_ms);
        window.idle();
        prop_assert!(window.cwnd() <= 10 * MSS);
        for _ in 0..2 * flight {
            let before = window.cwnd();
            window.acknowledged(now, MSS, true, rtt);
            prop_assert!(window.cwnd() <= before + MSS, "from {before} to {}", window.cwnd());
            now += rtt / 50;
        }
    }

    #[test]
    fn no_window_falls_below_a_segment_or_runs_away(
        which in 0..2_usize,
        steps in proptest::collection::vec((0..6_u8, 0..100_000_usize, 0..10_000_u64), 1..200),
    ) {
        let mut window = CongestionWindow::new([Congestion::Reno, Congestion::Cubic][which], MSS);
        let mut now = Instant::from_us(1_000_000);
        for (what, bytes, ms) in steps {
            now += Duration::from_millis(ms);
            let before = window.cwnd();
            match what {
                0 => window.lost(bytes),
                1 => window.timed_out(bytes, bytes % 2 == 0),
                2 => {
                    window.lost(bytes);
                    window.recovered();
                }
                3 => window.idle(),
                _ => {
                    // No more is acknowledged than was under way.
                    let bytes = bytes.min(before);
                    window.acknowledged(now, bytes, true, Duration::from_millis(ms));
                    prop_assert!(window.cwnd() >= before && window.cwnd() <= before + bytes.max(2 * MSS));
                }
            }
            prop_assert!(window.cwnd() >= MSS, "{} bytes", window.cwnd());
        }
    }
}
