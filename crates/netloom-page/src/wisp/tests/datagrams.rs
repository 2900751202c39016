//! UDP and DNS through the server.

use super::*;

#[test]
fn datagrams_go_both_ways() {
    for info in [None, Some(full_info())] {
        let mut world = World::up(info, ClientConfig::default());
        let socket = world.open_udp();
        for data in [&b"first"[..], b"", b"third"] {
            world.guest.send(world.now, socket, (TARGET, 7).into(), data).unwrap();
        }
        world.settle();
        let stream = world.stream(7);
        assert_eq!(world.remotes[&stream].datagrams, [&b"first"[..], b"", b"third"]);
        world.server_sends(stream, b"answer");
        let (from, data) = world.guest.peek_datagram(socket).unwrap();
        assert_eq!((from, data), ((TARGET, 7).into(), &b"answer"[..]));
    }
}

#[test]
fn datagrams_wait_for_the_websocket_and_survive_its_loss() {
    let mut world = World::new(ClientConfig::default());
    let socket = world.open_udp();
    world.guest.send(world.now, socket, (TARGET, 7).into(), b"early").unwrap();
    world.settle();
    world.open(None);
    assert_eq!(world.received(world.stream(7)), b"early");
    world.lose();
    world.guest.send(world.now, socket, (TARGET, 7).into(), b"later").unwrap();
    world.settle();
    world.open(None);
    assert_eq!(world.received(world.stream(7)), b"later");
}

#[test]
fn a_silent_flow_of_datagrams_closes_its_stream() {
    let mut world = World::up(None, ClientConfig::default());
    let socket = world.open_udp();
    world.guest.send(world.now, socket, (TARGET, 7).into(), b"x").unwrap();
    world.settle();
    let stream = world.stream(7);
    world.run(Duration::from_secs(200));
    assert!(world.remotes[&stream].closed.is_some());
    assert_eq!(world.egresses.wisp(world.wisp).unwrap().flows(), 0);
}

#[test]
fn a_server_without_udp_makes_it_unreachable() {
    let mut world = World::up(Some(ServerInfo { udp: false, ..full_info() }), ClientConfig::default());
    let socket = world.open_udp();
    world.guest.send(world.now, socket, (TARGET, 7).into(), b"x").unwrap();
    world.settle();
    assert!(world.remotes.is_empty());
    assert_eq!(world.egresses.wisp(world.wisp).unwrap().flows(), 0);
}

/// A query for the address of `a.test`.
fn query() -> Vec<u8> {
    [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x01a\x04test\x00\x00\x01\x00\x01"].concat()
}

fn answer(asked: &[u8], flags: u8) -> Vec<u8> {
    let mut answer = asked.to_vec();
    answer[2] |= 0x80 | flags;
    answer[3] = 0x80;
    answer[7] = 1;
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 93, 184, 216, 34]);
    answer
}

fn ask(world: &mut World) -> SocketId {
    let socket = world.open_udp();
    let gateway = (netloom_sim::world::GATEWAY, 53).into();
    world.guest.send(world.now, socket, gateway, &query()).unwrap();
    world.settle();
    socket
}

/// The flags' second byte and the length of what the guest was answered.
fn heard(world: &World, socket: SocketId) -> Option<(u8, usize)> {
    world.guest.peek_datagram(socket).map(|(_, data)| (data[3] & 0xf, data.len()))
}

#[test]
fn a_query_is_asked_by_udp() {
    let mut world = World::up(Some(full_info()), ClientConfig::default());
    let socket = ask(&mut world);
    let stream = world.stream(53);
    assert_eq!(world.remotes[&stream].host, RESOLVERS[0].to_string());
    let asked = world.remotes[&stream].datagrams[0].clone();
    // Neither another number nor a query is an answer.
    let mut wrong = answer(&asked, 0);
    wrong[0] ^= 1;
    world.server_sends(stream, &wrong);
    world.server_sends(stream, &asked);
    world.server_sends(stream, &asked[..5]);
    assert_eq!(heard(&world, socket), None);
    world.server_sends(stream, &answer(&asked, 0));
    assert_eq!(heard(&world, socket), Some((0, query().len() + 16)));
    world.settle();
    assert!(world.remotes[&stream].closed.is_some());
}

#[test]
fn a_cut_answer_and_a_server_without_udp_mean_tcp() {
    for udp in [true, false] {
        let mut world = World::up(Some(ServerInfo { udp, ..full_info() }), ClientConfig::default());
        let socket = ask(&mut world);
        if udp {
            let stream = world.stream(53);
            let asked = world.remotes[&stream].datagrams[0].clone();
            world.server_sends(stream, &answer(&asked, 2));
        }
        let stream = world.stream(53);
        let asked = world.remotes[&stream].received.clone();
        assert_eq!(usize::from(asked[1]), asked.len() - 2);
        let whole = answer(&asked[2..], 0);
        let framed = [&(whole.len() as u16).to_be_bytes()[..], &whole].concat();
        world.server_sends(stream, &framed[..1]);
        world.server_sends(stream, &framed[1..20]);
        assert_eq!(heard(&world, socket), None);
        world.server_sends(stream, &framed[20..]);
        assert_eq!(heard(&world, socket), Some((0, whole.len())));
    }
}

#[test]
fn resolvers_are_asked_in_turn_until_the_guest_hears_that_it_failed() {
    let mut world = World::up(Some(full_info()), ClientConfig::default());
    let socket = ask(&mut world);
    world.run(Duration::from_millis(1600));
    assert_eq!(world.remotes[&world.stream(53)].host, RESOLVERS[1].to_string());
    let refused = world.stream(53);
    world.server_closes(refused, Reason::UNREACHABLE);
    assert_eq!(world.remotes[&world.stream(53)].host, RESOLVERS[0].to_string());
    assert_eq!(heard(&world, socket), None);
    world.run(Duration::from_secs(2));
    const SERVFAIL: u8 = 2;
    assert_eq!(heard(&world, socket).map(|heard| heard.0), Some(SERVFAIL));
}

#[test]
fn a_query_waits_for_the_websocket_and_fails_without_one() {
    let mut world = World::new(ClientConfig::default());
    let socket = ask(&mut world);
    world.run(Duration::from_secs(1));
    world.open(Some(full_info()));
    assert_eq!(world.remotes[&world.stream(53)].datagrams.len(), 1);
    assert_eq!(heard(&world, socket), None);

    let mut world = World::new(ClientConfig::default());
    let socket = ask(&mut world);
    world.run(Duration::from_secs(6));
    assert!(heard(&world, socket).is_some());
}
