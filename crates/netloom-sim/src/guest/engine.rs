//! A host around the TCP engine alone: ARP answers, IPv4 without options, and one [`Tcb`] per connection, so that the engine can be
//! judged apart from the machine that it is built into.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::collections::{BTreeMap, VecDeque};

use netloom_core::tcp::{Config, Event, Segment, Tcb, Transmit, reset_for};
use netloom_core::{Instant, MacAddr};

use super::Host;
use crate::app::{App, Outcome, Plan, Role};
use crate::packet::{self, Ipv4, Packet};
use crate::rng::Rng;

/// What distinguishes one engine host from another.
#[derive(Clone, Copy, Debug)]
pub struct EngineHostConfig {
    /// Its MAC address.
    pub mac: MacAddr,
    /// Its address.
    pub address: Ipv4Addr,
    /// The MAC address of everyone else.
    pub peer_mac: MacAddr,
    /// How its connections are configured.
    pub tcp: Config,
    /// For its initial sequence numbers.
    pub seed: u64,
}

/// A connection's name: the local port and the remote end.
type Key = (u16, SocketAddrV4);

struct Connection {
    tcb: Tcb,
    app: App,
    blocked: bool,
    established: bool,
}

/// A host around the TCP engine: see the module's documentation.
pub struct EngineHost {
    config: EngineHostConfig,
    rng: Rng,
    listeners: BTreeMap<u16, Plan>,
    connections: BTreeMap<Key, Connection>,
    outgoing: VecDeque<Vec<u8>>,
    finished: Vec<(Role, Outcome)>,
    next_port: u16,
    next_id: u16,
}

impl EngineHost {
    /// A host without connections.
    #[must_use]
    pub fn new(config: EngineHostConfig) -> Self {
        Self {
            rng: Rng::new(config.seed),
            config,
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            outgoing: VecDeque::new(),
            finished: Vec::new(),
            next_port: 49152,
            next_id: 0,
        }
    }

    /// Accepts connections to a port and runs the server's side of the plan on each.
    pub fn listen(&mut self, port: u16, plan: Plan) {
        self.listeners.insert(port, plan);
    }

    /// Opens a connection and runs the client's side of the plan on it.
    pub fn connect(&mut self, now: Instant, to: SocketAddrV4, plan: Plan) {
        let tcb = Tcb::active(now, &self.config.tcp, self.rng.bits() as u32);
        let app = App::new(plan, Role::Client);
        self.connections
            .insert((self.next_port, to), Connection { tcb, app, blocked: false, established: false });
        self.next_port += 1;
    }

