//! Guests on one LAN and on two, odd messages, and neighbours that misbehave.
//!
//! What other relays of this kind do not survive, and the test that shows that this one does:
//!
//! | what a client does | test |
//! |---|---|
//! | messages of 0, 1, 12, 17,000 and 70,000 bytes | [`odd_messages_are_survived`]; interop `messages_of_odd_lengths_leave_the_relay_serving` |
//! | frames of garbage | [`garbage_frames_harm_nobody`]; interop `garbage_frames_leave_the_relay_serving` |
//! | QEMU framing with a length of 0 or 4, or of too much | `qemu.rs: lengths_of_nothing_and_of_too_much_harm_nobody` |
//! | is killed while it receives at full rate | [`a_client_killed_at_full_rate_harms_nobody`]; interop, five times |
//! | stalls while another floods it: loss and memory | [`a_stalled_reader_harms_nobody`]; interop, with a narrow socket |
//! | comes from a hostile Origin or for a hostile Host | `entrance::hosts_and_origins`; interop `foreign_origins_and_hosts_are_refused` |
//! | dials into black holes | interop `a_guest_with_many_black_holed_dials_delays_no_other_guest` |
//! | 200 of them, idle | [`two_hundred_idle_clients_cost_little`]; interop, with the descriptors given back |
//! | breaks RFC 6455 | `protocol.rs`; interop `broken_framing_ends_that_client_only` |
//!
//! interop is `tests/interop/tests/robustness.rs`.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::packet::{BROADCAST, EXPERIMENTAL, arp_request, frame, is_arp_reply, mac};
use common::{Guest, Relay, messages};
use netloom_proto::websocket::Opcode;
use netloom_sim::rng::Rng;
use socket2::SockRef;

const MIB: u64 = 1 << 20;

/// Makes every guest's MAC known to the switch, and known to be known: each is heard by all others.
fn introduce(guests: &mut [Guest]) {
    for n in 0..guests.len() {
        let hello = frame(BROADCAST, mac(n as u8), EXPERIMENTAL, &[n as u8; 50]);
        guests[n].send(&hello);
        for (_, other) in guests.iter_mut().enumerate().filter(|(other, _)| *other != n) {
            other.expect("a hello", |frame| frame == hello);
        }
    }
}

fn guests<const N: usize>(relay: &Relay) -> [Guest; N] {
    let mut guests = std::array::from_fn(|_| relay.guest());
    introduce(&mut guests);
    guests
}

#[test]
fn odd_messages_are_survived() {
    let relay = Relay::start(&["--mtu", "65535"]);
    let [mut a, mut b] = guests(&relay);
    for length in [0, 1, 12, 13, 17_000, 70_000, 65_550] {
        a.send(&vec![0; length]);
    }
    a.send_message(Opcode::Text, b"text");
    let mut cut = messages(&[vec![0xff; 1000]]);
    cut[0] &= 0x7f;
    a.stream.write_all_pieces(&cut);
    a.send_message(Opcode::Ping, b"between fragments");
    a.send_message(Opcode::Continuation, &[0; 100]);
    for length in [46, 1500, 17_000, 65_535] {
        let sent = frame(mac(1), mac(0), EXPERIMENTAL, &vec![7; length]);
        a.send(&sent);
        let got = b.expect("the frame", |frame| frame.len() >= 14 && frame[..12] == sent[..12]);
        assert!(got == sent, "{length} bytes of payload");
    }
    a.send_message(Opcode::Close, &[]);
    while a.fill() {}
    relay.wait_for_log("ignored 1 text messages and 2 that were too long");
}

trait Pieces {
    fn write_all_pieces(&mut self, bytes: &[u8]);
}

impl Pieces for std::net::TcpStream {
    /// Writes in segments of a few bytes.
    fn write_all_pieces(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(97) {
            std::io::Write::write_all(self, piece).expect("sent");
        }
    }
}

