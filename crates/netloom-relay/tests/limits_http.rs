//! What HTTP holds of limits: an answer until its end, an upgraded connection as long as it lasts, and an idle one of version 2 not for ever.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use common::http::{Message, Server, answer, ask, read};
use common::machine::Machine;
use common::{PATIENCE, Relay, netloom, wait_until};

/// The file of tokens of these names, of which each may have one connection; and the tokens.
fn tokens<const N: usize>(names: [&str; N]) -> (tempfile::TempDir, String, [String; N]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokens.toml").display().to_string();
    let made = names.map(|name| {
        let create = ["token", "create", name, "--limit", "connections=1", "--tokens", &path];
        let output = netloom().args(create).output().expect("it runs");
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    });
    (folder, format!("--tokens={path}"), made)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Reads until this has come.
fn read_to(stream: &mut TcpStream, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).expect("more");
        assert!(read > 0, "ended after {seen}");
        seen += &String::from_utf8_lossy(&buffer[..read]);
    }
}

/// A target of the CORS proxy: `/endless` never ends.
fn target() -> Server {
    Server::start(|request| match request.path() {
        "/endless" => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun".to_vec(),
        _ => answer("200 OK", &[], "short"),
    })
}

#[test]
fn a_download_is_one_of_its_tokens_connections_until_it_ends() {
    let (_folder, file, [token]) = tokens(["alice"]);
    let target = target();
    let relay = Relay::start(&["--cors", "--allow=127.0.0.1", &file]);
    let path = |name: &str| format!("/t/{token}/cors/http://{}/{name}", target.address);
    let get = |name: &str| ask(relay.address, "GET", &path(name), &[], b"");
    for n in 0..20 {
        assert_eq!(get("short").text(), "short", "request {n}, after the one before has ended");
    }
    let head = |name: &str| format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", path(name), relay.address);
    let mut kept = BufReader::new(connect(relay.address));
    for n in 0..5 {
        kept.get_mut().write_all(head("short").as_bytes()).expect("sent");
        let answer = read(&mut kept, true).expect("an answer");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "short"), "request {n} of a connection");
    }
    let mut endless = connect(relay.address);
    endless.write_all(head("endless").as_bytes()).expect("sent");
    read_to(&mut endless, "begun");
    let refused = get("short");
    assert_eq!((refused.status(), refused.header("retry-after")), (429, Some("10")), "{}", refused.text());
    assert!(refused.text().contains("limits.token.connections"), "{}", refused.text());
    drop(endless);
    wait_until(|| get("short").status() == 200, || "its place for another".to_owned());
}

#[test]
fn a_guests_answer_is_one_of_its_tokens_connections_until_it_ends() {
    let (_folder, file, [token, guests]) = tokens(["alice", "guest"]);
    let relay = Relay::start(&[&file]);
    let _guest = Machine::start(&relay, &format!("/t/{guests}/"), 1, 9);
    let host = format!("first.localhost:{}", relay.address.port());
    let bearer = format!("Bearer {token}");
    let get =
        || -> Message { ask(relay.address, "GET", "/", &[("Host", &host), ("Authorization", &bearer)], b"") };
    for n in 0..5 {
        assert_eq!(get().status(), 200, "request {n}, after the one before has ended");
    }
    let mut endless = connect(relay.address);
    let head = format!("GET /echo HTTP/1.1\r\nHost: {host}\r\nAuthorization: {bearer}\r\n\r\n");
    endless.write_all(head.as_bytes()).expect("sent");
    read_to(&mut endless, "200 OK");
    assert_eq!(get().status(), 429);
    drop(endless);
    wait_until(|| get().status() == 200, || "its place for another".to_owned());
}

#[test]
fn an_upgraded_connection_to_a_guest_counts_as_long_as_it_lasts() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("netloom.toml");
    std::fs::write(&file, "[listen]\nmax_connections = 2\n").expect("written");
    let config = format!("--config={}", file.display());
    // By the address, and of all.
    for (flag, full) in [("--limit=address.connections=2", 429), (config.as_str(), 503)] {
        let relay = Relay::start(&[flag]);
        let _guest = Machine::start(&relay, "/", 1, 9);
        let mut stream = connect(relay.address);
        let host = format!("first.localhost:{}", relay.address.port());
        let head = format!(
            "GET /upgrade HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        read_to(&mut stream, "101 ");
        stream.write_all(b"still here?").expect("sent");
        read_to(&mut stream, "still here?");
        let health = || ask(relay.address, "GET", "/healthz", &[], b"").status();
        assert_eq!(health(), full, "{flag}");
        drop(stream);
        wait_until(|| health() == 200, || format!("its place for another: {flag}"));
    }
}

