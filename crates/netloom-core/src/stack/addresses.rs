//! Whose an address is: the gateway's, the machine's, a guest's, or nobody's on the LAN.

use core::net::{IpAddr, Ipv6Addr};

use crate::config::LanConfig;
use crate::wire::ip::Pair;

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
