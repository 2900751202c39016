//! The host's interfaces and the addresses that it has on them.
//!
//! The host has all its addresses on every interface (the weak model of RFC 1122 3.3.4.2), but resolves each only where it is set.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::addr::{IpNet, Ipv4Net, MacAddr};
use crate::interface::{InterfaceConfig, InterfaceId, Medium};
use crate::wire::ipv6;

/// One interface.
pub(in crate::stack) struct Interface {
    pub(in crate::stack) medium: Medium,
    pub(in crate::stack) mac: MacAddr,
    pub(in crate::stack) mtu: u16,
    pub(in crate::stack) masquerade: bool,
    addresses: Vec<IpNet>,
}

impl Interface {
    /// Its IPv6 link-local address, which it has if it has any of IPv6.
    fn link_local(&self) -> Option<Ipv6Addr> {
        let v6 = self.medium.is_ethernet() && self.addresses.iter().any(|net| net.address().is_ipv6());
        v6.then(|| self.mac.link_local())
    }

    fn own(&self) -> impl Iterator<Item = IpAddr> {
        let link_local = self.link_local().map(IpAddr::V6);
        self.addresses.iter().map(IpNet::address).chain(link_local)
    }
}

/// All of them, by number.
#[derive(Default)]
pub(in crate::stack) struct Interfaces {
    slots: Vec<Option<Interface>>,
    /// Every address of the host.
    own: Vec<IpAddr>,
    /// The first loopback interface.
    loopback: Option<InterfaceId>,
}

impl Interfaces {
    pub(in crate::stack) fn open(&mut self, id: InterfaceId, config: &InterfaceConfig) {
        if id.index() >= self.slots.len() {
            self.slots.resize_with(id.index() + 1, || None);
        }
        self.slots[id.index()] = Some(Interface {
            medium: config.medium,
            mac: config.mac,
            mtu: config.port.mtu,
            masquerade: config.masquerade,
            addresses: config.addresses.clone(),
        });
        self.changed();
    }

    pub(in crate::stack) fn close(&mut self, id: InterfaceId) {
        if let Some(slot) = self.slots.get_mut(id.index()) {
            *slot = None;
            self.changed();
        }
    }

    pub(in crate::stack) fn set_addresses(&mut self, id: InterfaceId, addresses: &[IpNet]) {
        if let Some(Some(interface)) = self.slots.get_mut(id.index()) {
            interface.addresses = addresses.to_vec();
            self.changed();
        }
    }

    fn changed(&mut self) {
        self.own = self.slots.iter().flatten().flat_map(Interface::own).collect();
        let is_loopback =
            |slot: &Option<Interface>| slot.as_ref().is_some_and(|i| i.medium == Medium::Loopback);
        self.loopback = self.slots.iter().position(is_loopback).map(|index| InterfaceId(index as u32));
    }

    pub(in crate::stack) fn ids(&self) -> impl Iterator<Item = InterfaceId> {
        let slots = self.slots.iter().enumerate();
        slots.filter(|(_, slot)| slot.is_some()).map(|(index, _)| InterfaceId(index as u32))
    }

    pub(in crate::stack) fn get(&self, id: InterfaceId) -> Option<&Interface> {
        self.slots.get(id.index())?.as_ref()
    }

    /// The interface that leads to the host's own addresses.
    pub(in crate::stack) const fn loopback(&self) -> Option<InterfaceId> {
        self.loopback
    }

    /// Whether an address is the host's. On loopback all of the network is (RFC 1122 3.2.1.3 g).
    pub(in crate::stack) fn is_ours(&self, address: IpAddr) -> bool {
        let is_loopback = || {
            let loopback = self.loopback.and_then(|id| self.get(id));
            loopback.is_some_and(|loopback| loopback.addresses.iter().any(|net| net.contains(address)))
        };
        self.own.contains(&address) || address.is_loopback() && is_loopback()
    }

