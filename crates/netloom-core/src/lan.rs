//! A LAN: the switch and the stack joined by an internal port. This is the machine that the outside drives.
//!
//! One way in (`handle_*` and the flow commands), one way out (`poll_*`), one deadline ([`Lan::poll_timeout`]). After any call of the
//! first kind, drain `poll_event`, `poll_query` and, for each port of `poll_port`, its frames. A missed drain makes the machine
//! slower, never wrong.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::addr::MacAddr;
use crate::config::LanConfig;
use crate::counters::Drops;
use crate::flow::{Event, FlowId, Guest, Protocol, Refusal};
use crate::offload::Offload;
use crate::policy::Policy;
use crate::port::{MAX_FRAME_BYTES, PortConfig, PortId};
use crate::service::dhcp::Lease;
use crate::stack::{ConnectError, Denial, Gateway, Neighbor, Query, QueryId, Stack, StreamOptions};
use crate::switch::{Switch, switch_seed};
use crate::time::Instant;
use crate::translate::Translation;

/// A LAN of guests: see the module's documentation.
pub struct Lan {
    switch: Switch,
    stack: Stack<Gateway>,
    /// Whether the stack's frame goes before the switch's the next time that a port has both.
    stack_first: bool,
    /// By port.
    translations: Vec<Option<Translation>>,
    /// The last frame that was translated.
    translated: Vec<u8>,
}

impl Lan {
    /// A LAN without ports. `seed` must be secret and fresh, since sequence numbers, ports and hash keys come from it.
    #[must_use]
    pub fn new(config: LanConfig, seed: [u8; 32]) -> Self {
        Self {
            switch: Switch::new(config.gateway_mac, switch_seed(seed)),
            stack: Stack::new(config, seed),
            stack_first: false,
            translations: Vec::new(),
            translated: Vec::new(),
        }
    }

    /// Opens a port.
    pub fn open_port(&mut self, config: PortConfig) -> PortId {
        let port = self.switch.open_port(config);
        self.stack.open_port(port, config);
        port
    }

    /// Closes a port: its MACs are forgotten at once, and its guests' flows are reset.
    pub fn close_port(&mut self, port: PortId) {
        self.translate(port, None);
        self.stack.close_port(port);
        self.switch.close_port(port);
    }

    /// See [`Stack::set_port_policy`].
    pub fn set_port_policy(&mut self, port: PortId, policy: Option<Policy>) {
        self.stack.set_port_policy(port, policy);
    }

    /// Drops the frames that wait for a port whose guest is away, counted as stale. What flows have to send stays: their segments are
    /// written when the port is polled again.
    pub fn discard_waiting(&mut self, port: PortId) {
        self.switch.discard_waiting(port);
        self.stack.discard_waiting(port);
    }

    /// See [`Switch::hold_macs`].
    pub fn hold_macs(&mut self, port: PortId, is_held: bool) {
        self.switch.hold_macs(port, is_held);
    }

    /// See [`Stack::path_restored`].
    pub fn path_restored(&mut self, now: Instant, port: PortId) {
        self.stack.path_restored(now, port);
    }

    /// Whether any MAC address is behind a port.
    #[must_use]
    pub fn has_guests(&self, port: PortId) -> bool {
        self.switch.has_macs(port)
    }

    /// See [`Stack::ask`].
    pub fn ask(&mut self, guest: Guest, by: PortId) {
        self.stack.ask(guest, by);
    }

    /// Has the guest of a port known by another MAC address than the one that it believes in, which is learnt from its frames: the last source
    /// that is another. `None` ends that. What the guest says of itself by ARP, neighbour discovery, DHCP and DHCPv6 is rewritten too; addresses
    /// of IPv6 that were formed from its own stay.
    pub fn translate(&mut self, port: PortId, outer: Option<MacAddr>) {
        if outer.is_some() && port.index() >= self.translations.len() {
            self.translations.resize(port.index() + 1, None);
        }
        if let Some(translation) = self.translations.get_mut(port.index()) {
            *translation = outer.map(Translation::new);
        }
    }

    /// See [`Switch::limit_broadcast`].
    pub fn limit_broadcast(&mut self, port: PortId, frames_per_s: u32) {
        self.switch.limit_broadcast(port, frames_per_s);
    }

    /// Takes a frame that arrived on a port, without FCS. Bad frames are counted, never an error.
    pub fn handle_frame(&mut self, now: Instant, port: PortId, frame: &[u8]) {
        self.pass(now, port, frame, Offload::default());
    }

    /// Takes a frame in which something is left to do, of a port with [`PortConfig::offloads`].
    pub fn handle_offloaded(&mut self, now: Instant, port: PortId, frame: &[u8], offload: Offload) {
        if !matches!(self.translations.get(port.index()), Some(Some(_))) {
            return self.pass(now, port, frame, offload);
        }
        let mut completed = Vec::new();
        offload.complete(frame, &mut completed, |frame| self.pass(now, port, frame, Offload::default()));
    }

