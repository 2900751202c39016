//! IPv6 groups and their MAC addresses (RFC 4291 2.7.1, RFC 2464 7), written apart from the machine's own.

use core::net::Ipv6Addr;

use netloom_core::MacAddr;

/// Every host on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Every router on the link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The group of those whose address ends like this one.
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a as u16, u16::from_be_bytes([b, c]))
}

/// The MAC address that a packet goes to: its group's, or else its router's.
#[must_use]
pub const fn mac_for(destination: Ipv6Addr, router: MacAddr) -> MacAddr {
    let [first, .., a, b, c, d] = destination.octets();
    if first == 0xff { MacAddr([0x33, 0x33, a, b, c, d]) } else { router }
}
