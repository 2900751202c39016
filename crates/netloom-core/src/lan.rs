//! A LAN: the switch and the stack joined by an internal port. This is the machine that the outside drives.
//!
//! One way in (`handle_*` and the flow commands), one way out (`poll_*`), one deadline ([`Lan::poll_timeout`]). After any call of the
//! first kind, drain `poll_event`, `poll_query` and, for each port of `poll_port`, its frames. A missed drain makes the machine
//! slower, never wrong.

mod arp;
mod commands;
mod datagram;
mod flows;
mod icmp;
mod ip;
mod services;
mod streams;
mod tcp;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::{BTreeMap, VecDeque};

use crate::addr::{Ipv4Net, MacAddr};
use crate::counters::Drops;
use crate::flow::{Event, FlowId, Guest, Protocol};
use crate::hash::{Map, Seeded};
use crate::policy::Policy;
use crate::port::{PortConfig, PortId};
use crate::service::dhcp::{DhcpConfig, DhcpServer, Network};
use crate::service::dns::DnsConfig;
use crate::stack::reassembly::Reassembly;
use crate::switch::{Switch, Verdict};
use crate::time::{Duration, Instant};
use flows::Flows;
use services::PendingQuery;

/// What a LAN offers its guests.
#[derive(Clone, Debug)]
pub struct LanConfig {
    /// The LAN's IPv4 network.
    pub subnet: Ipv4Net,
    /// The address of the gateway and of the services.
    pub gateway_address: Ipv4Addr,
    /// The MAC address of the gateway and of the virtual addresses.
    pub gateway_mac: MacAddr,
    /// Whether the gateway forwards: without, guests reach each other and the services, but nothing outside.
    pub gateway: bool,
    /// Further addresses that the gateway answers for; flows to them are announced with that destination.
    pub virtual_addresses: Vec<Ipv4Addr>,
    /// The LAN's MTU in bytes, told to guests by DHCP: 576 to 65,535.
    pub mtu: u16,
    /// The DHCP server, if it serves.
    pub dhcp: Option<DhcpConfig>,
    /// The DNS server, if it serves.
    pub dns: Option<DnsConfig>,
    /// Whether NTP requests to any address are answered by the gateway. Needs [`Lan::set_wall_clock`].
    pub ntp: bool,
    /// Whether the gateway answers UDP echo (port 7).
    pub echo: bool,
    /// Whether the gateway answers echo requests to addresses outside itself, as a page must, which has no ICMP. Otherwise they are flows.
    pub answer_all_pings: bool,
    /// What guests may reach.
    pub policy: Policy,
    /// What guests may use.
    pub limits: Limits,
}

/// What the guests of a LAN may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows of one guest.
    pub flows_per_guest: usize,
    /// Dials of one guest that the outside has not answered.
    pub pending_dials_per_guest: usize,
    /// How long the outside has to answer a dial.
    pub dial_timeout: Duration,
    /// Largest receive buffer of a TCP flow, in bytes, taken as bytes arrive.
    pub receive_buffer_bytes: usize,
    /// Largest send buffer of a TCP flow, in bytes, taken as bytes are written.
    pub send_buffer_bytes: usize,
    /// Bytes that all flows of the LAN may hold in receive buffers together; windows shrink as it fills.
    pub lan_buffer_bytes: usize,
    /// How long a UDP or ping flow may be silent.
    pub udp_idle: Duration,
    /// DNS queries of one guest that wait for an answer.
    pub queries_per_guest: usize,
}

/// Names a DNS query handed to the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub(crate) u64);

/// A DNS query that the machine cannot answer itself, from [`Lan::poll_query`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// For [`Lan::handle_answer`].
    pub id: QueryId,
    /// Who asks.
    pub guest: Guest,
    /// The query as the guest sent it: a DNS message without length prefix.
    pub message: Vec<u8>,
}

/// Why [`Lan::connect`] could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The address is not in the LAN's subnet.
    #[error("the address is not in the LAN's subnet")]
    NotOnLan,
    /// All local ports toward that address are in use.
    #[error("no local port is free toward that address")]
    NoPort,
}