    #[inline]
    fn pass(&mut self, now: Instant, port: PortId, frame: &[u8], offload: Offload) {
        let Self { switch, stack, translations, translated, .. } = self;
        let mut frame = frame;
        if let Some(Some(translation)) = translations.get_mut(port.index()) {
            translated.clear();
            translated.extend_from_slice(&frame[..frame.len().min(MAX_FRAME_BYTES + 1)]);
            translation.outward(translated);
            frame = translated;
        }
        stack.heard(port);
        let left = switch.handle_offloaded(now, port, frame, offload);
        stack.handle_forwarded(now, port, frame, offload, left);
    }

    /// Acts on deadlines that have passed. Too early or too often is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
    }

    /// See [`Stack::handle_turn`].
    pub fn handle_turn(&mut self, now: Instant) {
        self.stack.handle_turn(now);
    }

    /// The next deadline, with its reason, or `None` if the machine waits for nothing.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<(Instant, &'static str)> {
        self.stack.poll_timeout()
    }

    /// A port that has frames to send. It is given once, until it was drained and has frames again; poll after every other call.
    #[must_use]
    pub fn poll_port(&mut self) -> Option<PortId> {
        self.switch.poll_port().or_else(|| self.stack.poll_port())
    }

    /// The next frame for a port, valid until the next call; the frame is then done with.
    ///
    /// As frames leave, flows that waited for room in the port's queue produce more: a port that reads slowly slows its flows.
    #[must_use]
    pub fn poll_frame(&mut self, now: Instant, port: PortId) -> Option<&[u8]> {
        self.stack_first = !self.stack_first;
        let Self { switch, stack, stack_first, translations, translated } = self;
        let frame = if *stack_first {
            stack.poll_frame(now, port).or_else(|| switch.poll_frame(port))
        } else {
            switch.poll_frame(port).or_else(|| stack.poll_frame(now, port))
        };
        let Some(Some(translation)) = translations.get(port.index()) else { return frame };
        translated.clear();
        translated.extend_from_slice(frame?);
        translation.inward(translated);
        Some(translated)
    }

    /// The same with what is left to do in it, for a port with [`PortConfig::offloads`].
    #[must_use]
    pub fn poll_offloaded(&mut self, now: Instant, port: PortId) -> Option<(&[u8], Offload)> {
        self.stack_first = !self.stack_first;
        let Self { switch, stack, stack_first, .. } = self;
        if *stack_first {
            stack.poll_offloaded(now, port).or_else(|| switch.poll_offloaded(port))
        } else {
            switch.poll_offloaded(port).or_else(|| stack.poll_offloaded(now, port))
        }
    }

    /// What happened to flows.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.stack.poll_event()
    }

    /// A DNS query for the outside.
    #[must_use]
    pub fn poll_query(&mut self) -> Option<Query> {
        self.stack.poll_query()
    }

    /// See [`Stack::query`].
    #[must_use]
    pub fn query(&self, id: QueryId) -> Option<(Guest, &[u8])> {
        self.stack.query(id)
    }

    /// See [`Stack::handle_answer`].
    pub fn handle_answer(&mut self, now: Instant, id: QueryId, answer: Option<&[u8]>) {
        self.stack.handle_answer(now, id, answer);
    }

    /// See [`Stack::accept`].
    pub fn accept(&mut self, now: Instant, id: FlowId) {
        self.stack.accept(now, id);
    }

    /// See [`Stack::accept_early`].
    pub fn accept_early(&mut self, now: Instant, id: FlowId) {
        self.stack.accept_early(now, id);
    }

    /// See [`Stack::refuse`].
    pub fn refuse(&mut self, now: Instant, id: FlowId, why: Refusal) {
        self.stack.refuse(now, id, why);
    }

    /// See [`Stack::peek`].
    #[must_use]
    pub fn peek(&self, id: FlowId) -> [&[u8]; 2] {
        self.stack.peek(id)
    }

    /// See [`Stack::peek_datagram`].
    #[must_use]
    pub fn peek_datagram(&self, id: FlowId) -> Option<&[u8]> {
        self.stack.peek_datagram(id)
    }

    /// See [`Stack::take`].
    pub fn take(&mut self, now: Instant, id: FlowId, n: usize) {
        self.stack.take(now, id, n);
    }

    /// See [`Stack::room`].
    #[must_use]
    pub fn room(&self, id: FlowId) -> usize {
        self.stack.room(id)
    }

    /// See [`Stack::write`].
    pub fn write(&mut self, now: Instant, id: FlowId, bytes: &[u8]) -> usize {
        self.stack.write(now, id, bytes)
    }

    /// See [`Stack::fin`].
    pub fn fin(&mut self, now: Instant, id: FlowId) {
        self.stack.fin(now, id);
    }

    /// See [`Stack::close`].
    pub fn close(&mut self, now: Instant, id: FlowId) {
        self.stack.close(now, id);
    }

    /// See [`Stack::set_options`].
    pub fn set_options(&mut self, now: Instant, id: FlowId, options: StreamOptions) {
        self.stack.set_options(now, id, options);
    }

    /// See [`Stack::reset`].
    pub fn reset(&mut self, id: FlowId) {
        self.stack.reset(id);
    }

    /// See [`Stack::connect`].
    ///
    /// # Errors
    /// [`ConnectError`] if the target is not on this LAN or no local port is free.
    pub fn connect(&mut self, now: Instant, target: SocketAddr) -> Result<FlowId, ConnectError> {
        self.stack.connect(now, target)
    }

    /// See [`Stack::connect_from`].
    ///
    /// # Errors
    /// [`ConnectError`]: what keeps the connection from being opened.
    pub fn connect_from(
        &mut self,
        now: Instant,
        source: SocketAddr,
        target: SocketAddr,
    ) -> Result<FlowId, ConnectError> {
        self.stack.connect_from(now, source, target)
    }

    /// See [`Stack::open_datagrams`].
    ///
    /// # Errors
    /// [`ConnectError`]: what keeps the flow from being opened.
    pub fn open_datagrams(
        &mut self,
        now: Instant,
        source: Option<SocketAddr>,
        target: SocketAddr,
    ) -> Result<FlowId, ConnectError> {
        self.stack.open_datagrams(now, source, target)
    }

    /// Tells the time of day for NTP: microseconds since the Unix epoch at `now`.
    pub fn set_wall_clock(&mut self, now: Instant, unix_us: u64) {
        self.stack.set_wall_clock(now, unix_us);
    }

    /// Drops by reason since the LAN began.
    #[must_use]
    pub fn drops(&self) -> Drops {
        self.switch.drops().clone().and(self.stack.drops())
    }

    /// See [`Stack::poll_denial`].
    #[must_use]
    pub fn poll_denial(&mut self) -> Option<Denial> {
        self.stack.poll_denial()
    }

    /// See [`Stack::names_of`].
    pub fn names_of(&self, now: Instant, guest: Guest, address: IpAddr) -> impl Iterator<Item = &str> {
        self.stack.names_of(now, guest, address)
    }

    /// How many flows there are.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.stack.flows()
    }

    /// The policy, for egress that asks again about each address it is about to dial.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        self.stack.policy()
    }

    /// See [`Stack::flow_ids`].
    pub fn flow_ids(&self) -> impl Iterator<Item = FlowId> {
        self.stack.flow_ids()
    }

    /// See [`Switch::macs`].
    pub fn macs(&self) -> impl Iterator<Item = (MacAddr, PortId, Instant)> {
        self.switch.macs()
    }

    /// See [`Stack::leases`].
    pub fn leases(&self, now: Instant) -> impl Iterator<Item = &Lease> {
        self.stack.leases(now)
    }

    /// See [`Stack::dns_records`].
    #[must_use]
    pub fn dns_records(&self) -> &[(String, Vec<IpAddr>)] {
        self.stack.dns_records()
    }

    /// See [`Stack::set_dns_records`].
    pub fn set_dns_records(&mut self, records: Vec<(String, Vec<IpAddr>)>) {
        self.stack.set_dns_records(records);
    }

    /// See [`Stack::set_policy`].
    pub fn set_policy(&mut self, policy: Policy) {
        self.stack.set_policy(policy);
    }

    /// See [`Stack::set_fixed_leases`].
    pub fn set_fixed_leases(&mut self, fixed: Vec<(MacAddr, Ipv4Addr)>) {
        self.stack.set_fixed_leases(fixed);
    }

    /// The port that a MAC address belongs to.
    #[must_use]
    pub fn port_of(&self, mac: MacAddr) -> Option<PortId> {
        self.switch.port_of(mac)
    }

    /// The guest that last used an address, learnt from its traffic.
    #[must_use]
    pub fn guest_of(&self, address: IpAddr) -> Option<Guest> {
        self.stack.guest_of(address)
    }

    /// The addresses of guests, and by whom they are used: those learnt from traffic, in order, then leases that were not used yet.
    pub fn neighbors(&self, now: Instant) -> impl Iterator<Item = Neighbor<'_>> {
        let leases = self.stack.leases(now).filter_map(|lease| {
            let address = lease.address.into();
            let guest = Guest { port: self.switch.port_of(lease.mac)?, mac: lease.mac };
            let unused = self.stack.guest_of(address).is_none();
            unused.then_some(Neighbor { guest, address, name: lease.name.as_deref(), heard: 0 })
        });
        self.stack.neighbors(now).chain(leases)
    }

    /// See [`Stack::neighbors_age`].
    #[must_use]
    pub const fn neighbors_age(&self) -> u64 {
        self.stack.neighbors_age()
    }

    /// The guest of a flow; `None` while it is looked for.
    #[must_use]
    pub fn guest_of_flow(&self, id: FlowId) -> Option<Guest> {
        self.stack.guest_of_flow(id)
    }

    /// The far end of a flow, as the guest sees it, and the guest's own.
    #[must_use]
    pub fn ends(&self, id: FlowId) -> Option<(SocketAddr, SocketAddr)> {
        self.stack.ends(id)
    }

    /// What a flow is: protocol, guest's address, dialled address.
    #[must_use]
    pub fn describe(&self, id: FlowId) -> Option<(Protocol, SocketAddr, SocketAddr)> {
        self.stack.describe(id)
    }
}
