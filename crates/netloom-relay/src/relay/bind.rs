//! The sockets of a relay: all are bound before anything starts, so that a relay that cannot have one of them starts nothing.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;

use crate::config::{Config, Forward, LanSettings, QemuAddress, QemuListen};
use crate::control::ControlSocket;
use crate::forward;
use crate::listen::{self, QemuListener, Scheme};
use crate::tap::{self, Tap, TapError};

/// What a relay listens on.
pub(super) struct Bound {
    pub(super) listeners: Vec<(TcpListener, Scheme)>,
    pub(super) qemu: Vec<QemuListener>,
    /// Those that lead to guests, for each LAN in the order of the configuration.
    pub(super) forwards: Vec<Vec<forward::Listener>>,
    /// TAP interfaces, likewise.
    pub(super) taps: Vec<Vec<Tap>>,
    pub(super) control: Option<ControlSocket>,
    pub(super) addresses: Addresses,
}

/// Where that is, with the ports that the kernel chose.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) listen: Vec<(SocketAddr, Scheme)>,
    pub(super) qemu: Vec<QemuListen>,
    /// With the names of their LANs.
    pub(super) forwards: Vec<(String, Forward)>,
    pub(super) control: Option<PathBuf>,
}

impl Bound {
    /// Binds all that a configuration names, on this thread's runtime.
    ///
    /// # Errors
    /// The first that cannot be bound, with the fix.
    pub(super) fn bind(config: &Config) -> anyhow::Result<Self> {
        let mut listeners = Vec::new();
        let mut addresses =
            Addresses { listen: Vec::new(), qemu: Vec::new(), forwards: Vec::new(), control: None };
        let main = if config.tls.is_some() { Scheme::Https } else { Scheme::Http };
        let all = [
            (&config.listen, main, "--listen"),
            (&config.listen_plain, Scheme::Http, "--listen-plain"),
            (&config.listen_redirect, Scheme::Redirect, "--listen-redirect"),
        ];
        for (each, scheme, flag) in all {
            for address in each {
                let listener = listen::bind(*address).map_err(|error| explain(address, flag, &error))?;
                addresses.listen.push((listener.local_addr()?, scheme));
                listeners.push((TcpListener::from_std(listener)?, scheme));
            }
        }
        let mut qemu = Vec::new();
        for listen in &config.qemu_listen {
            let listener = QemuListener::bind(listen)
                .map_err(|error| explain(&listen.address, "--qemu-listen", &error))?;
            addresses.qemu.push(listener.bound()?);
            qemu.push(listener);
        }
        let mut forwards = Vec::new();
        for lan in &config.lans {
            let listeners = self::forwards(lan)?;
            for listener in &listeners {
                addresses.forwards.push((lan.name.clone(), listener.bound()?));
            }
            forwards.push(listeners);
        }
        let taps = config.lans.iter().map(taps).collect::<Result<_, _>>()?;
        let control = ControlSocket::bind(&config.control.socket)?;
        addresses.control = control.as_ref().map(|socket| socket.path().to_owned());
        Ok(Self { listeners, qemu, forwards, taps, control, addresses })
    }
}

/// Binds the forwards of a LAN.
///
/// # Errors
/// The first that cannot be bound, with the fix.
pub(super) fn forwards(lan: &LanSettings) -> anyhow::Result<Vec<forward::Listener>> {
    let bind = |forward: &Forward| {
        forward::Listener::bind(forward).map_err(|error| explain(&forward.listen, "--forward", &error))
    };
    lan.forwards.iter().map(bind).collect()
}

/// Opens the TAP interfaces of a LAN.
///
/// # Errors
/// The first that cannot be had, with the fix.
pub(super) fn taps(lan: &LanSettings) -> Result<Vec<Tap>, TapError> {
    lan.taps.iter().map(|tap| tap::open(tap, lan.mtu)).collect()
}

impl Addresses {
    /// The port of the first address that speaks TLS; 0 if none does.
    pub(super) fn https_port(&self) -> u16 {
        let https = self.listen.iter().find(|(_, scheme)| *scheme == Scheme::Https);
        https.map_or(0, |(address, _)| address.port())
    }

    /// The addresses of ours that no guest may reach.
    pub(super) fn own(&self) -> Vec<SocketAddr> {
        let qemu = self.qemu.iter().filter_map(|listen| match listen.address {
            QemuAddress::Tcp(address) => Some(address),
            QemuAddress::Unix(_) => None,
        });
        let forwards = self.forwards.iter().filter_map(|(_, forward)| forward.listen.address());
        self.listen.iter().map(|(address, _)| *address).chain(qemu).chain(forwards).collect()
    }
}

fn explain(address: &impl Display, flag: &str, error: &io::Error) -> anyhow::Error {
    let fix = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there, or a file is there: end it, or choose another address"
        }
        io::ErrorKind::AddrNotAvailable => "this host has no such address: choose one of its own",
        io::ErrorKind::PermissionDenied => {
            "that needs privileges: choose a port from 1024 up, or a folder of your own,"
        }
        _ => "choose another address",
    };
    anyhow::anyhow!("cannot listen on {address} ({error}): {fix} with {flag}")
}
