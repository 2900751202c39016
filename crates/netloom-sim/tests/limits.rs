//! What is bounded: dials, flows and memory, whatever guests and the outside do or leave undone.

use core::net::{Ipv4Addr, SocketAddrV4};

use netloom_core::{Drop, Duration, Event, FlowId, Instant, LanConfig, Limits, PortConfig, Refusal};
use netloom_sim::guest::smoltcp::SmoltcpHostConfig;
use netloom_sim::world::{GATEWAY, guest_address, guest_mac, lan_config, limits};
use netloom_sim::{Answer, Host, LinkConfig, Outcome, Outside, Plan, SmoltcpHost, World};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);

fn world(config: LanConfig, outside: Outside, buffer_bytes: usize) -> World<SmoltcpHost> {
    let mut world = World::new(config, outside, 11);
    world.checker.excuse_rounding(guest_address(0));
    let host = SmoltcpHost::new(SmoltcpHostConfig {
        mac: guest_mac(0),
        address: Some((guest_address(0).into(), 24)),
        router: Some(GATEWAY.into()),
        slaac: false,
        mtu: 1500,
        buffer_bytes,
        checksums: true,
        seed: 3,
    });
    let link = LinkConfig { delay: Duration::from_millis(1), ..LinkConfig::default() };
    world.join(host, PortConfig::default(), link);
    world
}

fn dial(world: &mut World<SmoltcpHost>, port: u16, plan: Plan) {
    world.host(0).connect(SocketAddrV4::new(OUTSIDE, port), plan);
}

#[test]
fn a_refused_port_is_refused_at_once() {
    let mut world =
        world(lan_config(1500), Outside::default().otherwise(Answer::Refuse(Refusal::Refused)), 4096);
    dial(&mut world, 81, Plan::both(1, 1));
    assert!(world.run_until(Instant::from_us(100_000), |world| world.host(0).finished().len() == 1));
    assert_eq!(world.host(0).finished()[0].1, Outcome::Failed);
    assert_eq!(world.lan.flows(), 0);
}

#[test]
fn a_black_hole_is_silent_and_then_forgotten() {
    let mut world = world(lan_config(1500), Outside::default().otherwise(Answer::Silent), 4096);
    dial(&mut world, 81, Plan::both(1, 1));
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.lan.flows(), 1);
    assert!(world.host(0).finished().is_empty(), "nobody has answered");
    world.run_for(Duration::from_secs(600));
    // The guest repeats its SYN for ever, as smoltcp does without a time-out; each is a new dial that ends in turn.
    assert!(world.lan.flows() <= 1);
}

#[test]
fn pending_dials_are_limited() {
    let limits = Limits { pending_dials_per_guest: 10, ..limits(4096) };
    let outside = Outside::default().otherwise(Answer::Silent);
    let mut world = world(LanConfig { limits, ..lan_config(1500) }, outside, 1024);
    for _ in 0..50 {
        dial(&mut world, 81, Plan::both(1, 1));
    }
    world.run_for(Duration::from_millis(500));
    assert_eq!(world.lan.flows(), 10);
    assert!(world.lan.drops().of(Drop::PendingDials) >= 40, "{:?}", world.lan.drops());
}

#[test]
fn flows_are_limited() {
    let limits = Limits { flows_per_guest: 20, ..limits(4096) };
    let plan = Plan { stall_until: Instant::from_us(3_600_000_000), ..Plan::both(100_000, 1) };
    let outside = Outside::default().otherwise(Answer::Serve(Duration::ZERO, plan));
    let mut world = world(LanConfig { limits, ..lan_config(1500) }, outside, 1024);
    for _ in 0..50 {
        dial(&mut world, 80, plan);
    }
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.lan.flows(), 20);
    assert!(world.lan.drops().of(Drop::FlowLimit) > 0);
}

#[test]
fn a_stalled_reader_holds_a_bounded_window() {
    let limits = Limits { lan_buffer_bytes: 256 * 1024, ..limits(64 * 1024) };
    let plan = Plan { stall_until: Instant::from_us(60_000_000), ..Plan::both(300_000, 10) };
    let outside = Outside::default().otherwise(Answer::Serve(Duration::ZERO, plan));
    let mut world = world(LanConfig { limits, ..lan_config(1500) }, outside, 300_000);
    for _ in 0..20 {
        dial(&mut world, 80, plan);
    }
    world.run_for(Duration::from_secs(50));
    let ids = flow_ids(&world);
    let held: usize = ids.iter().flat_map(|id| world.lan.peek(*id)).map(<[u8]>::len).sum();
    assert!(held > 0);
    // Each flow may hold the least window that keeps it alive, on top of the common bound.
    assert!(held <= 256 * 1024 + 20 * 4096, "{held} bytes are held for 20 stalled flows");
    world.run_until(Instant::from_us(4_000_000_000), |world| world.host(0).finished().len() == 20);
    assert!(world.host(0).finished().iter().all(|(_, outcome)| *outcome == Outcome::Done));
    world.run_to_end(Duration::from_secs(600));
    world.checker.assert_clean();
}

fn flow_ids(world: &World<SmoltcpHost>) -> Vec<FlowId> {
    world.outside.ids().collect()
}

#[test]
fn a_guest_that_goes_away_leaves_nothing() {
    let plan = Plan::both(10_000_000, 10_000_000);
    let outside = Outside::default().otherwise(Answer::Serve(Duration::ZERO, plan));
    let mut world = world(lan_config(1500), outside, 65_535);
    for _ in 0..10 {
        dial(&mut world, 80, plan);
    }
    world.run_until(Instant::from_us(1_000_000), |world| world.outside.received_bytes() > 100_000);
    assert_eq!(world.lan.flows(), 10);
    let port = world.port(0);
    world.lan.close_port(port);
    assert_eq!(world.lan.flows(), 0);
    let resets =
        std::iter::from_fn(|| world.lan.poll_event()).filter(|e| matches!(e, Event::Reset { .. })).count();
    assert_eq!(resets, 10);
}

#[test]
fn a_guest_that_falls_silent_is_given_up() {
    let plan = Plan::both(1_000, 10_000_000);
    let outside = Outside::default().otherwise(Answer::Serve(Duration::ZERO, plan));
    let mut world = world(lan_config(1500), outside, 65_535);
    dial(&mut world, 80, plan);
    world.run_until(Instant::from_us(1_000_000), |world| world.outside.received_bytes() > 0);
    assert_eq!(world.lan.flows(), 1);
    let dead = LinkConfig { loss: 1.0, ..LinkConfig::default() };
    world.links(0).0.set_config(dead);
    world.links(0).1.set_config(dead);
    world.run_for(Duration::from_secs(3600));
    assert_eq!(world.lan.flows(), 0, "retransmission ends");
}

#[test]
fn an_idle_machine_sleeps() {
    let plan = Plan { stall_until: Instant::from_us(600_000_000), ..Plan::both(10, 10) };
    let outside = Outside::default().otherwise(Answer::Serve(Duration::ZERO, plan));
    let mut world = world(lan_config(1500), outside, 4096);
    dial(&mut world, 80, plan);
    world.run_for(Duration::from_secs(10));
    let before = world.trace.frames();
    world.run_for(Duration::from_secs(500));
    assert!(
        world.trace.frames() - before < 50,
        "{} frames while nothing happens",
        world.trace.frames() - before
    );
}