#[test]
fn garbage_frames_harm_nobody() {
    let relay = Relay::start(&["--mtu", "65535"]);
    let [mut a, mut b, mut c] = guests(&relay);
    let asking = std::net::Ipv4Addr::new(192, 168, 86, 77);
    c.send(&arp_request(mac(2), asking, common::packet::GATEWAY));
    let reply = c.expect("the gateway", |frame| is_arp_reply(frame, common::packet::GATEWAY));
    let gateway: [u8; 6] = reply[22..28].try_into().expect("six octets");
    let before = relay.rss_bytes();
    let mut rng = Rng::new(6);
    for _ in 0..40 {
        let garbage: Vec<Vec<u8>> = (0..250)
            .map(|_| {
                let mut frame = vec![0; [14, 42, 60, 400, 1514, 9000][rng.below(6) as usize]];
                rng.fill(&mut frame);
                frame[..6].copy_from_slice(&gateway);
                let ethertype = [0x0800_u16, 0x0806, 0x86dd, 0x8100, 7][rng.below(5) as usize];
                frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
                if let Some(version) = frame.get_mut(14).filter(|_| ethertype == 0x0800) {
                    *version = 0x45 + rng.below(2) as u8;
                }
                if rng.chance(0.1) {
                    frame.truncate(rng.below(20) as usize);
                }
                frame
            })
            .collect();
        c.send_all(&garbage);
        busy_pair(&mut a, &mut b, 1);
    }
    let grown = relay.rss_bytes().saturating_sub(before);
    assert!(grown < 16 * MIB, "grew by {grown} bytes");
    c.send(&arp_request(mac(2), asking, common::packet::GATEWAY));
    c.expect("the gateway's answer", |frame| is_arp_reply(frame, common::packet::GATEWAY));
}

#[test]
fn lans_are_apart_and_isolated_guests_too() {
    let relay = Relay::start(&["--lan", "lab"]);
    let (mut here, mut there) = (relay.guest(), relay.guest_on("/lan/lab"));
    here.send(&frame(BROADCAST, mac(1), EXPERIMENTAL, &[1; 50]));
    let asking = std::net::Ipv4Addr::new(192, 168, 86, 77);
    there.send(&arp_request(mac(2), asking, common::packet::GATEWAY));
    let first = there.next().expect("an answer");
    assert!(is_arp_reply(&first, common::packet::GATEWAY), "the first frame is the gateway's: {first:02x?}");

    let relay = Relay::start(&["--isolate"]);
    let (mut a, mut b) = (relay.guest(), relay.guest());
    a.send(&frame(BROADCAST, mac(1), EXPERIMENTAL, &[1; 50]));
    a.send(&arp_request(mac(1), asking, common::packet::GATEWAY));
    a.expect("the gateway's answer", |frame| is_arp_reply(frame, common::packet::GATEWAY));
    b.send(&arp_request(mac(2), asking, common::packet::GATEWAY));
    // It comes from where the other does, and may have been asked whether it is the other, come back.
    b.expect("the gateway's answer", |frame| {
        assert_eq!(frame[12..14], [0x08, 0x06], "{frame:02x?}");
        is_arp_reply(frame, common::packet::GATEWAY)
    });
}

/// Sends `rounds` windows of frames from `a` to `b`, each window answered before the next; every frame must arrive in order.
fn busy_pair(a: &mut Guest, b: &mut Guest, rounds: u32) {
    const WINDOW: u32 = 64;
    for round in 0..rounds {
        let window: Vec<Vec<u8>> = (0..WINDOW)
            .map(|n| {
                frame(
                    mac(1),
                    mac(0),
                    EXPERIMENTAL,
                    &[&(round * WINDOW + n).to_be_bytes()[..], &[0; 1400]].concat(),
                )
            })
            .collect();
        a.send_all(&window);
        for sent in &window {
            let got = b.expect("a frame of the pair", |frame| frame[6..12] == mac(0));
            assert!(got == *sent, "frames of the pair arrive, and in order");
        }
    }
}