    /// Connections that the engine still remembers.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Bytes that the programs of all connections have received.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.connections.values().map(|connection| connection.app.progress().1).sum()
    }

    /// The state and progress of each connection, for messages.
    #[must_use]
    pub fn states(&self) -> String {
        let state =
            |c: &Connection| format!("{:?} {:?} {:?}", c.tcb.state(), c.app.progress(), c.tcb.poll_timeout());
        self.connections.values().map(state).collect::<Vec<_>>().join("; ")
    }

    fn handle_segment(&mut self, now: Instant, source: Ipv4Addr, bytes: &[u8]) {
        let Some(segment) = Segment::parse(bytes) else { return };
        let key = (segment.destination_port, SocketAddrV4::new(source, segment.source_port));
        if !self.connections.contains_key(&key) {
            let syn = segment.flags == netloom_core::tcp::Flags::SYN;
            let Some(plan) = self.listeners.get(&key.0).filter(|_| syn) else {
                if let Some(reset) = reset_for(&segment) {
                    let frame =
                        self.frame(key, reset.len(), |out| reset.emit_header(key.0, key.1.port(), out));
                    self.outgoing.push_back(frame);
                }
                return;
            };
            let mut tcb = Tcb::passive(now, &self.config.tcp, &segment, self.rng.bits() as u32);
            tcb.accept(now);
            let app = App::new(*plan, Role::Server);
            self.connections.insert(key, Connection { tcb, app, blocked: false, established: false });
            return;
        }
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if let Some(reply) = connection.tcb.handle_segment(now, &segment) {
            self.transmit(key, &reply);
        }
    }

    fn transmit(&mut self, key: Key, transmit: &Transmit) {
        let Some(connection) = self.connections.get(&key) else { return };
        let mut bytes = vec![0; transmit.len()];
        connection.tcb.emit(transmit, key.0, key.1.port(), &mut bytes);
        let frame = self.frame(key, bytes.len(), |out| out.copy_from_slice(&bytes));
        self.outgoing.push_back(frame);
    }

    fn frame(&mut self, key: Key, length: usize, write: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = vec![0; length];
        write(&mut bytes);
        let sum = packet::transport_checksum(self.config.address, *key.1.ip(), 6, &bytes);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        self.next_id = self.next_id.wrapping_add(1);
        let header = Ipv4 { id: self.next_id, ..Ipv4::new(self.config.address, *key.1.ip(), 6) };
        packet::ethernet(self.config.peer_mac, self.config.mac, 0x0800, &header.packet(&bytes))
    }

    /// Lets timers, programs and connections do what they can.
    fn run(&mut self, now: Instant) {
        let mut over = Vec::new();
        let keys: Vec<Key> = self.connections.keys().copied().collect();
        for key in keys {
            let Some(connection) = self.connections.get_mut(&key) else { continue };
            if connection.tcb.poll_timeout().is_some_and(|(at, _)| at <= now) {
                connection.tcb.handle_timeout(now);
            }
            connection.advance(now);
            while let Some(transmit) =
                self.connections.get_mut(&key).and_then(|c| c.tcb.poll_transmit(now, usize::MAX))
            {
                self.transmit(key, &transmit);
            }
            if let Some(connection) = self.connections.get_mut(&key) {
                connection.advance(now);
                if connection.tcb.is_closed() {
                    over.push(key);
                }
            }
        }
        for key in over {
            if let Some(mut connection) = self.connections.remove(&key) {
                connection.app.ends(connection.app.both_closed());
                self.finished.push((connection.app.role(), connection.app.outcome()));
            }
        }
    }
}

impl Connection {
    fn advance(&mut self, now: Instant) {
        while let Some(event) = self.tcb.poll_event() {
            match event {
                Event::Established => self.established = true,
                Event::Fin => self.app.mark_fin(),
                Event::Writable => self.blocked = false,
                Event::Reset(_) => self.app.ends(false),
                Event::Closed | Event::Data(_) => {}
            }
        }
        if self.app.reads(now) {
            let [first, second] = self.tcb.peek();
            let n = first.len() + second.len();
            self.app.receive(first);
            self.app.receive(second);
            if n > 0 {
                self.tcb.take(now, n);
            }
            self.app.sees_fin();
        }
        while self.established && !self.blocked {
            // One byte more than fits, so that the connection tells when there is room again.
            let offer = self.app.offer(self.tcb.room() + 1);
            if offer.is_empty() {
                break;
            }
            let taken = self.tcb.write(now, &offer);
            self.app.sent(taken);
            self.blocked = taken < offer.len();
        }
        if self.established && self.app.closes() {
            self.tcb.fin(now);
        }
    }
}

impl Host for EngineHost {
    fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        match packet::read(frame, true) {
            Ok(Packet::Arp(1, mac, sender, target)) if target == self.config.address => {
                let answer = packet::arp(2, (self.config.mac, self.config.address), (mac, sender));
                self.outgoing.push_back(packet::ethernet(mac, self.config.mac, 0x0806, &answer));
            }
            Ok(Packet::Tcp(segment)) if segment.destination.ip() == self.config.address => {
                let SocketAddr::V4(source) = segment.source else { return };
                let header = usize::from(frame[14] & 15) * 4;
                let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
                self.handle_segment(now, *source.ip(), &frame[14 + header..14 + total]);
            }
            _ => {}
        }
    }

    fn poll_frame(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.outgoing.is_empty() {
            self.run(now);
        }
        self.outgoing.pop_front()
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let timers = self.connections.values().filter_map(|c| c.tcb.poll_timeout()).map(|(at, _)| at);
        let programs = self.connections.values().filter_map(|c| c.app.wakes(now));
        timers.chain(programs).min()
    }

    fn finished(&self) -> &[(Role, Outcome)] {
        &self.finished
    }
}