/// Addresses remembered; a guest that makes up more is not remembered.
const MAX_NEIGHBORS: usize = 8192;
/// Silence after which a guest is asked whether its connection still stands (RFC 9293 3.8.4: not less than two hours).
const KEEPALIVE: Duration = Duration::from_secs(7200);
/// How long a port with a small ring waits for its guest before it sends on regardless.
const BURST_PAUSE: Duration = Duration::from_millis(2);

/// A LAN of guests: see the module's documentation.
pub struct Lan {
    config: LanConfig,
    drops: Drops,
    switch: Switch,
    /// Who uses an address, learnt from ARP and from packets.
    neighbors: Map<Ipv4Addr, Guest>,
    reassembly: Reassembly,
    flows: Flows,
    events: VecDeque<Event>,
    resolving: BTreeMap<Ipv4Addr, arp::Question>,
    dhcp: Option<DhcpServer>,
    queries: BTreeMap<u64, PendingQuery>,
    new_queries: VecDeque<Query>,
    next_query: u64,
    streams: BTreeMap<FlowId, streams::Stream>,
    stream_events: VecDeque<Event>,
    /// Microseconds since the Unix epoch at an instant.
    wall_clock: Option<(Instant, u64)>,
    next_id: u16,
    icmp_errors: icmp::Budget,
    /// Ports that wait for their guest.
    pausing: BTreeMap<PortId, Instant>,
    out: Vec<u8>,
}

