//! An hour's worth of a busy relay's connections, in as little time as they take: guests, Wisp clients, requests, and those who leave in the
//! middle of something. Descriptors and memory end where they began. The figures are shown with `--nocapture`.
#![allow(clippy::expect_used, reason = "tests")]

mod common;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;

use common::http::ask;
use common::leased::Leased;
use common::packet::{dhcp, mac, udp_payload};
use common::wisp::{WispClient, echo as tcp_echo};
use common::{Guest, Relay, wait_until};
use netloom_proto::websocket::Opcode;
use netloom_proto::wisp::Kind;

/// One a second.
const CONNECTIONS: usize = 3600;
const WARMING: usize = 1200;
const THREADS: usize = 8;
/// What an allocator may keep that is not ours.
const SLACK_BYTES: u64 = 8 << 20;

/// Who is asked by the relay's clients.
#[derive(Clone, Copy)]
struct Targets {
    tcp: SocketAddr,
    udp: SocketAddr,
}

/// The `n`th client of a thread, from first to last.
fn visit(relay: &Relay, targets: Targets, thread: usize, n: usize) {
    // No two that are there at once have the same MAC address, and all together fewer than there are leases.
    let own = (thread * 15 + n / 6 % 15) as u8;
    match n % 6 {
        0 => {
            let mut leased = Leased::new(relay, own);
            leased.udp(own, 5000, targets.udp, b"hello");
            leased.guest.expect("an echo", |frame| udp_payload(frame, 5000) == Some(b"hello"));
            if n.is_multiple_of(12) {
                leased.guest.send_message(Opcode::Close, &1000_u16.to_be_bytes());
            }
        }
        1 => {
            let mut client = WispClient::version_1(relay);
            for stream in 1..=3 {
                client.open(stream, Kind::Tcp, targets.tcp);
                client.send(stream, netloom_proto::wisp::Packet::Data(&[7; 3000]));
            }
            client.open(4, Kind::Udp, targets.udp);
            client.send(4, netloom_proto::wisp::Packet::Data(b"hello"));
            let all =
                |client: &WispClient| (1..=3).all(|n| client.data.get(&n).is_some_and(|it| it.len() == 3000));
            client.until("what was sent", |client| client.data.contains_key(&4) && all(client));
        }
        2 => assert_eq!(ask(relay.address, "GET", "/healthz", &[], b"").status(), 200),
        3 => {
            // Half a head, or a guest's first frame and no more.
            let mut stream = TcpStream::connect(relay.address).expect("it listens");
            drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: local"));
            let mut guest = relay.guest_on("/lan/other");
            guest.send(&dhcp(mac(own), 1, &[]));
        }
        4 => {
            let guest = Guest::connect(relay.address, &format!("/wisp/{}", targets.tcp), &[]);
            let mut guest = guest.expect("a stream");
            guest.send(&[5; 2000]);
            guest.next().expect("an echo");
        }
        _ => {
            assert_eq!(
                ask(relay.address, "GET", "/lan/none", &[("Upgrade", "websocket")], b"").status(),
                426
            );
            let guest = Guest::connect(relay.address, "/wisp/127.0.0.1:1", &[]);
            assert!(guest.expect("an upgrade").next().is_none(), "nobody listens there");
        }
    }
}

fn visit_all(relay: &Arc<Relay>, targets: Targets, count: usize) {
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let relay = Arc::clone(relay);
            std::thread::spawn(move || {
                for n in 0..count / THREADS {
                    visit(&relay, targets, thread, n);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("all went well");
    }
}

#[test]
fn an_hour_of_connections_leaves_nothing() {
    let config = tempfile::NamedTempFile::new().expect("a file");
    let text = r#"
        log.filter = "warn"
        egress.allow = ["127.0.0.1"]
        [[lan]]
        name = "default"
        resume_s = 0
        [[lan]]
        name = "other"
        subnet = "192.168.87.0/24"
        resume_s = 1
    "#;
    std::fs::write(config.path(), text).expect("written");
    let relay = Arc::new(Relay::start(&["--config", config.path().to_str().expect("text")]));
    let echo = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let targets = Targets { tcp: tcp_echo(), udp: echo.local_addr().expect("its address") };
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((read, from)) = echo.recv_from(&mut buffer) {
            drop(echo.send_to(&buffer[..read], from));
        }
    });
    let idle = relay.descriptors();
    let ended = || {
        let left = || relay.descriptors();
        wait_until(|| left() <= idle, || format!("{} descriptors are open, {idle} were", left()));
    };
    visit_all(&relay, targets, WARMING);
    ended();
    let warm_bytes = relay.rss_bytes();
    visit_all(&relay, targets, CONNECTIONS);
    ended();
    let bytes = relay.rss_bytes();
    println!("{idle} descriptors before and after; {warm_bytes} bytes became {bytes}");
    assert!(bytes <= warm_bytes + SLACK_BYTES, "{warm_bytes} bytes became {bytes}");
    assert_eq!(relay.log().matches("panick").count(), 0, "{}", relay.log());
}
