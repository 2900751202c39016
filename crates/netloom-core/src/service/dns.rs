//! DNS server (RFC 1035): names of the LAN answered here, everything else passed on as it came.

use core::net::IpAddr;
use crate::time::Duration;

/// What the DNS server answers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// The domain of leased guests' names, without leading dot: `lan` makes `web.lan` of the guest `web`.
    pub domain: String,
    /// Names with fixed addresses, fully qualified, without trailing dot.
    pub records: Vec<(String, Vec<IpAddr>)>,
    /// Time to live of those answers.
    pub ttl: Duration,
    /// How long the outside may take to answer.
    pub timeout: Duration,
}
