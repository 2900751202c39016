//! The set-up most tests share: a relay, servers behind it, and Linux kernels as its guests.
//!
//! ```text
//! guest namespace          host namespace                    server namespace
//!   eth0 (TAP) ── splice ── WebSocket ─ netloom ─ veth ─ veth  10.77.0.2, fd77::2
//! ```
//!
//! The veth has IPv6 beside IPv4. Everything that the host has no other route for goes to the server's namespace, which forwards nothing: an address
//! beyond it is a black hole. A lab holds the crate's one lock, so that two labs never share the processors, unless it is
//! one that mostly waits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

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
/// The server's IPv6 address.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);
/// An address from which nothing ever comes back.
pub const BLACK_HOLE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The same over IPv6.
pub const BLACK_HOLE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// The addresses of every name under the test's resolver.
pub const NAMED: (Ipv4Addr, Ipv6Addr) = (SERVER, SERVER_V6);
/// The default LAN's gateway.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 1);
/// The same over IPv6, if the default LAN's prefix is the unique local one of its name.
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfdc4, 0x3500, 0xb635, 0, 0, 0, 0, 1);
/// The link-local address of every LAN's gateway, made of its MAC address.
pub const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x4e, 0x65ff, 0xfe74, 0x6c01);
/// The server's addresses of either family.
pub const SERVERS: [IpAddr; 2] = [IpAddr::V4(SERVER), IpAddr::V6(SERVER_V6)];
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

    /// The same with the relay in a namespace that is there already.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn in_host(host: Namespace, arguments: &[&str]) -> Result<Self> {
        let alone = alone();
        Ok(Self { _alone: Some(alone), ..Self::assemble(host, arguments)? })
    }

    /// The same for work that mostly waits, such as on a slow link: it does not wait for others, nor do they for it.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn beside_others(arguments: &[&str]) -> Result<Self> {
        Self::assemble(Namespace::new()?, arguments)
    }

    fn assemble(mut host: Namespace, arguments: &[&str]) -> Result<Self> {
        let server = Namespace::new()?;
        join_by_veth((&host, "up0", "10.77.0.1/24"), (&server, "down0", "10.77.0.2/24"))?;
        host.add_address("up0", Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1), 64)?;
        server.add_address("down0", SERVER_V6, 64)?;
        // Without a route it would tell that there is none.
        server.ip(&["-6", "route", "add", "blackhole", "default"])?;
        for gateway in [SERVER.to_string(), SERVER_V6.to_string()] {
            host.ip(&["route", "add", "default", "via", &gateway])?;
        }
        let dns = DnsServer::start(&server, SocketAddr::from((SERVER, 53)), NAMED)?;
        host.use_resolvers(&[&SERVER.to_string()])?;
        let transfers = Server::start(&server, SocketAddr::from((SERVER, 0)))?;
        let relay = Relay::start(&host, arguments)?;
        Ok(Self { relay, transfers, dns, host, server, _alone: None })
    }

    /// A guest on the LAN at `path`, without an address yet.
    ///
    /// # Errors
    /// When the relay refuses it.
    pub fn guest(&self, path: &str, impairment: Option<Impairment>) -> Result<Guest> {
        join(&self.host, self.relay.address(), path, impairment)
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

    /// A guest on the default LAN that has taken a lease and an address of the prefix that the relay advertises.
    ///
    /// # Errors
    /// When one of them is not to be had.
    pub fn dual_stack_guest(&self, impairment: Option<Impairment>) -> Result<(Guest, Lease, Ipv6Addr)> {
        let (guest, lease) = self.leased_guest(impairment)?;
        let address = guest.advertised_address()?;
        Ok((guest, lease, address))
    }
}

/// Makes a guest of the relay that listens in `host` on `address`.
///
/// # Errors
/// When the relay refuses it.
pub fn join(
    host: &Namespace,
    address: SocketAddr,
    path: &str,
    impairment: Option<Impairment>,
) -> Result<Guest> {
    let socket = WebSocket::connect(host, address, &Handshake::to(path))?;
    let namespace = Namespace::new()?;
    let tap = Tap::open(&namespace, INTERFACE)?;
    let cable = Splice::start(tap, socket, impairment)?;
    Ok(Guest { cable, namespace })
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
        take_lease(&self.namespace, client)
    }

    /// Sets an address by hand.
    ///
    /// # Errors
    /// When the guest has it already.
    pub fn use_address(&self, address: impl Into<IpAddr>, prefix: u8) -> Result<()> {
        self.namespace.add_address(INTERFACE, address, prefix)
    }

    /// Waits for the address that the guest's kernel makes of the prefix that a router advertises (RFC 4862).
    ///
    /// # Errors
    /// When there is none within ten seconds.
    pub fn advertised_address(&self) -> Result<Ipv6Addr> {
        advertised_address(&self.namespace)
    }

    /// Whether `target` answers one of `count` pings.
    #[must_use]
    pub fn pings(&self, target: impl Into<IpAddr>, count: u32) -> bool {
        let (target, count) = (target.into().to_string(), count.to_string());
        self.namespace.exec("ping", &["-n", "-c", &count, "-i", "0.2", "-W", "2", &target]).is_ok()
    }
}

/// Has a namespace's interface take a lease, and sets address, route and MTU from it.
///
/// # Errors
/// With the client's own words when no lease came.
pub fn take_lease(namespace: &Namespace, client: DhcpClient) -> Result<Lease> {
    let lease = client.lease(namespace, INTERFACE)?;
    let address = format!("{}/{}", lease.address, lease.prefix);
    namespace.ip(&["address", "replace", &address, "dev", INTERFACE])?;
    if let Some(router) = lease.router {
        namespace.ip(&["route", "replace", "default", "via", &router.to_string()])?;
    }
    if let Some(mtu) = lease.mtu {
        namespace.ip(&["link", "set", INTERFACE, "mtu", &mtu.to_string()])?;
    }
    Ok(lease)
}

/// Waits for the address that a namespace's kernel makes of the prefix that a router advertises (RFC 4862).
///
/// # Errors
/// When there is none within ten seconds.
pub fn advertised_address(namespace: &Namespace) -> Result<Ipv6Addr> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let list = ["-j", "-6", "address", "show", "dev", INTERFACE, "scope", "global", "-tentative"];
        let listed: serde_json::Value = serde_json::from_str(&namespace.ip(&list)?)?;
        let address = listed.pointer("/0/addr_info/0/local").and_then(|local| local.as_str());
        if let Some(address) = address {
            return address.parse().context("ip lists what is no address");
        }
        ensure!(Instant::now() < deadline, "no router has advertised a prefix");
    }
}
