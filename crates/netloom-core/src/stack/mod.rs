//! The stack: what the machine itself says and answers on a LAN, behind the switch. ARP and neighbour discovery, IPv4 and IPv6, ICMP, UDP,
//! TCP, the flows and the services.
//!
//! Frames that the switch has for it come in by [`Stack::handle_frame`], each with the port that it came from; what the stack sends waits
//! by port. The stack learns from frames alone who is where.

mod addresses;
mod arp;
mod commands;
mod connect;
mod datagram;
mod errors;
mod flows;
pub mod host;
mod icmp;
mod ip;
mod ipv4;
mod ipv6;
mod judge;
mod link;
mod names;
mod ndp;
mod neighbors;
mod reassembly;
mod recent;
mod resolve;
mod router;
mod services;
mod streams;
mod tcp;
mod train;

use core::marker::PhantomData;
use core::net::{IpAddr, Ipv4Addr};
use std::collections::VecDeque;

pub use commands::StreamOptions;
pub use connect::ConnectError;
pub use judge::Denial;
pub use neighbors::Neighbor;
pub use services::{Query, QueryId};

use crate::addr::MacAddr;
use crate::config::LanConfig;
use crate::counters::Drops;
use crate::flow::{Event, FlowId};
use crate::hash::Seeded;
use crate::offload::Offload;
use crate::policy::Policy;
use crate::port::PortId;
use crate::queue::Chunks;
use crate::service::dhcp::{DhcpServer, Network};
use crate::sorted::SortedMap;
use crate::time::{Duration, Instant};
use crate::turns::Turns;
use flows::Flows;
use host::Hosted;
use link::Link;
use names::Names;
use neighbors::{Neighbors, Place};
use reassembly::Reassembly;
use router::Advertiser;
use services::PendingQuery;

/// Silence after which a guest is asked whether its connection still stands (RFC 9293 3.8.4: not less than two hours).
const KEEPALIVE: Duration = Duration::from_secs(7200);

/// What a stack is: known when it is compiled, so that a module has the code of what it is alone.
pub trait Role {
    /// Whether it is a host's, with interfaces and sockets of its own, or a LAN's gateway with its services.
    const IS_HOST: bool;
}

/// The role of a LAN's gateway.
#[derive(Clone, Copy, Debug)]
pub struct Gateway;

/// The role of a host.
#[derive(Clone, Copy, Debug)]
pub struct End;

impl Role for Gateway {
    const IS_HOST: bool = false;
}

impl Role for End {
    const IS_HOST: bool = true;
}

/// The gateway of a LAN, its services, and the flows of its guests; or a host on its interfaces.
pub struct Stack<R> {
    role: PhantomData<R>,
    config: LanConfig,
    drops: Drops,
    links: Vec<Option<Link>>,
    turns: Turns,
    chunks: Chunks,
    /// The segment that left last.
    segment: Vec<u8>,
    /// What is left to do in it.
    segment_offload: Offload,
    /// The last datagram that was cut from a larger one.
    datagram: Vec<u8>,
    neighbors: Neighbors,
    reassembly: Reassembly,
    flows: Flows,
    /// The slot of the TCP flow that the frame at hand was for.
    heard_flow: Option<u32>,
    events: VecDeque<Event>,
    resolving: SortedMap<Place, resolve::Question>,
    names: Names,
    denials: VecDeque<Denial>,
    /// Policies of ports that have their own.
    policies: SortedMap<PortId, Policy>,
    dhcp: Option<DhcpServer>,
    queries: SortedMap<u64, PendingQuery>,
    new_queries: VecDeque<Query>,
    next_query: u64,
    streams: SortedMap<FlowId, streams::Stream>,
    stream_events: VecDeque<Event>,
    /// Microseconds since the Unix epoch at an instant.
    wall_clock: Option<(Instant, u64)>,
    next_id: u32,
    icmp_errors: errors::Budget,
    advertiser: Advertiser,
    /// Ports that wait for their guest.
    pausing: SortedMap<PortId, Instant>,
    /// What a host has in place of a LAN.
    host: Option<Box<Hosted>>,
}

/// The keys of hash tables, and of what nobody may guess.
fn keys(seed: [u8; 32]) -> (Seeded, Seeded) {
    let (mut hash, mut secret) = ([0; 16], [0; 16]);
    hash.copy_from_slice(&seed[16..]);
    secret.copy_from_slice(&seed[..16]);
    (Seeded::new(&hash), Seeded::new(&secret))
}

