//! Transfers over the grid of impairments, windows and MTUs: all bytes arrive both ways, all flows end, and no packet breaks a rule.
//!
//! Each transfer is a point of the grid drawn by its number: 1000 of them by default, 10,000 with `NETLOOM_FULL=1`.

use netloom_core::{Congestion, Duration, Instant};
use netloom_sim::scenario::{Opener, Peer};
use netloom_sim::{Faults, LinkConfig, Plan, Rng, Scenario};

/// Transfers with each peer.
const TRANSFERS: u64 = 500;
const TRANSFERS_FULL: u64 = 5000;

/// The `n`th point of the grid: each of its values is as likely as the others of its kind.
fn point(peer: Peer, n: u64) -> Scenario {
    let mut rng = Rng::new(n);
    let delay = Duration::from_millis(one_of(&mut rng, [0, 1, 10, 50, 100]));
    let link = LinkConfig {
        loss: one_of(&mut rng, [0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1]),
        duplicate: one_of(&mut rng, [0.0, 0.02]),
        reorder: one_of(&mut rng, [0.0, 0.02, 0.2]),
        corrupt: one_of(&mut rng, [0.0, 0.01]),
        delay,
        jitter: one_of(&mut rng, [Duration::ZERO, delay / 4]),
        rate_bytes_per_s: one_of(&mut rng, [None, Some(125_000), Some(1_250_000), Some(12_500_000)]),
        // Two frames of the largest MTU.
        queue_bytes: 140_000,
        spares_arp: true,
    };
    let scenario = Scenario {
        peer,
        opener: one_of(&mut rng, [Opener::Guest, Opener::Outside]),
        plan: plan(rng.below(5) as usize),
        link,
        mtu: one_of(&mut rng, [576, 1500, 9000, 65_535]),
        buffer_bytes: one_of(&mut rng, [4096, 32 * 1024, 256 * 1024, 1 << 20]),
        congestion: one_of(&mut rng, [Congestion::Cubic, Congestion::Reno, Congestion::None]),
        timestamps: one_of(&mut rng, [true, false]),
        ipv6: one_of(&mut rng, [false, true]),
        seed: n,
        ..Scenario::default()
    };
    // No link of IPv6 is smaller (RFC 8200 5).
    Scenario { mtu: if scenario.ipv6 { scenario.mtu.max(1280) } else { scenario.mtu }, ..scenario }
}

fn one_of<T: Copy, const N: usize>(rng: &mut Rng, values: [T; N]) -> T {
    values[rng.below(N as u64) as usize]
}

fn plan(n: usize) -> Plan {
    match n % 5 {
        0 => Plan::both(150_000, 150_000),
        1 => Plan { half_close: true, ..Plan::both(40_000, 200_000) },
        2 => Plan { echo: true, ..Plan::both(80_000, 80_000) },
        3 => Plan::both(300_000, 0),
        _ => Plan::both(1, 300_000),
    }
}

fn full() -> bool {
    std::env::var_os("NETLOOM_FULL").is_some_and(|value| value == "1")
}

fn run(peer: Peer) {
    let transfers = if full() { TRANSFERS_FULL } else { TRANSFERS };
    let mut faults = Faults::default();
    for n in 0..transfers {
        let scenario = point(peer, n);
        let report = scenario.run_forgiving();
        assert!(report.frames > 6, "{scenario:?}");
        faults += report.faults;
    }
    println!("{transfers} transfers, {faults:?}");
    match peer {
        // Very few runs meet it; more of them would be a fault of ours that looks alike.
        Peer::Smoltcp => assert!(faults.lost_fin_timers <= transfers / 300, "{faults:?}"),
        Peer::Machine => assert_eq!(faults, Faults::default()),
    }
}

#[test]
fn impaired_with_smoltcp() {
    run(Peer::Smoltcp);
}

#[test]
fn impaired_with_itself() {
    run(Peer::Machine);
}

