//! The TCP engine by itself and against smoltcp over the impaired link, without the machine around it.

use core::net::{Ipv4Addr, SocketAddrV4};

use netloom_core::tcp::Config;
use netloom_core::{Duration, Instant};
use netloom_sim::guest::engine::EngineHostConfig;
use netloom_sim::guest::smoltcp::SmoltcpHostConfig;
use netloom_sim::world::{guest_address, guest_mac, run_pair};
use netloom_sim::{Checker, EngineHost, Host, Link, LinkConfig, Outcome, Plan, Rng, SmoltcpHost};

#[derive(Clone, Copy, Debug)]
struct Case {
    link: LinkConfig,
    mtu: u16,
    buffer_bytes: usize,
    plan: Plan,
    seed: u64,
}

fn engine(n: u8, case: &Case) -> EngineHost {
    let tcp = Config {
        max_payload: case.mtu - 40,
        advertised_mss: case.mtu - 40,
        receive_buffer_bytes: case.buffer_bytes,
        send_buffer_bytes: case.buffer_bytes,
        ..Config::default()
    };
    let seed = case.seed * 2 + u64::from(n);
    EngineHost::new(EngineHostConfig {
        mac: guest_mac(n),
        address: guest_address(n),
        peer_mac: guest_mac(1 - n),
        tcp,
        seed,
    })
}

fn smoltcp(n: u8, case: &Case) -> SmoltcpHost {
    SmoltcpHost::new(SmoltcpHostConfig {
        mac: guest_mac(n),
        address: Some((guest_address(n).into(), 24)),
        router: None,
        slaac: false,
        mtu: case.mtu,
        buffer_bytes: case.buffer_bytes,
        checksums: true,
        seed: case.seed * 2 + u64::from(n),
    })
}

/// Runs a case; returns how many windows were rounded down by the host that may.
fn judge<A: Host, B: Host>(
    case: &Case,
    (a, b): (&mut A, &mut B),
    rounder: Option<Ipv4Addr>,
    over: impl Fn(&A, &B) -> bool,
    show: impl Fn(&A, &B) -> String,
) -> u64 {
    let mut links = [Link::new(case.link, case.seed), Link::new(case.link, case.seed + 1_000_000)];
    let mut checker = Checker::new(true);
    if let Some(address) = rounder {
        checker.excuse_rounding(address);
    }
    let until = Instant::ZERO + Duration::from_secs(6 * 3600);
    let done = |a: &A, b: &B| a.finished().len() == 1 && b.finished().len() == 1 && over(a, b);
    let (ended, at) = run_pair((a, b), &mut links, &mut checker, case.mtu, until, done);
    checker.assert_clean();
    assert!(ended, "at {at}: {}, lost timers {} {case:?}", show(a, b), b.lost_fin_timers(at));
    for (_, outcome) in a.finished().iter().chain(b.finished()) {
        assert_eq!(*outcome, Outcome::Done, "at {at}: {:?} {:?} {case:?}", a.finished(), b.finished());
    }
    checker.rounded_windows()
}

fn with_itself(case: &Case) -> u64 {
    let (mut a, mut b) = (engine(0, case), engine(1, case));
    b.listen(80, case.plan);
    a.connect(Instant::ZERO, SocketAddrV4::new(guest_address(1), 80), case.plan);
    let gone = |a: &EngineHost, b: &EngineHost| a.connections() + b.connections() == 0;
    judge(case, (&mut a, &mut b), None, gone, |a, b| format!("{} | {}", a.states(), b.states()))
}

fn with_smoltcp(case: &Case, engine_connects: bool) -> u64 {
    let (mut ours, mut theirs) = (engine(0, case), smoltcp(1, case));
    if engine_connects {
        theirs.listen(80, case.plan, 1);
        ours.connect(Instant::ZERO, SocketAddrV4::new(guest_address(1), 80), case.plan);
    } else {
        ours.listen(80, case.plan);
        theirs.connect(SocketAddrV4::new(guest_address(0), 80), case.plan);
    }
    let gone = |ours: &EngineHost, _: &SmoltcpHost| ours.connections() == 0;
    let rounder = Some(guest_address(1));
    judge(case, (&mut ours, &mut theirs), rounder, gone, |a, b| format!("{} | {:?}", a.states(), b.states()))
}

