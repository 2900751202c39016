//! A guest (the machine itself as a host), a LAN, a Wisp client and a Wisp server, joined in memory.

mod datagrams;
mod outcome;
mod streams;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::{BTreeMap, VecDeque};

use netloom_core::host::{self, Host, StreamOptions};
use netloom_core::{
    Duration, Event, FlowId, Instant, InterfaceConfig, InterfaceId, IpNet, Lan, MacAddr, Medium, PortConfig,
    PortId, ResetReason, SocketId,
};
use netloom_proto::wisp::client::ClientConfig;
use netloom_proto::wisp::server::{Event as ServerEvent, Server, ServerConfig};
use netloom_proto::wisp::{Packet, Reason, ServerInfo};
use netloom_sim::world::lan_config;

use super::{State, WispConfig};
use crate::Egresses;

/// An address that the policy lets guests reach.
const TARGET: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);
const RESOLVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(1, 1, 1, 1)];

/// What a server of the tests tells.
fn full_info() -> ServerInfo {
    ServerInfo {
        version: (2, 0),
        udp: true,
        confirms: true,
        half_close: true,
        stream_credit: true,
        ..ServerInfo::default()
    }
}

/// A stream at the server.
#[derive(Default)]
struct Remote {
    host: String,
    port: u16,
    received: Vec<u8>,
    datagrams: Vec<Vec<u8>>,
    fin: bool,
    closed: Option<Reason>,
}

/// What a guest's connection has come to.
#[derive(Default, Debug)]
struct Connection {
    established: bool,
    received: Vec<u8>,
    fin: bool,
    reset: Option<ResetReason>,
    closed: bool,
    /// Whether the guest reads.
    reads: bool,
}

struct World {
    now: Instant,
    lan: Lan,
    port: PortId,
    guest: Host,
    tap: InterfaceId,
    egresses: Egresses,
    wisp: u32,
    server: Option<Server>,
    /// Whether the server takes what it is sent.
    server_reads: bool,
    remotes: BTreeMap<u32, Remote>,
    connections: BTreeMap<FlowId, Connection>,
    queries: VecDeque<netloom_core::Query>,
    opened: Vec<FlowId>,
    /// Messages to the server, by their type.
    sent: BTreeMap<u8, usize>,
}

impl World {
    fn new(config: ClientConfig) -> Self {
        let mut lan_config = lan_config(1500);
        lan_config.dns = Some(netloom_core::service::dns::DnsConfig {
            domain: "lan".to_owned(),
            records: Vec::new(),
            ttl: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
            wildcard: None,
            everywhere: false,
        });
        let gateway = lan_config.gateway_address;
        let mut lan = Lan::new(lan_config, [7; 32]);
        let port = lan.open_port(PortConfig::default());
        let mut guest = Host::new(host::HostConfig::default(), [8; 32]);
        let tap = guest.open_interface(&InterfaceConfig {
            medium: Medium::Tap,
            mac: MacAddr([2, 0, 0, 0, 0, 9]),
            addresses: vec![IpNet::new(IpAddr::V4(guest_address(gateway)), 24)],
            ..InterfaceConfig::default()
        });
        let route = host::Route {
            net: IpNet::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            via: Some(gateway.into()),
            interface: tap,
        };
        guest.add_route(route).unwrap();
        let mut egresses = Egresses::default();
        let wisp = egresses.add_wisp(WispConfig {
            client: config,
            backlog_bytes: 4 << 20,
            pause_bytes: 1 << 20,
            dial_timeout: Duration::from_secs(10),
            linger: Duration::from_secs(2),
            resolvers: RESOLVERS.map(|address| (address, 53).into()).to_vec(),
        });
        Self {
            now: Instant::from_us(1_000_000),
            lan,
            port,
            guest,
            tap,
            egresses,
            wisp,
            server: None,
            server_reads: true,
            remotes: BTreeMap::new(),
            connections: BTreeMap::new(),
            queries: VecDeque::new(),
            opened: Vec::new(),
            sent: BTreeMap::new(),
        }
    }