impl Lan {
    /// A LAN without ports. `seed` must be secret and fresh, since sequence numbers, ports and hash keys come from it.
    #[must_use]
    pub fn new(config: LanConfig, seed: [u8; 32]) -> Self {
        let mut key = [0; 16];
        for (byte, pair) in key.iter_mut().zip(seed.chunks(2)) {
            *byte = pair[0] ^ pair[1].rotate_left(3);
        }
        let hash = Seeded::new(&key);
        let dhcp = config.dhcp.clone().map(|dhcp| {
            let reserved = config.virtual_addresses.iter().copied().chain([config.gateway_address]).collect();
            let dns = if config.dns.is_some() { vec![config.gateway_address] } else { Vec::new() };
            let network = Network {
                subnet: config.subnet,
                server: config.gateway_address,
                router: config.gateway.then_some(config.gateway_address),
                dns,
                mtu: config.mtu,
                reserved,
            };
            DhcpServer::new(dhcp, network)
        });
        let mut secret = [0; 16];
        secret.copy_from_slice(&seed[..16]);
        Self {
            switch: Switch::new(config.gateway_mac, hash.clone()),
            neighbors: Map::with_hasher(hash.clone()),
            flows: Flows::new(hash.clone(), Seeded::new(&secret)),
            config,
            drops: Drops::default(),
            reassembly: Reassembly::default(),
            events: VecDeque::new(),
            resolving: BTreeMap::new(),
            dhcp,
            queries: BTreeMap::new(),
            new_queries: VecDeque::new(),
            next_query: 0,
            streams: BTreeMap::new(),
            stream_events: VecDeque::new(),
            wall_clock: None,
            next_id: 0,
            icmp_errors: icmp::Budget::default(),
            pausing: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    /// Opens a port.
    pub fn open_port(&mut self, config: PortConfig) -> PortId {
        self.switch.open(config)
    }

    /// Closes a port: its MACs are forgotten at once, and its guests' flows are reset.
    pub fn close_port(&mut self, now: Instant, port: PortId) {
        self.close_flows_of(now, port);
        self.neighbors.retain(|_, guest| guest.port != port);
        self.pausing.remove(&port);
        self.switch.close(port);
    }

    /// Takes a frame that arrived on a port, without FCS. Bad frames are counted, never an error.
    pub fn handle_frame(&mut self, now: Instant, port: PortId, frame: &[u8]) {
        self.pausing.remove(&port);
        match self.switch.handle(now, port, frame, &mut self.drops) {
            Verdict::Done => {}
            Verdict::Stack => self.handle_in_stack(now, port, frame),
            Verdict::TooBig(mtu) => self.report_too_big(now, port, frame, mtu),
        }
        self.serve_streams(now);
    }

    /// Acts on deadlines that have passed. Too early or too often is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.reassembly.handle_timeout(now, &mut self.drops);
        self.ask_again(now);
        self.give_up_queries(now);
        let over: Vec<PortId> =
            self.pausing.iter().filter(|(_, at)| **at <= now).map(|(port, _)| *port).collect();
        for id in over {
            self.pausing.remove(&id);
            if let Some(port) = self.switch.port_mut(id) {
                port.credit = port.config.burst.unwrap_or(u16::MAX);
                self.switch.list(id);
            }
        }
        while let Some(slot) = self.flows.due(now) {
            self.flow_timeout(now, slot);
        }
        self.serve_streams(now);
    }

    /// The next deadline, with its reason, or `None` if the machine waits for nothing.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<(Instant, &'static str)> {
        let flow = self.flows.poll_timeout();
        let fragments = self.reassembly.poll_timeout().map(|at| (at, "fragments"));
        let arp = self.resolving.values().map(|question| question.again).min().map(|at| (at, "arp"));
        let dns = self.queries.values().map(|query| query.deadline).min().map(|at| (at, "dns answer"));
        let burst = self.pausing.values().min().map(|at| (*at, "burst"));
        [flow, fragments, arp, dns, burst].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// A port that has frames to send. It is given once, until it was drained and has frames again; poll after every other call.
    #[must_use]
    pub fn poll_port(&mut self, _now: Instant) -> Option<PortId> {
        self.switch.poll_port()
    }

    /// The next frame for a port, valid until the next call; the frame is then done with.
    ///
    /// As frames leave, flows that waited for room in the port's queue produce more: a port that reads slowly slows its flows.
    #[must_use]
    pub fn poll_frame(&mut self, now: Instant, port: PortId) -> Option<&[u8]> {
        if let Some(frame) = self.switch.pop(port) {
            self.out = frame;
            return Some(&self.out);
        }
        if self.next_segment(now, port) {
            return Some(&self.out);
        }
        self.switch.drained(port);
        None
    }

    /// What happened to flows.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Data { id, .. } = event {
            // Bytes that came while the event waited are told with it.
            let bytes = self.flows.get_mut(id).map_or(0, |flow| {
                flow.data_told = false;
                std::mem::take(&mut flow.fresh_bytes)
            });
            return Some(Event::Data { id, bytes });
        }
        Some(event)
    }

    /// A DNS query for the outside.
    #[must_use]
    pub fn poll_query(&mut self) -> Option<Query> {
        self.new_queries.pop_front()
    }

    /// Tells the time of day for NTP: microseconds since the Unix epoch at `now`.
    pub fn set_wall_clock(&mut self, now: Instant, unix_us: u64) {
        self.wall_clock = Some((now, unix_us));
    }

    /// Drops by reason since the LAN began.
    #[must_use]
    pub fn drops(&self) -> &Drops {
        &self.drops
    }

    /// How many flows there are.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// The policy, for egress that asks again about each address it is about to dial.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.config.policy
    }

    /// Where a MAC address was last seen.
    #[must_use]
    pub fn port_of(&self, mac: MacAddr) -> Option<PortId> {
        self.switch.port_of(mac)
    }

    /// The guest that last used an address, learnt from its traffic.
    #[must_use]
    pub fn guest_of(&self, address: IpAddr) -> Option<Guest> {
        match address {
            IpAddr::V4(address) => self.neighbors.get(&address).copied(),
            IpAddr::V6(_) => None,
        }
    }

    /// What a flow is: protocol, guest's address, dialled address.
    #[must_use]
    pub fn describe(&self, id: FlowId) -> Option<(Protocol, SocketAddr, SocketAddr)> {
        self.flows.get(id).map(|flow| (flow.key.protocol, flow.key.guest(), flow.key.target()))
    }

    /// Whether the machine itself answers for an address.
    fn is_ours(&self, address: Ipv4Addr) -> bool {
        address == self.config.gateway_address || self.config.virtual_addresses.contains(&address)
    }

    fn is_trusted(&self, port: PortId) -> bool {
        self.switch.port(port).is_some_and(|port| port.config.trusted)
    }

    fn learn(&mut self, address: Ipv4Addr, guest: Guest) {
        if self.neighbors.get(&address) == Some(&guest) {
            return;
        }
        if self.config.subnet.contains(address)
            && !self.is_ours(address)
            && self.neighbors.len() < MAX_NEIGHBORS
        {
            self.neighbors.insert(address, guest);
            self.resolved(address, guest);
        }
    }
}
