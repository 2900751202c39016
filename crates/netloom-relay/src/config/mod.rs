//! The configuration: from flags and a TOML file to one checked [`Config`].
//!
//! ```text
//! flags ─▶ Input ─┐
//!                 ├─▶ merged ─▶ resolve ─▶ Config
//! file  ─▶ Input ─┘
//! ```
//!
//! Every value carries the place where it was written, so that a mistake names the flag, or the file's line and key, and the fix.

mod control;
mod cors;
mod error;
mod file;
mod files;
mod forward;
mod hosts;
mod input;
mod ipv6;
mod limits;
mod parse;
mod preset;
mod qemu;
mod resolve;
mod resume;
mod show;
mod source;
mod tap;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;
mod wisp;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use netloom_core::{Ipv4Net, Ipv6Config, Ipv6Net, MacAddr, Pattern};

pub use control::{ControlAddress, ControlSettings};
pub(crate) use control::{address as control_address, read_token};
pub use cors::{ConnectTo, CorsSettings, RateLimit};
pub use error::ConfigError;
pub use files::{Authorities, HelpFile};
pub use forward::{Forward, ForwardGuest, ForwardListen};
pub use hosts::{GuestHost, HostSettings};
pub use limits::{LimitSettings, Scope, key_and_value};
pub use parse::Origin;
pub use qemu::{QemuAddress, QemuListen};
pub use resume::ResumeByMac;
pub use tap::{MAX_TAP_MTU, Netns, TapSettings};
pub use wisp::{PublicKey, Root, WispSettings};

pub use crate::egress::proxy::Proxy;

pub(crate) use parse::host_name;

use crate::cli::RelayArgs;
use input::Input;

/// Name of the LAN that every path but `/lan/<name>` leads to.
pub const DEFAULT_LAN: &str = "default";

/// What the relay does: checked, complete, and printed by `--check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Addresses to listen on; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Addresses where no TLS is spoken whatever the others do.
    pub listen_plain: Vec<SocketAddr>,
    /// Addresses that send who comes by HTTP to where TLS is spoken.
    pub listen_redirect: Vec<SocketAddr>,
    /// Where to listen for QEMU.
    pub qemu_listen: Vec<QemuListen>,
    /// Whether none but this host's own clients come: all listeners are on the loopback, and neither public names nor trusted proxies say that
    /// others are brought there.
    pub is_local: bool,
    /// What the addresses of `listen` speak TLS by; without, they speak none.
    pub tls: Option<Tls>,
    /// Origins that are admitted beside the relay's own.
    pub origins: Vec<Origin>,
    /// Host names under which the relay is reached, in lower case.
    pub public_names: Vec<String>,
    /// Connections that may be open at once, guests included.
    pub max_connections: usize,
    /// How long clients may go on when the relay is told to stop, in seconds: 0 to 3600.
    pub drain_timeout_s: u32,
    /// What the paths that name nothing else lead to.
    pub root: Root,
    /// The Wisp server, if there is one.
    pub wisp: Option<WispSettings>,
    /// The file of who may use the relay; without, all may.
    pub tokens: Option<PathBuf>,
    /// What to log, as a filter of `tracing`; `None` leaves it to `RUST_LOG`.
    pub log: Option<String>,
    /// The CORS proxy, if there is one.
    pub cors: Option<CorsSettings>,
    /// What clients, addresses and tokens may use.
    pub limits: LimitSettings,
    /// Host names of guests' web servers.
    pub hosts: HostSettings,
    /// What holds for every way out.
    pub egress: EgressSettings,
    /// How operators reach the relay.
    pub control: ControlSettings,
    /// The LANs; the first is [`DEFAULT_LAN`].
    pub lans: Vec<LanSettings>,
}

/// What holds for every way out: guests of all LANs, Wisp streams and plain streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressSettings {
    /// What is reached whatever the defaults say.
    pub allow: Vec<Pattern>,
    /// What is not reached.
    pub deny: Vec<Pattern>,
    /// Whether nothing is reached but what `allow` names.
    pub allow_only: bool,
    /// The proxy that all TCP goes out by.
    pub upstream: Option<Proxy>,
    /// DNS servers to ask for streams; empty: the host's.
    pub resolvers: Vec<SocketAddr>,
    /// Names with fixed addresses, for streams.
    pub records: Vec<(String, Vec<IpAddr>)>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file of the certificate and its chain.
    pub certificate: PathBuf,
    /// A PEM file of the private key.
    pub key: PathBuf,
}

