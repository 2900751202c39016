//! Tokens: on every endpoint, revoked while clients are connected, with rules of their own, and shown nowhere.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::certificate::Files;
use common::http::{Message, Server, answer, ask};
use common::machine::Machine;
use common::wisp::{LOOPBACK, WispClient, listener, target};
use common::{Guest, PATIENCE, Relay, messages, netloom, wait_until};
use netloom_proto::wisp::{Kind, Packet};

/// A tokens file.
struct Tokens {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Tokens {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.toml");
        Self { _folder: folder, path }
    }

    /// Runs `netloom token`; what it prints, if it went well.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = netloom().arg("token").args(arguments).arg("--tokens").arg(&self.path).output();
        let output = output.expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn create(&self, arguments: &[&str]) -> String {
        let said = self.run(&[&["create"], arguments].concat()).expect("made");
        said.strip_suffix('\n').expect("one line").to_owned()
    }

    fn relay(&self, flags: &[&str]) -> Relay {
        let path = self.path.display().to_string();
        Relay::start(&[&["--tokens", &path, "--log", "trace"], flags].concat())
    }
}

fn get(relay: &Relay, path: &str, headers: &[(&str, &str)]) -> Message {
    ask(relay.address, "GET", path, headers, &[])
}

fn status(refused: Result<Guest, String>) -> String {
    match refused {
        Ok(_) => "101".to_owned(),
        Err(head) => head.split(' ').nth(1).expect("a status").to_owned(),
    }
}

