//! A host: the machine as an end of its own on several networks, with sockets, listeners, routes and bridges. It is what a program in the
//! page sits on, where a [`Lan`](crate::Lan) is what guests sit on.
//!
//! One way in (`handle_*` and the commands), one way out (`poll_*`), one deadline ([`Host::poll_timeout`]). After any call of the first
//! kind, drain [`Host::poll_event`] and, for each interface of [`Host::poll_interface`], its frames; and let [`Host::run_loopback`] carry
//! what the host sends to itself. A missed drain makes the machine slower, never wrong.

use core::net::{Ipv4Addr, SocketAddr};
use std::collections::VecDeque;

use crate::addr::{IpNet, Ipv4Net, MacAddr};
use crate::config::{LanConfig, Limits};
use crate::counters::{Drop, Drops};
use crate::flow::{FlowId, ListenerId, SocketId};
use crate::interface::{InterfaceConfig, InterfaceId, Medium};
use crate::offload::Offload;
use crate::policy::Policy;
use crate::port::{MAX_FRAME_BYTES, MIN_FRAME_BYTES, PortConfig, PortId};
use crate::sorted::SortedMap;
pub use crate::stack::StreamOptions;
pub use crate::stack::host::{BindError, Event, OpenError, Route, RouteError, SendError};
use crate::stack::{End, Stack};
use crate::switch::{Switch, switch_seed};
use crate::tcp::Congestion;
use crate::time::{Duration, Instant};
use crate::wire::ethernet;
use crate::wire::{ipv4, ipv6};

/// What holds for all of a host.
#[derive(Clone, Copy, Debug)]
pub struct HostConfig {
    /// Whether packets for others are sent on (RFC 1122 3.3.1.1: off is what a host does, on makes it a router).
    pub forwarding: bool,
    /// Bytes that all TCP connections may hold and be offered together, both ways; windows shrink as it fills.
    pub buffer_bytes: usize,
    /// Whether TCP timestamps are offered, and used with peers that do (RFC 7323).
    pub timestamps: bool,
    /// How the rate of TCP answers to loss.
    pub congestion: Congestion,
    /// Least TCP retransmission timeout beyond the round trip itself (RFC 6298 2.4).
    pub rto_min: Duration,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            forwarding: true,
            buffer_bytes: 256 << 20,
            timestamps: true,
            congestion: Congestion::Cubic,
            rto_min: Duration::from_millis(200),
        }
    }
}

impl HostConfig {
    /// The stack under a host is a gateway's that has no LAN.
    fn lan(self) -> LanConfig {
        LanConfig {
            subnet: Ipv4Net::new(Ipv4Addr::UNSPECIFIED, 0),
            gateway_address: Ipv4Addr::UNSPECIFIED,
            gateway_mac: MacAddr::default(),
            gateway: false,
            virtual_addresses: Vec::new(),
            ipv6: None,
            mtu: u16::MAX,
            dhcp: None,
            dns: None,
            ntp: false,
            echo_ports: Vec::new(),
            answer_all_pings: false,
            own_flows: false,
            nagle: false,
            timestamps: self.timestamps,
            congestion: self.congestion,
            rto_min: self.rto_min,
            policy: Policy::default(),
            limits: Limits {
                flows_per_guest: usize::MAX,
                pending_dials_per_guest: usize::MAX,
                dial_timeout: Duration::from_secs(180),
                receive_buffer_bytes: 4 << 20,
                send_buffer_bytes: 4 << 20,
                lan_buffer_bytes: self.buffer_bytes,
                udp_idle: Duration::from_secs(120),
                queries_per_guest: 0,
            },
        }
    }
}

/// What an interface has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames that arrived.
    pub frames_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Frames that left.
    pub frames_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
}

struct Interface {
    medium: Medium,
    mac: MacAddr,
    port: PortConfig,
    /// Of a tap: the bridge that it is a port of.
    bridge: Option<InterfaceId>,
    traffic: Traffic,
}

