//! Connects tell the guest what the target answered.

use super::*;

#[test]
fn a_confirmed_connect_is_answered_when_the_target_has_answered() {
    let mut world = World::up(Some(full_info()), ClientConfig::default());
    let flow = world.connect(80);
    world.run(Duration::from_secs(5));
    assert!(!world.connections[&flow].established);
    let stream = world.stream(80);
    assert_eq!(world.remotes[&stream].host, TARGET.to_string());
    world.server.as_mut().unwrap().opened(stream);
    world.settle();
    assert!(world.connections[&flow].established);
}

#[test]
fn a_refusal_is_the_guests_own() {
    for (info, reason, expected) in [
        (Some(full_info()), Reason::REFUSED, ResetReason::Refused),
        (Some(full_info()), Reason::UNREACHABLE, ResetReason::Unreachable),
        (Some(full_info()), Reason::BLOCKED, ResetReason::Refused),
        (Some(full_info()), Reason::NETWORK, ResetReason::Refused),
        (None, Reason::REFUSED, ResetReason::Refused),
        (None, Reason::UNREACHABLE, ResetReason::Unreachable),
    ] {
        let mut world = World::up(info, ClientConfig::default());
        let flow = world.connect(81);
        let stream = world.stream(81);
        world.server_closes(stream, reason);
        let connection = &world.connections[&flow];
        assert_eq!((connection.established, connection.reset), (false, Some(expected)), "{reason:?}");
        assert_eq!(world.egresses.wisp(world.wisp).unwrap().flows(), 0);
    }
}

#[test]
fn a_target_that_does_not_answer_is_silence() {
    let mut world = World::up(Some(full_info()), ClientConfig::default());
    let flow = world.connect(82);
    let stream = world.stream(82);
    world.server_closes(stream, Reason::TIMEOUT);
    assert_eq!((world.connections[&flow].established, world.connections[&flow].reset), (false, None));
}

#[test]
fn a_server_that_does_not_confirm_has_some_time_to_refuse() {
    let mut world = World::up(None, ClientConfig::default());
    // An eighth of the 20 ms that it took to open the WebSocket, twice, and a look at what has arrived meanwhile.
    let flow = world.connect(80);
    world.run(Duration::from_micros(5_000));
    assert!(!world.connections[&flow].established);
    world.run(Duration::from_micros(200));
    assert!(world.connections[&flow].established);
    // A server that has been seen to answer at once has less.
    let speaking = world.connect(22);
    let stream = world.stream(22);
    world.server_sends(stream, b"SSH-2.0");
    assert!(world.connections[&speaking].established);
    let quick = world.connect(23);
    world.run(Duration::from_micros(500));
    assert!(!world.connections[&quick].established);
    world.run(Duration::from_micros(200));
    assert!(world.connections[&quick].established);
    let stream = world.stream(80);
    world.server_closes(stream, Reason::REFUSED);
    assert_eq!(world.connections[&flow].reset, Some(ResetReason::Reset));
}

#[test]
fn a_target_that_speaks_first_has_answered() {
    let mut world = World::up(None, ClientConfig::default());
    let flow = world.connect(22);
    let stream = world.stream(22);
    world.server_sends(stream, b"SSH-2.0");
    let connection = &world.connections[&flow];
    assert!(connection.established);
    assert_eq!(connection.received, b"SSH-2.0");
}

#[test]
fn a_target_that_answers_and_leaves_before_the_guest_is_answered_is_heard_in_full() {
    let mut world = World::up(None, ClientConfig::default());
    let flow = world.connect(13);
    let stream = world.stream(13);
    world.server_sends(stream, b"Sat Nov 21");
    world.server_closes(stream, Reason::VOLUNTARY);
    let connection = &world.connections[&flow];
    assert_eq!((connection.received.as_slice(), connection.fin), (&b"Sat Nov 21"[..], true));
    assert_eq!(connection.reset, None);
}

#[test]
fn a_guest_that_gives_up_closes_its_stream() {
    let mut world = World::up(Some(full_info()), ClientConfig::default());
    let flow = world.connect(80);
    let stream = world.stream(80);
    world.guest.reset(flow);
    world.settle();
    world.run(Duration::from_secs(60));
    assert!(world.remotes[&stream].closed.is_some());
    assert_eq!(world.egresses.wisp(world.wisp).unwrap().flows(), 0);
}

#[test]
fn connects_before_the_websocket_is_open_wait_for_it() {
    let mut world = World::new(ClientConfig::default());
    let flow = world.connect(80);
    world.run(Duration::from_millis(500));
    world.open(Some(full_info()));
    let stream = world.stream(80);
    world.server.as_mut().unwrap().opened(stream);
    world.run(Duration::from_secs(2));
    assert!(world.connections[&flow].established);
}

#[test]
fn connects_do_not_wait_for_a_websocket_for_ever() {
    let mut world = World::new(ClientConfig::default());
    let flow = world.connect(80);
    world.run(Duration::from_secs(11));
    assert_eq!(world.connections[&flow].reset, Some(ResetReason::Unreachable));
}

#[test]
fn a_lost_websocket_resets_its_connections_and_the_next_one_serves() {
    let mut world = World::up(Some(full_info()), ClientConfig::default());
    let (open, _) = world.connected(80);
    let pending = world.connect(81);
    world.lose();
    assert_eq!(world.connections[&open].reset, Some(ResetReason::Reset));
    let meanwhile = world.connect(82);
    world.open(Some(full_info()));
    for port in [81, 82] {
        let stream = world.stream(port);
        world.server.as_mut().unwrap().opened(stream);
    }
    world.run(Duration::from_secs(2));
    assert!(world.connections[&pending].established && world.connections[&meanwhile].established);
}

#[test]
fn a_server_that_does_not_greet_is_given_up() {
    let mut world = World::new(ClientConfig::default());
    world.egresses.wisp(world.wisp).unwrap().handle_up(world.now, &mut world.lan);
    world.run(Duration::from_secs(9));
    assert_eq!(world.state(), State::Greeting);
    world.run(Duration::from_secs(2));
    assert_eq!(world.state(), State::Refused(Reason::TIMEOUT));
}

#[test]
fn an_egress_that_is_removed_leaves_nothing_behind() {
    let mut world = World::up(None, ClientConfig::default());
    let (flow, _) = world.connected(80);
    let waiting = world.connect(81);
    let number = world.wisp;
    world.egresses.remove(world.now, &mut world.lan, number);
    world.egresses.add_wisp(WispConfig {
        client: ClientConfig::default(),
        backlog_bytes: 1,
        pause_bytes: 1,
        dial_timeout: Duration::from_secs(1),
        linger: Duration::from_secs(1),
        resolvers: Vec::new(),
    });
    world.settle();
    assert_eq!(world.connections[&flow].reset, Some(ResetReason::Reset));
    assert!(world.connections[&waiting].reset.is_some());
    assert_eq!(world.lan.flows(), 0);
}
