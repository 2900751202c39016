//! Coming back: guests whose connection was lost have their port, their lease and their flows again.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};

use common::leased::Leased;
use common::packet::{GATEWAY, arp_request, echo_request, ethertype, frame, mac, udp_payload};
use common::{Guest, Relay};
use netloom_proto::websocket::Opcode;

const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 254);

/// A server that hears of a guest, and where it hears it from.
struct Heard {
    server: UdpSocket,
    from: SocketAddr,
}

fn speak(leased: &mut Leased, server: UdpSocket) -> Heard {
    let to = (HOST, server.local_addr().expect("its address").port()).into();
    leased.udp(1, 4000, to, b"hello");
    let (_, from) = server.recv_from(&mut [0; 100]).expect("the datagram arrives");
    Heard { server, from }
}

fn server() -> UdpSocket {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a server");
    server.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
    server
}

/// What is sent to where the guest was heard from reaches it.
fn is_reached(leased: &mut Leased, heard: &Heard) {
    heard.server.send_to(b"still there?", heard.from).expect("sent");
    let back = leased.guest.expect("the datagram", |frame| udp_payload(frame, 4000).is_some());
    assert_eq!(udp_payload(&back, 4000), Some(&b"still there?"[..]));
}

/// Has a guest use an address of another, and waits until the relay has judged that.
fn claim(guest: &mut Guest, n: u8, address: Ipv4Addr) {
    guest.send(&arp_request(mac(n), address, HOST));
    guest.send_message(Opcode::Ping, b"judged?");
    guest.pongs.clear();
    while guest.pongs.is_empty() {
        assert!(guest.fill(), "the connection ended");
    }
}

/// What the log says when a guest was given the port of one that was silent.
fn has_come_back(guest: &Guest) -> String {
    format!("has come back for its guest, as {}", guest.stream.local_addr().expect("its address"))
}

/// The value to show of the cookie that an upgrade was answered with.
fn cookie(guest: &Guest) -> String {
    let line = guest
        .head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("set-cookie: ").map(str::to_owned));
    let line = line.expect("a cookie");
    assert!(line.contains("httponly"), "{line}");
    format!("Cookie: {}", line.split(';').next().expect("its pair"))
}

#[test]
fn a_guest_that_only_listens_is_asked_and_has_its_flows_again() {
    let relay = Relay::start(&["--host-loopback"]);
    let mut leased = Leased::new(&relay, 1);
    let heard = speak(&mut leased, server());
    leased.guest = Guest::connect(relay.address, "/", &[]).expect("it comes back");
    let asked = leased.guest.expect("a question after its address", |frame| {
        ethertype(frame) == 0x0806 && frame[20..22] == [0, 1]
    });
    assert_eq!(asked[38..42], leased.address.octets());
    assert_eq!(asked[..6], mac(1), "nobody else is asked");
    let gateway: [u8; 6] = asked[22..28].try_into().expect("six octets");
    let reply =
        [&[0, 1, 8, 0, 6, 4, 0, 2], &mac(1)[..], &leased.address.octets(), &gateway, &[0; 4]].concat();
    leased.guest.send(&frame(gateway, mac(1), 0x0806, &reply));
    is_reached(&mut leased, &heard);
    relay.wait_for_log("has come back for the guest 02:00:00:00:00:01");
}

#[test]
fn a_cookie_opens_where_the_mac_address_does_not() {
    let relay = Relay::start(&["--host-loopback", "--resume-by-mac", "off"]);
    let mut leased = Leased::new(&relay, 1);
    let shown = cookie(&leased.guest);
    let heard = speak(&mut leased, server());
    let lost = std::mem::replace(
        &mut leased.guest,
        Guest::connect(relay.address, "/", &[]).expect("another guest may come"),
    );
    drop(lost);
    relay.wait_for_log("connection ended");
    claim(&mut leased.guest, 1, leased.address);
    assert!(!relay.log().contains("has come back"), "{}", relay.log());
    // As long as the address of somebody who is there would be kept if nobody answered for it.
    let dead = Leased::new(&relay, 2);
    let mut other = Guest::connect(relay.address, "/", &[&cookie(&dead.guest)]).expect("it comes back");
    claim(&mut other, 2, dead.address);
    relay.wait_for_log("has come back for its guest");
    claim(&mut leased.guest, 1, leased.address);
    leased.guest = Guest::connect(relay.address, "/", &[&shown]).expect("it comes back");
    assert_eq!(cookie(&leased.guest), shown, "it keeps its cookie");
    leased.guest.send(&arp_request(mac(1), leased.address, HOST));
    is_reached(&mut leased, &heard);
}

#[test]
fn a_connection_that_is_dead_unnoticed_gives_way_and_a_live_one_does_not() {
    let relay = Relay::start(&["--host-loopback"]);
    let mut leased = Leased::new(&relay, 1);
    let heard = speak(&mut leased, server());
    // Nobody reads it any more, so that its pings stay without answer.
    let dead =
        std::mem::replace(&mut leased.guest, Guest::connect(relay.address, "/", &[]).expect("it comes back"));
    leased.guest.send(&arp_request(mac(1), leased.address, HOST));
    relay.wait_for_log("has come back for its guest");
    is_reached(&mut leased, &heard);
    drop(dead);

    let mut clone = Guest::connect(relay.address, "/", &[]).expect("another guest may come");
    clone.send(&arp_request(mac(1), leased.address, HOST));
    // The question after its life; the answer goes out with it.
    leased.guest.send_message(Opcode::Ping, b"here");
    is_reached(&mut leased, &heard);
}

