//! The stack as a host's: several interfaces with addresses of their own, routes between them, sockets and listeners.
//!
//! What arrives for one of the host's addresses is for its sockets, wherever it arrives; the rest is forwarded, if the host forwards. A
//! connection's next hop stands where a gateway's guest does.

mod bindings;
mod forward;
mod interfaces;
mod listeners;
mod nat;
mod routes;
mod slab;
mod sockets;
mod streams;

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

pub use bindings::BindError;
pub use routes::{Route, RouteError};
pub use sockets::SendError;
pub(super) use streams::MAX_TIME_WAIT;
pub use streams::OpenError;

use super::ip::From;
use super::{Role, Stack};
use crate::addr::IpNet;
use crate::counters::Drop;
use crate::flow::{self, ListenerId, ResetReason, SocketId};
use crate::hash::Seeded;
use crate::interface::{InterfaceConfig, InterfaceId, Medium};
use crate::port::PortId;
use crate::time::Instant;
use crate::wire::ip::UDP;
use crate::wire::ipv4;
use interfaces::Interfaces;
use listeners::Listeners;
use nat::Nat;
use routes::Routes;
use sockets::Sockets;

/// What a host tells the outside, from [`Host::poll_event`](crate::host::Host::poll_event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened to a connection that was opened or accepted.
    Flow(flow::Event),
    /// A connection for a listener stands, and waits for `accept`.
    Accepted {
        /// The listener.
        listener: ListenerId,
    },
    /// A socket has datagrams to `peek_datagram`, where it had none.
    Datagram {
        /// The socket.
        socket: SocketId,
    },
    /// ICMP or the lack of a neighbour says that a datagram did not arrive.
    Undelivered {
        /// The socket that sent it.
        socket: SocketId,
        /// Where to. For an echo request the port is its sequence number.
        target: SocketAddr,
        /// Whether the target itself refused it: nobody listens on the port.
        refused: bool,
    },
}

/// What a host has in place of a LAN.
pub(super) struct Hosted {
    pub(super) interfaces: Interfaces,
    pub(super) forwards: bool,
    routes: Routes,
    listeners: Listeners,
    sockets: Sockets,
    nat: Nat,
    events: VecDeque<Event>,
}

impl Hosted {
    pub(super) fn new(forwards: bool, secret: &Seeded) -> Self {
        let first = |of: u64| core::hash::BuildHasher::hash_one(secret, of) as u16;
        Self {
            interfaces: Interfaces::default(),
            forwards,
            routes: Routes::default(),
            listeners: Listeners::new(first(1)),
            sockets: Sockets::new(first(2)),
            nat: Nat::new(first(3)),
            events: VecDeque::new(),
        }
    }
}

impl<R: Role> Stack<R> {
    /// What happened to a host.
    pub(crate) fn poll_host_event(&mut self) -> Option<Event> {
        let own = self.host.as_mut().and_then(|host| host.events.pop_front());
        own.or_else(|| self.poll_event().map(Event::Flow))
    }

    /// Opens an interface under the number of its port; a bridge has none.
    pub(crate) fn open_interface(&mut self, id: InterfaceId, config: &InterfaceConfig) {
        let Some(host) = &mut self.host else { return };
        host.interfaces.open(id, config);
        if config.medium != Medium::Bridge {
            self.open_link(PortId(id.0), config.port, id, config.mac);
        }
    }

    /// Closes an interface: its routes are gone, its flows reset.
    pub(crate) fn close_interface(&mut self, id: InterfaceId) {
        let Some(host) = &mut self.host else { return };
        host.routes.forget(id);
        host.nat.forget(id);
        let own: Vec<_> = host.interfaces.networks().filter(|(of, _)| *of == id).collect();
        host.interfaces.close(id);
        self.close_port(PortId(id.0));
        for (_, net) in own {
            self.close_flows_from(net.address());
        }
    }

