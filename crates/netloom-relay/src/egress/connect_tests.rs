//! Which address is reached.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn closed() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}

#[test]
fn a_refusal_gives_way_to_the_next_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let open = listener.local_addr().expect("its address");
    let reached = runtime().block_on(to_any(&[closed(), closed(), open])).expect("the last one answers");
    assert_eq!(reached.peer_addr().expect("a peer"), open);
}

#[test]
fn when_all_refuse_that_is_the_error() {
    let error = runtime().block_on(to_any(&[closed(), closed()])).expect_err("nobody listens");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(runtime().block_on(to_any(&[])).is_err());
}

#[test]
fn a_silent_address_does_not_keep_the_next_waiting_for_long() {
    // A listener whose queue is full answers no SYN.
    let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    deaf.listen(0).expect("it listens");
    let silent = deaf.local_addr().expect("its address").as_socket().expect("an address");
    let _queued = std::net::TcpStream::connect(silent).expect("the first is queued");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let open = listener.local_addr().expect("its address");
    let reached = runtime().block_on(to_any(&[silent, open])).expect("the other answers");
    assert_eq!(reached.peer_addr().expect("a peer"), open);
}

#[test]
fn families_take_turns() {
    let parse = |text: &&str| text.parse().expect("an address");
    let given = ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "[2001:db8::1]:1", "[2001:db8::2]:1"];
    let expected = ["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "192.0.2.2:1", "192.0.2.3:1"];
    let expected: Vec<SocketAddr> = expected.iter().map(parse).collect();
    assert_eq!(interleave(given.iter().map(parse).collect()), expected);
}
