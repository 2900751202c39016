//! DHCP server (RFC 2131, RFC 2132): who gets which address, and what the messages about it say.
//!
//! - `message`: a client's message, read; `options`: the option fields, read and written (RFC 2132, 3396, 4702)
//! - `pool`: the state: leases, addresses free again, names
//! - `server`: the rules from a message to its answer
//! - `reply`: the answer's bytes and where it goes (RFC 2131 section 4.1)

mod message;
mod name;
mod options;
mod pool;
mod reply;
mod server;
#[cfg(test)]
mod tests;

use core::net::Ipv4Addr;

pub use pool::Lease;
pub use reply::Reply;
pub use server::DhcpServer;

use crate::addr::{Ipv4Net, MacAddr};
use crate::time::Duration;

/// The port that servers and relay agents listen on.
pub const SERVER_PORT: u16 = 67;

/// The port that clients listen on.
pub const CLIENT_PORT: u16 = 68;

/// How the DHCP server leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhcpConfig {
    /// First address of the pool.
    pub first: Ipv4Addr,
    /// Last address of the pool.
    pub last: Ipv4Addr,
    /// How long a lease lasts. Clients may ask for less, not for more.
    pub lease: Duration,
    /// Leases by MAC address, inside the pool or not, that nobody else gets.
    pub fixed: Vec<(MacAddr, Ipv4Addr)>,
    /// Domain name (option 15), empty for none.
    pub domain: String,
    /// DNS servers to tell instead of the gateway, if it serves DNS.
    pub dns: Option<Vec<Ipv4Addr>>,
}

/// The LAN that the DHCP server tells its clients about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The LAN's network: its netmask and broadcast address are told, and leases lie in it.
    pub subnet: Ipv4Net,
    /// The server's own address (option 54).
    pub server: Ipv4Addr,
    /// The gateway (option 3), if there is one.
    pub router: Option<Ipv4Addr>,
    /// DNS servers (option 6) without [`DhcpConfig::dns`].
    pub dns: Vec<Ipv4Addr>,
    /// The LAN's MTU in bytes (option 26).
    pub mtu: u16,
    /// Addresses that are never leased: the gateway's and the virtual ones.
    pub reserved: Vec<Ipv4Addr>,
}

/// Why a client's message was not acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DhcpError {
    /// It does not parse as DHCP over Ethernet.
    #[error("the message is not DHCP from an Ethernet client")]
    Malformed,
    /// No address is left.
    #[error("no address is left in the pool: widen it, or shorten the leases")]
    PoolEmpty,
}
