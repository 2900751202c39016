//! TAP interfaces of Linux: opening one, in whatever network namespace, with the offloads of virtio-net.
//!
//! An interface that the relay makes is not persistent: the kernel removes it with its addresses, routes and place in a bridge when the
//! relay ends, however it ends. One that was there before is used as it is, and stays as it is.

pub(crate) mod header;
mod netlink;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::thread;

use netloom_core::MacAddr;
use ring::digest::{SHA256, digest};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::config::{Netns, TapSettings};

/// Where the kernel gives TAPs out.
const DEVICE: &str = "/dev/net/tun";
/// What makes this host's names its own (machine-id(5)).
const MACHINE_ID: &str = "/etc/machine-id";

/// Why a TAP could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TapError {
    #[error(
        "there is no {DEVICE}: load the kernel's module (modprobe tun), or give the container the device (--device {DEVICE})"
    )]
    NoDevice,
    #[error(
        "making TAP {0} needs CAP_NET_ADMIN: run the relay as root, give it the capability (systemd: AmbientCapabilities=CAP_NET_ADMIN), or make the interface for it before: `ip tuntap add {0} mode tap user NAME && ip link set {0} up`"
    )]
    NotAllowed(String),
    #[error("another program has TAP {0}: end it, or choose another name with --tap")]
    Busy(String),
    #[error(
        "{0} is an interface of another kind, or a TAP of several queues: choose another name with --tap"
    )]
    NotTap(String),
    #[error(
        "TAP {0} was there before and has an MTU of {1}, the LAN one of {2}: write --mtu {1}, or run `ip link set {0} mtu {2}`"
    )]
    Mtu(String, u16, u16),
    #[error("TAP {0} was there before: give it its {1} by `ip`, or remove it and let the relay make it")]
    NotOurs(String, &'static str),
    #[error("there is no bridge {0}: `ip link add {0} type bridge && ip link set {0} up` makes one")]
    NoBridge(String),
    #[error("TAP {0} cannot join bridge {1} ({2}): choose an interface of the kind bridge")]
    Bridge(String, String, io::Error),
    #[error("there is no network namespace {0} ({1}): `ip netns list` shows those with a name")]
    NoNamespace(String, io::Error),
    #[error("entering network namespace {0} needs CAP_SYS_ADMIN ({1}): run the relay as root")]
    Namespace(String, io::Error),
    #[error("TAP {0} cannot be opened ({1})")]
    Other(String, io::Error),
}

/// An open TAP.
pub(crate) struct Tap {
    settings: TapSettings,
    device: SyncDevice,
}