impl Stack<Gateway> {
    /// A gateway without ports. `seed` must be secret and fresh, since sequence numbers, ports and hash keys come from it.
    #[must_use]
    pub fn new(config: LanConfig, seed: [u8; 32]) -> Self {
        let (hash, secret) = keys(seed);
        let dhcp = config.dhcp.clone().map(|dhcp| {
            let virtual_addresses = config.virtual_addresses.iter().filter_map(|address| match address {
                IpAddr::V4(v4) => Some(*v4),
                IpAddr::V6(_) => None,
            });
            let reserved = virtual_addresses.chain([config.gateway_address]).collect();
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
        Self { dhcp, ..Self::assemble(config, hash, secret) }
    }
}

impl Stack<End> {
    /// A host without interfaces. `config` is that of a LAN which offers nothing.
    pub(crate) fn of_host(config: LanConfig, forwards: bool, seed: [u8; 32]) -> Self {
        let (hash, secret) = keys(seed);
        let host = Some(Box::new(Hosted::new(forwards, &secret)));
        Self { host, ..Self::assemble(config, hash, secret) }
    }
}

impl<R: Role> Stack<R> {
    fn assemble(config: LanConfig, hash: Seeded, secret: Seeded) -> Self {
        Self {
            role: PhantomData,
            links: Vec::new(),
            turns: Turns::default(),
            chunks: Chunks::default(),
            segment: Vec::new(),
            segment_offload: Offload::default(),
            datagram: Vec::new(),
            neighbors: Neighbors::default(),
            config,
            drops: Drops::default(),
            reassembly: Reassembly::default(),
            events: VecDeque::new(),
            resolving: SortedMap::default(),
            names: Names::default(),
            denials: VecDeque::new(),
            policies: SortedMap::default(),
            dhcp: None,
            queries: SortedMap::default(),
            new_queries: VecDeque::new(),
            next_query: 0,
            streams: SortedMap::default(),
            stream_events: VecDeque::new(),
            wall_clock: None,
            next_id: 0,
            icmp_errors: errors::Budget::default(),
            advertiser: Advertiser::new(secret.clone()),
            pausing: SortedMap::default(),
            host: None,
            heard_flow: None,
            flows: Flows::new(hash, secret),
        }
    }

    /// Acts on deadlines that have passed. Too early or too often is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.end_pauses(now);
        self.handle_turn(now);
    }

    /// As [`Self::handle_timeout`], where guests may not have had their turn since the last one, as in a page that runs them in the same thread:
    /// a port with a small ring goes on waiting for its guest, however late it is.
    pub fn handle_turn(&mut self, now: Instant) {
        self.give_up_fragments(now);
        self.ask_again(now);
        if !R::IS_HOST {
            self.give_up_queries(now);
            self.advertise(now);
        }
        while let Some(slot) = self.flows.due(now) {
            self.flow_timeout(now, slot);
        }
        if !R::IS_HOST {
            self.serve_streams(now);
        }
    }

    /// The next deadline, with its reason, or `None` if the stack waits for nothing.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<(Instant, &'static str)> {
        let flow = self.flows.poll_timeout();
        let fragments = self.reassembly.poll_timeout().map(|at| (at, "fragments"));
        let neighbor = self.resolving.values().map(|question| question.again).min();
        let neighbor = neighbor.map(|at| (at, "neighbour"));
        let router = self.advertiser.next.map(|at| (at, "router advertisement"));
        let dns = self.queries.values().map(|query| query.deadline).min().map(|at| (at, "dns answer"));
        let burst = self.pausing.values().min().map(|at| (*at, "burst"));
        [flow, fragments, neighbor, router, dns, burst].into_iter().flatten().min_by_key(|(at, _)| *at)
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

    /// Tells the time of day for NTP: microseconds since the Unix epoch at `now`.
    pub fn set_wall_clock(&mut self, now: Instant, unix_us: u64) {
        self.wall_clock = Some((now, unix_us));
    }

    /// Drops by reason.
    #[must_use]
    pub const fn drops(&self) -> &Drops {
        &self.drops
    }

    /// How many flows there are.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// The policy, for egress that asks again about each address it is about to dial.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.config.policy
    }

    /// Judges by another policy from now on. Flows that are open stay.
    pub fn set_policy(&mut self, policy: Policy) {
        self.config.policy = policy;
    }

    /// Leases these addresses to these clients from now on, and to nobody else. Who holds another address keeps it until its lease is renewed.
    pub fn set_fixed_leases(&mut self, fixed: Vec<(MacAddr, Ipv4Addr)>) {
        if let Some(server) = &mut self.dhcp {
            server.set_fixed(fixed);
        }
    }
}
