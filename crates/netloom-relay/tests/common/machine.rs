//! A guest with a kernel of its own, ours, on a thread: TCP and UDP servers on a LAN of the relay.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as StdInstant};

use netloom_core::host::{Event, Host, HostConfig, Route, StreamOptions};
use netloom_core::interface::{InterfaceConfig, InterfaceId, Medium};
use netloom_core::{Event as FlowEvent, FlowId, Instant, IpNet, ListenerId, MacAddr, PortConfig, SocketId};

use super::packet::{GATEWAY, arp_request, dhcp, dhcp_answer, mac};
use super::{Guest, Relay};

/// A port whose server says who has connected, or sent the datagram, and then nothing.
pub const WHO: u16 = 9;
/// A port whose server sends back what comes.
pub const ECHO: u16 = 7;
/// The port of a web server: answers with the request as it came, on connections that stay; `/upgrade` goes over to echoing, `/echo` answers with the
/// body while it comes, `/gone` ends the connection after its answer, without saying so.
pub const HTTP: u16 = 80;

const OPTIONS: StreamOptions = StreamOptions {
    nagle: false,
    keepalive: None,
    receive_buffer_bytes: 1 << 20,
    send_buffer_bytes: 1 << 20,
};
/// How long the thread waits for frames before it looks at its clock.
const TURN: Duration = Duration::from_millis(5);

/// The guest; it leaves when dropped.
pub struct Machine {
    pub address: Ipv4Addr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Machine {
    /// Joins a LAN with a fixed address, its last octet.
    pub fn start(relay: &Relay, path: &str, n: u8, octet: u8) -> Self {
        let [a, b, c, _] = GATEWAY.octets();
        Self::run(relay.guest_on(path), n, Ipv4Addr::new(a, b, c, octet))
    }

    /// Joins the default LAN with a lease under a name.
    pub fn leased(relay: &Relay, n: u8, name: &str) -> Self {
        let mut guest = relay.guest();
        let length = u8::try_from(name.len()).expect("short");
        let name = [&[12, length], name.as_bytes()].concat();
        guest.send(&dhcp(mac(n), 1, &name));
        let offer = guest.expect("an offer", |frame| dhcp_answer(frame).is_some_and(|(kind, _)| kind == 2));
        let address = dhcp_answer(&offer).expect("an offer").1;
        let wanted = [&[50, 4], &address.octets()[..], &[54, 4], &GATEWAY.octets(), &name].concat();
        guest.send(&dhcp(mac(n), 3, &wanted));
        guest.expect("an acknowledgement", |frame| dhcp_answer(frame) == Some((5, address)));
        Self::run(guest, n, address)
    }

    fn run(mut guest: Guest, n: u8, address: Ipv4Addr) -> Self {
        // From now on the relay knows where it is.
        guest.send(&arp_request(mac(n), address, GATEWAY));
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || Kernel::new(guest, n, address).run(&stopped));
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the guest's thread panicked");
        }
    }
}

struct Kernel {
    guest: Guest,
    host: Host,
    interface: InterfaceId,
    begin: StdInstant,
    listeners: HashMap<ListenerId, u16>,
    udp: HashMap<SocketId, u16>,
    connections: HashMap<FlowId, Connection>,
    accepted: usize,
}

struct Connection {
    port: u16,
    number: usize,
    input: Vec<u8>,
    output: Vec<u8>,
    echoes: bool,
    ends: bool,
}

