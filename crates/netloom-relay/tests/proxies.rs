//! nginx and Caddy in front of the relay, each as docs/operate.md configures it.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use common::certificate::Files;
use common::http::{self, Server};
use common::packet::{dhcp, dhcp_answer, frame, mac};
use common::{Guest, PATIENCE, Relay, wait_until};
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

const PAGE: &str = include_str!("../../../docs/operate.md");
const SITE: &str = "relay.example.com";
/// What a guest sends in one direction.
const FRAMES: u16 = 2000;

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// The block of the page that begins so.
fn block(first: &str) -> String {
    let lines = PAGE.lines().skip_while(|line| line.strip_prefix("    ") != Some(first));
    let block: Vec<_> = lines.map_while(|line| line.strip_prefix("    ")).collect();
    assert!(!block.is_empty(), "docs/operate.md has no `{first}`");
    block.join("\n")
}

/// A port that was free a moment ago.
/// A port that is free at all addresses, which Caddy listens on, and that the kernel gives to nobody who connects.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16 % 5000;
    let mut ports =
        std::iter::repeat_with(|| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    ports.find(is_free).expect("a free port")
}

/// A proxy in front of a relay.
struct Proxied {
    relay: Relay,
    proxy: Child,
    address: SocketAddr,
    files: Files,
}

impl Drop for Proxied {
    fn drop(&mut self) {
        // Both end their workers when asked to.
        let pid = rustix::process::Pid::from_child(&self.proxy);
        _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        drop(self.proxy.wait());
    }
}

/// Replaces what must be the test's own, and must be there.
fn with(text: &str, changes: &[(&str, String)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "`{from}` is not in docs/operate.md: {text}");
        text.replace(from, to)
    })
}

impl Proxied {
    fn start(start: fn(&Files, u16, &str) -> Command, flags: &[&str]) -> Self {
        let files = Files::of(SITE);
        let line = block("netloom relay --public-name relay.example.com --trusted-proxy 127.0.0.1/32");
        let documented: Vec<_> = line.split(' ').skip(2).collect();
        let relay = Relay::start(&[&documented[..], flags].concat());
        let port = free_port();
        let log = files.path("proxy.log");
        let mut command = start(&files, port, &relay.address.to_string());
        let proxy = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("the proxy is installed");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let said = || fs::read_to_string(&log).unwrap_or_default();
        wait_until(|| TcpStream::connect(address).is_ok(), said);
        Self { relay, proxy, address, files }
    }

    /// A connection of a visitor with this address.
    fn visit(&self, n: u8) -> Secure {
        self.files.secure(connect_from(n, self.address))
    }

    fn guest(&self, n: u8, headers: &[&str]) -> Result<Guest<Secure>, String> {
        let headers = [&["Host: relay.example.com"], headers].concat();
        Guest::upgrade(self.visit(n), self.address, "/", &headers)
    }

    fn request(&self, n: u8, head: &str, body: &[u8]) -> String {
        let mut stream = self.visit(n);
        let head = format!(
            "{head} HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body).expect("sent");
        let mut answer = Vec::new();
        // It may end without TLS's own farewell.
        drop(stream.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn connect_from(n: u8, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, n], 0)).into()).expect("an address of the loopback");
    socket.connect(&to.into()).expect("it listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// nginx with the page's `server`, in a folder of its own.
fn nginx(files: &Files, port: u16, relay: &str) -> Command {
    let path = |name: &str| files.path(name).display().to_string();
    let server = with(
        &block("server {"),
        &[
            ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
            ("/etc/ssl/relay.pem", path("chain.pem")),
            ("/etc/ssl/relay.key", path("key.pem")),
            ("127.0.0.1:8086", relay.to_owned()),
        ],
    );
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {};\n", path(kind)))
        .concat();
    // Its workers must reach the test's folder, as which user it is made.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let configuration = format!(
        "daemon off;\n{user}pid {};\nerror_log stderr;\nevents {{}}\nhttp {{\n    access_log off;\n{folders}{server}\n}}\n",
        path("nginx.pid")
    );
    fs::write(files.path("nginx.conf"), configuration).expect("written");
    let mut command = Command::new("nginx");
    command
        .arg("-e")
        .arg("stderr")
        .arg("-p")
        .arg(files.folder.path())
        .arg("-c")
        .arg(files.path("nginx.conf"));
    command
}

/// Caddy with the page's site, and a certificate in place of one from the internet.
fn caddy(files: &Files, port: u16, relay: &str) -> Command {
    let path = |name: &str| files.path(name).display().to_string();
    let tls = format!("{{\n    tls {} {}\n", path("chain.pem"), path("key.pem"));
    let site = with(
        &block("relay.example.com {"),
        &[("relay.example.com {", format!("{SITE}:{port} {tls}")), ("127.0.0.1:8086", relay.to_owned())],
    );
    let configuration = format!("{{\n    admin off\n    auto_https disable_redirects\n}}\n{site}\n");
    fs::write(files.path("Caddyfile"), configuration).expect("written");
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(files.path("Caddyfile"));
    for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(variable, files.folder.path());
    }
    command
}

