//! A LAN: the switch and the stack joined by an internal port. This is the machine that the outside drives.
//!
//! One way in (`handle_*` and the flow commands), one way out (`poll_*`), one deadline ([`Lan::poll_timeout`]). After any call of the
//! first kind, drain `poll_event`, `poll_query` and, for each port of `poll_port`, its frames. A missed drain makes the machine
//! slower, never wrong.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::addr::{Ipv4Net, MacAddr};
use crate::counters::Drops;
use crate::flow::{Event, FlowId, Guest, Protocol, Refusal};
use crate::policy::Policy;
use crate::port::{PortConfig, PortId};
use crate::service::dhcp::DhcpConfig;
use crate::service::dns::DnsConfig;
use crate::time::{Duration, Instant};

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

/// A LAN of guests: see the module's documentation.
pub struct Lan {}

#[allow(unused_variables, clippy::todo)]
impl Lan {
    /// A LAN without ports. `seed` must be secret and fresh, since sequence numbers, ports and hash keys come from it.
    #[must_use]
    pub fn new(config: LanConfig, seed: [u8; 32]) -> Self {
        todo!()
    }

    /// Opens a port.
    pub fn open_port(&mut self, config: PortConfig) -> PortId {
        todo!()
    }

    /// Closes a port: its MACs are forgotten at once, and its guests' flows are reset.
    pub fn close_port(&mut self, now: Instant, port: PortId) {
        todo!()
    }

    /// Takes a frame that arrived on a port, without FCS. Bad frames are counted, never an error.
    pub fn handle_frame(&mut self, now: Instant, port: PortId, frame: &[u8]) {
        todo!()
    }

    /// Acts on deadlines that have passed. Too early or too often is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// The next deadline, with its reason, or `None` if the machine waits for nothing.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<(Instant, &'static str)> {
        todo!()
    }

    /// A port that has frames to send. It is given once, until it was drained and has frames again; poll after every other call.
    #[must_use]
    pub fn poll_port(&mut self, now: Instant) -> Option<PortId> {
        todo!()
    }

    /// The next frame for a port, valid until the next call; the frame is then done with.
    ///
    /// As frames leave, flows that waited for room in the port's queue produce more: a port that reads slowly slows its flows.
    #[must_use]
    pub fn poll_frame(&mut self, now: Instant, port: PortId) -> Option<&[u8]> {
        todo!()
    }

    /// What happened to flows.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// A DNS query for the outside.
    #[must_use]
    pub fn poll_query(&mut self) -> Option<Query> {
        todo!()
    }

    /// The answer to a query: a DNS message, or `None` if there is none (the guest gets SERVFAIL). Late and repeated answers are ignored.
    pub fn handle_answer(&mut self, now: Instant, id: QueryId, answer: Option<&[u8]>) {
        todo!()
    }

    /// Tells the time of day for NTP: microseconds since the Unix epoch at `now`.
    pub fn set_wall_clock(&mut self, now: Instant, unix_us: u64) {
        todo!()
    }

    /// Accepts a flow: the target has answered. TCP sends SYN-ACK; UDP and ping were accepted by their first datagram already.
    pub fn accept(&mut self, now: Instant, id: FlowId) {
        todo!()
    }

    /// Accepts a TCP flow before its target has answered, because the guest's first bytes are needed to choose it.
    pub fn accept_early(&mut self, now: Instant, id: FlowId) {
        todo!()
    }

    /// Refuses a flow that was not accepted yet, or ends a UDP or ping flow; its id is void. An accepted TCP flow is reset.
    pub fn refuse(&mut self, now: Instant, id: FlowId, why: Refusal) {
        todo!()
    }

    /// The received bytes that were not taken yet: two parts of a ring for TCP; the first datagram, and an empty part, for UDP and ping.
    #[must_use]
    pub fn peek(&self, id: FlowId) -> [&[u8]; 2] {
        todo!()
    }

    /// The outside has moved `n` bytes: they are gone and the window opens by as much. For UDP and ping: the first datagram is done with.
    pub fn take(&mut self, now: Instant, id: FlowId, n: usize) {
        todo!()
    }

    /// How many bytes `write` would take now; for UDP and ping the largest datagram.
    #[must_use]
    pub fn room(&self, id: FlowId) -> usize {
        todo!()
    }

    /// Sends bytes to the guest; returns how many were taken. When fewer than given, [`Event::Writable`] follows once there is room.
    /// UDP and ping take one datagram, or none of it.
    pub fn write(&mut self, now: Instant, id: FlowId, bytes: &[u8]) -> usize {
        todo!()
    }

    /// Sends no more after what was written: half-close.
    pub fn fin(&mut self, now: Instant, id: FlowId) {
        todo!()
    }

    /// Ends the flow at once: TCP sends RST. The id is void and no event follows.
    pub fn reset(&mut self, now: Instant, id: FlowId) {
        todo!()
    }

    /// Opens a TCP connection to a guest, from the gateway's address. [`Event::Established`] or [`Event::Reset`] follows.
    ///
    /// # Errors
    /// [`ConnectError`] if the target is not on this LAN or no local port is free.
    pub fn connect(&mut self, now: Instant, target: SocketAddr) -> Result<FlowId, ConnectError> {
        todo!()
    }

    /// Drops by reason since the LAN began.
    #[must_use]
    pub fn drops(&self) -> &Drops {
        todo!()
    }

    /// How many flows there are.
    #[must_use]
    pub fn flows(&self) -> usize {
        todo!()
    }

    /// The policy, for egress that asks again about each address it is about to dial.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        todo!()
    }

    /// Where a MAC address was last seen.
    #[must_use]
    pub fn port_of(&self, mac: MacAddr) -> Option<PortId> {
        todo!()
    }

    /// The guest that last used an address, learnt from its traffic.
    #[must_use]
    pub fn guest_of(&self, address: IpAddr) -> Option<Guest> {
        todo!()
    }

    /// What a flow is: protocol, guest's address, dialled address.
    #[must_use]
    pub fn describe(&self, id: FlowId) -> Option<(Protocol, SocketAddr, SocketAddr)> {
        todo!()
    }
}
