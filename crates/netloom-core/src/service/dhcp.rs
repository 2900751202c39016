//! DHCP server (RFC 2131, RFC 2132).

use core::net::Ipv4Addr;

use crate::addr::MacAddr;
use crate::time::Duration;

/// How the DHCP server leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhcpConfig {
    /// First address of the pool.
    pub first: Ipv4Addr,
    /// Last address of the pool.
    pub last: Ipv4Addr,
    /// How long a lease lasts.
    pub lease: Duration,
    /// Leases by MAC address, inside the pool or not, that nobody else gets.
    pub fixed: Vec<(MacAddr, Ipv4Addr)>,
    /// Domain name (option 15), empty for none.
    pub domain: String,
    /// DNS servers to tell instead of the gateway; empty: the gateway if it serves DNS.
    pub dns: Vec<Ipv4Addr>,
}