    /// Makes a tap a port of a bridge's interface, or its own again.
    pub(crate) fn move_port(&mut self, tap: InterfaceId, to: InterfaceId) {
        let Some(mac) = self.host.as_ref().and_then(|host| host.interfaces.get(to)).map(|i| i.mac) else {
            return;
        };
        let port = PortId(tap.0);
        let Some(config) = self.link(port).map(|link| link.config) else { return };
        self.close_port(port);
        self.open_link(port, config, to, mac);
    }

    /// Changes how a port carries segments.
    pub(crate) fn set_offload(&mut self, id: InterfaceId, large_segments: bool, trusted: bool) {
        if let Some(link) = self.link_mut(PortId(id.0)) {
            link.config.large_segments = large_segments;
            link.config.trusted = trusted;
            link.recent = None;
        }
    }

    /// Replaces an interface's addresses; flows from those that it loses are reset.
    pub(crate) fn set_addresses(&mut self, id: InterfaceId, addresses: &[IpNet]) {
        let Some(host) = &mut self.host else { return };
        let before: Vec<_> = host.interfaces.networks().filter(|(of, _)| *of == id).collect();
        host.interfaces.set_addresses(id, addresses);
        for (_, net) in before {
            if !self.is_ours(net.address()) {
                self.close_flows_from(net.address());
            }
        }
    }

    fn close_flows_from(&mut self, own: IpAddr) {
        for slot in self.flows.of_target(own) {
            self.end_flow(slot, ResetReason::PortClosed);
        }
    }

    /// Adds a route.
    pub(crate) fn add_route(&mut self, route: Route) -> Result<(), RouteError> {
        let host = self.host.as_mut().ok_or(RouteError::NoInterface)?;
        let interface = host.interfaces.get(route.interface).ok_or(RouteError::NoInterface)?;
        if let Some(via) = route.via {
            let near = host.interfaces.is_on_link(route.interface, via) || !interface.medium.is_ethernet();
            if via.is_ipv4() != route.net.address().is_ipv4() || !near {
                return Err(RouteError::RouterNotOnLink);
            }
        }
        host.routes.add(route);
        Ok(())
    }

    /// Removes a route that was added; false if there is none such.
    pub(crate) fn remove_route(&mut self, route: &Route) -> bool {
        self.host.as_mut().is_some_and(|host| host.routes.remove(route))
    }

    /// Every route: those of the interfaces' networks first.
    pub(crate) fn routes(&self) -> Vec<Route> {
        let Some(host) = &self.host else { return Vec::new() };
        let connected = host.interfaces.networks();
        let connected = connected.map(|(interface, net)| Route { net, via: None, interface });
        connected.chain(host.routes.iter()).collect()
    }

    /// An IPv4 packet to a host: for it, for everyone, or to be sent on.
    pub(super) fn handle_host_ipv4(&mut self, now: Instant, from: From, packet: &ipv4::Packet<'_>) {
        let (source, destination) = (packet.source, packet.destination);
        let (Some(host), Some(on)) = (&self.host, self.interface_of(from.guest.port)) else { return };
        let interfaces = &host.interfaces;
        let looped = interfaces.get(on).is_some_and(|interface| interface.medium == Medium::Loopback);
        let own = source.is_loopback() || interfaces.is_ours(source.into());
        let invalid = source.is_multicast() || interfaces.is_broadcast(on, source) || own && !looped;
        if invalid {
            return self.drops.count(Drop::Ipv4Source);
        }
        if from.group || destination.is_multicast() || interfaces.is_broadcast(on, destination) {
            if packet.protocol == UDP {
                self.take_ipv4(now, From { group: true, ..from }, packet);
            }
            return;
        }
        if source.is_unspecified() || destination.is_loopback() && !looped {
            return self.drops.count(Drop::Ipv4Source);
        }
        let ours = interfaces.is_ours(destination.into());
        self.learn(now, source.into(), from.guest);
        if self.translated_back(now, from, packet.bytes) {
            return;
        }
        if ours {
            return self.take_ipv4(now, from, packet);
        }
        self.forward_ipv4(now, from, packet);
    }
}
