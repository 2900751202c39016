//! Streams reach nothing of this host or its networks unless a rule says so: by Wisp over TCP and UDP, and as plain streams, however the
//! address is written, and whatever DNS says of a name. Forwards lead to guests and nowhere else. The same for guests is in `policy.rs`,
//! for the CORS proxy in `cors_egress.rs`.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use common::http::ask;
use common::leased::answer;
use common::wisp::WispClient;
use common::{Guest, Relay, netloom};
use netloom_core::service::dns::question;
use netloom_proto::wisp::{Kind, Packet, Reason};

/// What DNS says of names whose owner means ill.
const NAMES: [(&str, &str); 8] = [
    ("loopback.example", "127.0.0.1"),
    ("loopback6.example", "::1"),
    ("mapped.example", "::ffff:127.0.0.1"),
    ("nat64.example", "64:ff9b::7f00:1"),
    ("unspecified.example", "0.0.0.0"),
    ("private.example", "10.0.0.1"),
    ("unique-local.example", "fd00::1"),
    ("metadata.example", "169.254.169.254"),
];

/// A DNS server: `NAMES`, and `rebind.example`, which is 127.0.0.2 for the two questions of the first who asks and 127.0.0.1 thereafter.
fn dns() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a server");
    let address = socket.local_addr().expect("its address");
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        let mut asked = 0;
        while let Ok((read, from)) = socket.recv_from(&mut buffer) {
            let query = &buffer[..read];
            let name = question(query).expect("a question").name;
            let told = NAMES.iter().find(|(known, _)| *known == name).map(|(_, told)| *told);
            let told = told.unwrap_or_else(|| {
                asked += 1;
                if asked <= 2 { "127.0.0.2" } else { "127.0.0.1" }
            });
            let told: IpAddr = told.parse().expect("an address");
            socket.send_to(&answer(query, &[told]), from).expect("sent");
        }
    });
    address
}

/// Listeners at one port of every address of this host: whoever gets through is heard.
struct Ears {
    tcp: TcpListener,
    udp: UdpSocket,
    port: u16,
}

impl Ears {
    fn new() -> Self {
        // The same port for both; another is tried where somebody has it already.
        loop {
            let tcp = TcpListener::bind("0.0.0.0:0").expect("a listener");
            let port = tcp.local_addr().expect("its address").port();
            let Ok(udp) = UdpSocket::bind(("0.0.0.0", port)) else { continue };
            tcp.set_nonblocking(true).expect("it can be asked");
            udp.set_nonblocking(true).expect("it can be asked");
            return Self { tcp, udp, port };
        }
    }

    #[track_caller]
    fn heard_nothing(&self) {
        assert!(self.tcp.accept().is_err(), "a connection got through");
        assert!(self.udp.recv(&mut [0; 100]).is_err(), "a datagram got through");
    }
}

/// How a plain stream to a host ends: an answer to its upgrade, or the code of its close.
fn plain(relay: &Relay, path: &str) -> Result<Option<u16>, String> {
    let mut guest = Guest::connect(relay.address, path, &[])?;
    while guest.closed.is_none() && guest.fill() {}
    Ok(guest.closed.flatten())
}

#[test]
fn nothing_of_this_host_or_its_networks_is_reached_by_streams() {
    let ears = Ears::new();
    let relay = Relay::start(&["--dns", &dns().to_string()]);
    let mut client = WispClient::version_1(&relay);
    let addresses = [
        "127.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "::1",
        "::",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001::80ff:fffe",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "fd12::1",
        "fec0::1",
    ];
    let mut stream = 0;
    for host in addresses.into_iter().chain(NAMES.map(|(name, _)| name)) {
        for kind in [Kind::Tcp, Kind::Udp] {
            stream += 1;
            client.open_host(stream, kind, host, ears.port);
            client.send(stream, Packet::Data(b"let me in"));
            assert_eq!(client.reason(stream), Reason::BLOCKED, "{host} by {kind:?}");
        }
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        assert_eq!(
            plain(&relay, &format!("/wisp/{host}:{}", ears.port)),
            Ok(Some(1008)),
            "{host} as a plain stream"
        );
    }
    for host in [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "0",
        " 127.0.0.1",
        "127.0.0.1 ",
        "127.0.0.1\0",
        "localhost\0.example",
        "::1%lo",
        "fe80::1%1",
        "127.0.0.1:80",
        "a/../127.0.0.1",
        "http://127.0.0.1",
        "１２７.0.0.1",
        "",
    ] {
        for kind in [Kind::Tcp, Kind::Udp] {
            stream += 1;
            client.open_host(stream, kind, host, ears.port);
            assert_eq!(client.reason(stream), Reason::INVALID, "{host:?} by {kind:?}");
        }
    }
    for host in
        ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "%20127.0.0.1", "127.0.0.1%00", "[::1%25lo]"]
    {
        let answered = plain(&relay, &format!("/wisp/{host}:{}", ears.port));
        assert!(answered.is_err_and(|head| head.starts_with("HTTP/1.1 400")), "{host} as a plain stream");
    }
    ears.heard_nothing();
    relay.wait_for_log("refused a stream");
}

#[test]
fn a_name_that_changes_its_address_reaches_only_what_was_checked() {
    // Somebody listens where the name leads from the third question on, and nobody where it leads before, which may be reached.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let relay = Relay::start(&["--dns", &dns().to_string(), "--allow", "127.0.0.2"]);
    let mut client = WispClient::version_1(&relay);
    for stream in 1..4 {
        client.open_host(stream, Kind::Tcp, "rebind.example", port);
        assert_eq!(client.reason(stream), Reason::REFUSED, "what was checked is dialled");
    }
    listener.set_nonblocking(true).expect("it can be asked");
    assert!(listener.accept().is_err(), "a connection got through");
}