/// See the module's documentation.
pub struct Host {
    stack: Stack<End>,
    interfaces: Vec<Option<Interface>>,
    bridges: SortedMap<InterfaceId, Switch>,
    switch_seed: [u8; 16],
    /// Ports that have frames, of loopback interfaces and of others.
    looping: Vec<PortId>,
    ready: VecDeque<PortId>,
    /// The frame that goes round.
    looped: Vec<u8>,
    /// The interface that it went round by, if the latest run carried any.
    looped_by: Option<InterfaceId>,
    /// Whether the stack's frame goes before a bridge's the next time that a port has both.
    stack_first: bool,
    drops: Drops,
}

impl Host {
    /// A host without interfaces. `seed` must be secret and fresh, since sequence numbers, ports and hash keys come from it.
    #[must_use]
    pub fn new(config: HostConfig, seed: [u8; 32]) -> Self {
        Self {
            stack: Stack::of_host(config.lan(), config.forwarding, seed),
            interfaces: Vec::new(),
            bridges: SortedMap::default(),
            switch_seed: switch_seed(seed),
            looping: Vec::new(),
            ready: VecDeque::new(),
            looped: Vec::new(),
            looped_by: None,
            stack_first: false,
            drops: Drops::default(),
        }
    }

    fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces.get(id.index())?.as_ref()
    }

    fn interface_mut(&mut self, id: InterfaceId) -> Option<&mut Interface> {
        self.interfaces.get_mut(id.index())?.as_mut()
    }

    /// Opens an interface.
    pub fn open_interface(&mut self, config: &InterfaceConfig) -> InterfaceId {
        let index = self.interfaces.iter().position(Option::is_none).unwrap_or_else(|| {
            self.interfaces.push(None);
            self.interfaces.len() - 1
        });
        let id = InterfaceId(index as u32);
        let medium = config.medium;
        let mac = if medium.is_ethernet() { config.mac } else { MacAddr::default() };
        let port = match medium {
            // What comes back needs neither checksums nor cutting.
            Medium::Loopback => PortConfig { large_segments: true, trusted: true, ..config.port },
            Medium::Tun | Medium::Tap | Medium::Bridge => config.port,
        };
        // Its frames are polled whole.
        let port = PortConfig { offloads: false, ..port };
        self.interfaces[index] =
            Some(Interface { medium, mac, port, bridge: None, traffic: Traffic::default() });
        if medium == Medium::Bridge {
            self.bridges.insert(id, Switch::new(mac, self.switch_seed));
        }
        self.stack.open_interface(id, &InterfaceConfig { port, mac, ..config.clone() });
        id
    }

    /// Closes an interface: connections from its addresses or through it are reset, its routes are gone. A bridge's taps are interfaces of
    /// their own again.
    pub fn close_interface(&mut self, id: InterfaceId) {
        let Some(interface) = self.interface(id) else { return };
        if interface.medium == Medium::Bridge {
            let taps: Vec<_> =
                self.ids().filter(|tap| self.interface(*tap).is_some_and(|i| i.bridge == Some(id))).collect();
            for tap in taps {
                self.leave_bridge(tap);
            }
            self.bridges.remove(&id);
        } else {
            self.leave_bridge(id);
        }
        self.looping.retain(|port| port.0 != id.0);
        self.ready.retain(|port| port.0 != id.0);
        self.interfaces[id.index()] = None;
        self.stack.close_interface(id);
    }

    fn ids(&self) -> impl Iterator<Item = InterfaceId> {
        let slots = self.interfaces.iter().enumerate();
        slots.filter(|(_, slot)| slot.is_some()).map(|(index, _)| InterfaceId(index as u32))
    }

    /// Replaces an interface's addresses; connections from those that it loses are reset.
    pub fn set_addresses(&mut self, id: InterfaceId, addresses: &[IpNet]) {
        self.stack.set_addresses(id, addresses);
    }

    /// Makes a tap a port of a bridge, where its own addresses no longer hear anything. False if they are not a bridge and a tap, or the
    /// tap is in a bridge already.
    pub fn join_bridge(&mut self, bridge: InterfaceId, tap: InterfaceId) -> bool {
        let free = self.interface(tap).is_some_and(|i| i.medium == Medium::Tap && i.bridge.is_none());
        let Some(switch) = self.bridges.get_mut(&bridge).filter(|_| free) else { return false };
        let Some(Some(interface)) = self.interfaces.get_mut(tap.index()) else { return false };
        interface.bridge = Some(bridge);
        // What the switch passes on to other ports must be fit for them.
        interface.port = PortConfig { large_segments: false, trusted: false, ..interface.port };
        switch.open_port_at(PortId(tap.0), interface.port);
        self.stack.set_offload(tap, false, false);
        self.stack.move_port(tap, bridge);
        true
    }

    /// Makes a tap an interface of its own again.
    pub fn leave_bridge(&mut self, tap: InterfaceId) {
        let Some(bridge) = self.interface_mut(tap).and_then(|interface| interface.bridge.take()) else {
            return;
        };
        if let Some(switch) = self.bridges.get_mut(&bridge) {
            switch.close_port(PortId(tap.0));
        }
        self.stack.move_port(tap, tap);
    }

    /// Whether the other end of a tap or tun takes frames that carry larger segments than the MTU, and whether it is trusted, so that
    /// checksums are neither computed nor verified. False, and nothing changes, for what cannot: bridges, their ports, and loopback.
    pub fn set_offload(&mut self, id: InterfaceId, large_segments: bool, trusted: bool) -> bool {
        let Some(interface) = self.interface_mut(id) else { return false };
        let can = interface.bridge.is_none() && matches!(interface.medium, Medium::Tap | Medium::Tun);
        if can {
            interface.port = PortConfig { large_segments, trusted, ..interface.port };
            self.stack.set_offload(id, large_segments, trusted);
        }
        can
    }

    /// Adds a route. The longest that an address lies in counts; among those of one length an interface's own network, then the first one added.
    ///
    /// # Errors
    /// [`RouteError`] if the interface is closed or the router is not on its link.
    pub fn add_route(&mut self, route: Route) -> Result<(), RouteError> {
        self.stack.add_route(route)
    }

    /// Removes a route that was added; false if there is none such.
    pub fn remove_route(&mut self, route: &Route) -> bool {
        self.stack.remove_route(route)
    }

    /// Every route: those of the interfaces' own networks first.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        self.stack.routes()
    }

    /// Takes an Ethernet frame without FCS that arrived on a tap, or an IP packet that arrived on a tun, behind 14 bytes of room. Bad ones
    /// are counted, never an error.
    pub fn handle_frame(&mut self, now: Instant, id: InterfaceId, frame: &mut [u8]) {
        let Some(interface) = self.interfaces.get_mut(id.index()).and_then(Option::as_mut) else {
            return self.drops.count(Drop::PortClosed);
        };
        interface.traffic.frames_in += 1;
        interface.traffic.bytes_in += frame.len() as u64;
        if frame.len() < MIN_FRAME_BYTES {
            return self.drops.count(Drop::FrameTooShort);
        }
        if frame.len() > MAX_FRAME_BYTES {
            return self.drops.count(Drop::FrameTooLong);
        }
        let port = PortId(id.0);
        match interface.medium {
            Medium::Tap => {
                let (mac, bridge) = (interface.mac, interface.bridge);
                self.handle_ethernet(now, port, mac, bridge, frame);
            }
            Medium::Tun => {
                let ethertype = match frame.get(MIN_FRAME_BYTES).map(|first| first >> 4) {
                    Some(4) => ipv4::ETHERTYPE,
                    Some(6) => ipv6::ETHERTYPE,
                    _ => return self.drops.count(Drop::Ipv4Malformed),
                };
                ethernet::emit(MacAddr::default(), MacAddr::default(), ethertype, frame);
                self.stack.heard(port);
                self.stack.handle_frame(now, port, frame);
            }
            Medium::Loopback | Medium::Bridge => self.drops.count(Drop::PortClosed),
        }
    }

    fn handle_ethernet(
        &mut self,
        now: Instant,
        port: PortId,
        mac: MacAddr,
        bridge: Option<InterfaceId>,
        frame: &[u8],
    ) {
        self.stack.heard(port);
        if let Some(switch) = bridge.and_then(|bridge| self.bridges.get_mut(&bridge)) {
            let left = switch.handle_frame(now, port, frame);
            return self.stack.handle_forwarded(now, port, frame, Offload::default(), left);
        }
        let (to, from) = (ethernet::destination(frame), ethernet::source(frame));
        if !from.is_unicast() || from == mac {
            return self.drops.count(Drop::SourceInvalid);
        }
        // Others' frames come by too where a hub or an unlearnt switch is at the other end.
        if to == mac || to.is_group() {
            self.stack.handle_frame(now, port, frame);
        }
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

    /// Carries what the host sends to itself, at most so many frames; true if more is waiting. Whoever calls decides when, so that nothing
    /// of it happens inside another call.
    pub fn run_loopback(&mut self, now: Instant, most_frames: usize) -> bool {
        self.sort_ports();
        self.looped_by = None;
        let mut left = most_frames;
        while left > 0
            && let Some(&port) = self.looping.first()
        {
            left -= 1;
            let Some(frame) = self.stack.poll_frame(now, port) else {
                self.looping.remove(0);
                self.sort_ports();
                continue;
            };
            self.looped.clear();
            self.looped.extend_from_slice(frame);
            let bytes = self.looped.len() as u64;
            if let Some(Some(interface)) = self.interfaces.get_mut(port.index()) {
                let traffic = &mut interface.traffic;
                traffic.frames_in += 1;
                traffic.frames_out += 1;
                traffic.bytes_in += bytes;
                traffic.bytes_out += bytes;
            }
            self.looped_by = Some(InterfaceId(port.0));
            self.stack.handle_frame(now, port, &self.looped);
            self.looping.rotate_left(1);
        }
        !self.looping.is_empty()
    }

    /// The last frame that the latest [`Self::run_loopback`] carried, 14 bytes to be skipped and a packet, for captures: runs of one frame show
    /// them all.
    #[must_use]
    pub fn looped(&self) -> Option<(InterfaceId, &[u8])> {
        Some((self.looped_by?, &self.looped))
    }

    /// Tells loopback interfaces from those that the outside polls.
    fn sort_ports(&mut self) {
        while let Some(port) = self.stack.poll_port() {
            match self.interface(InterfaceId(port.0)).map(|interface| interface.medium) {
                Some(Medium::Loopback) => self.looping.push(port),
                _ => self.ready.push_back(port),
            }
        }
    }

    /// A tap or tun that has frames to send. It is given once, until it was drained and has frames again; poll after every other call.
    #[must_use]
    pub fn poll_interface(&mut self) -> Option<InterfaceId> {
        self.sort_ports();
        let own = self.ready.pop_front();
        let port = own.or_else(|| self.bridges.values_mut().find_map(Switch::poll_port))?;
        Some(InterfaceId(port.0))
    }

    /// The next frame of a tap, or 14 bytes to be skipped and the next packet of a tun, valid until the next call; it is then done with.
    #[must_use]
    pub fn poll_frame(&mut self, now: Instant, id: InterfaceId) -> Option<&[u8]> {
        let port = PortId(id.0);
        let interface = self.interfaces.get_mut(id.index())?.as_mut()?;
        let switch = interface.bridge.and_then(|bridge| self.bridges.get_mut(&bridge));
        let stack = &mut self.stack;
        let frame = match switch {
            None => stack.poll_frame(now, port),
            Some(switch) => {
                self.stack_first = !self.stack_first;
                if self.stack_first {
                    stack.poll_frame(now, port).or_else(|| switch.poll_frame(port))
                } else {
                    switch.poll_frame(port).or_else(|| stack.poll_frame(now, port))
                }
            }
        }?;
        interface.traffic.frames_out += 1;
        interface.traffic.bytes_out += frame.len() as u64;
        Some(frame)
    }

    /// What happened to connections, listeners and sockets.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.stack.poll_host_event()
    }

    /// Listens on an address, or on all of the host's if it is unspecified; port 0 asks for a free one. [`Event::Accepted`] follows for each
    /// connection; up to `backlog` of them wait for [`Self::accept`].
    ///
    /// # Errors
    /// [`BindError`] if the address or port cannot be had.
    pub fn listen(
        &mut self,
        local: SocketAddr,
        backlog: usize,
        options: StreamOptions,
    ) -> Result<(ListenerId, u16), BindError> {
        self.stack.listen(local, backlog, options)
    }

    /// Closes a listener; connections that were not accepted are reset.
    pub fn close_listener(&mut self, id: ListenerId) {
        self.stack.close_listener(id);
    }

    /// A connection of a listener, the one that has waited longest. What it has received by now is told by events.
    pub fn accept(&mut self, id: ListenerId) -> Option<FlowId> {
        self.stack.accept_connection(id)
    }

    /// Opens a TCP connection, from a local address and port or, where they are unspecified and 0, from those that suit. [`flow::Event::Established`](crate::Event::Established) or
    /// [`Reset`](crate::Event::Reset) follows.
    ///
    /// # Errors
    /// [`OpenError`] if no route leads there, or the local address cannot be had.
    pub fn connect(
        &mut self,
        now: Instant,
        local: SocketAddr,
        target: SocketAddr,
        options: StreamOptions,
    ) -> Result<FlowId, OpenError> {
        self.stack.open_connection(now, local, target, options)
    }

    /// The host's address and port of a connection, and the peer's.
    #[must_use]
    pub fn ends(&self, id: FlowId) -> Option<(SocketAddr, SocketAddr)> {
        self.stack.ends(id)
    }

    /// Changes what a connection was told when it was opened.
    pub fn set_options(&mut self, now: Instant, id: FlowId, options: StreamOptions) {
        self.stack.set_options(now, id, options);
    }

    /// See [`Stack::peek`].
    #[must_use]
    pub fn peek(&self, id: FlowId) -> [&[u8]; 2] {
        self.stack.peek(id)
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

    /// Closes both directions in order: what was written is still sent, what arrives is dropped, and a peer that goes on sending once it has
    /// everything is reset (RFC 1122 4.2.2.13). [`Closed`](crate::Event::Closed) or [`Reset`](crate::Event::Reset) follows, after a minute at the
    /// latest once the peer has acknowledged everything, even if it does not close.
    pub fn close(&mut self, now: Instant, id: FlowId) {
        self.stack.close(now, id);
    }

    /// Breaks a connection off: RST. The id is void and no event follows.
    pub fn reset(&mut self, id: FlowId) {
        self.stack.reset(id);
    }

    /// Opens a UDP socket on an address, or on all of the host's if it is unspecified; port 0 asks for a free one. With an interface it
    /// sends and hears there alone, whatever the routes say. Datagrams that come beyond `limit_bytes` of waiting ones are dropped.
    ///
    /// # Errors
    /// [`BindError`] if the address or port cannot be had.
    pub fn open_udp(
        &mut self,
        local: SocketAddr,
        interface: Option<InterfaceId>,
        limit_bytes: usize,
    ) -> Result<(SocketId, u16), BindError> {
        self.stack.open_udp(local, interface, limit_bytes)
    }

    /// Opens a ping socket, with its identifier; `None` if all 65,536 are in use. A target's port is the request's sequence number.
    pub fn open_ping(&mut self, limit_bytes: usize) -> Option<(SocketId, u16)> {
        self.stack.open_ping(limit_bytes)
    }

    /// Sends a datagram. To a group, or to everyone (255.255.255.255 or a network's broadcast address), it leaves by every tap and bridge that
    /// suits, from the host's address there, or from 0.0.0.0 where it has none.
    ///
    /// # Errors
    /// [`SendError`]; what was not sent is the caller's to send again.
    pub fn send(
        &mut self,
        now: Instant,
        id: SocketId,
        target: SocketAddr,
        data: &[u8],
    ) -> Result<(), SendError> {
        self.stack.send_datagram(now, id, target, data)
    }

    /// The first datagram that waits in a socket, and whom it is from.
    #[must_use]
    pub fn peek_datagram(&self, id: SocketId) -> Option<(SocketAddr, &[u8])> {
        self.stack.peek_received(id)
    }

    /// The first datagram that waits in a socket is done with.
    pub fn take_datagram(&mut self, id: SocketId) {
        self.stack.take_received(id);
    }

    /// Closes a socket; what waited in it is gone.
    pub fn close_socket(&mut self, id: SocketId) {
        self.stack.close_socket(id);
    }

    /// Drops by reason since the host began.
    #[must_use]
    pub fn drops(&self) -> Drops {
        let bridges = self.bridges.values().map(Switch::drops);
        bridges.fold(self.drops.clone().and(self.stack.drops()), Drops::and)
    }

    /// How many connections there are, those in TIME-WAIT included.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.stack.flows()
    }

    /// What an interface has carried; a bridge's ports count for themselves.
    #[must_use]
    pub fn traffic(&self, id: InterfaceId) -> Option<Traffic> {
        self.interface(id).map(|interface| interface.traffic)
    }
}
