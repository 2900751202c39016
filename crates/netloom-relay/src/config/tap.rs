//! TAP interfaces: the host's, or a network namespace's, that are ports of a LAN.

use std::fmt;
use std::path::PathBuf;

use netloom_core::{IpNet, MacAddr};

use super::error::{ConfigError, Given};
use super::{DEFAULT_LAN, LanSettings, parse, resolve};

/// Largest MTU of a TAP in bytes: what the kernel's 65,535 leave beside an Ethernet header and its tag (`tun.c`).
pub const MAX_TAP_MTU: u16 = 65_520;
/// Longest name of an interface in bytes (netdevice(7): `IFNAMSIZ` with its terminator).
const MAX_NAME_BYTES: usize = 15;
const FORM: &str = "write tap0, or tap0,bridge=br0 or tap0,netns=NAME,address=10.0.0.1/24";

/// A TAP interface that is a port of a LAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapSettings {
    /// The interface's name.
    pub name: String,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
    /// The network namespace that it is in; without, the relay's own.
    pub netns: Option<Netns>,
    /// Addresses that the interface has there.
    pub addresses: Vec<IpNet>,
    /// The interface's MAC address; without, one that stays the same.
    pub mac: Option<MacAddr>,
}

impl TapSettings {
    /// Whether both are about one interface.
    pub(crate) fn is_same_interface(&self, other: &Self) -> bool {
        self.name == other.name && self.netns == other.netns
    }
}

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Netns {
    /// That of `ip netns`.
    Name(String),
    /// That of a process.
    Process(u32),
    /// What is mounted there.
    Path(PathBuf),
}

impl Netns {
    /// Where it is to be opened.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Name(name) => format!("/run/netns/{name}").into(),
            Self::Process(pid) => format!("/proc/{pid}/ns/net").into(),
            Self::Path(path) => path.clone(),
        }
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Process(pid) => pid.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for TapSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(bridge) = &self.bridge {
            write!(f, ",bridge={bridge}")?;
        }
        if let Some(netns) = &self.netns {
            write!(f, ",netns={netns}")?;
        }
        for address in &self.addresses {
            write!(f, ",address={address}")?;
        }
        match self.mac {
            Some(mac) => write!(f, ",mac={mac}"),
            None => Ok(()),
        }
    }
}

/// Gives each LAN the TAPs that flags name, in place of those that the file does.
pub(super) fn of_flags(given: &[Given<String>], lans: &mut [LanSettings]) -> Result<(), ConfigError> {
    let taps = resolve::each(given, parse_flag)?;
    for lan in &mut *lans {
        let own = || taps.iter().zip(given).filter(|((name, _), _)| *name == lan.name);
        if own().next().is_some() {
            let given: Vec<_> = own().map(|(_, given)| given.clone()).collect();
            lan.taps = own().map(|((_, tap), _)| tap.clone()).collect();
            check(&given, lan)?;
        }
    }
    for ((lan, _), given) in taps.iter().zip(given) {
        if !lans.iter().any(|known| known.name == *lan) {
            return Err(given.wrong(format_args!("there is no LAN `{lan}`; add --lan {lan}")));
        }
    }
    Ok(())
}

/// What a LAN's TAPs must be to it and to each other.
pub(super) fn check(given: &[Given<String>], lan: &LanSettings) -> Result<(), ConfigError> {
    for (n, (tap, given)) in lan.taps.iter().zip(given).enumerate() {
        if lan.mtu > MAX_TAP_MTU {
            return Err(given.wrong(format_args!(
                "LAN `{}` has an MTU of {}, and a TAP carries {MAX_TAP_MTU} bytes at most; write --mtu {MAX_TAP_MTU}",
                lan.name, lan.mtu
            )));
        }
        if lan.taps[..n].iter().any(|other| other.is_same_interface(tap)) {
            return Err(given.wrong(format_args!("TAP `{}` is given twice; leave one out", tap.name)));
        }
    }
    Ok(())
}

/// Reads `[LAN=]NAME[,KEY=VALUE]…`.
fn parse_flag(text: &str) -> Result<(String, TapSettings), String> {
    let first = text.split(',').next().unwrap_or_default();
    match first.split_once('=') {
        Some((lan, _)) => Ok((parse::lan_name(lan)?, parse(&text[lan.len() + 1..])?)),
        None => Ok((DEFAULT_LAN.to_owned(), parse(text)?)),
    }
}

/// Reads `NAME[,KEY=VALUE]…`.
pub(super) fn parse(text: &str) -> Result<TapSettings, String> {
    let mut parts = text.split(',');
    let name = interface(parts.next().unwrap_or_default())?;
    let mut tap = TapSettings { name, bridge: None, netns: None, addresses: Vec::new(), mac: None };
    for part in parts {
        match part.split_once('=') {
            Some(("bridge", name)) => tap.bridge = Some(interface(name)?),
            Some(("netns", netns)) => tap.netns = Some(parse_netns(netns)?),
            Some(("address", address)) => tap.addresses.push(parse_address(address)?),
            Some(("mac", mac)) => tap.mac = Some(parse::mac(mac)?),
            _ => return Err(format!("`{part}` is no bridge=, netns=, address= or mac= of a TAP; {FORM}")),
        }
    }
    if tap.bridge.is_some() && !tap.addresses.is_empty() {
        return Err("a port of a bridge has no address of its own; give it to the bridge".to_owned());
    }
    Ok(tap)
}

/// A name that an interface may have (`dev_valid_name` of Linux), and that names one alone.
fn interface(name: &str) -> Result<String, String> {
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len()) && !matches!(name, "." | "..");
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '%');
    if !fits || name.contains(forbidden) {
        return Err(format!(
            "`{name}` cannot be an interface's name: 1 to {MAX_NAME_BYTES} bytes without space, /, : and %; {FORM}"
        ));
    }
    Ok(name.to_owned())
}

fn parse_netns(text: &str) -> Result<Netns, String> {
    if text.starts_with('/') {
        return Ok(Netns::Path(text.into()));
    }
    if let Ok(pid) = text.parse() {
        return Ok(Netns::Process(pid));
    }
    if text.is_empty() || text.contains('/') || matches!(text, "." | "..") {
        return Err(format!(
            "`{text}` is no network namespace; write netns=NAME as `ip netns` has it, a process's number, or /PATH"
        ));
    }
    Ok(Netns::Name(text.to_owned()))
}

fn parse_address(text: &str) -> Result<IpNet, String> {
    let usable = |net: &IpNet| !net.address().is_unspecified() && !net.address().is_multicast();
    let net = text.contains('/').then(|| text.parse().ok()).flatten().filter(usable);
    net.ok_or_else(|| format!("`{text}` is no address with its prefix; write address=10.0.0.1/24"))
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