impl Tap {
    pub(crate) const fn settings(&self) -> &TapSettings {
        &self.settings
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}

/// Opens a TAP for a LAN of this MTU, or makes it.
pub(crate) fn open(settings: &TapSettings, mtu: u16) -> Result<Tap, TapError> {
    let Some(netns) = &settings.netns else { return open_here(settings, mtu) };
    let shown = netns.to_string();
    let file = File::open(netns.path()).map_err(|error| TapError::NoNamespace(shown.clone(), error))?;
    let settings = settings.clone();
    let name = settings.name.clone();
    // A thread that has moved never comes back, so it is one that ends.
    let opened = thread::spawn(move || {
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(file.as_fd(), kind).map_err(|error| match error {
            Errno::PERM => TapError::Namespace(shown, error.into()),
            _ => TapError::NoNamespace(shown, error.into()),
        })?;
        open_here(&settings, mtu)
    });
    opened.join().unwrap_or_else(|_| Err(TapError::Other(name, io::ErrorKind::Other.into())))
}

/// The same in the namespace of the calling thread.
fn open_here(settings: &TapSettings, mtu: u16) -> Result<Tap, TapError> {
    let name = &settings.name;
    if !Path::new(DEVICE).exists() {
        return Err(TapError::NoDevice);
    }
    let other = |error| TapError::Other(name.clone(), error);
    let there = netlink::index_of(name).map_err(other)?.is_some();
    let builder = DeviceBuilder::new().name(name).layer(Layer::L2).offload(true);
    let device = builder.inherit_enable_state().build_sync().map_err(|error| explain(name, there, error))?;
    device.set_nonblocking(true).map_err(other)?;
    if there {
        adopt(settings, &device, mtu)?
    } else {
        furnish(settings, &device, mtu)?
    }
    Ok(Tap { settings: settings.clone(), device })
}

/// Checks that an interface which was there before is what the LAN needs: it is not ours to change.
fn adopt(settings: &TapSettings, device: &SyncDevice, mtu: u16) -> Result<(), TapError> {
    let name = || settings.name.clone();
    let its = device.mtu().map_err(|error| TapError::Other(name(), error))?;
    if its != mtu {
        return Err(TapError::Mtu(name(), its, mtu));
    }
    let wanted = [
        (settings.bridge.is_some(), "bridge"),
        (!settings.addresses.is_empty(), "address"),
        (settings.mac.is_some(), "MAC address"),
    ];
    match wanted.into_iter().find(|(wanted, _)| *wanted) {
        Some((_, what)) => Err(TapError::NotOurs(name(), what)),
        None => Ok(()),
    }
}

/// Sets up an interface that we have made.
fn furnish(settings: &TapSettings, device: &SyncDevice, mtu: u16) -> Result<(), TapError> {
    let name = &settings.name;
    let other = |error| explain(name, false, error);
    device.set_mtu(mtu).map_err(other)?;
    // A bridge takes its address from its ports unless it is given one, so its ports' are left to chance.
    let mac = settings.mac.or_else(|| settings.bridge.is_none().then(|| own_mac(settings)));
    if let Some(MacAddr(mac)) = mac {
        device.set_mac_address(mac).map_err(other)?;
    }
    if settings.netns.is_none() {
        ignore_routers(name);
    }
    device.enabled(true).map_err(other)?;
    let own = netlink::index_of(name).map_err(other)?.unwrap_or_default();
    for net in &settings.addresses {
        netlink::add_address(own, *net).map_err(other)?;
    }
    let Some(bridge) = &settings.bridge else { return Ok(()) };
    let index =
        netlink::index_of(bridge).map_err(other)?.ok_or_else(|| TapError::NoBridge(bridge.clone()))?;
    netlink::set_master(own, index).map_err(|error| TapError::Bridge(name.clone(), bridge.clone(), error))
}

/// Keeps the host from taking the LAN's gateway for its own way out: our router advertisements are for guests.
fn ignore_routers(name: &str) {
    for setting in ["accept_ra", "autoconf"] {
        let path = format!("/proc/sys/net/ipv6/conf/{name}/{setting}");
        // Without IPv6 there is nothing to keep it from.
        if let Err(error) = std::fs::write(&path, "0") {
            tracing::debug!("{path}: {error}");
        }
    }
}

/// A MAC address that is the same after a restart, so that guests' ARP caches stay right, and another on every host.
fn own_mac(settings: &TapSettings) -> MacAddr {
    let machine = std::fs::read(MACHINE_ID).unwrap_or_default();
    let netns = settings.netns.as_ref().map(Netns::to_string).unwrap_or_default();
    let digest = digest(&SHA256, &[&machine, netns.as_bytes(), settings.name.as_bytes()].join(&0));
    let mut mac = [0x02; 6];
    for (octet, byte) in mac[1..].iter_mut().zip(digest.as_ref()) {
        *octet = *byte;
    }
    MacAddr(mac)
}

fn explain(name: &str, there: bool, error: io::Error) -> TapError {
    let name = name.to_owned();
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::ACCESS) => TapError::NotAllowed(name),
        Some(Errno::BUSY) => TapError::Busy(name),
        Some(Errno::INVAL) if there => TapError::NotTap(name),
        Some(Errno::NODEV | Errno::NOENT | Errno::NXIO) => TapError::NoDevice,
        _ => TapError::Other(name, error),
    }
}
