//! The CORS proxy's way out: the policy on every hop, errors, TLS, and bodies that are larger than memory.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::http::{Server, answer, ask};
use common::{PATIENCE, Relay, wait_until};

const LOOPBACK: [&str; 3] = ["--cors", "--allow", "127.0.0.0/8"];
/// Far more than anything may hold.
const MUCH_BYTES: usize = 256 << 20;
const MEMORY_BYTES: u64 = 48 << 20;

#[test]
fn the_policy_holds_whatever_the_form() {
    let relay = Relay::start(&["--cors", "--record", "inside.example=10.0.0.1,127.0.0.1"]);
    let own = format!("http://{}/healthz", relay.address);
    for target in [
        own.as_str(),
        "http://127.0.0.1:1/",
        "http://127.1:1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://localhost/",
        "http://localhost./",
        "http://a.localhost/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://172.16.0.1/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://inside.example/",
    ] {
        let encoded: String = target.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for path in [
            format!("/{target}"),
            format!("/?url={encoded}"),
            format!("/?{encoded}"),
            format!("/{encoded}"),
            format!("/cors/{target}"),
        ] {
            let answer = ask(relay.address, "GET", &path, &[], b"");
            assert_eq!(answer.status(), 403, "{path}: {}", answer.text());
            assert!(
                answer.text().starts_with("This relay does not reach that target: "),
                "{path}: {}",
                answer.text()
            );
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        }
    }
}

#[test]
fn the_policy_holds_for_redirects_and_for_connect_to() {
    let server = Server::start(|request| {
        let to = request.path().trim_start_matches('/').to_owned();
        answer("302 Found", &[("Location", &to)], "")
    });
    let to_server = format!("example.com:80:127.0.0.1:{}", server.address.port());
    let flags = ["--connect-to", &to_server, "--connect-to", "b.example:80:127.0.0.2:80"];
    let allow = ["--cors", "--allow", "127.0.0.1/32"];
    let relay = Relay::start(&[&allow[..], &flags].concat());
    let own = format!("http://{}/healthz", relay.address);
    for target in ["http://169.254.169.254/", "http://127.0.0.2/", "http://b.example/", own.as_str()] {
        let answer = ask(relay.address, "GET", &format!("/example.com/{target}"), &[], b"");
        assert_eq!(answer.status(), 403, "{target}: {}", answer.text());
    }
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn targets_that_do_not_answer() {
    let refused = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let server = Server::start(|request| match request.path() {
        "/length" => b"HTTP/1.1 418 x\r\nContent-Length: Not a digit\r\n\r\nX-Close".to_vec(),
        "/status" => b"HTTP/1.1 0 OK\r\n\r\n".to_vec(),
        "/nothing" => b"\r\nX-Close".to_vec(),
        _ => b"what?\r\n\r\n".to_vec(),
    });
    let relay = Relay::start(&[&LOOPBACK[..], &["--record", "none.example=192.0.2.1"]].concat());
    let get = |path: &str| ask(relay.address, "GET", path, &[], b"");
    let mut targets = vec![format!("{refused}/")];
    targets.extend(["length", "status", "text", "nothing"].map(|path| format!("{}/{path}", server.address)));
    targets.push("x.invalid/".to_owned());
    for target in targets {
        let answer = get(&format!("/http://{target}"));
        assert_eq!(answer.status(), 404, "{target}");
        assert!(
            answer.text().starts_with("Not found because of proxy error: "),
            "{target}: {}",
            answer.text()
        );
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{target}");
        let answer = get(&format!("/?url=http://{target}"));
        assert_eq!((answer.status(), answer.text().as_str()), (400, "Error fetching URL\n"), "{target}");
    }
}

#[test]
fn connections_are_kept_and_asked_anew_when_gone() {
    let server = Server::start(|_| answer("200 OK", &[], "x"));
    let relay = Relay::start(&LOOPBACK);
    let path = format!("/http://{}/", server.address);
    for _ in 0..20 {
        assert_eq!(ask(relay.address, "GET", &path, &[], b"").status(), 200);
    }
    let once = Server::start(|_| answer("200 OK", &[("X-Close", "1")], "x"));
    let path = format!("/http://{}/", once.address);
    for _ in 0..20 {
        assert_eq!(ask(relay.address, "GET", &path, &[], b"").status(), 200);
    }
}

#[test]
fn an_answer_that_breaks_off_breaks_off() {
    let server =
        Server::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-Close: 1\r\n\r\nhalf".to_vec());
    let relay = Relay::start(&LOOPBACK);
    let mut stream = TcpStream::connect(relay.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!("GET /http://{}/ HTTP/1.1\r\nHost: {}\r\n\r\n", server.address, relay.address);
    stream.write_all(request.as_bytes()).expect("sent");
    let mut text = Vec::new();
    // The end may come as a reset.
    drop(stream.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text).to_lowercase();
    assert!(
        text.starts_with("http/1.1 200") && text.contains("content-length: 10") && text.ends_with("half"),
        "{text}"
    );
}

/// A connection of which the head of a request was read.
fn after_head(stream: TcpStream) -> BufReader<TcpStream> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).expect("a head") > 2 {
        line.clear();
    }
    reader
}

#[test]
fn downloads_wait_for_their_reader() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let sending = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut stream = after_head(stream).into_inner();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH_BYTES}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        let chunk = vec![b'x'; 1 << 20];
        (0..MUCH_BYTES >> 20).all(|_| stream.write_all(&chunk).is_ok())
    });
    let relay = Relay::start(&LOOPBACK);
    let mut stream = TcpStream::connect(relay.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request =
        format!("GET /http://{address}/ HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", relay.address);
    stream.write_all(request.as_bytes()).expect("sent");
    let mut buffer = vec![0; 1 << 20];
    let (mut total, mut memory) = (0, 0);
    loop {
        let read = stream.read(&mut buffer).expect("bytes");
        if read == 0 {
            break;
        }
        total += read;
        memory = memory.max(relay.rss_bytes());
    }
    assert!(sending.join().expect("the server"), "all was taken");
    assert!(total > MUCH_BYTES, "{total}");
    assert!(memory < MEMORY_BYTES, "{memory} bytes");
}