/// One LAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanSettings {
    /// Its name, unique among the LANs.
    pub name: String,
    /// Its IPv4 network.
    pub subnet: Ipv4Net,
    /// Its IPv6 prefix, a /64; without, it speaks no IPv6.
    pub ipv6: Option<Ipv6Net>,
    /// Its MTU in bytes: 576 to 65,535.
    pub mtu: u16,
    /// The gateway's MAC address.
    pub gateway_mac: MacAddr,
    /// First and last address that DHCP leases.
    pub pool: (Ipv4Addr, Ipv4Addr),
    /// How long a lease lasts, in seconds.
    pub lease_s: u32,
    /// Whether guests reach anything outside.
    pub gateway: bool,
    /// Whether our DHCP server serves.
    pub dhcp: bool,
    /// Whether our DNS server serves.
    pub dns: bool,
    /// Whether guests are kept from each other.
    pub isolate: bool,
    /// Whether the virtual addresses of the host reach its loopback.
    pub host_loopback: bool,
    /// Whether guests reach private networks.
    pub private: bool,
    /// What its guests reach beside what holds for every way out.
    pub allow: Vec<Pattern>,
    /// What its guests do not reach either.
    pub deny: Vec<Pattern>,
    /// Whether its guests reach nothing but what is allowed.
    pub allow_only: bool,
    /// DNS servers to ask; empty: the host's.
    pub resolvers: Vec<SocketAddr>,
    /// DNS names with fixed addresses.
    pub records: Vec<(String, Vec<IpAddr>)>,
    /// Fixed DHCP leases.
    pub leases: Vec<(MacAddr, Ipv4Addr)>,
    /// Ports of this host that lead to guests.
    pub forwards: Vec<Forward>,
    /// TAP interfaces that are ports of it.
    pub taps: Vec<TapSettings>,
    /// Clients that may be connected at once.
    pub max_clients: usize,
    /// How long the port of a lost connection is kept for its guest, in seconds: 0 to 3600.
    pub resume_s: u32,
    /// Who may have it by the guest's MAC address alone.
    pub resume_by_mac: ResumeByMac,
}

impl LanSettings {
    /// The gateway's address: the subnet's first.
    #[must_use]
    pub fn gateway_address(&self) -> Ipv4Addr {
        self.subnet.host(1).unwrap_or_else(|| self.subnet.network())
    }

    /// What the LAN is told of IPv6: its prefix, and the prefix's first address as the gateway's.
    #[must_use]
    pub fn ipv6(&self) -> Option<Ipv6Config> {
        self.ipv6.and_then(|prefix| Some(Ipv6Config { prefix, gateway_address: prefix.host(1)? }))
    }

    /// The IPv4 address that stands for the host: the subnet's last.
    #[must_use]
    pub fn host_address(&self) -> Ipv4Addr {
        host_address(self.subnet)
    }

    /// The addresses that stand for the host: the subnet's last, and in the IPv6 prefix the interface identifier `254`.
    pub fn host_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v6 = self.ipv6.and_then(|prefix| prefix.host(0x254));
        [Some(self.host_address().into()), v6.map(IpAddr::V6)].into_iter().flatten()
    }
}

impl Config {
    /// Reads flags and the file they name.
    ///
    /// # Errors
    /// The first mistake, with its place and the fix.
    pub fn load(args: &RelayArgs) -> Result<Self, ConfigError> {
        let flags = Input::from_args(args);
        let file = args.config.as_deref().map(file::read).transpose()?;
        resolve::resolve(flags, file.unwrap_or_default())
    }

    /// The configuration as the TOML that would give it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        show::to_toml(self)
    }
}

/// The address of a subnet that stands for the host.
fn host_address(subnet: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from_bits(subnet.broadcast().to_bits().saturating_sub(1))
}
