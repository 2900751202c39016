//! Routes: which interface leads to an address, and by whom (RFC 1122 3.3.1).

use core::net::IpAddr;

use super::interfaces::Interfaces;
use crate::addr::{IpNet, MacAddr};
use crate::flow::Guest;
use crate::interface::{InterfaceId, Medium};
use crate::port::PortId;
use crate::stack::{Role, Stack};

/// A way to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network; `0.0.0.0/0` or `::/0` is the default route.
    pub net: IpNet,
    /// The router on the interface's link, or `None` if the network is on the link itself.
    pub via: Option<IpAddr>,
    /// The interface.
    pub interface: InterfaceId,
}

/// Why a route cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// There is no such interface.
    #[error("the interface is closed")]
    NoInterface,
    /// The router is not on the interface's link, or not of the network's family.
    #[error("the router is not on the interface's link")]
    RouterNotOnLink,
}

/// Routes that were added, longest prefix first, the first one added first among equals.
#[derive(Default)]
pub(in crate::stack) struct Routes(Vec<Route>);

impl Routes {
    pub(in crate::stack) fn add(&mut self, route: Route) {
        let at = self.0.iter().position(|known| known.net.prefix() < route.net.prefix());
        self.0.insert(at.unwrap_or(self.0.len()), route);
    }

    pub(in crate::stack) fn remove(&mut self, route: &Route) -> bool {
        let before = self.0.len();
        self.0.retain(|known| known != route);
        self.0.len() < before
    }

    pub(in crate::stack) fn forget(&mut self, interface: InterfaceId) {
        self.0.retain(|route| route.interface != interface);
    }

    pub(in crate::stack) fn iter(&self) -> impl Iterator<Item = Route> {
        self.0.iter().copied()
    }

    /// The interface and the next hop to an address that is not the host's, on one interface if it must be that.
    pub(in crate::stack) fn find(
        &self,
        interfaces: &Interfaces,
        to: IpAddr,
        only: Option<InterfaceId>,
    ) -> Option<(InterfaceId, IpAddr)> {
        let suits = |id: InterfaceId| only.is_none_or(|only| only == id);
        let connected = match only {
            Some(id) => interfaces.is_on_link(id, to).then_some((u8::MAX, id)),
            None if is_link_local(to) => {
                interfaces.ids().find(|id| interfaces.is_on_link(*id, to)).map(|id| (u8::MAX, id))
            }
            None => interfaces.connected(to),
        };
        let route = self.0.iter().find(|route| route.net.contains(to) && suits(route.interface));
        match (connected, route) {
            (Some((prefix, _)), Some(route)) if route.net.prefix() > prefix => {
                Some((route.interface, route.via.unwrap_or(to)))
            }
            (Some((_, id)), _) => Some((id, to)),
            (None, Some(route)) => Some((route.interface, route.via.unwrap_or(to))),
            (None, None) => None,
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// How a packet of the host's gets on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Way {
    pub(in crate::stack) interface: InterfaceId,
    /// The next one to have it.
    pub(in crate::stack) hop: IpAddr,
    /// Where that one is, if that is known.
    pub(in crate::stack) guest: Option<Guest>,
}

impl<R: Role> Stack<R> {
    /// The way to an address that is one host's.
    pub(in crate::stack) fn way(&self, to: IpAddr, only: Option<InterfaceId>) -> Option<Way> {
        let host = self.host.as_ref()?;
        let (interface, hop) = if host.interfaces.is_ours(to) {
            (host.interfaces.loopback()?, to)
        } else {
            host.routes.find(&host.interfaces, to, only)?
        };
        let guest = match host.interfaces.get(interface)?.medium {
            Medium::Loopback | Medium::Tun => {
                Some(Guest { port: PortId(interface.0), mac: MacAddr::default() })
            }
            Medium::Tap | Medium::Bridge => self.neighbors.get((interface, hop)),
        };
        Some(Way { interface, hop, guest })
    }

    /// The host's address for a packet on its way to another. What goes to the host itself comes from where it goes to.
    pub(in crate::stack) fn source_to(&self, way: &Way, to: IpAddr) -> Option<IpAddr> {
        let interfaces = &self.host.as_ref()?.interfaces;
        if interfaces.is_ours(to) { Some(to) } else { interfaces.source(way.interface, to) }
    }
}
