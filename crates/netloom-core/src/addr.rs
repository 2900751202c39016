//! Addresses: MAC addresses and IP networks. IP addresses are those of `core::net`.

use core::fmt;
use core::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// An Ethernet address.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Group address: broadcast or multicast (IEEE 802, the I/G bit).
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// The address of a group of IPv4 or IPv6 (RFC 1112 6.4, RFC 2464 7).
    #[must_use]
    pub const fn is_ip_multicast(self) -> bool {
        matches!(self.0, [0x33, 0x33, ..] | [0x01, 0x00, 0x5e, ..])
    }

    /// Fit to be a source: neither group nor all zero.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        !self.is_group() && self.0 != [0; 6]
    }

    /// The IPv6 link-local address that is formed from it (RFC 4291 2.5.6 and appendix A, RFC 2464 5).
    #[must_use]
    pub const fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        Ipv6Addr::from_octets([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not six hexadecimal octets separated by `:` or `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a MAC address is six hexadecimal octets, as in 52:54:00:12:34:56")]
pub struct ParseMacError;

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().filter(|p| matches!(p.len(), 1 | 2)).ok_or(ParseMacError)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| ParseMacError)?;
        }
        if parts.next().is_some() { Err(ParseMacError) } else { Ok(Self(octets)) }
    }
}

/// A network in CIDR notation: an address and the length of its prefix, for IPv4 and IPv6 alike.
///
/// The host part of the address is kept, so that `192.168.86.1/24` names both a host and its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

/// The text is not a network in CIDR notation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseNetError {
    /// The part before the slash is not an IP address.
    #[error("a network is ADDRESS/PREFIX, as in 192.168.86.0/24 ({0})")]
    Address(#[from] AddrParseError),
    /// The prefix is not a number within the address family's bits.
    #[error("the prefix after the slash must be 0 to {0}")]
    Prefix(u8),
}

impl IpNet {
    /// The network of `address` with a prefix of `prefix` bits; longer prefixes are cut to the family's length.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        Self { address, prefix: prefix.min(if address.is_ipv4() { 32 } else { 128 }) }
    }

    /// The address as it was given, host part included.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Length of the prefix in bits.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` lies in the network. Families never match each other.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(host)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (net.to_bits() ^ host.to_bits()) & mask == 0
            }
            (IpAddr::V6(net), IpAddr::V6(host)) => {
                (net.to_bits() ^ host.to_bits()) & mask_v6(self.prefix) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for IpNet {
    type Err = ParseNetError;

    /// Parses `ADDRESS/PREFIX`; an address alone is the network of that one host.
    fn from_str(text: &str) -> Result<Self, ParseNetError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix
            .map_or(Ok(bits), |p| p.parse().ok().filter(|p| *p <= bits).ok_or(ParseNetError::Prefix(bits)))?;
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// An IPv4 network: what a LAN's subnet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ipv4Net {
    network: Ipv4Addr,
    prefix: u8,
}

impl Ipv4Net {
    /// The network that `address` lies in; its host part is dropped. A prefix above 32 counts as 32.
    #[must_use]
    pub fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Self { network: Ipv4Addr::from_bits(address.to_bits() & mask), prefix }
    }

    /// The network's first address, which names it.
    #[must_use]
    pub const fn network(&self) -> Ipv4Addr {
        self.network
    }

    /// Length of the prefix in bits.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The netmask, as DHCP option 1 carries it.
    #[must_use]
    pub fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0))
    }

    /// The last address: the directed broadcast.
    #[must_use]
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | !self.netmask().to_bits())
    }

    /// Whether `address` lies in the network.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.netmask().to_bits() == self.network.to_bits()
    }

    /// The `n`th address, or `None` past the network's end.
    #[must_use]
    pub fn host(&self, n: u32) -> Option<Ipv4Addr> {
        let address = Ipv4Addr::from_bits(self.network.to_bits().checked_add(n)?);
        self.contains(address).then_some(address)
    }
}

impl fmt::Display for Ipv4Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// An IPv6 network: what a LAN's prefix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ipv6Net {
    network: Ipv6Addr,
    prefix: u8,
}

impl Ipv6Net {
    /// The network that `address` lies in; its host part is dropped. A prefix above 128 counts as 128.
    #[must_use]
    pub fn new(address: Ipv6Addr, prefix: u8) -> Self {
        let prefix = prefix.min(128);
        Self { network: Ipv6Addr::from_bits(address.to_bits() & mask_v6(prefix)), prefix }
    }

    /// The network's first address, which names it.
    #[must_use]
    pub const fn network(&self) -> Ipv6Addr {
        self.network
    }

    /// Length of the prefix in bits.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` lies in the network.
    #[must_use]
    pub fn contains(&self, address: Ipv6Addr) -> bool {
        address.to_bits() & mask_v6(self.prefix) == self.network.to_bits()
    }

    /// The `n`th address, or `None` past the network's end.
    #[must_use]
    pub fn host(&self, n: u128) -> Option<Ipv6Addr> {
        let address = Ipv6Addr::from_bits(self.network.to_bits().checked_add(n)?);
        self.contains(address).then_some(address)
    }
}

impl fmt::Display for Ipv6Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

/// The IPv4 address that an IPv6 address carries inside, else the address itself: mapped and compatible (RFC 4291 section 2.5.5),
/// translated (RFC 2765), NAT64 (RFC 6052), 6to4 (RFC 3056) and Teredo (RFC 4380).
///
/// Policy looks at what would be reached, not at how it was written.
#[must_use]
pub fn unwrap_embedded_ipv4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let octets = v6.octets();
    let [.., a, b, c, d] = octets;
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            Ipv4Addr::new(a, b, c, d).into()
        }
        [0, 0, 0, 0, 0, 0, ..] if !v6.is_loopback() && !v6.is_unspecified() => {
            Ipv4Addr::new(a, b, c, d).into()
        }
        [0x2002, ..] => Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5]).into(),
        // The client's address stands inverted (RFC 4380 section 4).
        [0x2001, 0, ..] => Ipv4Addr::new(!a, !b, !c, !d).into(),
        _ => address,
    }
}
