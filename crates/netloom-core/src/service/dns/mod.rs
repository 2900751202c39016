//! DNS server (RFC 1035): names of the LAN answered here, everything else passed on as it came.
//!
//! - `message`, `name`, `build`: the wire format, read and written
//! - `zone`: the rules: which names are ours and what they answer
//! - `reply`: what is done with answers from outside: checked, cut for UDP, freed of denied addresses
//! - `tcp`: DNS over TCP (RFC 7766)

mod build;
mod message;
mod name;
mod reply;
pub mod tcp;
#[cfg(test)]
mod tests;
mod zone;

use core::net::{IpAddr, Ipv4Addr};

pub use message::{Question, question};
pub use reply::{AddressRecord, addresses, lifetime_s, matches, truncate_for_udp, without_denied};
pub use zone::{Answer, Names, answer, servfail};

use crate::time::Duration;

/// The port of DNS over UDP and TCP.
pub const PORT: u16 = 53;

/// What the DNS server answers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// The domain of leased guests' names, without leading dot: `lan` makes `web.lan` of the guest `web`.
    pub domain: String,
    /// Names with fixed addresses, fully qualified, without trailing dot. `*.NAME` stands for every name below `NAME` that has no record of its
    /// own (RFC 4592); without an address it keeps them from being asked outside.
    pub records: Vec<(String, Vec<IpAddr>)>,
    /// What every other name has, of which the outside is not asked: for egress that is told names, as HTTP's proxies are.
    pub wildcard: Option<Ipv4Addr>,
    /// Whether queries to addresses outside are answered, from there, and not only those to the gateway.
    pub everywhere: bool,
    /// Time to live of those answers.
    pub ttl: Duration,
    /// How long the outside may take to answer.
    pub timeout: Duration,
}
