//! The set-up most tests share: a relay, servers behind it, and Linux kernels as its guests.
//!
//! ```text
//! guest namespace          host namespace                    server namespace
//!   eth0 (TAP) ── splice ── WebSocket ─ netloom ─ veth ─ veth  10.77.0.2
//! ```
//!
//! Everything that the host has no other route for goes to the server's namespace, which forwards nothing: an address
//! beyond it is a black hole. A lab holds the crate's one lock, so that two labs never share the processors, unless it is
//! one that mostly waits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use crate::dhcp::{DhcpClient, Lease};
use crate::dns::DnsServer;
use crate::link::Impairment;
use crate::namespace::{Namespace, join_by_veth};
use crate::relay::Relay;
use crate::splice::Splice;
use crate::tap::Tap;
use crate::transfer::Server;
use crate::websocket::{Handshake, WebSocket};

/// The server's address, reached through the relay's NAT.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// An address from which nothing ever comes back.
pub const BLACK_HOLE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The address of every name under the test's resolver.
pub const NAMED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The default LAN's gateway.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 1);
/// A guest's interface.
pub const INTERFACE: &str = "eth0";

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The size of a job: `quick`, or `full` with `NETLOOM_FULL`.
#[must_use]
pub fn sized(quick: u64, full: u64) -> u64 {
    if std::env::var_os("NETLOOM_FULL").is_some() { full } else { quick }
}

/// Waits until no other lab of this process runs.
pub fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A relay in `host`, a transfer server and a resolver in `server`.
#[derive(Debug)]
pub struct Lab {
    /// The program under test.
    pub relay: Relay,
    /// Moves bytes at [`SERVER`].
    pub transfers: Server,
    /// Answers the relay's questions.
    pub dns: DnsServer,
    /// Where the relay runs.
    pub host: Namespace,
    /// Where the servers run.
    pub server: Namespace,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Lab {
    /// Sets everything up and starts `netloom relay` with `arguments`.
    ///
    /// # Errors
    /// When the test is not run as root, a program is missing or the relay does not start.
    pub fn new(arguments: &[&str]) -> Result<Self> {
        let alone = alone();
        Ok(Self { _alone: Some(alone), ..Self::beside_others(arguments)? })
    }

    /// The same for work that mostly waits, such as on a slow link: it does not wait for others, nor do they for it.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn beside_others(arguments: &[&str]) -> Result<Self> {
        let (mut host, server) = (Namespace::new()?, Namespace::new()?);
        join_by_veth((&host, "up0", "10.77.0.1/24"), (&server, "down0", "10.77.0.2/24"))?;
        host.ip(&["route", "add", "default", "via", &SERVER.to_string()])?;
        let dns = DnsServer::start(&server, SocketAddr::from((SERVER, 53)), NAMED)?;
        host.use_resolvers(&[IpAddr::V4(SERVER)])?;
        let transfers = Server::start(&server, SocketAddr::from((SERVER, 0)))?;
        let relay = Relay::start(&host, arguments)?;
        Ok(Self { relay, transfers, dns, host, server, _alone: None })
    }

    /// A guest on the LAN at `path`, without an address yet.
    ///
    /// # Errors
    /// When the relay refuses it.
    pub fn guest(&self, path: &str, impairment: Option<Impairment>) -> Result<Guest> {
        let socket = WebSocket::connect(&self.host, self.relay.address(), &Handshake::to(path))?;
        let namespace = Namespace::new()?;
        let tap = Tap::open(&namespace, INTERFACE)?;
        let cable = Splice::start(tap, socket, impairment)?;
        Ok(Guest { cable, namespace })
    }

    /// A guest on the default LAN that has taken a lease.
    ///
    /// # Errors
    /// When there is no lease to be had.
    pub fn leased_guest(&self, impairment: Option<Impairment>) -> Result<(Guest, Lease)> {
        let guest = self.guest("/", impairment)?;
        let lease = guest.lease()?;
        Ok((guest, lease))
    }
}

/// The Linux kernel as a guest.
#[derive(Debug)]
pub struct Guest {
    /// The TAP joined to the WebSocket.
    pub cable: Splice,
    /// The guest's whole world.
    pub namespace: Namespace,
}

impl Guest {
    /// Takes a lease with udhcpc and sets address, route and MTU from it.
    ///
    /// # Errors
    /// With udhcpc's own words when no lease came.
    pub fn lease(&self) -> Result<Lease> {
        self.lease_by(DhcpClient::Udhcpc)
    }

    /// Takes a lease with `client` and sets address, route and MTU from it, where the client has not.
    ///
    /// # Errors
    /// With the client's own words when no lease came.
    pub fn lease_by(&self, client: DhcpClient) -> Result<Lease> {
        let lease = client.lease(&self.namespace, INTERFACE)?;
        let address = format!("{}/{}", lease.address, lease.prefix);
        self.namespace.ip(&["address", "replace", &address, "dev", INTERFACE])?;
        if let Some(router) = lease.router {
            self.namespace.ip(&["route", "replace", "default", "via", &router.to_string()])?;
        }
        if let Some(mtu) = lease.mtu {
            self.namespace.ip(&["link", "set", INTERFACE, "mtu", &mtu.to_string()])?;
        }
        Ok(lease)
    }

    /// Sets an address by hand.
    ///
    /// # Errors
    /// When the guest has it already.
    pub fn use_address(&self, address: Ipv4Addr, prefix: u8) -> Result<()> {
        self.namespace.add_address(INTERFACE, address, prefix)
    }

    /// Whether `target` answers one of `count` pings.
    #[must_use]
    pub fn pings(&self, target: Ipv4Addr, count: u32) -> bool {
        let count = count.to_string();
        self.namespace
            .exec("ping", &["-n", "-c", &count, "-i", "0.2", "-W", "2", &target.to_string()])
            .is_ok()
    }
}
