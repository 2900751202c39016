//! Interfaces: what a [`Host`](crate::host::Host) is on a network with. A tap is an Ethernet NIC, a tun carries bare packets, a bridge joins
//! taps, and loopback leads back to the host itself.

use crate::addr::{IpNet, MacAddr};
use crate::port::PortConfig;

/// Names an interface of a host for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub(crate) u32);

impl InterfaceId {
    /// The one interface of a LAN's gateway.
    pub(crate) const LAN: Self = Self(0);

    /// The interface's number. Numbers of closed interfaces are used again.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The interface of a number. One that is not open is harmless everywhere.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What an interface is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Medium {
    /// What is sent comes back. All of the host's own addresses are reached through the first of these.
    Loopback,
    /// Bare IP packets to and from one peer, which routes what is not its own.
    Tun,
    /// Ethernet frames.
    Tap,
    /// A switch of the host's own, with taps as its ports and the host as one more.
    Bridge,
}

impl Medium {
    /// Whether it carries Ethernet frames, so that neighbours must be resolved.
    pub(crate) const fn is_ethernet(self) -> bool {
        matches!(self, Self::Tap | Self::Bridge)
    }
}

/// How an interface is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// What it is made of.
    pub medium: Medium,
    /// Its MAC address, for a tap or a bridge: unicast.
    pub mac: MacAddr,
    /// The host's addresses on it, each with its network, whose hosts are reached directly. An IPv6 address brings the link-local one along.
    pub addresses: Vec<IpNet>,
    /// How its frames are carried; `port.mtu` is the interface's MTU. A bridge has only the MTU of it, `isolated` and `macs` are those of a
    /// bridge's port.
    pub port: PortConfig,
    /// Whether what is forwarded out by it takes the host's address there (NAPT, RFC 3022).
    pub masquerade: bool,
}

impl Default for InterfaceConfig {
    fn default() -> Self {
        Self {
            medium: Medium::Tap,
            mac: MacAddr::default(),
            addresses: Vec::new(),
            port: PortConfig::default(),
            masquerade: false,
        }
    }
}
