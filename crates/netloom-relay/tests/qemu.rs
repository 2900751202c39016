//! QEMU's framing: in WebSocket messages, as pages of container2wasm and QEMU-Wasm send it to c2w-net, and on sockets of its own.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use common::packet::{BROADCAST, EXPERIMENTAL, arp_request, dhcp, dhcp_answer, frame, is_arp_reply, mac};
use common::{Guest, PATIENCE, Relay};
use netloom_proto::qemu::prefix;
use netloom_proto::websocket::{Opcode, put_frame};

/// A page of container2wasm: it asks for exactly one subprotocol, and takes nothing else.
fn page(relay: &Relay, path: &str) -> Guest {
    let guest = Guest::connect(relay.address, path, &["Sec-WebSocket-Protocol: binary"]).expect("let in");
    assert!(guest.head.to_ascii_lowercase().contains("sec-websocket-protocol: binary\r\n"), "{}", guest.head);
    guest
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&prefix(frame.len())[..], frame].concat()
}

/// The next message, which is one frame behind its length.
fn next(guest: &mut Guest) -> Vec<u8> {
    let message = guest.next().expect("a message");
    let (length, frame) = message.split_at(4);
    assert_eq!(length, prefix(frame.len()), "one frame to a message");
    frame.to_vec()
}

fn expect(guest: &mut Guest, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    loop {
        let frame = next(guest);
        if wanted(&frame) {
            return frame;
        }
    }
}

fn hello(n: u8, length: usize) -> Vec<u8> {
    frame(BROADCAST, mac(n), EXPERIMENTAL, &vec![n; length])
}

#[test]
fn a_page_shares_a_lan_with_raw_guests() {
    let relay = Relay::start(&["--mtu", "65535"]);
    let mut raw = relay.guest();
    let mut page = page(&relay, "/");
    page.send(&framed(&dhcp(mac(9), 1, &[])));
    let offered = expect(&mut page, |frame| dhcp_answer(frame).is_some());
    assert_eq!(dhcp_answer(&offered).map(|(kind, _)| kind), Some(2));
    for length in [28, 1500, 65_535] {
        page.send(&framed(&hello(9, length)));
        assert_eq!(raw.expect("the page's", |frame| frame.ends_with(&[9; 28])), hello(9, length));
        raw.send(&hello(1, length));
        assert_eq!(expect(&mut page, |frame| frame.ends_with(&[1; 28])), hello(1, length));
    }
}

#[test]
fn a_length_and_its_frame_may_be_messages_of_their_own_and_cut_anywhere() {
    let relay = Relay::start(&[]);
    let mut raw = relay.guest();
    let mut page = page(&relay, "/a/token");
    for (n, length) in [46, 100, 1486].into_iter().enumerate() {
        let sent = hello(n as u8, length);
        page.send(&prefix(sent.len()));
        page.send(&sent);
        assert_eq!(raw.next().expect("a frame"), sent);
    }
    let frames: Vec<Vec<u8>> = (0..40).map(|n| hello(n, 40 + 31 * usize::from(n))).collect();
    let stream: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
    for message_bytes in [1, 2, 3, 5, 7, 61, 1000, 70_000] {
        let mut messages = Vec::new();
        for message in stream.chunks(message_bytes) {
            put_frame(&mut messages, Opcode::Binary, message, Some([7, 0, 255, 1]));
            put_frame(&mut messages, Opcode::Binary, &[], Some([0; 4]));
        }
        page.stream.write_all(&messages).expect("sent");
        for sent in &frames {
            assert_eq!(raw.next().as_ref(), Some(sent), "messages of {message_bytes} bytes");
        }
    }
}

#[test]
fn a_message_may_carry_more_than_a_frame_is_long() {
    let relay = Relay::start(&[]);
    let mut raw = relay.guest();
    let mut page = page(&relay, "/");
    let frames: Vec<Vec<u8>> = (0..100).map(|n| hello(n, 1486)).collect();
    let message: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
    page.send(&message);
    for sent in &frames {
        assert_eq!(raw.next().as_ref(), Some(sent));
    }
}

#[test]
fn lengths_of_nothing_and_of_too_much_harm_nobody() {
    let relay = Relay::start(&[]);
    let mut raw = relay.guest();
    let mut page = page(&relay, "/");
    for odd in [vec![], vec![0; 4], vec![7; 13], vec![0; 65_550], vec![0; 69_632], vec![0; 128 * 1024]] {
        page.send(&framed(&odd));
        page.send(&framed(&hello(3, 46)));
        assert_eq!(raw.next(), Some(hello(3, 46)), "after a frame of {} bytes", odd.len());
    }
    for lost in [128 * 1024 + 1, u32::MAX] {
        let mut page = self::page(&relay, "/");
        page.send(&framed(&hello(4, 46)));
        assert_eq!(raw.next(), Some(hello(4, 46)));
        page.send(&lost.to_be_bytes());
        while page.fill() {}
        assert_eq!(page.closed, Some(Some(1002)), "a length of {lost}");
    }
    page.send(&framed(&arp_request(mac(3), [192, 168, 86, 77].into(), common::packet::GATEWAY)));
    expect(&mut page, |frame| is_arp_reply(frame, common::packet::GATEWAY));
    page.send_message(Opcode::Close, &[]);
    while page.fill() {}
    relay.wait_for_log("ignored 0 text messages and 3 that were too long");
    relay.wait_for_log("ignored 1 frames of no bytes");
}

