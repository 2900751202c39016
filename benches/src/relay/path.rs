//! The two ways of a kernel guest to a server: through the relay's NAT, and over a cable with the kernel's TCP at both ends.
//!
//! ```text
//! ours  guest kernel ─ TAP ─ cable ─ WebSocket ─ netloom ─ veth ─ server kernel
//! peer  guest kernel ─ TAP ─ cable ─ WebSocket ─ splice ─ WebSocket ─ cable ─ TAP ─ server kernel
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path as FilePath;
use std::time::Duration;

use anyhow::Result;
use netloom_interop::lab::{Guest, INTERFACE, Lab, SERVER};
use netloom_interop::namespace::Namespace;
use netloom_interop::splice::Splice as Cable;
use netloom_interop::tap::Tap;
use netloom_interop::websocket::{Handshake, WebSocket};

use super::pump::{self, Direction, Pump};
use super::splice::Splice;

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
    _lab: Lab,
}

impl Nat {
    /// A relay on its defaults, a guest with a lease, a server behind the relay.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn new() -> Result<Self> {
        let lab = Lab::new(&[])?;
        let (guest, _) = lab.leased_guest(None)?;
        let pump = Pump::start(&lab.server, SocketAddr::from((SERVER, 0)))?;
        Ok(Self { pump, guest, _lab: lab })
    }
}

impl Path for Nat {
    fn transfer(&self, direction: Direction, length: u64) -> Result<Duration> {
        pump::transfer(&self.guest.namespace, self.pump.address(), direction, length)
    }
}

/// Over the bare splice.
pub struct Cables {
    pump: Pump,
    guest: Namespace,
    _cables: [Cable; 2],
    _server: Namespace,
    _splice: Splice,
    _host: Namespace,
}

impl Cables {
    /// The splice, run by `program`, with a kernel at both ends.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn new(program: &FilePath) -> Result<Self> {
        let host = Namespace::new()?;
        let splice = Splice::start(&host, program)?;
        let attach = |address: Ipv4Addr| {
            let namespace = Namespace::new()?;
            let tap = Tap::open(&namespace, INTERFACE)?;
            namespace.ip(&["link", "set", INTERFACE, "up"])?;
            namespace.ip(&["address", "add", &format!("{address}/24"), "dev", INTERFACE])?;
            let socket = WebSocket::connect(&host, splice.address(), &Handshake::to("/"))?;
            anyhow::Ok((Cable::start(tap, socket, None)?, namespace))
        };
        let (guest_cable, guest) = attach(PEER_GUEST)?;
        let (server_cable, server) = attach(PEER_SERVER)?;
        let pump = Pump::start(&server, SocketAddr::from((PEER_SERVER, 0)))?;
        let cables = [guest_cable, server_cable];
        Ok(Self { pump, guest, _cables: cables, _server: server, _splice: splice, _host: host })
    }
}

impl Path for Cables {
    fn transfer(&self, direction: Direction, length: u64) -> Result<Duration> {
        pump::transfer(&self.guest, self.pump.address(), direction, length)
    }
}