    /// A world whose WebSocket is open to a server of this kind.
    fn up(info: Option<ServerInfo>, config: ClientConfig) -> Self {
        let mut world = Self::new(config);
        world.open(info);
        assert_eq!(world.state(), State::Ready);
        world
    }

    /// Opens a WebSocket, which takes 20 ms.
    fn open(&mut self, info: Option<ServerInfo>) {
        let wisp = self.egresses.wisp(self.wisp).unwrap();
        wisp.handle_dial(self.now);
        self.now += Duration::from_millis(20);
        wisp.handle_up(self.now, &mut self.lan);
        self.server = Some(Server::new(ServerConfig { info, credit_packets: 16, max_streams: 100 }));
        self.settle();
    }

    /// The WebSocket is lost.
    fn lose(&mut self) {
        self.server = None;
        self.remotes.clear();
        let wisp = self.egresses.wisp(self.wisp).unwrap();
        wisp.handle_down(self.now, &mut self.lan);
        self.settle();
    }

    fn state(&mut self) -> State {
        self.egresses.wisp(self.wisp).unwrap().state()
    }

    fn connect(&mut self, port: u16) -> FlowId {
        let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let options = StreamOptions {
            nagle: false,
            keepalive: None,
            receive_buffer_bytes: 256 << 10,
            send_buffer_bytes: 256 << 10,
        };
        let flow = self.guest.connect(self.now, local, (TARGET, port).into(), options).unwrap();
        self.connections.insert(flow, Connection { reads: true, ..Connection::default() });
        self.settle();
        flow
    }

    /// A connection that stands, and its stream.
    fn connected(&mut self, port: u16) -> (FlowId, u32) {
        let flow = self.connect(port);
        let stream = self.stream(port);
        self.server.as_mut().unwrap().opened(stream);
        self.run(Duration::from_millis(200));
        assert!(self.connections[&flow].established);
        (flow, stream)
    }

    /// The latest stream to a port.
    fn stream(&self, port: u16) -> u32 {
        *self.remotes.iter().rfind(|(_, remote)| remote.port == port).expect("a stream").0
    }

    fn open_udp(&mut self) -> SocketId {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.guest.open_udp(any, None, 1 << 16).unwrap().0
    }

    fn server_closes(&mut self, stream: u32, reason: Reason) {
        self.server.as_mut().unwrap().close(stream, reason);
        self.settle();
    }

