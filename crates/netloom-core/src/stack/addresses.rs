//! Whose an address is: the machine's, a guest's, or nobody's on the link. A gateway has its LAN's, a host those of its interfaces.

use core::net::{IpAddr, Ipv6Addr};

use super::neighbors::Place;
use super::{Role, Stack};
use crate::addr::MacAddr;
use crate::config::LanConfig;
use crate::interface::{InterfaceId, Medium};
use crate::port::PortId;
use crate::wire::ip::Pair;

impl<R: Role> Stack<R> {
    /// Whether the machine answers for an address.
    pub(super) fn is_ours(&self, address: IpAddr) -> bool {
        match &self.host {
            Some(host) => host.interfaces.is_ours(address),
            None => self.config.is_ours(address),
        }
    }

    /// Whether the machine answers for an address to those on a port.
    pub(super) fn answers_for(&self, port: PortId, address: IpAddr) -> bool {
        match (&self.host, self.link(port)) {
            (Some(host), Some(link)) => host.interfaces.has(link.interface, address),
            (Some(_), None) => false,
            (None, _) => self.config.is_ours(address),
        }
    }

    /// Whether others on an interface's link may have an address.
    pub(super) fn is_on_link(&self, (interface, address): Place) -> bool {
        match &self.host {
            Some(host) => host.interfaces.is_on_link(interface, address),
            None => self.config.is_on_lan(address),
        }
    }

    /// Whether packets of others are sent on.
    pub(super) fn is_router(&self) -> bool {
        self.host.as_ref().map_or(self.config.gateway, |host| host.forwards)
    }

    /// The addresses of a packet of the machine's own to somebody behind a port.
    pub(super) fn pair_to(&self, port: PortId, to: IpAddr) -> Option<Pair> {
        let Some(host) = &self.host else { return self.config.gateway_pair(to) };
        Pair::new(host.interfaces.source(self.link(port)?.interface, to)?, to)
    }

    /// The addresses under which the machine asks who uses an address.
    pub(super) fn asker(&self, (interface, address): Place) -> Option<(MacAddr, IpAddr)> {
        match &self.host {
            Some(host) => {
                let mac = host.interfaces.get(interface)?.mac;
                Some((mac, host.interfaces.source(interface, address)?))
            }
            None => Some((self.config.gateway_mac, self.config.gateway_pair(address)?.source())),
        }
    }

    /// Whether the machine has an IPv6 address on a port.
    pub(super) fn speaks_ipv6(&self, port: PortId) -> bool {
        match &self.host {
            Some(host) => {
                self.interface_of(port).is_some_and(|on| host.interfaces.speaks_v6(on))
                    || self.is_loopback(port)
            }
            None => self.config.ipv6.is_some(),
        }
    }

    /// Whether what comes from a port is the machine's own.
    pub(super) fn is_loopback(&self, port: PortId) -> bool {
        let interface = self.host.as_ref().and_then(|host| host.interfaces.get(self.interface_of(port)?));
        interface.is_some_and(|interface| interface.medium == Medium::Loopback)
    }

    /// The interface that a port is of.
    pub(super) fn interface_of(&self, port: PortId) -> Option<InterfaceId> {
        self.link(port).map(|link| link.interface)
    }
}

impl LanConfig {
    /// Whether the machine answers for an address. A LAN that offers nothing has no gateway: a guest may be its router.
    pub(super) fn is_ours(&self, address: IpAddr) -> bool {
        let offers = address.is_ipv6() || self.gateway || self.dhcp.is_some() || self.dns.is_some();
        offers && self.is_gateway(address) || self.virtual_addresses.contains(&address)
    }

    /// Whether an address is the gateway's own.
    pub(super) fn is_gateway(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => v4 == self.gateway_address,
            IpAddr::V6(v6) => self
                .ipv6
                .is_some_and(|ipv6| v6 == ipv6.gateway_address || v6 == self.gateway_mac.link_local()),
        }
    }

    /// Whether guests may have an address.
    pub(super) fn is_on_lan(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.subnet.contains(v4),
            IpAddr::V6(v6) => {
                self.ipv6.is_some_and(|ipv6| v6.is_unicast_link_local() || ipv6.prefix.contains(v6))
            }
        }
    }

    /// The addresses of a packet from the gateway to a guest: the gateway's is of the guest's scope.
    pub(super) fn gateway_pair(&self, guest: IpAddr) -> Option<Pair> {
        Some(match guest {
            IpAddr::V4(v4) => Pair::V4(self.gateway_address, v4),
            IpAddr::V6(v6) => Pair::V6(self.gateway_for(v6)?, v6),
        })
    }

    /// The gateway's address of a guest's scope.
    pub(super) fn gateway_for(&self, guest: Ipv6Addr) -> Option<Ipv6Addr> {
        let ipv6 = self.ipv6?;
        let link_local = guest.is_unicast_link_local();
        Some(if link_local { self.gateway_mac.link_local() } else { ipv6.gateway_address })
    }
}
