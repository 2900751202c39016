//! The two ways of a kernel guest to a server: through the relay's NAT, and over a cable with the kernel's TCP at both ends.
//!
//! ```text
//! ours  guest kernel ─ TAP ─ splice ─ WebSocket ─ netloom ─ veth ─ server kernel
//! peer  guest kernel ─ TAP ─ splice ─ WebSocket ─ splice ─ TAP ─ server kernel
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, anyhow};
use netloom_interop::lab::{Guest, INTERFACE, Lab, SERVER};
use netloom_interop::namespace::Namespace;
use netloom_interop::splice::Splice;
use netloom_interop::tap::Tap;
use netloom_interop::websocket::{Handshake, WebSocket};

use super::pump::{self, Direction, Pump};
use super::socket::Socket;

const PEER_GUEST: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const PEER_SERVER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);

/// A guest that can reach a server.
pub trait Path {
    /// Moves `length` bytes; how long it took.
    ///
    /// # Errors
    /// When the transfer breaks.
    fn transfer(&self, direction: Direction, length: u64) -> Result<Duration>;
}

/// Through the relay. Fields are dropped in order: what uses a thing before the thing.
pub struct Nat {
    pump: Pump,
    guest: Guest,
    lab: Lab,
}

impl Nat {
    /// A relay on its defaults, a guest with a lease, a server behind the relay.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn new() -> Result<Self> {
        Self::with(&[])
    }

    /// The same with flags of the relay.
    ///
    /// # Errors
    /// As [`Nat::new`].
    pub fn with(arguments: &[&str]) -> Result<Self> {
        let lab = Lab::new(arguments)?;
        let (guest, _) = lab.leased_guest(None)?;
        let pump = Pump::start(&lab.server, SocketAddr::from((SERVER, 0)))?;
        Ok(Self { pump, guest, lab })
    }

    /// The relay's process.
    #[must_use]
    pub fn relay_pid(&self) -> u32 {
        self.lab.relay.pid()
    }
}

impl Path for Nat {
    fn transfer(&self, direction: Direction, length: u64) -> Result<Duration> {
        pump::transfer(&self.guest.namespace, self.pump.address(), direction, length)
    }
}

/// Over a cable alone.
pub struct Cable {
    pump: Pump,
    guest: Namespace,
    halves: Vec<Splice>,
    _server: Namespace,
    _host: Namespace,
}

impl Cable {
    /// A guest and a server with a TAP each, joined by a WebSocket.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn new() -> Result<Self> {
        let (host, guest, server) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        let listener = host.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let accepting = std::thread::spawn(move || Socket::accept(&listener));
        let client = WebSocket::connect(&host, address, &Handshake::to("/"))?;
        let socket = accepting.join().map_err(|_| anyhow!("accepting panicked"))??;
        let guest_half = Splice::start(plug(&guest, PEER_GUEST)?, client, None)?;
        let server_half = Splice::start(plug(&server, PEER_SERVER)?, socket, None)?;
        let pump = Pump::start(&server, SocketAddr::from((PEER_SERVER, 0)))?;
        Ok(Self { pump, guest, halves: vec![guest_half, server_half], _server: server, _host: host })
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for half in self.halves.drain(..) {
            // The second sees the first go, which is no fault.
            drop(half.finish());
        }
    }
}

/// A TAP device with an address.
fn plug(namespace: &Namespace, address: Ipv4Addr) -> Result<Tap> {
    let tap = Tap::open(namespace, INTERFACE)?;
    namespace.add_address(INTERFACE, address, 24)?;
    Ok(tap)
}

impl Path for Cable {
    fn transfer(&self, direction: Direction, length: u64) -> Result<Duration> {
        pump::transfer(&self.guest, self.pump.address(), direction, length)
    }
}