const PROXIES: [fn(&Files, u16, &str) -> Command; 2] = [nginx, caddy];

#[test]
fn guests_are_served_through_a_proxy() {
    for proxy in PROXIES {
        let it = Proxied::start(proxy, &[]);
        let mut one = it.guest(2, &[]).expect("a guest");
        let mut two = it.guest(3, &[]).expect("another");
        for (guest, n) in [(&mut one, 1), (&mut two, 2)] {
            guest.send(&dhcp(mac(n), 1, &[]));
            guest.expect("an offer", |frame| dhcp_answer(frame).is_some_and(|(kind, _)| kind == 2));
        }
        let numbered = |n: u16| frame(mac(2), mac(1), 0x88b5, &[&n.to_be_bytes()[..], &[7; 1400]].concat());
        let frames: Vec<_> = (0..FRAMES).map(numbered).collect();
        // No more at once than a port's queue holds, beyond which frames are dropped.
        for some in frames.chunks(50) {
            one.send_all(some);
            one.stream.flush().expect("sent");
            for sent in some {
                assert_eq!(&two.expect("the next", |frame| frame[6..12] == mac(1)), sent);
            }
        }
        assert!(it.request(4, "GET /healthz", b"").ends_with("ok\n"));
        // Names that are not the relay's stay outside here too.
        let other = it.guest(4, &["Origin: https://evil.example"]).err().expect("refused");
        assert!(other.starts_with("HTTP/1.1 403"), "{other}");
    }
}

#[test]
fn limits_count_who_is_behind_a_proxy_and_believe_nobody_else() {
    for proxy in PROXIES {
        let it = Proxied::start(proxy, &["--limit", "address.connections=2"]);
        let _held = [it.guest(2, &[]).expect("the first"), it.guest(2, &[]).expect("the second")];
        it.relay.wait_for_log("127.0.0.2 (by 127.0.0.1:");
        for made_up in
            ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9"]
        {
            let refused = it.guest(2, &[made_up]).err().expect("one too many");
            assert!(refused.starts_with("HTTP/1.1 429"), "{made_up}: {refused}");
        }
        let _other = it.guest(3, &[]).expect("another visitor");
        // Past the proxy nobody is somebody else.
        let straight = |n: u8| {
            let header = format!("X-Forwarded-For: 203.0.113.{n}");
            Guest::over(connect_from(5, it.relay.address), it.relay.address, "/", &[&header])
        };
        let _straight = [straight(1).expect("the first"), straight(2).expect("the second")];
        assert!(straight(3).is_err(), "the third of one address");
        assert!(!it.relay.log().contains("203.0.113"), "{}", it.relay.log());
    }
}

#[test]
fn long_bodies_pass_both_ways() {
    const LENGTH: usize = 3 << 20;
    for proxy in PROXIES {
        let it = Proxied::start(proxy, &["--cors", "--allow", "127.0.0.0/8"]);
        let target = Server::start(|request| http::answer("200 OK", &[], &"x".repeat(request.body.len())));
        let path = format!("POST /cors/http://{}/", target.address);
        let answer = it.request(2, &path, &vec![b'y'; LENGTH]);
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!((target.last().body.len(), body.matches('x').count()), (LENGTH, LENGTH));
    }
}