#[test]
fn every_endpoint_asks_for_one() {
    let tokens = Tokens::new();
    let token = tokens.create(&["alice"]);
    let revoked = tokens.create(&["bob"]);
    tokens.run(&["revoke", "bob"]).expect("revoked");
    let target = Server::start(|_| answer("200 OK", &[], "here"));
    let allow = format!("--allow={}", target.address);
    let relay = tokens.relay(&["--cors", &allow, "--lan=lab=10.9.0.0/24"]);
    let wrong = "nlt_".to_owned() + &"x".repeat(43);
    let plain = format!("/wisp/{}", target.address);
    for path in ["/", "/any/path", "/lan/lab", "/qemu", "/wisp/", plain.as_str()] {
        let of = |headers: &[&str], path: &str| status(Guest::connect(relay.address, path, headers));
        assert_eq!(of(&[], path), "401", "{path}");
        assert_eq!(of(&[], &format!("/t/{token}{path}")), "101", "{path}");
        assert_eq!(of(&[], &format!("{path}?token={token}")), "101", "{path}");
        assert_eq!(of(&[&format!("Authorization: Bearer {token}")], path), "101", "{path}");
        for bad in [&wrong, &revoked] {
            assert_eq!(of(&[], &format!("/t/{bad}{path}")), "401", "{path}");
            assert_eq!(of(&[], &format!("{path}?token={bad}")), "401", "{path}");
            assert_eq!(of(&[&format!("Authorization: Bearer {bad}")], path), "401", "{path}");
        }
    }
    let url = format!("/cors/http://{}/", target.address);
    let encoded = format!("/?url=http%3A%2F%2F{}%2F", target.address);
    let dns = "/dns-query?dns=AAABAAABAAAAAAAACWxvY2FsaG9zdAAAAQAB";
    for path in [url.as_str(), encoded.as_str(), dns, "/lan/lab", "/wisp/", "/nothing"] {
        let refused = get(&relay, path, &[]);
        assert_eq!(refused.status(), 401, "{path}");
        assert!(refused.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer")), "{path}");
        for bad in [&wrong, &revoked] {
            assert_eq!(get(&relay, &format!("/t/{bad}{path}"), &[]).status(), 401, "{path}");
        }
        assert_ne!(get(&relay, &format!("/t/{token}{path}"), &[]).status(), 401, "{path}");
        let bearer = format!("Bearer {token}");
        assert_ne!(get(&relay, path, &[("Authorization", &bearer)]).status(), 401, "{path}");
    }
    for path in ["/", "/healthz"] {
        assert_eq!(get(&relay, path, &[]).status(), 200, "{path}");
    }
    // Browsers ask beforehand without credentials.
    let preflight = [("Origin", "http://localhost"), ("Access-Control-Request-Method", "GET")];
    assert_eq!(ask(relay.address, "OPTIONS", &url, &preflight, &[]).status(), 200);
    assert_eq!(get(&relay, &format!("/t/{token}{url}"), &[]).text(), "here");
}

#[test]
fn a_token_is_shown_to_nobody() {
    let tokens = Tokens::new();
    let token = tokens.create(&["alice"]);
    let target = Server::start(|request| match request.path() {
        path if path.starts_with("/moved") => {
            answer("302 Found", &[("Location", "/here"), ("Referrer-Policy", "unsafe-url")], "")
        }
        _ => answer("200 OK", &[("Referrer-Policy", "unsafe-url")], "here"),
    });
    let allow = format!("--allow={}", target.address);
    let relay = tokens.relay(&["--cors", "--cors-max-redirects=0", &allow]);
    let base = format!("/t/{token}/cors/http://{}", target.address);
    let referer = format!("http://{}{base}/", relay.address);
    let bearer = format!("Bearer {token}");
    let given = [("Referer", referer.as_str()), ("Authorization", bearer.as_str())];
    let moved = get(&relay, &format!("{base}/moved?a=b&token={token}"), &given);
    // Where it leads is below the token too.
    let location = moved.header("location").expect("a redirect").to_owned();
    assert_eq!(location, format!("http://{}{base}/here", relay.address));
    let here = get(&relay, &format!("{base}/here"), &given);
    assert_eq!((here.text().as_str(), here.all("referrer-policy")), ("here", vec!["no-referrer"]));
    let mut guest = Guest::connect(relay.address, &format!("/t/{token}/"), &[]).expect("let in");
    guest.send(&[0; 64]);
    let seen = format!("{:?}", target.seen());
    assert!(seen.contains("GET /moved?a=b HTTP/1.1"), "{seen}");
    assert!(!seen.contains(&token), "{seen}");
    relay.wait_for_log("joined LAN default");
    assert!(!relay.log().contains(&token) && !relay.banner.contains(&token), "{}", relay.log());
    let file = std::fs::read_to_string(&tokens.path).expect("the file");
    assert!(!file.contains(&token) && !tokens.run(&["list"]).expect("listed").contains(&token));
}

/// What an operator is told, over the control socket, until it ends or `seen` has grown by all that is to come.
fn operator(socket: &Path, path: &str, seen: &Mutex<Vec<u8>>) {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).expect("sent");
    let mut buffer = [0; 65_536];
    while let Ok(read) = stream.read(&mut buffer)
        && read > 0
    {
        seen.lock().expect("what was seen").extend_from_slice(&buffer[..read]);
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Shows a token in every way that there is, to a path of the relay and of a guest, by requests and by upgrades.
fn show(relay: &Relay, path: &str, token: &str) {
    let joint = if path.contains('?') { '&' } else { '?' };
    let ways = [
        (format!("/t/{token}{path}"), String::new()),
        (format!("{path}{joint}token={token}"), String::new()),
        (path.to_owned(), format!("Authorization: Bearer {token}\r\n")),
        (path.to_owned(), format!("Cookie: netloom-token={token}\r\nReferer: http://x/t/{token}/\r\n")),
    ];
    let port = relay.address.port();
    for host in [relay.address.to_string(), format!("first.localhost:{port}")] {
        for (path, headers) in &ways {
            let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
            for (connection, upgrade) in [("close", ""), ("Upgrade", upgrade)] {
                let head = format!(
                    "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n{upgrade}{headers}\r\n"
                );
                let mut stream = TcpStream::connect(relay.address).expect("it listens");
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                stream.write_all(head.as_bytes()).expect("sent");
                assert!(stream.read(&mut [0; 4096]).expect("an answer") > 0, "{head}");
            }
        }
    }
}

#[test]
fn neither_log_nor_captures_metrics_or_api_show_a_token() {
    let tokens = Tokens::new();
    let (token, revoked) = (tokens.create(&["alice"]), tokens.create(&["bob"]));
    tokens.run(&["revoke", "bob"]).expect("revoked");
    let wrong = "nlt_".to_owned() + &"w".repeat(43);
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, secret) = (folder.path().join("c.sock"), "a-secret-of-the-operators".to_owned());
    std::fs::write(folder.path().join("secret"), &secret).expect("written");
    let control = format!("--control=unix:{}", socket.display());
    let secret_file = format!("--control-token-file={}", folder.path().join("secret").display());
    let target = Server::start(|_| answer("200 OK", &[], "here"));
    let allow = format!("--allow={}", target.address);
    let relay = tokens.relay(&["--cors", "--lan=lab=192.168.87.0/24", &allow, &control, &secret_file]);

    let seen = ["default", "lab"].map(|lan| {
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let (socket, seeing) = (socket.clone(), Arc::clone(&seen));
        std::thread::spawn(move || operator(&socket, &format!("/api/capture?lan={lan}"), &seeing));
        wait_until(|| !seen.lock().expect("it").is_empty(), || format!("a capture of {lan}"));
        seen
    });
    let guest = Machine::start(&relay, &format!("/t/{token}/"), 1, 9);
    let mut other = Guest::connect(relay.address, &format!("/t/{token}/lan/lab"), &[]).expect("let in");
    other.send(&common::packet::dhcp(common::packet::mac(2), 1, &[]));

    let plain = format!("/wisp/{}", target.address);
    let cors = format!("/cors/http://{}/page", target.address);
    let by_query = format!("/?url=http%3A%2F%2F{}%2Fpage", target.address);
    let dns = "/dns-query?dns=AAABAAABAAAAAAAACWxvY2FsaG9zdAAAAQAB";
    let paths = [
        "/",
        "/lan/lab",
        "/lan/none",
        "/qemu",
        "/wisp/",
        &plain,
        &cors,
        &by_query,
        dns,
        "/healthz",
        "/nothing",
        "/metrics",
        "/api",
        "/api/clients",
        "/api/nothing",
    ];
    for path in paths {
        for shown in [&token, &revoked, &wrong, &secret] {
            show(&relay, path, shown);
        }
    }
    // The guest was asked, by the token's own.
    let captured = |text: &str| seen.iter().any(|seen| contains(&seen.lock().expect("it"), text));
    wait_until(|| captured("GET /api/nothing HTTP/1.1"), || "a request in a capture".to_owned());
    assert!(captured("x-forwarded-host: first.localhost"));
    relay.wait_for_log("joined LAN lab");

    let told = Mutex::default();
    for path in
        ["/metrics", "/api/status", "/api/lans", "/api/clients", "/api/leases", "/api/flows", "/api/macs"]
    {
        operator(&socket, path, &told);
    }
    for path in
        ["/api/drops", "/api/forwards", "/api/dns", "/leases", "/cam", "/stats", "/services/forwarder/all"]
    {
        operator(&socket, path, &told);
    }
    let told = told.into_inner().expect("what was told");
    assert!(contains(&told, "netloom_lan_clients{lan=\"lab\"}") && contains(&told, "02:00:00:00:00:01"));
    drop((guest, other));
    // The last line of the log is read, too.
    tokens.run(&["revoke", "alice"]).expect("revoked");
    relay.wait_for_log("token alice is revoked");

    let log = relay.log() + &relay.banner;
    let asked = format!("{:?}", target.seen());
    assert!(asked.contains("GET /page"), "{asked}");
    for shown in [&token, &revoked, &wrong, &secret] {
        assert!(!log.contains(shown.as_str()), "in the log: {shown}");
        assert!(!contains(&told, shown), "told to an operator: {shown}");
        assert!(!captured(shown) || *shown == secret, "in a capture: {shown}");
    }
    for shown in [&token, &revoked, &wrong] {
        assert!(!asked.contains(shown.as_str()), "told to a target: {shown}");
    }
}

#[test]
fn by_http_2_the_log_shows_no_token_either() {
    let (tokens, files) = (Tokens::new(), Files::new());
    let token = tokens.create(&["alice"]);
    let (certificate, key) = (files.flag("--tls-cert", "chain.pem"), files.flag("--tls-key", "key.pem"));
    let relay = tokens.relay(&["--cors", "--allow=127.0.0.1", &certificate, &key]);
    let target = Server::start(|_| answer("200 OK", &[], "here"));
    let url = format!("https://localhost:{}", relay.address.port());
    let cors = format!("/cors/http://{}/", target.address);
    let bearer = format!("Authorization: Bearer {token}");
    for (path, headers) in [
        (format!("/t/{token}{cors}"), &[][..]),
        (format!("{cors}?token={token}"), &[]),
        (cors.clone(), &["-H", &bearer]),
    ] {
        let curl = ["--silent", "--insecure", "--noproxy", "*", "--http2", "-w", " %{http_version}"];
        let output = Command::new("curl").args(curl).args(headers).arg(url.clone() + &path).output();
        assert_eq!(String::from_utf8_lossy(&output.expect("curl is there").stdout), "here 2");
    }
    assert!(!relay.log().contains(&token), "{}", relay.log());
    assert!(!format!("{:?}", target.seen()).contains(&token));
}

#[test]
fn a_revoked_tokens_clients_are_closed_and_others_stay() {
    let tokens = Tokens::new();
    let (alice, bob) = (tokens.create(&["alice"]), tokens.create(&["bob"]));
    let relay = tokens.relay(&[]);
    let mut gone = Guest::connect(relay.address, &format!("/t/{alice}/"), &[]).expect("let in");
    let mut wisp = Guest::connect(relay.address, &format!("/t/{alice}/wisp/"), &[]).expect("let in");
    let mut stays = Guest::connect(relay.address, &format!("/t/{bob}/"), &[]).expect("let in");
    tokens.run(&["revoke", "alice"]).expect("revoked");
    for client in [&mut gone, &mut wisp] {
        while client.closed.is_none() {
            assert!(client.fill(), "it ends without a close");
        }
        assert_eq!(client.closed, Some(Some(1008)));
    }
    stays.send_message(netloom_proto::websocket::Opcode::Ping, b"still here?");
    while stays.pongs.is_empty() {
        assert!(stays.fill(), "closed too");
    }
    assert_eq!(status(Guest::connect(relay.address, &format!("/t/{alice}/"), &[])), "401");
    // A token that is made while the relay runs is good at once.
    let carol = tokens.create(&["carol"]);
    assert_eq!(status(Guest::connect(relay.address, &format!("/t/{carol}/"), &[])), "101");
}

#[test]
fn a_revoked_tokens_streams_end_even_if_its_client_reads_nothing() {
    let tokens = Tokens::new();
    let alice = tokens.create(&["alice"]);
    let path = tokens.path.display().to_string();
    let relay = Relay::start(&[&["--tokens", &path], &LOOPBACK[..]].concat());
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let (source, ended) = target(move |mut stream| {
        while let Ok(bytes) = stream.write(&[7; 16_384]) {
            counted.fetch_add(bytes, Ordering::Relaxed);
        }
    });
    let mut wisp = WispClient::connect(&relay, &format!("/t/{alice}/wisp/"), &[]);
    wisp.open(1, Kind::Tcp, source);
    let (mut before, mut unchanged) = (0, 0);
    let mut stands = || {
        let now = sent.load(Ordering::Relaxed);
        unchanged = if now > 0 && now == before { unchanged + 1 } else { 0 };
        before = now;
        unchanged == 50
    };
    wait_until(&mut stands, || "a source that stands still".to_owned());
    tokens.run(&["revoke", "alice"]).expect("revoked");
    relay.wait_for_log("token alice is revoked");
    let (other, address) = listener();
    let mut connect = Vec::new();
    let host = &address.ip().to_string();
    Packet::Connect { kind: Kind::Tcp, port: address.port(), host }.put(&mut connect, 2);
    // The connection may have ended already.
    drop(wisp.guest.stream.write_all(&messages(&[connect])));
    relay.wait_for_log("left after");
    ended.recv_timeout(PATIENCE).expect("its stream is cut");
    other.set_nonblocking(true).expect("it does not block");
    assert_eq!(other.accept().expect_err("nobody connects").kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_revoked_tokens_connection_to_a_guests_server_is_cut_and_others_stay() {
    let tokens = Tokens::new();
    let (alice, bob) = (tokens.create(&["alice"]), tokens.create(&["bob"]));
    let relay = tokens.relay(&[]);
    let _guest = Machine::start(&relay, &format!("/t/{bob}/"), 1, 9);
    let host = format!("first.localhost:{}", relay.address.port());
    let upgraded = |token: &str| {
        let mut stream = TcpStream::connect(relay.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head = format!(
            "GET /upgrade HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: netloom-token={token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        stream
    };
    let echoes = |stream: &mut TcpStream| {
        let mut back = [0; 5];
        stream.write_all(b"hello").is_ok() && stream.read_exact(&mut back).is_ok()
    };
    let (mut gone, mut stays) = (upgraded(&alice), upgraded(&bob));
    assert!(echoes(&mut gone) && echoes(&mut stays));
    tokens.run(&["revoke", "alice"]).expect("revoked");
    assert_eq!(gone.read(&mut [0; 16]).expect("an end"), 0);
    relay.wait_for_log("token alice no longer leads to LAN default");
    assert!(echoes(&mut stays), "cut too");
}

#[test]
fn a_token_leads_to_its_lans_alone() {
    let tokens = Tokens::new();
    let token = tokens.create(&["alice", "--lan", "lab"]);
    let relay = tokens.relay(&["--lan=lab=10.9.0.0/24"]);
    let of = |path: &str| status(Guest::connect(relay.address, &format!("/t/{token}{path}"), &[]));
    assert_eq!([of("/lan/lab"), of("/"), of("/lan/default"), of("/lan/none")], ["101", "101", "403", "403"]);
    relay.wait_for_log("joined LAN lab");
    assert!(!relay.log().contains("joined LAN default"));
}

#[test]
fn a_tokens_rules_hold_on_streams() {
    let tokens = Tokens::new();
    let target = Server::start(|_| answer("200 OK", &[], "here"));
    let allow = format!("{}", target.address);
    let open = tokens.create(&["open", "--allow", &allow]);
    let shut = tokens.create(&["shut"]);
    let relay = tokens.relay(&["--cors"]);
    let fetch = |token: &str| get(&relay, &format!("/t/{token}/cors/http://{}/", target.address), &[]);
    for _ in 0..2 {
        assert_eq!(fetch(&open).text(), "here");
        // Not over the connection that the other token's client keeps.
        assert_eq!(fetch(&shut).status(), 403, "{}", fetch(&shut).text());
    }
    assert_eq!(target.seen().len(), 2);
}

#[test]
fn browsers_keep_a_token_for_a_guests_name() {
    let tokens = Tokens::new();
    let token = tokens.create(&["alice"]);
    let other = tokens.create(&["bob", "--lan", "lab"]);
    let relay = tokens.relay(&["--lan=lab=10.9.0.0/24"]);
    let host = format!("first.localhost:{}", relay.address.port());
    let get_from = |path: &str, cookie: &str, origin: &str| {
        let cookie = format!("a=b; netloom-token={cookie}");
        get(&relay, path, &[("Host", &host), ("Cookie", &cookie), ("Origin", origin)])
    };
    let get = |path: &str, cookie: &str| get_from(path, cookie, &format!("http://{host}"));
    assert_eq!(get("/page", "none").status(), 401);
    let kept = get(&format!("/t/{token}/page?a"), "none");
    assert_eq!((kept.status(), kept.header("location")), (303, Some("/page?a")));
    let cookie = kept.header("set-cookie").expect("a cookie");
    assert!(
        cookie.starts_with(&format!("netloom-token={token}; ")) && cookie.contains("HttpOnly"),
        "{cookie}"
    );
    // The gate comes behind it.
    assert!(get_from("/page", &token, "http://evil.example").text().contains("evil.example"));
    assert_eq!(get("/page", &other).status(), 403);
    // A cookie is for guests' names alone: other pages of this host cannot make the browser use it elsewhere.
    let elsewhere =
        ask(relay.address, "GET", "/nothing", &[("Cookie", &format!("netloom-token={token}"))], &[]);
    assert_eq!(elsewhere.status(), 401);
}

#[test]
fn mistakes_are_told_with_the_fix() {
    let tokens = Tokens::new();
    let path = tokens.path.display().to_string();
    let output = netloom().args(["relay", "--listen=0", "--tokens", &path]).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("netloom token create"), "{said}");
    for (arguments, part) in [
        (&["revoke", "alice"][..], "netloom token create"),
        (&["create", "a b"], "cannot name a token"),
        (&["create", "a", "--allow", "nowhere/99"], "--allow"),
        (&["create", "a", "--limit", "speed=1"], "no limit `speed`"),
        (&["create"], "(see `netloom token create --help`)"),
    ] {
        let said = tokens.run(arguments).expect_err("refused");
        assert!(said.contains(part) && said.lines().count() == 1, "{arguments:?}: {said}");
    }
}