#[test]
fn the_kernel_asks_after_clients_that_are_silent() {
    let relay = Relay::start(&[]);
    let stream = connect(relay.address);
    let ends = [relay.address.port(), stream.local_addr().expect("its address").port()];
    let [ours, theirs] = ends.map(|port| format!("0100007F:{port:04X}"));
    // proc_pid_net(5): the kind of timer that runs; 02 is that of keep-alive.
    let is_watched = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns[1] == ours && columns[2] == theirs && columns[5].starts_with("02:")
    };
    let table = || std::fs::read_to_string("/proc/net/tcp").expect("the kernel's connections");
    wait_until(|| table().lines().skip(1).any(is_watched), table);
}

#[test]
fn a_request_of_the_cors_proxy_is_a_flow_until_its_answer_ends() {
    let target = target();
    let relay = Relay::start(&["--cors", "--allow=127.0.0.1", "--limit=address.flows=1"]);
    let path = |name: &str| format!("/cors/http://{}/{name}", target.address);
    let get = || ask(relay.address, "GET", &path("short"), &[], b"");
    assert_eq!((get().text(), get().text()), ("short".to_owned(), "short".to_owned()));
    let mut endless = connect(relay.address);
    let head = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", path("endless"), relay.address);
    endless.write_all(head.as_bytes()).expect("sent");
    read_to(&mut endless, "begun");
    let refused = get();
    assert_eq!((refused.status(), refused.header("retry-after")), (429, Some("10")));
    assert!(refused.text().contains("limits.address.flows"), "{}", refused.text());
    drop(endless);
    wait_until(|| get().status() == 200, || "its place for another".to_owned());
}

/// A DNS server that answers nothing.
fn silent() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let flag = format!("--dns={}", socket.local_addr().expect("its address"));
    (socket, flag)
}

/// Asks for the address of `n.example`, and does not wait for it.
fn query(relay: &Relay, n: usize) -> TcpStream {
    use base64::Engine as _;
    let mut message = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x05".to_vec();
    message.extend(format!("n{n:04}").bytes());
    message.extend(b"\x07example\0\0\x01\0\x01");
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(message);
    let mut stream = connect(relay.address);
    let head = format!("GET /dns-query?dns={encoded} HTTP/1.1\r\nHost: {}\r\n\r\n", relay.address);
    stream.write_all(head.as_bytes()).expect("sent");
    stream
}

#[test]
fn queries_of_an_address_wait_for_each_other() {
    let (server, dns) = silent();
    let relay = Relay::start(&[&dns, "--limit=address.pending_dials=1"]);
    let first = query(&relay, 1);
    let mut buffer = [0; 1500];
    let (length, from) = server.recv_from(&mut buffer).expect("the first");
    let mut second = query(&relay, 2);
    // Its answer is out, so what was asked before was read.
    assert_eq!(ask(relay.address, "GET", "/healthz", &[], b"").status(), 200);
    server.set_nonblocking(true).expect("it can be asked");
    let early = server.recv_from(&mut [0; 1500]);
    assert!(early.is_err(), "a second query beside the first");
    server.set_nonblocking(false).expect("it waits");
    buffer[2] |= 0x80;
    buffer[3] = 3;
    server.send_to(&buffer[..length], from).expect("sent");
    let (length, from) = server.recv_from(&mut buffer).expect("the second");
    buffer[2] |= 0x80;
    buffer[3] = 3;
    server.send_to(&buffer[..length], from).expect("sent");
    read_to(&mut second, "200 OK");
    drop(first);
}

#[test]
fn more_queries_than_the_relay_may_have_open_are_told_so() {
    let (server, dns) = silent();
    let (asked, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            _ = asked.send(());
            // It knows only these.
            if buffer[..length].windows(3).any(|it| it == b"n99") {
                buffer[2] |= 0x80;
                buffer[3] = 3;
                server.send_to(&buffer[..length], from).expect("sent");
            }
        }
    });
    let relay = Relay::start(&[&dns]);
    let waiting: Vec<TcpStream> = (0..512).map(|n| query(&relay, n)).collect();
    for _ in &waiting {
        seen.recv_timeout(PATIENCE).expect("one of them");
    }
    let status = |n| read(&mut BufReader::new(query(&relay, n)), true).expect("an answer").status();
    assert_eq!(status(9999), 503);
    drop(waiting);
    wait_until(|| status(9998) == 200, || "room for another".to_owned());
}
