//! The link keeps the rates it was given, and the same seed gives the same schedule.

use netloom_core::{Duration, Instant};
use netloom_sim::{Link, LinkConfig};

const FRAMES: u64 = 20_000;

/// An IPv4-looking frame that carries its number.
fn frame(n: u64) -> Vec<u8> {
    let mut frame = vec![0; 64];
    frame[12] = 0x08;
    frame[20..28].copy_from_slice(&n.to_be_bytes());
    frame
}

fn run(config: LinkConfig, seed: u64) -> (Link, Vec<(Instant, Vec<u8>)>) {
    let mut link = Link::new(config, seed);
    let mut got = Vec::new();
    for n in 0..FRAMES {
        let now = Instant::from_us(n * 100);
        link.push(now, &frame(n));
        while let Some(frame) = link.poll(now) {
            got.push((now, frame));
        }
    }
    while let Some(at) = link.poll_timeout() {
        while let Some(frame) = link.poll(at) {
            got.push((at, frame));
        }
    }
    (link, got)
}

#[test]
fn a_plain_link_passes_everything_at_once() {
    let (link, got) = run(LinkConfig::default(), 1);
    assert_eq!(got.len() as u64, FRAMES);
    assert!(got.iter().zip(0..).all(|((at, bytes), n)| at.as_us() == n * 100 && *bytes == frame(n)));
    assert_eq!(link.counters().delivered, FRAMES);
}

#[test]
fn same_seed_same_schedule() {
    let config = LinkConfig {
        loss: 0.02,
        duplicate: 0.01,
        reorder: 0.05,
        corrupt: 0.01,
        delay: Duration::from_millis(10),
        jitter: Duration::from_millis(2),
        rate_bytes_per_s: Some(1_000_000),
        queue_bytes: 64 * 1024,
        spares_arp: false,
    };
    let (one, first) = run(config, 42);
    let (_, second) = run(config, 42);
    let (_, other) = run(config, 43);
    assert_eq!(first, second);
    assert_ne!(first, other);
    let counters = one.counters();
    for (what, count, probability) in [
        ("lost", counters.lost, 0.02),
        ("duplicated", counters.duplicated, 0.01),
        ("reordered", counters.reordered, 0.05),
        ("corrupted", counters.corrupted, 0.01),
    ] {
        let expected = probability * FRAMES as f64;
        assert!((count as f64 - expected).abs() < expected / 3.0, "{what}: {count}, expected {expected}");
    }
    assert_eq!(counters.pushed, FRAMES);
    assert_eq!(counters.delivered, FRAMES - counters.lost + counters.duplicated);
}

#[test]
fn arp_is_spared_on_request() {
    let mut link = Link::new(LinkConfig { loss: 1.0, spares_arp: true, ..LinkConfig::default() }, 1);
    link.push(Instant::ZERO, &frame(1));
    assert_eq!(link.poll(Instant::ZERO), None);
    let mut arp = frame(2);
    arp[13] = 0x06;
    link.push(Instant::ZERO, &arp);
    assert_eq!(link.poll(Instant::ZERO), Some(arp));
}

#[test]
fn jitter_alone_keeps_the_order_and_reordering_breaks_it() {
    let jitter = LinkConfig { jitter: Duration::from_millis(5), ..LinkConfig::default() };
    let ordered = |got: &[(Instant, Vec<u8>)]| got.windows(2).all(|w| w[0].1[20..28] < w[1].1[20..28]);
    assert!(ordered(&run(jitter, 3).1));
    assert!(!ordered(&run(LinkConfig { reorder: 0.01, ..jitter }, 3).1));
}

#[test]
fn a_full_queue_drops_and_the_rate_holds() {
    let config = LinkConfig { rate_bytes_per_s: Some(64_000), queue_bytes: 6400, ..LinkConfig::default() };
    let (link, got) = run(config, 5);
    let span = got.last().unwrap().0.since(got[0].0).as_secs_f64();
    let rate = (got.len() - 1) as f64 * 64.0 / span;
    assert!((63_000.0..65_000.0).contains(&rate), "{rate}");
    assert!(link.counters().overflowed > 0);
    assert_eq!(link.counters().overflowed + got.len() as u64, FRAMES);
}