#[test]
fn uploads_wait_for_their_target() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let relay = Relay::start(&LOOPBACK);
    let receiving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut reader = after_head(stream);
        let mut taken = reader.by_ref().take(MUCH_BYTES as u64);
        let count = std::io::copy(&mut taken, &mut std::io::sink()).expect("the body");
        reader.get_mut().write_all(&answer("200 OK", &[], "thanks")).expect("sent");
        count
    });
    let mut stream = TcpStream::connect(relay.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = format!(
        "POST /http://{address}/ HTTP/1.1\r\nHost: {}\r\nContent-Length: {MUCH_BYTES}\r\nConnection: close\r\n\r\n",
        relay.address
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let chunk = vec![b'x'; 1 << 20];
    let mut memory = 0;
    for _ in 0..MUCH_BYTES >> 20 {
        stream.write_all(&chunk).expect("sent");
        memory = memory.max(relay.rss_bytes());
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    assert!(text.ends_with("thanks"), "{text}");
    assert_eq!(receiving.join().expect("the server"), MUCH_BYTES as u64);
    assert!(memory < MEMORY_BYTES, "{memory} bytes");
}

#[test]
fn a_client_that_goes_takes_the_request_along() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let relay = Relay::start(&LOOPBACK);
    let mut client = TcpStream::connect(relay.address).expect("it listens");
    let request = format!("GET /http://{address}/ HTTP/1.1\r\nHost: {}\r\n\r\n", relay.address);
    client.write_all(request.as_bytes()).expect("sent");
    let (mut target, _) = listener.accept().expect("a connection");
    target.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut head = [0; 16];
    target.read_exact(&mut head).expect("a request");
    drop(client);
    let mut rest = Vec::new();
    target.read_to_end(&mut rest).expect("the end, and no timeout");
}

#[test]
fn a_target_that_is_silent_too_long() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "[cors]\ntimeout_s = 1\n").expect("written");
    let config = file.path().to_str().expect("text");
    let relay = Relay::start(&["--config", config, "--allow", "127.0.0.0/8"]);
    let path = format!("/http://{}/", listener.local_addr().expect("its address"));
    let answer = ask(relay.address, "GET", &path, &[], b"");
    assert_eq!(answer.status(), 404);
    assert!(answer.text().ends_with("the target did not answer in time"), "{}", answer.text());
}

/// An authority, and a server by TLS with a certificate of its for `example.com`.
struct Tls {
    folder: tempfile::TempDir,
    server: Child,
    port: u16,
}

impl Tls {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let openssl = |arguments: &[&str]| {
            let output =
                Command::new("openssl").args(arguments).current_dir(&folder).output().expect("openssl");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let key =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        openssl(&[&key[..], &["-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"]].concat());
        let leaf = [
            "-subj=/CN=example.com",
            "-CA=ca.pem",
            "-CAkey=ca.key",
            "-addext=subjectAltName=DNS:example.com",
            "-addext=basicConstraints=critical,CA:FALSE",
            "-keyout=leaf.key",
            "-out=leaf.pem",
        ];
        let leaf: Vec<&str> = leaf.iter().flat_map(|it| it.splitn(2, '=')).collect();
        openssl(&[&key[..], &leaf].concat());
        let mut server = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "leaf.pem", "-key", "leaf.key", "-www"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let mut lines = BufReader::new(server.stdout.take().expect("its output")).lines();
        let port = lines.find_map(|line| line.ok()?.strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok());
        // It writes a line for each connection.
        std::thread::spawn(move || lines.for_each(drop));
        Self { folder, server, port: port.expect("its port") }
    }

    fn authority(&self) -> String {
        Path::join(self.folder.path(), "ca.pem").display().to_string()
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

#[test]
fn https_targets_are_verified_and_other_authorities_trusted_when_named() {
    let tls = Tls::start();
    let (elsewhere, authority) = (format!("::127.0.0.1:{}", tls.port), tls.authority());
    let flags = [&LOOPBACK[..], &["--connect-to", &elsewhere]].concat();
    let relay = Relay::start(&[&flags[..], &["--cacert", &authority]].concat());
    let get = |relay: &Relay, path: &str| ask(relay.address, "GET", path, &[], b"");
    for path in ["/https://example.com/", "/example.com:443/", "/?url=https%3A%2F%2Fexample.com%2F"] {
        let answer = get(&relay, path);
        assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
        assert!(answer.text().contains("s_server"), "{path}");
    }
    let other = get(&relay, "/https://b.example/");
    assert!(other.status() == 404 && other.text().contains("certificate"), "{}", other.text());
    let answer = get(&Relay::start(&flags), "/https://example.com/");
    assert!(answer.status() == 404 && answer.text().contains("UnknownIssuer"), "{}", answer.text());
}

#[test]
fn many_clients_at_once() {
    let server = Server::start(|_| answer("200 OK", &[], &"x".repeat(100_000)));
    let relay = Relay::start(&LOOPBACK);
    let path = format!("/http://{}/", server.address);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                for _ in 0..4 {
                    assert_eq!(ask(relay.address, "GET", &path, &[], b"").body.len(), 100_000);
                }
            });
        }
    });
    wait_until(|| server.seen().len() == 200, || format!("{} requests", server.seen().len()));
}
