//! Another configuration for a relay at work: what can change does, what cannot is named, and no guest loses a flow.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Output;

use common::leased::{Leased, query};
use common::packet::{GATEWAY, echo_request, ethertype, frame, mac, tcp_syn, udp_payload};
use common::{Guest, Relay, netloom};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 254);

/// A relay with a file.
struct Configured {
    relay: Relay,
    file: PathBuf,
    folder: TempDir,
}

impl Configured {
    fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("netloom.toml");
        fs::write(&file, text).expect("written");
        let control = format!("unix:{}", folder.path().join("c.sock").display());
        let relay = Relay::start(&["--config", file.to_str().expect("text"), "--control", &control]);
        Self { relay, file, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("c.sock")
    }

    /// Asks for a reload by the API: the status and what is told.
    fn ask(&self, method: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(self.socket()).expect("it listens");
        stream.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
        let head = format!("{method} /api/reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        (status, serde_json::from_str(body).expect("JSON"))
    }

    /// Asks for one by the command.
    fn command(&self) -> Output {
        let control = format!("unix:{}", self.socket().display());
        netloom().args(["reload", "--control", &control]).output().expect("it runs")
    }

    /// Has the relay read another file, and waits until it says `line`.
    fn reload(&self, text: &str, line: &str) {
        fs::write(&self.file, text).expect("written");
        self.relay.signal(Signal::HUP);
        self.relay.wait_for_log(line);
    }
}

fn server() -> (UdpSocket, SocketAddr) {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a server");
    server.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
    let port = server.local_addr().expect("its address").port();
    (server, (HOST, port).into())
}

const OPEN: &str = "[[lan]]\nname = \"default\"\nhost_loopback = true\n";

#[test]
fn rules_change_for_new_flows_and_leave_those_that_stand() {
    let configured = Configured::start(OPEN);
    let mut leased = Leased::new(&configured.relay, 1);
    let ((one, to_one), (other, to_other)) = (server(), server());
    leased.udp(1, 4000, to_one, b"hello");
    let (_, from) = one.recv_from(&mut [0; 100]).expect("the datagram arrives");
    let closed = format!("{OPEN}deny = [\"*\"]\n");
    configured.reload(&closed, "reload: LAN default: changed");
    leased.udp(1, 4001, to_other, b"let me out");
    one.send_to(b"still there?", from).expect("sent");
    let back = leased.guest.expect("the datagram", |frame| udp_payload(frame, 4000).is_some());
    assert_eq!(udp_payload(&back, 4000), Some(&b"still there?"[..]));
    leased.send(1, GATEWAY, 1, &echo_request(1, 1, b"judged?"));
    let is_echo = |frame: &[u8]| ethertype(frame) == 0x0800 && frame[23] == 1 && frame[34] == 0;
    leased.guest.expect("the gateway's echo", is_echo);
    other.set_nonblocking(true).expect("it can be asked");
    assert!(other.recv(&mut [0; 100]).is_err(), "the new flow was refused");
    configured.reload(OPEN, "reload: LAN default: changed");
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("its address").port()
}

#[test]
fn guests_get_cookies_once_they_may_come_back() {
    let configured = Configured::start(&format!("{OPEN}resume_s = 0\n"));
    let is_given = || configured.relay.guest().head.to_ascii_lowercase().contains("netloom-resume=");
    assert!(!is_given());
    configured.reload(OPEN, "reload: LAN default: changed");
    assert!(is_given());
}

#[test]
fn names_leases_and_forwards_come_and_go() {
    let configured = Configured::start(OPEN);
    let port = free_port();
    let more = format!(
        "{OPEN}records = {{ \"new.lan\" = \"192.168.86.77\" }}\nleases = {{ \"02:00:00:00:00:05\" = \"192.168.86.55\" }}\nforwards = [\"{port}=first:7\"]\n"
    );
    let mut leased = Leased::new(&configured.relay, 1);
    configured.reload(&more, "reload: LAN default: changed");
    leased.udp(1, 5000, (GATEWAY, 53).into(), &query(7, "new.lan"));
    let back = leased.guest.expect("an answer", |frame| udp_payload(frame, 5000).is_some());
    assert!(udp_payload(&back, 5000).expect("the answer").ends_with(&[192, 168, 86, 77]));
    assert_eq!(Leased::new(&configured.relay, 5).address, Ipv4Addr::new(192, 168, 86, 55));
    let mut forwarded = TcpStream::connect(("127.0.0.1", port)).expect("the forward listens");
    let is_syn = |frame: &[u8]| ethertype(frame) == 0x0800 && frame[23] == 6 && frame[47] & 0x02 != 0;
    leased.guest.expect("a connection", is_syn);
    drop(forwarded.write_all(b"x"));
    configured.reload(OPEN, "reload: LAN default: changed");
    common::wait_until(
        || TcpStream::connect(("127.0.0.1", port)).is_err(),
        || "the forward's end".to_owned(),
    );
}

#[test]
fn lans_come_and_go_and_what_takes_a_restart_is_named() {
    let configured = Configured::start("");
    let address = configured.relay.address;
    assert!(Guest::connect(address, "/lan/two", &[]).is_err_and(|answer| answer.contains("404")));
    configured.reload("[[lan]]\nname = \"two\"\nsubnet = \"10.2.0.0/24\"\n", "reload: LAN two: added");
    let mut guest = configured.relay.guest_on("/lan/two");
    let kept = "[listen]\nmax_connections = 77\n[[lan]]\nname = \"two\"\nsubnet = \"10.3.0.0/24\"\n";
    configured.reload(kept, "reload: LAN two: subnet: kept as it is until a restart");
    assert!(configured.relay.log().contains("listen.max_connections: kept"), "{}", configured.relay.log());
    configured.reload("", "reload: LAN two: removed");
    assert_eq!(guest.next(), None);
    assert_eq!(guest.closed, Some(Some(1001)));
    assert!(Guest::connect(address, "/lan/two", &[]).is_err_and(|answer| answer.contains("404")));
    configured.relay.guest();
}

#[test]
fn a_guest_does_not_reach_the_forward_of_a_lan_that_was_added() {
    let configured = Configured::start(OPEN);
    let mut leased = Leased::new(&configured.relay, 1);
    let port = free_port();
    let lan = format!("[[lan]]\nname = \"two\"\nsubnet = \"10.2.0.0/24\"\nforwards = [\"{port}=first:7\"]\n");
    configured.reload(&format!("{OPEN}{lan}"), "reload: LAN two: added");
    leased.send(1, HOST, 6, &tcp_syn(leased.address, HOST, 4000, port));
    leased.guest.expect("a reset", |frame| frame.len() >= 54 && frame[23] == 6 && frame[47] & 4 != 0);
    configured.relay.wait_for_log("the relay's own listener");
    // Once it is gone, whoever else listens there is no listener of the relay's.
    configured.reload(OPEN, "reload: LAN two: removed");
    let server = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    leased.send(1, HOST, 6, &tcp_syn(leased.address, HOST, 4001, port));
    server.accept().expect("the guest");
}

#[test]
fn what_could_not_be_had_is_tried_again() {
    let configured = Configured::start(OPEN);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    fs::write(&configured.file, format!("{OPEN}forwards = [\"{port}=first:7\"]\n")).expect("written");
    for _ in 0..2 {
        let lines = configured.ask("POST").1["lines"].to_string();
        assert!(lines.contains("cannot listen on") && !lines.contains("LAN default: changed"), "{lines}");
    }
    drop(taken);
    assert_eq!(configured.ask("POST").1["lines"][0], "LAN default: changed");
    TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    assert_eq!(configured.ask("POST").1["lines"][0], "nothing has changed");
}

#[test]
fn a_forward_moves_from_lan_to_lan() {
    let port = free_port();
    let lan = |name: &str, n: u8, forwards: &str| {
        format!("[[lan]]\nname = \"{name}\"\nsubnet = \"10.{n}.0.0/24\"\nforwards = [{forwards}]\n")
    };
    let forward = format!("\"{port}=first:7\", \"udp:{port}=first:7\"");
    let configured = Configured::start(&lan("a", 1, &forward));
    let told = |text: String| {
        fs::write(&configured.file, text).expect("written");
        let lines = configured.ask("POST").1["lines"].to_string();
        TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        lines
    };
    let lines = told(lan("b", 1, &forward));
    assert!(lines.contains("LAN a: removed") && lines.contains("LAN b: added"), "{lines}");
    let lines = told(lan("c", 2, "") + &lan("b", 1, &forward));
    assert!(lines.contains("LAN c: added"), "{lines}");
    let lines = told(lan("c", 2, &forward) + &lan("b", 1, ""));
    assert_eq!(lines, r#"["LAN c: changed","LAN b: changed"]"#);
}

#[test]
fn a_forward_at_a_port_that_the_kernel_chose_goes() {
    let configured = Configured::start(&format!("{OPEN}forwards = [\"127.0.0.1:0=first:7\"]\n"));
    let banner = &configured.relay.banner;
    let line = banner.lines().find_map(|line| line.strip_prefix("forwarding ")).expect("a forward");
    let listen: SocketAddr = line.split(' ').next().expect("an address").parse().expect("an address");
    TcpStream::connect(listen).expect("it listens");
    fs::write(&configured.file, OPEN).expect("written");
    assert_eq!(configured.ask("POST").1["lines"].to_string(), r#"["LAN default: changed"]"#);
    assert!(TcpStream::connect(listen).is_err());
}

#[test]
fn leases_of_a_subnet_that_takes_a_restart_take_one_too() {
    let configured = Configured::start("[[lan]]\nname = \"default\"\n");
    let moved = "[[lan]]\nname = \"default\"\nsubnet = \"10.3.0.0/24\"\nleases = { \"02:00:00:00:00:05\" = \"10.3.0.55\" }\n";
    configured.reload(moved, "reload: LAN default: leases: kept as it is until a restart");
    assert_eq!(Leased::new(&configured.relay, 5).address.octets()[..3], [192, 168, 86]);
}

#[test]
fn a_file_that_is_wrong_changes_nothing() {
    let configured = Configured::start(OPEN);
    let mut leased = Leased::new(&configured.relay, 1);
    configured.reload("[lsten]\n", "all stays as it is");
    assert!(configured.relay.log().contains("netloom.toml:1"), "{}", configured.relay.log());
    let (server, to) = server();
    leased.udp(1, 4000, to, b"hello");
    server.recv_from(&mut [0; 100]).expect("the datagram arrives");
}

#[test]
fn who_may_connect_and_what_is_logged_change() {
    let configured = Configured::start("");
    let address = configured.relay.address;
    let foreign = ["Origin: https://page.example"];
    assert!(Guest::connect(address, "/", &foreign).is_err_and(|answer| answer.contains("403")));
    let admitted = "[listen]\norigins = [\"https://page.example\"]\n[log]\nfilter = \"debug\"\n";
    configured.reload(admitted, "reload: log.filter: changed");
    drop(Guest::connect(address, "/", &foreign).expect("it is admitted"));
    let mut answer = String::new();
    let mut stream = TcpStream::connect(address).expect("the relay listens");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").expect("sent");
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("403"), "{answer}");
}

#[test]
fn a_limit_of_broadcasts_holds_for_guests_that_are_there() {
    let configured = Configured::start("");
    let (mut noisy, mut quiet) = (configured.relay.guest(), configured.relay.guest());
    quiet.send(&frame([0xff; 6], mac(2), 0x88b5, &[0; 46]));
    noisy.expect("the other guest", |frame| frame[6..12] == mac(2));
    let storm = |noisy: &mut Guest| {
        let mut storm: Vec<Vec<u8>> = (0..2000_u16)
            .map(|n| frame([0xff; 6], mac(1), 0x88b5, &[&n.to_be_bytes()[..], &[0; 44]].concat()))
            .collect();
        storm.push(frame(mac(2), mac(1), 0x88b6, &[0; 46]));
        noisy.send_all(&storm);
    };
    let heard = |quiet: &mut Guest| {
        let mut heard = 0;
        while ethertype(&quiet.next().expect("a frame")) == 0x88b5 {
            heard += 1;
        }
        heard
    };
    storm(&mut noisy);
    assert_eq!(heard(&mut quiet), 2000);
    let limit = |text: &str| {
        fs::write(&configured.file, text).expect("written");
        assert_eq!(configured.ask("POST").1["lines"][0], "limits: changed");
    };
    limit("[limits]\nbroadcast_frames_per_s = 50\n");
    storm(&mut noisy);
    let some = heard(&mut quiet);
    assert!((50..1000).contains(&some), "{some} broadcasts of 2000 were heard");
    limit("");
    storm(&mut noisy);
    assert_eq!(heard(&mut quiet), 2000);
}

#[test]
fn an_operator_has_it_read_again_by_the_api_and_by_the_command() {
    let configured = Configured::start(OPEN);
    let mut leased = Leased::new(&configured.relay, 1);
    let named = |id: u16, leased: &mut Leased| {
        leased.udp(1, 5000, (GATEWAY, 53).into(), &query(id, "new.test"));
        let back = leased.guest.expect("an answer", |frame| udp_payload(frame, 5000).is_some());
        udp_payload(&back, 5000).is_some_and(|answer| answer.ends_with(&[192, 168, 86, 77]))
    };
    let (status, told) = configured.ask("GET");
    assert_eq!((status, told["error"].is_string()), (405, true), "{told}");
    let (status, told) = configured.ask("POST");
    assert_eq!((status, &told["lines"][0]), (200, &"nothing has changed".into()), "{told}");
    fs::write(&configured.file, format!("{OPEN}records = {{ \"new.test\" = \"192.168.86.77\" }}\n"))
        .expect("written");
    assert!(!named(1, &mut leased));
    let (status, told) = configured.ask("POST");
    assert_eq!((status, &told["lines"][0]), (200, &"LAN default: changed".into()), "{told}");
    assert!(named(2, &mut leased), "at once, for the guest that is there");

    fs::write(&configured.file, format!("{OPEN}\nmtuu = 1400\n")).expect("written");
    let (status, told) = configured.ask("POST");
    let error = told["error"].as_str().unwrap_or_default();
    assert_eq!(status, 409, "{told}");
    assert!(error.contains("netloom.toml:5") && error.contains("mtuu"), "{error}");
    let output = configured.command();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("netloom.toml:5") && said.contains("mtuu"), "{said}");
    assert!(named(3, &mut leased), "nothing has changed");

    fs::write(&configured.file, OPEN).expect("written");
    let output = configured.command();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "LAN default: changed");
    assert!(output.status.success() && !named(4, &mut leased));
}
