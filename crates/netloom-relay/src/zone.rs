//! Addresses with a zone, which for a link-local address names the interface: `fe80::1%eth0` or `fe80::1%2` (RFC 4007 section 11).

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Reads `IP`, `IP:PORT`, `IPV6%ZONE` or `[IPV6%ZONE]:PORT`; `None` too if this host has no such interface.
pub(crate) fn parse(text: &str, default_port: u16) -> Option<SocketAddr> {
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None if text.matches(':').count() == 1 => text.split_at(text.find(':')?),
        None => (text, ""),
    };
    let port = if port.is_empty() { default_port } else { port.strip_prefix(':')?.parse().ok()? };
    let Some((address, zone)) = address.split_once('%') else {
        return Some(SocketAddr::new(address.parse().ok()?, port));
    };
    let scope = zone.parse().ok().or_else(|| interface_index(zone))?;
    Some(SocketAddrV6::new(address.parse().ok()?, port, 0, scope).into())
}

/// Whether an address names a host only together with an interface.
pub(crate) fn lacks_zone(address: SocketAddr) -> bool {
    match (address, address.ip()) {
        (SocketAddr::V6(v6), IpAddr::V6(ip)) => ip.is_unicast_link_local() && v6.scope_id() == 0,
        _ => false,
    }
}

#[cfg(target_os = "linux")]
fn interface_index(name: &str) -> Option<u32> {
    let any = std::net::UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    rustix::net::netdevice::name_to_index(any, name).ok()
}

/// Elsewhere the interface is named by its number.
#[cfg(not(target_os = "linux"))]
fn interface_index(_: &str) -> Option<u32> {
    None
}

#[cfg(test)]
#[path = "zone_tests.rs"]
mod tests;