impl Kernel {
    fn new(guest: Guest, n: u8, address: Ipv4Addr) -> Self {
        let mut host = Host::new(HostConfig::default(), [n; 32]);
        let interface = host.open_interface(&InterfaceConfig {
            medium: Medium::Tap,
            mac: MacAddr(mac(n)),
            addresses: vec![IpNet::new(address.into(), 24)],
            port: PortConfig::default(),
            masquerade: false,
        });
        let default = IpNet::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        host.add_route(Route { net: default, via: Some(GATEWAY.into()), interface }).expect("a route");
        let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let listeners = [WHO, ECHO, HTTP, 8080]
            .map(|port| (host.listen(any(port), 64, OPTIONS).expect("a free port").0, port));
        let udp =
            [WHO, ECHO].map(|port| (host.open_udp(any(port), None, 1 << 20).expect("a free port").0, port));
        Self {
            guest,
            host,
            interface,
            begin: StdInstant::now(),
            listeners: listeners.into(),
            udp: udp.into(),
            connections: HashMap::new(),
            accepted: 0,
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.begin.elapsed()
    }

    fn run(mut self, stop: &AtomicBool) {
        self.guest.stream.set_read_timeout(Some(TURN)).expect("a timeout");
        while !stop.load(Ordering::Relaxed) {
            let Some(frames) = self.guest.poll() else { return };
            for mut frame in frames {
                let now = self.now();
                self.host.handle_frame(now, self.interface, &mut frame);
            }
            let now = self.now();
            self.host.handle_timeout(now);
            while let Some(event) = self.host.poll_event() {
                self.handle(event);
            }
            let mut out = Vec::new();
            while let Some(interface) = self.host.poll_interface() {
                while let Some(frame) = self.host.poll_frame(now, interface) {
                    out.push(frame.to_vec());
                }
            }
            self.guest.send_all(&out);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Accepted { listener } => {
                let port = self.listeners[&listener];
                while let Some(id) = self.host.accept(listener) {
                    self.accepted += 1;
                    let mut connection = Connection {
                        port,
                        number: self.accepted,
                        input: Vec::new(),
                        output: Vec::new(),
                        echoes: port == ECHO,
                        ends: false,
                    };
                    if port == WHO {
                        connection.output = self.host.ends(id).expect("both ends").1.to_string().into();
                        connection.ends = true;
                    }
                    self.connections.insert(id, connection);
                    self.serve(id);
                }
            }
            Event::Datagram { socket } => {
                let port = self.udp[&socket];
                while let Some((from, data)) = self.host.peek_datagram(socket) {
                    let answer = if port == WHO { from.to_string().into_bytes() } else { data.to_vec() };
                    self.host.take_datagram(socket);
                    let now = self.now();
                    self.host.send(now, socket, from, &answer).expect("a route");
                }
            }
            Event::Flow(FlowEvent::Data { id, .. } | FlowEvent::Writable { id }) => self.serve(id),
            Event::Flow(FlowEvent::Fin { id }) => {
                self.serve(id);
                let now = self.now();
                self.host.fin(now, id);
            }
            Event::Flow(FlowEvent::Reset { id, .. } | FlowEvent::Closed { id }) => {
                self.connections.remove(&id);
            }
            _ => {}
        }
    }

    fn serve(&mut self, id: FlowId) {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let read = self.host.peek(id).concat();
        self.host.take(now, id, read.len());
        if connection.echoes {
            connection.output.extend(read);
        } else {
            connection.input.extend(read);
            connection.answer();
        }
        let written = self.host.write(now, id, &connection.output);
        connection.output.drain(..written);
        if connection.ends && connection.output.is_empty() {
            self.host.fin(now, id);
        }
    }
}

impl Connection {
    /// Answers the requests that are there as a whole.
    fn answer(&mut self) {
        while let Some(end) = self.input.windows(4).position(|it| it == b"\r\n\r\n").map(|at| at + 4) {
            let head = String::from_utf8_lossy(&self.input[..end]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            match path {
                "/upgrade" => {
                    self.output.extend(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Guest: yes\r\n\r\n");
                    self.echo_from(end);
                    return;
                }
                "/echo" => {
                    self.output.extend(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
                    self.echo_from(end);
                    return;
                }
                _ => {}
            }
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let end = end + length.unwrap_or(0);
            if self.input.len() < end {
                return;
            }
            let body = String::from_utf8_lossy(&self.input[..end]).into_owned();
            self.output.extend(
                format!(
                    "HTTP/1.1 200 OK\r\nX-Port: {}\r\nX-Connection: {}\r\nContent-Length: {}\r\nSet-Cookie: a=1; Domain=localhost\r\n\r\n{body}",
                    self.port, self.number, body.len()
                )
                .into_bytes(),
            );
            self.ends = path == "/gone";
            self.input.drain(..end);
        }
    }

    fn echo_from(&mut self, at: usize) {
        self.echoes = true;
        self.output.extend(self.input.drain(..).skip(at));
    }
}
