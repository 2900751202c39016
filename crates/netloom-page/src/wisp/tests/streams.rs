//! Bytes each way: whole, bounded, and to their end.

use super::*;

fn upload(info: Option<ServerInfo>, bytes: usize) {
    let mut world = World::up(info, ClientConfig::default());
    let (flow, stream) = world.connected(80);
    let data = pattern(bytes);
    let mut sent = 0;
    while sent < data.len() {
        let n = world.guest.write(world.now, flow, &data[sent..]);
        sent += n;
        world.run(Duration::from_millis(1));
    }
    world.guest.fin(world.now, flow);
    world.run(Duration::from_secs(1));
    assert!(world.received(stream) == data);
}

#[test]
fn an_upload_arrives_whole() {
    upload(None, 3 << 20);
    upload(Some(full_info()), 3 << 20);
}

fn download(info: Option<ServerInfo>, config: ClientConfig) {
    let mut world = World::up(info, config);
    let (flow, stream) = world.connected(80);
    let data = pattern(3 << 20);
    let mut sent = 0;
    while sent < data.len() {
        sent += world.server_sends(stream, &data[sent..data.len().min(sent + 100_000)]);
        world.run(Duration::from_millis(1));
    }
    world.server_closes(stream, Reason::VOLUNTARY);
    world.run(Duration::from_secs(5));
    assert!(world.connections[&flow].received == data);
    assert!(world.connections[&flow].fin);
    world.guest.fin(world.now, flow);
    world.run(Duration::from_secs(1));
    assert!(world.connections[&flow].closed);
    assert_eq!(world.egresses.wisp(world.wisp).unwrap().flows(), 0);
}

#[test]
fn a_download_arrives_whole_and_ends() {
    download(None, ClientConfig::default());
    download(
        Some(full_info()),
        ClientConfig { stream_credit_bytes: Some(256 << 10), ..ClientConfig::default() },
    );
}

#[test]
fn without_credit_the_guests_window_shuts() {
    let mut world = World::up(None, ClientConfig::default());
    world.server_reads = false;
    let (flow, stream) = world.connected(80);
    let data = pattern(4 << 20);
    let mut sent = 0;
    for _ in 0..200 {
        sent += world.guest.write(world.now, flow, &data[sent..]);
        world.run(Duration::from_millis(10));
    }
    // 16 packets at the server, and a buffer at the LAN and at the guest each.
    assert!(sent < 16 * (32 << 10) + (2 << 20), "{sent} bytes were taken");
    assert!(world.server.as_ref().unwrap().queued(stream) <= 16);
    // Another stream has its own credit.
    let (other, other_stream) = world.connected(81);
    world.guest.write(world.now, other, b"hello");
    world.settle();
    assert_eq!(world.received(other_stream), b"hello");
    // The server takes again, and all of it arrives.
    world.server_reads = true;
    world.server.as_mut().unwrap().taken(stream, 16);
    while sent < data.len() {
        sent += world.guest.write(world.now, flow, &data[sent..]);
        world.run(Duration::from_millis(10));
    }
    world.run(Duration::from_secs(5));
    assert!(world.received(stream) == data);
}

#[test]
fn a_guest_that_does_not_read_is_bounded_by_credit() {
    let window = 256 << 10;
    let config = ClientConfig { stream_credit_bytes: Some(window), ..ClientConfig::default() };
    let mut world = World::up(Some(full_info()), config);
    let (flow, stream) = world.connected(80);
    world.connections.get_mut(&flow).unwrap().reads = false;
    let data = pattern(4 << 20);
    let mut sent = 0;
    for _ in 0..100 {
        sent += world.server_sends(stream, &data[sent..]);
        world.run(Duration::from_millis(10));
    }
    let backlog = world.egresses.wisp(world.wisp).unwrap().backlog_bytes();
    assert!(backlog <= window as usize, "{backlog}");
    world.connections.get_mut(&flow).unwrap().reads = true;
    while sent < data.len() {
        world.run(Duration::from_millis(10));
        sent += world.server_sends(stream, &data[sent..]);
    }
    world.run(Duration::from_secs(5));
    assert!(world.connections[&flow].received == data);
}

#[test]
fn a_guest_that_does_not_read_from_a_server_that_does_not_stop_is_reset_alone() {
    let mut world = World::up(None, ClientConfig::default());
    let (flow, stream) = world.connected(80);
    let (other, other_stream) = world.connected(81);
    world.connections.get_mut(&flow).unwrap().reads = false;
    let data = pattern(1 << 20);
    for megabyte in 0..8 {
        world.server_sends(stream, &data);
        let wisp = world.egresses.wisp(world.wisp).unwrap();
        assert!(wisp.backlog_bytes() <= 4 << 20);
        assert!(wisp.wants_pause() || megabyte < 2 || !wisp.has(flow));
    }
    world.run(Duration::from_secs(1));
    assert_eq!(world.connections[&flow].reset, Some(ResetReason::Reset));
    assert!(world.remotes[&stream].closed.is_some());
    world.server_sends(other_stream, b"hello");
    assert_eq!(world.connections[&other].received, b"hello");
    assert!(!world.egresses.wisp(world.wisp).unwrap().wants_pause());
}