fn cases(count: usize, worst_loss: f64) -> impl Iterator<Item = Case> {
    let mut rng = Rng::new(7);
    (0..count).map(move |n| {
        let mut pick = |values: &[f64]| values[rng.below(values.len() as u64) as usize];
        let delay = Duration::from_millis(pick(&[0.0, 1.0, 10.0, 50.0]) as u64);
        let link = LinkConfig {
            loss: pick(&[0.0, 0.005, 0.02, worst_loss]),
            duplicate: pick(&[0.0, 0.02]),
            reorder: pick(&[0.0, 0.02, 0.2]),
            corrupt: pick(&[0.0, 0.01]),
            delay,
            jitter: delay / 4,
            ..LinkConfig::default()
        };
        let plan = match n % 4 {
            0 => Plan::both(120_000, 120_000),
            1 => Plan { half_close: true, ..Plan::both(30_000, 150_000) },
            2 => Plan { echo: true, ..Plan::both(60_000, 60_000) },
            _ => Plan::both(1, 200_000),
        };
        let mtu = [576, 1500, 9000, 65_535][pick(&[0.0, 1.0, 2.0, 3.0]) as usize];
        let buffer_bytes = pick(&[4096.0, 32_768.0, 262_144.0, 1_048_576.0]) as usize;
        Case { link, mtu, buffer_bytes, plan, seed: n as u64 + 1 }
    })
}

/// `NETLOOM_FULL=1` runs many.
fn count() -> usize {
    if std::env::var_os("NETLOOM_FULL").is_some_and(|value| value == "1") { 5000 } else { 200 }
}

#[test]
fn impaired_with_itself() {
    cases(count(), 0.1).for_each(|case| assert_eq!(with_itself(&case), 0));
}

#[test]
fn impaired_with_smoltcp() {
    let rounded: u64 = cases(count(), 0.1).map(|case| with_smoltcp(&case, case.seed % 2 == 0)).sum();
    println!("{rounded} windows of smoltcp's were rounded down");
}

#[test]
fn buffers_grow_with_a_long_path() {
    let rate_bytes_per_s = 25_000_000;
    let link = LinkConfig {
        delay: Duration::from_millis(50),
        rate_bytes_per_s: Some(rate_bytes_per_s),
        ..LinkConfig::default()
    };
    let took = |buffer_bytes, plan| {
        let case = Case { link, mtu: 1500, buffer_bytes, plan, seed: 1 };
        let (mut a, mut b) = (engine(0, &case), engine(1, &case));
        b.listen(80, plan);
        a.connect(Instant::ZERO, SocketAddrV4::new(guest_address(1), 80), plan);
        let mut links = [Link::new(link, 1), Link::new(link, 2)];
        let until = Instant::ZERO + Duration::from_secs(600);
        let done = |a: &EngineHost, b: &EngineHost| a.finished().len() + b.finished().len() == 2;
        let (ended, at) =
            run_pair((&mut a, &mut b), &mut links, &mut Checker::new(true), case.mtu, until, done);
        assert!(ended);
        // What lingers after the last byte is no part of it.
        at.since(Instant::ZERO).as_secs_f64() - Config::default().time_wait.as_secs_f64()
    };
    let bytes = 60_000_000;
    let least = bytes as f64 / rate_bytes_per_s as f64;
    for plan in [Plan::both(bytes, 0), Plan::both(0, bytes)] {
        let (fixed, grown) = (took(256 * 1024, plan), took(8 << 20, plan));
        assert!(fixed > 8.0 * least, "{fixed} s of {least} s with 256 KiB");
        assert!(grown < 1.8 * least, "{grown} s of {least} s with up to 8 MiB");
    }
}