#[test]
fn the_path_speaks_it_without_a_subprotocol() {
    let relay = Relay::start(&["--lan", "lab=10.0.0.0/24"]);
    let mut raw = relay.guest_on("/lan/lab");
    let mut page = Guest::connect(relay.address, "/qemu/lan/lab", &[]).expect("let in");
    assert!(!page.head.to_ascii_lowercase().contains("sec-websocket-protocol"));
    page.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    page.send(&framed(&hello(5, 46)));
    assert_eq!(raw.next(), Some(hello(5, 46)));
}

/// Reads frames on a connection of QEMU until one is `wanted`.
fn read(stream: &mut impl Read, wanted: &[u8]) {
    let mut frame = Vec::new();
    while frame != wanted {
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("a length");
        frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).expect("a frame");
    }
}

/// Where the announcement says that QEMU connects.
fn announced<'a>(relay: &'a Relay, prefix: &str, lan: &str) -> &'a str {
    let lines = relay.banner.lines().filter_map(|line| line.strip_prefix("listening on "));
    let mut places = lines.filter_map(|line| line.strip_suffix(&format!(" for QEMU, LAN {lan}")));
    places.find(|place| place.starts_with(prefix)).unwrap_or_else(|| panic!("{}", relay.banner))
}

#[test]
fn qemu_joins_by_tcp_and_by_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a=b,c.sock");
    let unix = format!("unix:{}", path.display());
    let relay = Relay::start(&[
        "--lan=lab=10.0.0.0/24",
        "--qemu-listen=0",
        &format!("--qemu-listen={unix}"),
        "--qemu-listen=lab=127.0.0.1:0",
    ]);
    let mut raw = relay.guest();
    let mut tcp = TcpStream::connect(announced(&relay, "127.0.0.1:", "default")).expect("it listens");
    let mut unix = UnixStream::connect(&path).expect("it listens");
    assert!(
        relay.banner.contains("addr.type=unix") && relay.banner.contains("a=b,,c.sock"),
        "{}",
        relay.banner
    );
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    unix.set_read_timeout(Some(PATIENCE)).expect("a timeout");

    // Each that has spoken has joined.
    for (n, stream) in [(1, &mut tcp as &mut dyn Write), (2, &mut unix)] {
        for byte in framed(&hello(n, 46)) {
            stream.write_all(&[byte]).expect("sent");
        }
        assert_eq!(raw.next(), Some(hello(n, 46)));
    }
    read(&mut tcp, &hello(2, 46));
    tcp.write_all(&[framed(&[]), framed(&[0; 3]), framed(&hello(1, 1486))].concat()).expect("sent");
    read(&mut unix, &hello(1, 1486));
    raw.send(&hello(3, 100));
    read(&mut tcp, &hello(3, 100));
    read(&mut unix, &hello(3, 100));

    let mut lab = relay.guest_on("/lan/lab");
    let mut of_lab = TcpStream::connect(announced(&relay, "127.0.0.1:", "lab")).expect("it listens");
    of_lab.write_all(&framed(&hello(4, 46))).expect("sent");
    assert_eq!(lab.next(), Some(hello(4, 46)));

    // What a browser can be made to send is no frame.
    let mut browser = TcpStream::connect(announced(&relay, "127.0.0.1:", "default")).expect("it listens");
    browser.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    browser.write_all(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("sent");
    assert!(matches!(browser.read(&mut [0; 16]), Ok(0) | Err(_)), "the connection is closed");
    relay.wait_for_log("no frames behind their lengths");
}

#[test]
fn a_unix_socket_is_its_owners_goes_with_the_relay_and_replaces_one_that_was_left() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("netloom.sock");
    let flag = format!("--qemu-listen=unix:{}", path.display());
    let killed = Relay::start(&[&flag]);
    assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    drop(killed);
    assert!(path.exists(), "a killed relay leaves its socket");
    let mut relay = Relay::start(&[&flag]);
    UnixStream::connect(&path).expect("it listens");

    let second = common::netloom().args(["relay", "--listen=0", &flag]).output().expect("it runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        !second.status.success() && said.contains("netloom.sock") && said.contains("choose another"),
        "{said}"
    );

    relay.signal(rustix::process::Signal::TERM);
    assert!(relay.wait().success());
    assert!(!path.exists(), "a relay that ends takes its socket with it");
}