#[test]
fn a_guest_that_holds_the_websocket_up_is_reset_after_a_while() {
    let mut world = World::up(None, ClientConfig::default());
    let (flow, stream) = world.connected(80);
    world.connections.get_mut(&flow).unwrap().reads = false;
    world.server_sends(stream, &pattern(2 << 20));
    assert!(world.egresses.wisp(world.wisp).unwrap().wants_pause());
    world.run(Duration::from_secs(65));
    assert!(!world.egresses.wisp(world.wisp).unwrap().wants_pause());
    assert_eq!(world.connections[&flow].reset, Some(ResetReason::Reset));
}

#[test]
fn a_half_closed_guest_still_gets_its_answer() {
    for info in [None, Some(full_info())] {
        let has_extension = info.is_some();
        let mut world = World::up(info, ClientConfig::default());
        let (flow, stream) = world.connected(80);
        world.guest.write(world.now, flow, b"request");
        world.guest.fin(world.now, flow);
        world.run(Duration::from_millis(1500));
        assert_eq!((world.received(stream), world.remotes[&stream].fin), (&b"request"[..], has_extension));
        assert_eq!(world.remotes[&stream].closed, None);
        for piece in [&b"an "[..], b"ans", b"wer"] {
            world.server_sends(stream, piece);
            world.run(Duration::from_millis(1500));
        }
        world.server.as_mut().unwrap().fin(stream);
        world.run(Duration::from_secs(1));
        let connection = &world.connections[&flow];
        assert_eq!((connection.received.as_slice(), connection.fin), (&b"an answer"[..], true));
        assert!(connection.closed && connection.reset.is_none());
        assert_eq!(world.egresses.wisp(world.wisp).unwrap().flows(), 0);
    }
}

#[test]
fn a_server_that_is_silent_after_the_guests_fin_is_told_of_it() {
    let mut world = World::up(None, ClientConfig::default());
    let (flow, stream) = world.connected(80);
    world.guest.write(world.now, flow, b"upload");
    world.guest.fin(world.now, flow);
    world.run(Duration::from_millis(1900));
    assert_eq!(world.remotes[&stream].closed, None);
    world.run(Duration::from_millis(300));
    assert_eq!(world.remotes[&stream].closed, Some(Reason::VOLUNTARY));
    let connection = &world.connections[&flow];
    assert!(connection.fin && connection.closed && connection.reset.is_none());
}

#[test]
fn a_half_closed_target_still_gets_the_guests_bytes() {
    let mut world = World::up(Some(full_info()), ClientConfig::default());
    let (flow, stream) = world.connected(80);
    world.server.as_mut().unwrap().fin(stream);
    world.settle();
    assert!(world.connections[&flow].fin);
    world.guest.write(world.now, flow, b"late");
    world.guest.fin(world.now, flow);
    world.run(Duration::from_secs(1));
    assert_eq!(world.received(stream), b"late");
    assert!(world.remotes[&stream].fin && world.connections[&flow].closed);
    assert!(world.remotes[&stream].closed.is_some());
}

#[test]
fn a_guest_that_sends_to_a_target_that_is_gone_gets_the_rest_and_then_a_reset() {
    let mut world = World::up(None, ClientConfig::default());
    let (flow, stream) = world.connected(80);
    world.server_sends(stream, b"bye");
    world.server_closes(stream, Reason::VOLUNTARY);
    world.guest.write(world.now, flow, b"more");
    world.run(Duration::from_millis(500));
    let connection = &world.connections[&flow];
    assert_eq!((connection.received.as_slice(), connection.reset), (&b"bye"[..], None));
    world.run(Duration::from_secs(1));
    assert_eq!(world.connections[&flow].reset, Some(ResetReason::Reset));
}

#[test]
fn a_failed_network_is_a_reset() {
    let mut world = World::up(None, ClientConfig::default());
    let (flow, stream) = world.connected(80);
    world.server_closes(stream, Reason::NETWORK);
    assert_eq!(world.connections[&flow].reset, Some(ResetReason::Reset));
}

#[test]
fn late_and_senseless_packets_change_nothing() {
    let mut world = World::up(None, ClientConfig::default());
    let (flow, stream) = world.connected(80);
    world.guest.reset(flow);
    world.run(Duration::from_millis(10));
    for late in [Packet::Data(b"x"), Packet::Continue(9), Packet::Close(Reason::VOLUNTARY), Packet::Fin] {
        for id in [stream, 999] {
            world.deliver(&packet(id, late));
        }
    }
    for nonsense in [&[][..], &[2], &[99, 0, 0, 0, 0]] {
        world.deliver(nonsense);
    }
    world.settle();
    let (flow, stream) = world.connected(81);
    world.server_sends(stream, b"ok");
    assert_eq!(world.connections[&flow].received, b"ok");
}

#[test]
fn many_streams_share_the_websocket_in_turn() {
    let mut world = World::up(None, ClientConfig::default());
    let flows: Vec<_> = (0..8).map(|n| world.connected(1000 + n)).collect();
    for (flow, _) in &flows {
        world.guest.write(world.now, *flow, &pattern(100_000));
    }
    world.run(Duration::from_secs(2));
    for (_, stream) in &flows {
        assert!(world.received(*stream) == pattern(100_000));
    }
}