    /// Whether an address is the host's on this interface.
    pub(in crate::stack) fn has(&self, id: InterfaceId, address: IpAddr) -> bool {
        self.get(id).is_some_and(|interface| interface.own().any(|own| own == address))
    }

    /// Whether the host hears an IPv6 group on an interface: all nodes, and those of its addresses.
    pub(in crate::stack) fn is_in(&self, id: InterfaceId, group: Ipv6Addr) -> bool {
        let mut own = self.get(id).into_iter().flat_map(Interface::own);
        group == ipv6::ALL_NODES
            || own.any(|own| matches!(own, IpAddr::V6(own) if ipv6::solicited_node(own) == group))
    }

    /// Whether the interface has an address of IPv6.
    pub(in crate::stack) fn speaks_v6(&self, id: InterfaceId) -> bool {
        self.get(id).is_some_and(|interface| interface.addresses.iter().any(|net| net.address().is_ipv6()))
    }

    /// Whether others on the interface's link may have an address.
    pub(in crate::stack) fn is_on_link(&self, id: InterfaceId, address: IpAddr) -> bool {
        let Some(interface) = self.get(id) else { return false };
        let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        interface.addresses.iter().any(|net| net.contains(address))
            || link_local && interface.link_local().is_some()
    }

    /// Whether an address means everyone on the interface's link.
    pub(in crate::stack) fn is_broadcast(&self, id: InterfaceId, address: Ipv4Addr) -> bool {
        let networks = self.get(id).into_iter().flat_map(|interface| &interface.addresses);
        address.is_broadcast() || networks.filter_map(broadcast).any(|broadcast| broadcast == address)
    }

    /// The interface on whose link an address means everyone.
    pub(in crate::stack) fn of_broadcast(&self, address: Ipv4Addr) -> Option<InterfaceId> {
        self.ids().find(|id| {
            self.get(*id).is_some_and(|interface| interface.medium.is_ethernet())
                && self.is_broadcast(*id, address)
        })
    }

    /// The host's address toward another on or behind an interface: of that network if there is one, else the first of the family.
    pub(in crate::stack) fn source(&self, id: InterfaceId, to: IpAddr) -> Option<IpAddr> {
        let interface = self.get(id)?;
        let beyond = match to {
            IpAddr::V6(v6) => !(v6.is_unicast_link_local() || is_link_local_group(v6)),
            IpAddr::V4(_) => true,
        };
        if let (false, Some(link_local)) = (beyond, interface.link_local()) {
            return Some(link_local.into());
        }
        let of_family = || {
            let addresses = interface.addresses.iter();
            addresses.filter(|net| net.address().is_ipv4() == to.is_ipv4())
        };
        let near = of_family().find(|net| net.contains(to));
        near.or_else(|| of_family().next()).map(IpNet::address)
    }

    /// The network of an interface that an address is in, and how long its prefix is.
    pub(in crate::stack) fn connected(&self, to: IpAddr) -> Option<(u8, InterfaceId)> {
        let networks = self.ids().filter_map(|id| {
            let addresses = &self.get(id)?.addresses;
            addresses.iter().filter(|net| net.contains(to)).map(|net| (net.prefix(), id)).max()
        });
        // The first of those with the longest prefix.
        networks.reduce(|best, next| if next.0 > best.0 { next } else { best })
    }

    /// Every network that the host is on.
    pub(in crate::stack) fn networks(&self) -> impl Iterator<Item = (InterfaceId, IpNet)> {
        self.ids().flat_map(|id| {
            self.get(id).into_iter().flat_map(move |i| i.addresses.iter().map(move |net| (id, *net)))
        })
    }
}

/// A group that no router carries further (RFC 4291 2.7).
const fn is_link_local_group(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 0xff && second & 15 <= 2
}

/// The address of everyone in a network, unless it is too small to have one (RFC 3021).
fn broadcast(net: &IpNet) -> Option<Ipv4Addr> {
    match net.address() {
        IpAddr::V4(v4) if net.prefix() < 31 => Some(Ipv4Net::new(v4, net.prefix()).broadcast()),
        _ => None,
    }
}