#[test]
fn a_clean_wire_at_every_mtu_and_window() {
    for peer in [Peer::Smoltcp, Peer::Machine] {
        for opener in [Opener::Guest, Opener::Outside] {
            for (n, mtu) in [576, 1500, 9000, 65_535].into_iter().enumerate() {
                for buffer_bytes in [2048, 65_535, 256 * 1024] {
                    let scenario =
                        Scenario { peer, opener, mtu, buffer_bytes, plan: plan(n), ..Scenario::default() };
                    let report = scenario.run();
                    assert!(
                        report.end < Instant::from_us(130_000_000),
                        "{scenario:?} took until {}",
                        report.end
                    );
                }
            }
        }
    }
}

#[test]
fn nothing_to_say() {
    for peer in [Peer::Smoltcp, Peer::Machine] {
        for opener in [Opener::Guest, Opener::Outside] {
            for half_close in [false, true] {
                let plan = Plan { half_close, ..Plan::both(0, 0) };
                let report = Scenario { peer, opener, plan, ..Scenario::default() }.run();
                assert!(report.frames < 20, "{} frames for an empty connection", report.frames);
            }
        }
    }
}

#[test]
fn many_flows_at_once() {
    let link =
        LinkConfig { loss: 0.01, delay: Duration::from_millis(2), spares_arp: true, ..LinkConfig::default() };
    for peer in [Peer::Smoltcp, Peer::Machine] {
        for opener in [Opener::Guest, Opener::Outside] {
            let flows = if full() { 1000 } else { 100 };
            let plan = Plan::both(20_000, 20_000);
            let _ =
                Scenario { peer, opener, plan, flows, link, buffer_bytes: 16 * 1024, ..Scenario::default() }
                    .run();
        }
    }
}

#[test]
fn a_trusted_port_needs_no_checksums() {
    for peer in [Peer::Smoltcp, Peer::Machine] {
        for mtu in [1500, 65_535] {
            let _ = Scenario {
                peer,
                mtu,
                trusted: true,
                plan: Plan::both(2_000_000, 2_000_000),
                ..Scenario::default()
            }
            .run();
        }
    }
}

#[test]
fn a_slow_dial_and_a_reader_that_stalls() {
    for peer in [Peer::Smoltcp, Peer::Machine] {
        let plan = Plan { stall_until: Instant::from_us(30_000_000), ..Plan::both(400_000, 10_000) };
        let scenario = Scenario {
            peer,
            plan,
            dial: Duration::from_secs(2),
            buffer_bytes: 64 * 1024,
            ..Scenario::default()
        };
        let report = scenario.run();
        assert!(report.end > Instant::from_us(30_000_000));
        // The guest's probes of the closed window come at growing intervals: a stall costs few frames.
        assert!(report.frames < 2500, "{} frames", report.frames);
    }
}

#[test]
fn a_narrow_wire_with_a_short_queue() {
    let link = LinkConfig {
        rate_bytes_per_s: Some(1_250_000),
        queue_bytes: 30_000,
        delay: Duration::from_millis(10),
        ..LinkConfig::default()
    };
    for peer in [Peer::Smoltcp, Peer::Machine] {
        let _ = Scenario { peer, link, plan: Plan::both(1_000_000, 1_000_000), ..Scenario::default() }.run();
    }
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let link = LinkConfig {
        loss: 0.02,
        duplicate: 0.01,
        reorder: 0.05,
        delay: Duration::from_millis(5),
        jitter: Duration::from_millis(1),
        spares_arp: true,
        ..LinkConfig::default()
    };
    for peer in [Peer::Smoltcp, Peer::Machine] {
        let scenario = Scenario { peer, link, flows: 5, ..Scenario::default() };
        let first = scenario.run();
        assert_eq!(first, scenario.run(), "{scenario:?}");
        assert_ne!(first.trace, Scenario { seed: 2, ..scenario }.run().trace);
    }
}
