//! The control API over its socket and the listeners, and the commands that use it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod common;

use std::io::{BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Output;

use common::http::{self, Message};
use common::leased::{Leased, query};
use common::machine::Machine;
use common::packet::{GATEWAY, mac};
use common::{Relay, netloom, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 254);
const TOKEN: &str = "correct-horse-battery-staple";

/// A relay with a control socket of its own.
struct Controlled {
    relay: Relay,
    folder: TempDir,
}

impl Controlled {
    fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = format!("unix:{}", folder.path().join("c.sock").display());
        let relay = Relay::start(&[&["--control", &control], flags].concat());
        Self { relay, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("c.sock")
    }

    /// Asks over the control socket.
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn read(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Runs a command against this relay.
    fn run(&self, arguments: &[&str]) -> Output {
        let control = format!("unix:{}", self.socket().display());
        netloom().args(arguments).args(["--control", &control]).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn what_there_is_can_be_asked_for() {
    let it = Controlled::start(&["--host-loopback", "--lan", "lab=10.9.0.0/24"]);
    let mut guest = Leased::new(&it.relay, 1);
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = SocketAddr::new(IpAddr::V4(HOST), server.local_addr().unwrap().port());
    guest.udp(1, 4000, to, b"hello");
    server.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let (_, nat) = server.recv_from(&mut [0; 16]).unwrap();
    server.send_to(b"and welcome", nat).unwrap();
    guest.guest.expect("the answer", |frame| frame.ends_with(b"and welcome"));

    let lans = it.read("/api/lans");
    assert_eq!((&lans[0]["name"], &lans[1]["name"]), (&json!("default"), &json!("lab")));
    assert_eq!(
        (&lans[0]["clients"], &lans[0]["leases"], &lans[0]["flows"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let clients = it.read("/api/clients");
    let client = &clients[0];
    let own_mac = "02:00:00:00:00:01";
    assert_eq!(mac(1), [2, 0, 0, 0, 0, 1]);
    assert_eq!((&client["kind"], &client["macs"]), (&json!("websocket"), &json!([own_mac])));
    assert_eq!(client["addresses"], json!([guest.address.to_string()]));
    assert!(client["frames_in"].as_u64().unwrap() >= 4 && client["bytes_out"].as_u64().unwrap() > 0);
    let leases = it.read("/api/leases?lan=default");
    assert_eq!((&leases[0]["address"], &leases[0]["mac"]), (&json!(guest.address), &json!(own_mac)));
    assert_eq!(leases[0]["client"], client["id"]);
    let flows = it.read("/api/flows");
    assert_eq!(flows[0]["protocol"], "udp");
    assert_eq!(
        (&flows[0]["guest"], &flows[0]["target"]),
        (&json!(format!("{}:4000", guest.address)), &json!(to))
    );
    assert_eq!((&flows[0]["bytes_in"], &flows[0]["bytes_out"]), (&json!(5), &json!(11)));
    assert_eq!(it.read("/api/macs")[0]["mac"], own_mac);
    assert_eq!(it.read("/api/macs?lan=lab"), json!([]));
    // A frame that is too short is a drop.
    guest.guest.send(&[1, 2, 3]);
    wait_until(
        || it.read("/api/drops")["lans"]["default"]["frame_too_short"] == 1,
        || it.read("/api/drops").to_string(),
    );
    // What clients passed stays counted when they have left.
    drop(guest);
    wait_until(|| it.read("/api/clients") == json!([]), || it.read("/api/clients").to_string());
    assert!(it.read("/api/lans")[0]["frames_in"].as_u64().unwrap() >= 5);
    assert_eq!(it.read("/api/status")["connections"], 0);
}

#[test]
fn a_connection_counts_what_it_moved() {
    let it = Controlled::start(&["--forward=127.0.0.1:0=first:7"]);
    let _guest = Machine::start(&it.relay, "/", 1, 9);
    let forwards = it.read("/api/forwards");
    let listen: SocketAddr = forwards[0]["listen"].as_str().unwrap().parse().unwrap();
    let connect = || {
        let stream = TcpStream::connect(listen).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        stream
    };
    assert_eq!(said(&it.run(&["status", "--flows"])).lines().last(), Some("no flows"));
    let (mut busy, sent) = (connect(), vec![7; 123_456]);
    busy.write_all(&sent).unwrap();
    busy.read_exact(&mut vec![0; sent.len()]).unwrap();
    let mut idle = connect();
    idle.write_all(b"hello").unwrap();
    idle.read_exact(&mut [0; 5]).unwrap();

    let counts = |flow: &Value| (flow["bytes_in"].as_u64().unwrap(), flow["bytes_out"].as_u64().unwrap());
    let status: Value = serde_json::from_str(&said(&it.run(&["status", "--flows", "--json"]))).unwrap();
    let flows = status["flows"].as_array().unwrap();
    assert_eq!(flows.iter().map(counts).collect::<Vec<_>>(), [(123_456, 123_456), (5, 5)]);
    let shown = said(&it.run(&["status", "--flows"]));
    let tail: Vec<_> = shown.lines().rev().take(2).collect();
    assert!(tail[1].contains("tcp") && tail[1].ends_with("123.5 kB  123.5 kB"), "{shown}");
    assert!(tail[0].ends_with("5 B       5 B"), "{shown}");
}

#[test]
fn mistakes_are_told_with_their_status() {
    let it = Controlled::start(&[]);
    let cases = [
        ("GET", "/api/nothing", None, 404, "see /api"),
        ("GET", "/api/clients?lan=lab", None, 404, "there are: default"),
        ("GET", "/api/clients?lane=lab", None, 400, "a query may have: lan"),
        ("POST", "/api/clients", None, 405, "GET, HEAD"),
        ("GET", "/api/kick", None, 405, "POST"),
        ("POST", "/api/kick", Some(json!({ "client": 99 })), 404, "no client is `99`"),
        ("POST", "/api/kick", Some(json!({ "who": 1 })), 400, "unknown field"),
        ("GET", "/api/capture?filter=tcp%20prot", None, 400, "filter: "),
        ("GET", "/api/capture?client=zz", None, 404, "no client is `zz`"),
        ("GET", "/api/capture?max_frames=0", None, 400, "from 1 up"),
        ("POST", "/api/forwards", Some(json!({ "forward": "8080" })), 400, "is not a forward"),
        ("DELETE", "/api/forwards?listen=1", None, 404, "127.0.0.1:1"),
        ("POST", "/api/dns", Some(json!({ "name": "a b", "addresses": ["192.0.2.1"] })), 400, "a b"),
        ("DELETE", "/api/dns?name=none.test", None, 404, "was not added"),
        ("GET", "/nothing", None, 404, "see /api"),
    ];
    for (method, path, body, status, text) in cases {
        let answer = it.ask(method, path, body);
        assert!(answer.0 == status && answer.1.contains(text), "{method} {path}: {answer:?}");
    }
    let long = json!({ "client": "x".repeat(100_000) });
    assert_eq!(it.ask("POST", "/api/kick", Some(long)).0, 400);
    assert_eq!(it.ask("GET", "/healthz", None), (200, "ok\n".to_owned()));
}

#[test]
fn clients_of_gvisors_api_find_what_they_know() {
    let it = Controlled::start(&[]);
    let guest = Leased::new(&it.relay, 1);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let local = format!("localhost:{}", free.port());
    let remote = format!("{}:80", guest.address);
    let expose = json!({ "local": local, "remote": remote, "protocol": "tcp" });
    assert_eq!(it.ask("GET", "/services/forwarder/expose", None), (400, "post only\n".to_owned()));
    assert_eq!(it.ask("POST", "/services/forwarder/expose", Some(expose.clone())), (200, String::new()));
    let again = it.ask("POST", "/services/forwarder/expose", Some(expose.clone()));
    assert!(again.0 == 500 && again.1.starts_with("proxy already running"), "{again:?}");
    assert_eq!(it.read("/services/forwarder/all"), json!([expose]));
    assert_eq!(it.read("/api/forwards")[0]["port"], 80);
    assert!(TcpStream::connect(free).is_ok());
    let udp = json!({ "local": "127.0.0.1:0", "remote": remote, "protocol": "udp" });
    assert_eq!(it.ask("POST", "/services/forwarder/expose", Some(udp)).0, 200);
    for (bad, status) in [
        (json!({ "local": local, "remote": "no port" }), 400),
        (json!({ "local": local, "remote": ":80" }), 400),
        (json!({ "local": local, "remote": remote, "protocol": "npipe" }), 500),
        (json!("text"), 400),
    ] {
        assert_eq!(it.ask("POST", "/services/forwarder/expose", Some(bad.clone())).0, status, "{bad}");
    }
    // The protocol is TCP unless another is said.
    let unexpose = json!({ "local": local });
    assert_eq!(it.ask("POST", "/services/forwarder/unexpose", Some(unexpose.clone())), (200, String::new()));
    let gone = it.ask("POST", "/services/forwarder/unexpose", Some(unexpose));
    assert!(gone.0 == 500 && gone.1.starts_with("proxy not found"), "{gone:?}");

    assert!(it.read("/stats")["BytesReceived"].as_u64().unwrap() > 0);
    let client = &it.read("/api/clients")[0]["id"];
    assert_eq!(it.read("/cam"), json!({ "02:00:00:00:00:01": client }));
    assert_eq!(it.read("/leases"), it.read("/services/dhcp/leases"));
    assert_eq!(it.read("/leases")[guest.address.to_string()], "02:00:00:00:00:01");
}

#[test]
fn names_are_added_live() {
    let it = Controlled::start(&["--record", "fixed.test=192.0.2.1", "--dns", "127.0.0.1:1"]);
    let mut guest = Leased::new(&it.relay, 1);
    // The addresses that the LAN's DNS gives a name: four bytes at the end of an answer that has one.
    let mut resolve = |name: &str| {
        let asked = query(7, name);
        guest.udp(1, 4000, SocketAddr::from((GATEWAY, 53)), &asked);
        let answer = guest.guest.expect("an answer", |frame| {
            frame.len() > 42 + asked.len()
                && frame[34..36] == [0, 53]
                && frame[54..42 + asked.len()] == asked[12..]
        });
        let count = answer[42 + 7];
        (answer[42 + 3] & 15, (count > 0).then(|| <[u8; 4]>::try_from(&answer[answer.len() - 4..]).unwrap()))
    };
    let zone = json!({
        "Name": "dynamic.test.",
        "Records": [{ "Name": "host", "IP": "192.0.2.7" }],
        "DefaultIP": "192.0.2.8",
    });
    assert_eq!(it.ask("POST", "/services/dns/add", Some(zone)).0, 200);
    assert_eq!(resolve("host.dynamic.test"), (0, Some([192, 0, 2, 7])));
    assert_eq!(resolve("other.dynamic.test"), (0, Some([192, 0, 2, 8])));
    assert_eq!(it.read("/services/dns/all")[0]["Records"][0]["IP"], "192.0.2.7");

    let added = json!({ "name": "Fixed.Test", "addresses": ["192.0.2.9"] });
    assert_eq!(it.ask("POST", "/api/dns", Some(added)).0, 200);
    assert_eq!(resolve("fixed.test"), (0, Some([192, 0, 2, 9])));
    assert_eq!(it.ask("DELETE", "/api/dns?name=fixed.test", None).0, 200);
    assert_eq!(resolve("fixed.test"), (0, Some([192, 0, 2, 1])));
    let names = it.read("/api/dns");
    assert!(names.as_array().unwrap().contains(&json!({
        "lan": "default", "name": "fixed.test", "addresses": ["192.0.2.1"]
    })));
}

/// Asks on the main listener.
fn ask(relay: &Relay, path: &str, token: Option<&str>) -> Message {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    http::ask(relay.address, "GET", path, &headers, &[])
}

#[test]
fn the_listener_has_the_api_for_the_token_alone() {
    let closed = Controlled::start(&[]);
    assert_eq!(ask(&closed.relay, "/api/lans", Some(TOKEN)).status(), 404);
    assert_eq!(ask(&closed.relay, "/services/forwarder/all", None).status(), 404);
    assert_eq!(ask(&closed.relay, "/metrics", None).status(), 200, "all listeners are loopback");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{TOKEN}\n")).unwrap();
    let path = file.path().display().to_string();
    let open = Controlled::start(&["--control-token-file", &path, "--listen", "0.0.0.0:0", "--log", "trace"]);
    for path in ["/api/lans", "/metrics", "/api", "/api/nothing"] {
        for token in [None, Some("wrong"), Some("correct-horse-battery-stapl")] {
            let answer = ask(&open.relay, path, token);
            assert_eq!((answer.status(), answer.header("www-authenticate")), (401, Some("Bearer")), "{path}");
        }
    }
    assert_eq!(ask(&open.relay, "/metrics", Some(TOKEN)).status(), 200);
    let lans = ask(&open.relay, "/api/lans", Some(TOKEN));
    assert_eq!((lans.status(), lans.header("content-type")), (200, Some("application/json")));
    assert_eq!(ask(&open.relay, "/services/forwarder/all", Some(TOKEN)).status(), 404);
    let headers =
        [("Authorization", "Bearer correct-horse-battery-staple"), ("Origin", "http://evil.example")];
    assert_eq!(http::ask(open.relay.address, "GET", "/api/lans", &headers, &[]).status(), 403);

    let url = format!("http://{}", open.relay.address);
    let by_url = |token_file: &str| {
        netloom().args(["status", "--relay", &url, "--token-file", token_file]).output().unwrap()
    };
    assert!(said(&by_url(&path)).contains("192.168.86.1"));
    let wrong = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(wrong.path(), "some-other-secret-of-its-own").unwrap();
    let refused = by_url(&wrong.path().display().to_string());
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("control token"));
    assert!(!open.relay.log().contains("correct-horse"), "{}", open.relay.log());
}

#[test]
fn metrics_are_in_prometheus_format() {
    let it = Controlled::start(&["--lan", "lab=10.9.0.0/24"]);
    let guest = Leased::new(&it.relay, 1);
    let answer = ask(&it.relay, "/metrics", None);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    let mut described = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            described.push(rest.split(' ').next().unwrap());
        } else if !line.starts_with('#') {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let family = sample.split('{').next().unwrap();
            assert!(described.contains(&family) && value.parse::<f64>().is_ok(), "{line}");
        }
    }
    let help = text.lines().filter(|line| line.starts_with("# HELP ")).count();
    assert_eq!(help, described.len());
    for line in [
        "netloom_lan_clients{lan=\"default\"} 1",
        "netloom_lan_clients{lan=\"lab\"} 0",
        "netloom_lan_leases{lan=\"default\"} 1",
        "netloom_lan_macs{lan=\"default\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
    }
    assert!(text.contains("process_resident_memory_bytes ") && text.contains("netloom_lan_bytes_total{"));
    drop(guest);
}

#[test]
fn commands_show_and_change_a_relay() {
    let it = Controlled::start(&[]);
    let mut guest = Leased::new(&it.relay, 1);
    let status = said(&it.run(&["status"]));
    assert!(status.contains("192.168.86.0/24") && status.contains("02:00:00:00:00:01"), "{status}");
    let status: Value = serde_json::from_str(&said(&it.run(&["status", "--json"]))).unwrap();
    assert_eq!(status["clients"][0]["addresses"], json!([guest.address]));
    let leases = said(&it.run(&["leases"]));
    assert!(leases.contains(&guest.address.to_string()), "{leases}");

    assert_eq!(said(&it.run(&["forward", "list"])), "no forwards\n");
    let added = said(&it.run(&["forward", "add", "127.0.0.1:0=first:80"]));
    let listen = added.split(' ').nth(1).unwrap();
    assert!(TcpStream::connect(listen.parse::<SocketAddr>().unwrap()).is_ok(), "{added}");
    assert!(said(&it.run(&["forward", "list"])).contains(listen));
    let again = it.run(&["forward", "add", &format!("{listen}=first:80")]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("leads to a guest already"));
    assert_eq!(said(&it.run(&["forward", "remove", listen])), format!("removed {listen}\n"));
    assert!(TcpStream::connect(listen.parse::<SocketAddr>().unwrap()).is_err());

    assert_eq!(said(&it.run(&["kick", &guest.address.to_string()])), "told 1 to go\n");
    while guest.guest.next().is_some() {}
    assert_eq!(guest.guest.closed, Some(Some(1008)));
}

#[test]
fn a_command_without_its_relay_says_what_to_do() {
    let run = |arguments: &[&str]| {
        let output = netloom().args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (arguments, code, text) in [
        (&["status", "--control", "unix:/nowhere/x.sock"][..], 1, "start one"),
        (&["status", "--control", "/x.sock"], 2, "write unix:PATH"),
        (&["leases", "--relay", "http://127.0.0.1:1"], 2, "--token-file"),
        (&["capture", "-o", "/dev/null", "tcp prot"], 2, "filter: "),
        (&["relay", "--check", "--control", "x"], 2, "--control: "),
        (&["relay", "--check", "--control-token-file", "/nowhere/token"], 2, "openssl rand"),
        (
            &["relay", "--listen", "127.0.0.1:0", "--control", "unix:/nowhere/x.sock"],
            1,
            "--control unix:PATH",
        ),
    ] {
        let (found, stderr) = run(arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(text) && stderr.lines().count() == 1, "{arguments:?}: {stderr}");
    }
}

#[test]
fn frames_are_captured_to_a_file() {
    let it = Controlled::start(&["--dns", "127.0.0.1:1"]);
    let mut guest = Leased::new(&it.relay, 1);
    let file = it.folder.path().join("dns.pcapng");
    let control = format!("unix:{}", it.socket().display());
    let mut capture = netloom()
        .args(["capture", "--control", &control, "--client", "1", "-c", "4"])
        .args(["-o", &file.display().to_string(), "udp", "port", "53"])
        .spawn()
        .unwrap();
    wait_until(|| it.read("/api/lans")[0]["captures"] == 1, || "the capture begins".to_owned());
    for id in 0..2 {
        let asked = query(id, "localhost");
        guest.udp(1, 4000, SocketAddr::from((GATEWAY, 53)), &asked);
        guest.guest.expect("an answer", |frame| frame[34..36] == [0, 53]);
        // This one is not wanted.
        guest.guest.send(&common::packet::arp_request(mac(1), guest.address, GATEWAY));
    }
    assert!(capture.wait().unwrap().success());
    let file = std::fs::read(file).unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let (mut at, mut kinds) = (0, Vec::new());
    while at < file.len() {
        kinds.push(word(at));
        at += word(at + 4) as usize;
    }
    assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 6, 6, 6, 5], "two queries and their answers");
    wait_until(|| it.read("/api/lans")[0]["captures"] == 0, || "the capture ends".to_owned());
}

#[test]
fn the_default_socket_is_the_first_relays() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut program = netloom();
        program.env("XDG_RUNTIME_DIR", folder.path());
        Relay::start_as(program, &[])
    };
    let socket = folder.path().join("netloom.sock");
    let first = start();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let second = start();
    second.wait_for_log("no control socket: another relay has");
    // Killed, it leaves its socket; the next relay takes it over.
    drop(first);
    assert!(socket.exists());
    drop(second);
    let mut third = start();
    let status = netloom().arg("status").env("XDG_RUNTIME_DIR", folder.path()).output().unwrap();
    assert!(said(&status).contains("no clients"));
    third.signal(rustix::process::Signal::TERM);
    assert!(third.wait().success());
    assert!(!socket.exists(), "a relay that ends takes its socket along");
}

#[test]
fn many_may_ask_at_once() {
    let it = Controlled::start(&[]);
    let idle: Vec<UnixStream> = (0..100).map(|_| UnixStream::connect(it.socket()).unwrap()).collect();
    assert_eq!(it.read("/api/clients"), json!([]));
    // Whoever sends half a request holds up nobody.
    let mut half = UnixStream::connect(it.socket()).unwrap();
    half.write_all(b"POST /api/kick HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{").unwrap();
    assert_eq!(it.read("/api/clients"), json!([]));
    drop(half);
    // Two requests on one connection.
    let mut stream = BufReader::new(&idle[0]);
    for _ in 0..2 {
        (&idle[0]).write_all(b"HEAD /api/status HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        let mut rest = Vec::new();
        while !rest.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            rest.push(byte[0]);
        }
    }
}