#[test]
fn a_stalled_reader_harms_nobody() {
    let relay = Relay::start(&[]);
    let [mut a, mut b, stalled, mut flooder] = guests(&relay);
    let before = relay.rss_bytes();
    // More than all buffers between here and the stalled reader together, several times.
    let flood = messages(&vec![frame(mac(2), mac(3), EXPERIMENTAL, &[0; 1400]); 1000]);
    let flooding = std::thread::spawn(move || {
        for _ in 0..60 {
            std::io::Write::write_all(&mut flooder.stream, &flood).expect("the flooder is not held up");
        }
        flooder
    });
    busy_pair(&mut a, &mut b, 200);
    drop(flooding.join().expect("the flood went out"));
    busy_pair(&mut a, &mut b, 20);
    let grown = relay.rss_bytes().saturating_sub(before);
    assert!(grown < 16 * MIB, "grew by {grown} bytes");
    drop(stalled);
}

#[test]
fn a_client_killed_at_full_rate_harms_nobody() {
    let relay = Relay::start(&[]);
    let [a, b, victim, mut flooder] = guests(&relay);
    let flood = messages(&vec![frame(mac(2), mac(3), EXPERIMENTAL, &[0; 1400]); 200]);
    let (tell, told) = std::sync::mpsc::channel();
    let flooding = std::thread::spawn(move || {
        for n in 0..200 {
            std::io::Write::write_all(&mut flooder.stream, &flood).expect("the flooder is not held up");
            if n == 20 {
                tell.send(()).expect("the test waits");
            }
        }
    });
    told.recv().expect("the flood is under way");
    SockRef::from(&victim.stream).set_linger(Some(Duration::ZERO)).expect("reset on close");
    drop(victim);
    // From here on nobody has the victim's address, so its frames go to everyone, as on any switch, until it is back.
    let hello = frame(BROADCAST, mac(2), EXPERIMENTAL, &[9; 50]);
    let greeted = Arc::new(AtomicUsize::new(0));
    let readers = [a, b].map(|mut guest| {
        let (hello, greeted) = (hello.clone(), Arc::clone(&greeted));
        std::thread::spawn(move || {
            guest.expect("the victim's return", |frame| frame == hello);
            greeted.fetch_add(1, Ordering::Relaxed);
            guest
        })
    });
    flooding.join().expect("the flood went out");
    let mut again = relay.guest();
    common::wait_until(
        || {
            again.send(&hello);
            greeted.load(Ordering::Relaxed) == 2
        },
        || "the victim's return".to_owned(),
    );
    let [mut a, mut b] = readers.map(|reader| reader.join().expect("a reader"));
    busy_pair(&mut a, &mut b, 50);
}

#[test]
fn two_hundred_idle_clients_cost_little() {
    let relay = Relay::start(&[]);
    let idle = relay.rss_bytes();
    assert!(idle <= 15 * MIB, "{idle} bytes when idle");
    let guests: Vec<Guest> = (0..200).map(|_| relay.guest()).collect();
    let mut last = relay.guest();
    last.send(&arp_request(mac(1), std::net::Ipv4Addr::new(192, 168, 86, 77), common::packet::GATEWAY));
    last.expect("the gateway's answer", |frame| is_arp_reply(frame, common::packet::GATEWAY));
    let loaded = relay.rss_bytes();
    assert!(loaded <= 40 * MIB, "{loaded} bytes with 200 clients");
    drop(guests);
}

#[test]
fn clients_beyond_the_limit_are_told() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "[[lan]]\nname = \"default\"\nmax_clients = 2\n").expect("written");
    let relay = Relay::start(&["--config", file.path().to_str().expect("text")]);
    let first = relay.guest();
    let _second = relay.guest();
    let refused = Guest::connect(relay.address, "/", &[]).map(|_| ()).expect_err("the LAN is full");
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    drop(first);
    common::wait_until(
        || Guest::connect(relay.address, "/", &[]).is_ok(),
        || "room after one has left".to_owned(),
    );
}