    /// The server sends on a stream as far as its credit goes; how much.
    fn server_sends(&mut self, stream: u32, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            let server = self.server.as_mut().unwrap();
            let piece = &bytes[sent..bytes.len().min(sent + 16_384.min(server.room(stream)))];
            let mut out = Vec::new();
            if piece.is_empty() || !server.put_data(&mut out, stream, [piece, &[]]) {
                break;
            }
            sent += piece.len();
            self.deliver(&out);
            self.settle();
        }
        sent
    }

    fn deliver(&mut self, message: &[u8]) {
        let wisp = self.egresses.wisp(self.wisp).unwrap();
        wisp.handle_message(self.now, &mut self.lan, message);
    }

    /// Lets time pass, stopping at each deadline.
    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        self.settle();
        loop {
            let next = [self.lan.poll_timeout(), self.guest.poll_timeout(), self.egresses.poll_timeout()];
            let Some(at) = next.into_iter().flatten().map(|(at, _)| at).min().filter(|at| *at <= until)
            else {
                break;
            };
            self.now = self.now.max(at);
            self.lan.handle_timeout(self.now);
            self.guest.handle_timeout(self.now);
            self.egresses.handle_timeout(self.now, &mut self.lan);
            self.settle();
        }
        self.now = until;
    }

    /// Carries everything everywhere until nothing moves.
    fn settle(&mut self) {
        while self.carry_frames() | self.carry_events() | self.carry_messages() {}
    }

    fn carry_frames(&mut self) -> bool {
        let mut moved = false;
        while self.lan.poll_port().is_some() {
            while let Some(frame) = self.lan.poll_frame(self.now, self.port) {
                self.guest.handle_frame(self.now, self.tap, &mut frame.to_vec());
                moved = true;
            }
        }
        while self.guest.poll_interface().is_some() {
            while let Some(frame) = self.guest.poll_frame(self.now, self.tap) {
                self.lan.handle_frame(self.now, self.port, frame);
                moved = true;
            }
        }
        moved
    }

    fn carry_events(&mut self) -> bool {
        let mut moved = false;
        while let Some(event) = self.lan.poll_event() {
            moved = true;
            if self.egresses.handle_event(self.now, &mut self.lan, &event) {
                continue;
            }
            if let Event::Open { id, .. } = event {
                self.opened.push(id);
                let wisp = self.egresses.wisp(self.wisp).unwrap();
                wisp.relay(self.now, &mut self.lan, id);
            }
        }
        while let Some(query) = self.lan.poll_query() {
            moved = true;
            let wisp = self.egresses.wisp(self.wisp).unwrap();
            wisp.query(self.now, &mut self.lan, query.id, &query.message);
            self.queries.push_back(query);
        }
        while let Some(event) = self.guest.poll_event() {
            moved = true;
            let host::Event::Flow(event) = event else { continue };
            let flow = crate::flow_of(&event).unwrap();
            let Some(connection) = self.connections.get_mut(&flow) else { continue };
            match event {
                Event::Established { .. } => connection.established = true,
                Event::Fin { .. } => connection.fin = true,
                Event::Reset { why, .. } => connection.reset = Some(why),
                Event::Closed { .. } => connection.closed = true,
                _ => {}
            }
        }
        for (flow, connection) in &mut self.connections {
            let bytes = self.guest.peek(*flow).concat();
            if connection.reads && !bytes.is_empty() {
                self.guest.take(self.now, *flow, bytes.len());
                connection.received.extend(bytes);
                moved = true;
            }
        }
        moved
    }

    fn carry_messages(&mut self) -> bool {
        let mut moved = false;
        let wisp = self.egresses.wisp(self.wisp).unwrap();
        let Some(server) = &mut self.server else { return false };
        while let Some(message) = wisp.poll_message(self.now, &mut self.lan) {
            moved = true;
            *self.sent.entry(message[0]).or_default() += 1;
            server.handle_message(message, &mut |server, event| match event {
                ServerEvent::Hello(_) => server.admit(),
                ServerEvent::Connect { stream, host, port, .. } => {
                    self.remotes.insert(stream, Remote { host: host.to_owned(), port, ..Remote::default() });
                }
                ServerEvent::Data(stream, bytes) => {
                    let remote = self.remotes.entry(stream).or_default();
                    remote.received.extend(bytes);
                    remote.datagrams.push(bytes.to_vec());
                    if self.server_reads {
                        server.taken(stream, 1);
                    }
                }
                ServerEvent::Fin(stream) => self.remotes.entry(stream).or_default().fin = true,
                ServerEvent::Closed(stream, reason) => {
                    self.remotes.entry(stream).or_default().closed = Some(reason);
                }
                ServerEvent::Writable(_) | ServerEvent::End => {}
            });
        }
        let mut message = Vec::new();
        while server.poll_control(&mut message) {
            moved = true;
            wisp.handle_message(self.now, &mut self.lan, &message);
            message.clear();
        }
        moved
    }

    fn received(&self, stream: u32) -> &[u8] {
        &self.remotes[&stream].received
    }
}

fn guest_address(gateway: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = gateway.octets();
    Ipv4Addr::new(a, b, c, 50)
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn packet(stream: u32, packet: Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.put(&mut out, stream);
    out
}