#[test]
fn the_relay_itself_is_not_reached_whatever_is_allowed() {
    let relay = Relay::start(&["--allow", "0.0.0.0/0"]);
    let mut client = WispClient::version_1(&relay);
    for (stream, host) in (1..).zip(["127.0.0.1", "localhost", "0.0.0.0", "::ffff:127.0.0.1"]) {
        client.open_host(stream, Kind::Tcp, host, relay.address.port());
        assert_eq!(client.reason(stream), Reason::BLOCKED, "{host}");
    }
}

#[test]
fn what_a_rule_opens_is_reached() {
    let ears = Ears::new();
    let rule = format!("127.0.0.1:{}/udp", ears.port);
    let relay = Relay::start(&["--dns", &dns().to_string(), "--allow", &rule, "--deny", "mapped.example"]);
    let mut client = WispClient::version_1(&relay);
    ears.udp.set_nonblocking(false).expect("it waits");
    ears.udp.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
    for (stream, host) in (1..).zip(["127.0.0.1", "loopback.example"]) {
        client.open_host(stream, Kind::Udp, host, ears.port);
        client.send(stream, Packet::Data(b"hello"));
        assert_eq!(ears.udp.recv(&mut [0; 100]).expect("it arrives"), 5, "{host}");
    }
    for (stream, kind, host) in
        [(3, Kind::Tcp, "127.0.0.1"), (4, Kind::Udp, "mapped.example"), (5, Kind::Udp, "127.0.0.2")]
    {
        client.open_host(stream, kind, host, ears.port);
        assert_eq!(client.reason(stream), Reason::BLOCKED, "{host} by {kind:?}");
    }
}

#[test]
fn a_forward_does_not_lead_out_of_its_lan() {
    for target in
        ["127.0.0.1", "[::1]", "0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.2.1", "[2001:db8::1]"]
    {
        let forward = format!("127.0.0.1:0={target}:80");
        let output = netloom().args(["relay", "--forward", &forward]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{target}: {said}");
        assert!(said.contains("is no guest of"), "{target}: {said}");
    }
}

#[test]
fn a_forward_leads_to_guests_and_nowhere_else() {
    let ears = Ears::new();
    // Whatever streams may reach, and by names that DNS knows.
    let mut flags: Vec<String> =
        ["--host-loopback", "--allow", "0.0.0.0/0", "--allow", "::/0", "--dns", &dns().to_string()]
            .map(str::to_owned)
            .into();
    let targets =
        ["192.168.86.1", "192.168.86.254", "192.168.86.255", "localhost", "loopback.example", "first"];
    for target in targets {
        for listen in ["127.0.0.1:0", "udp:127.0.0.1:0"] {
            flags.extend(["--forward".to_owned(), format!("{listen}={target}:{}", ears.port)]);
        }
    }
    let relay = Relay::start(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    // A guest that has no address: it is nobody's target.
    let _guest = relay.guest();
    let listening =
        relay.banner.lines().filter_map(|line| line.strip_prefix("forwarding ")?.split(' ').next());
    let (mut connections, mut datagrams) = (Vec::new(), Vec::new());
    for listen in listening {
        match listen.strip_prefix("udp:") {
            Some(udp) => datagrams.push(udp.parse::<SocketAddr>().expect("an address")),
            None => connections.push(listen.parse::<SocketAddr>().expect("an address")),
        }
    }
    assert_eq!((connections.len(), datagrams.len()), (targets.len(), targets.len()), "{}", relay.banner);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for to in &datagrams {
        socket.send_to(b"let me in", to).expect("sent");
    }
    let mut streams: Vec<_> = connections
        .iter()
        .map(|to| {
            let mut stream = TcpStream::connect(to).expect("it listens");
            stream.set_read_timeout(Some(common::PATIENCE)).expect("a timeout");
            stream.write_all(b"let me in").expect("sent");
            stream
        })
        .collect();
    for (stream, to) in streams.iter_mut().zip(&connections) {
        assert!(!matches!(stream.read(&mut [0; 100]), Ok(1..)), "{to} answered");
    }
    ears.heard_nothing();
    // Nor are forwards the targets of streams.
    let mut client = WispClient::version_1(&relay);
    for (stream, to) in (1..).zip(&connections) {
        client.open_host(stream, Kind::Tcp, "127.0.0.1", to.port());
        assert_eq!(client.reason(stream), Reason::BLOCKED, "{to}");
    }
}

#[test]
fn a_host_name_leads_to_guests_and_nowhere_else() {
    let ears = Ears::new();
    let relay =
        Relay::start(&["--cors", "--host-loopback", "--allow", "0.0.0.0/0", "--dns", &dns().to_string()]);
    let _guest = relay.guest();
    let guests =
        ["127-0-0-1", "169-254-169-254", "192-168-86-1", "192-168-86-254", "localhost", "first", "loopback"];
    let hosts: Vec<String> = guests.iter().map(|guest| format!("{}.{guest}.localhost", ears.port)).collect();
    let address = relay.address;
    let port = address.port();
    std::thread::scope(|scope| {
        for host in &hosts {
            let named = format!("{host}:{port}");
            let asked = [
                ("/".to_owned(), named.clone()),
                // The relay's own routes are not there.
                ("/healthz".to_owned(), named.clone()),
                // Nor does the relay ask itself.
                (format!("/cors/http://{named}/"), address.to_string()),
            ];
            for (path, host) in asked {
                scope.spawn(move || {
                    let answer = ask(address, "GET", &path, &[("Host", &host)], b"");
                    assert!(answer.status() >= 400, "{host}{path}: {}", answer.text());
                });
            }
        }
    });
    ears.heard_nothing();
}