#[test]
fn who_joins_where_a_claimant_was_is_not_given_what_that_one_claimed() {
    let relay = Relay::start(&["--host-loopback"]);
    let mut leased = Leased::new(&relay, 1);
    let heard = speak(&mut leased, server());
    let mut claimant = relay.guest();
    claim(&mut claimant, 1, leased.address);
    claimant.send_message(Opcode::Close, &[]);
    relay.wait_for_log("left LAN default");
    let _stranger = relay.guest();
    let _dead = std::mem::replace(&mut leased.guest, relay.guest());
    leased.guest.send(&arp_request(mac(1), leased.address, HOST));
    relay.wait_for_log(&has_come_back(&leased.guest));
    is_reached(&mut leased, &heard);
}

#[test]
fn a_claim_to_a_port_does_not_hold_for_who_has_its_number_next() {
    let relay = Relay::start(&["--host-loopback"]);
    let mut gone = Leased::new(&relay, 1);
    let mut claimant = relay.guest();
    claim(&mut claimant, 1, gone.address);
    gone.guest.send_message(Opcode::Close, &[]);
    relay.wait_for_log("left LAN default");
    let mut next = Leased::new(&relay, 2);
    let heard = speak(&mut next, server());
    next.guest.stream.shutdown(Shutdown::Both).expect("it is open");
    relay.wait_for_log("connection ended");
    // Judged after the first claim.
    let dead = Leased::new(&relay, 3);
    let mut other = relay.guest();
    claim(&mut other, 3, dead.address);
    relay.wait_for_log(&has_come_back(&other));
    assert!(!relay.log().contains(&has_come_back(&claimant)), "{}", relay.log());
    next.guest = relay.guest();
    next.guest.send(&arp_request(mac(2), next.address, HOST));
    is_reached(&mut next, &heard);
}

#[test]
fn a_lost_connection_does_not_count_against_the_next_one() {
    let relay = Relay::start(&["--host-loopback", "--limit", "address.connections=1"]);
    let mut leased = Leased::new(&relay, 1);
    let heard = speak(&mut leased, server());
    for time in 1..=2 {
        leased.guest.stream.shutdown(Shutdown::Both).expect("it is open");
        common::wait_until(
            || relay.log().matches("connection ended").count() == time,
            || "the end of its connection".to_owned(),
        );
        leased.guest = Guest::connect(relay.address, "/", &[]).expect("it comes back");
        leased.guest.send(&arp_request(mac(1), leased.address, HOST));
        is_reached(&mut leased, &heard);
    }
}

#[test]
fn what_waits_for_a_timer_is_sent_as_soon_as_the_guest_is_back() {
    let relay = Relay::start(&["--forward", "127.0.0.1:0=first:80"]);
    let mut leased = Leased::new(&relay, 1);
    let listen = relay.banner.lines().find_map(|line| line.strip_prefix("forwarding "));
    let listen = listen.and_then(|line| line.split(' ').next()).expect("a forward");
    let _outside = TcpStream::connect(listen).expect("it listens");
    let is_syn = |frame: &[u8]| ethertype(frame) == 0x0800 && frame[23] == 6 && frame[47] & 0x02 != 0;
    // The next one would leave four seconds after the third.
    for _ in 0..3 {
        leased.guest.expect("a SYN", is_syn);
    }
    let _dead =
        std::mem::replace(&mut leased.guest, Guest::connect(relay.address, "/", &[]).expect("it comes back"));
    leased.guest.send(&arp_request(mac(1), leased.address, GATEWAY));
    relay.wait_for_log("has come back for its guest");
    leased.send(1, GATEWAY, 1, &echo_request(1, 1, b"later"));
    let first = leased.guest.expect("a SYN", |frame| is_syn(frame) || frame.ends_with(b"later"));
    assert!(is_syn(&first), "the gateway waited");
}

#[test]
fn a_clean_close_leaves_nothing_behind_and_neither_does_a_grace_of_none() {
    for (flags, is_clean) in
        [(&["--host-loopback"][..], true), (&["--host-loopback", "--resume-s", "0"], false)]
    {
        let relay = Relay::start(flags);
        let mut leased = Leased::new(&relay, 1);
        let heard = speak(&mut leased, server());
        if is_clean {
            leased.guest.send_message(Opcode::Close, &[]);
        }
        drop(leased);
        relay.wait_for_log("left LAN default");
        let mut leased = Leased::new(&relay, 1);
        let again = speak(&mut leased, heard.server);
        assert_ne!(again.from, heard.from, "the flow is another");
        assert!(!relay.log().contains("has come back"), "{}", relay.log());
    }
}

#[test]
fn who_is_kicked_does_not_keep_its_port_by_a_reset() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = format!("unix:{}", folder.path().join("c.sock").display());
    let relay = Relay::start(&["--host-loopback", "--control", &control]);
    let mut leased = Leased::new(&relay, 1);
    let heard = speak(&mut leased, server());
    let address = leased.address.to_string();
    let kicked = common::netloom().args(["kick", &address, "--control", &control]).output().expect("it runs");
    assert!(kicked.status.success(), "{kicked:?}");
    // The close lies there unread, so that the end is a reset.
    leased.guest.stream.peek(&mut [0]).expect("the close");
    drop(leased);
    relay.wait_for_log("left LAN default");
    let mut leased = Leased::new(&relay, 1);
    let again = speak(&mut leased, heard.server);
    assert_ne!(again.from, heard.from, "the flow is another");
    assert!(!relay.log().contains("has come back"), "{}", relay.log());
}

#[test]
fn how_long_and_for_whom_is_checked() {
    let refused = |flags: &[&str]| {
        let output = common::netloom().arg("relay").args(flags).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(refused(&["--resume-s", "3601"]).contains("0 to 3600"));
    assert!(refused(&["--resume-by-mac", "yes"]).contains("off, address or any"));
}
