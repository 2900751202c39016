//! A port of this host that leads to a guest, as it is written: `[udp:]LISTEN=[LAN/]GUEST:PORT[,keep-source]`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use netloom_core::MacAddr;

use super::{parse, qemu};

/// The word for whichever guest is there.
const FIRST: &str = "first";
/// The domain of guests' names, which may be left out.
const DOMAIN: &str = ".lan";
/// The word by which the guest sees who asks.
const KEEP_SOURCE: &str = "keep-source";

/// A port of this host that leads to a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where it listens.
    pub listen: ForwardListen,
    /// The guest.
    pub guest: ForwardGuest,
    /// The guest's port.
    pub port: u16,
    /// Whether the guest sees the address of who asks, as far as it can answer it, rather than the gateway's.
    pub keep_source: bool,
}

/// Where a forward listens. Port 0 takes a free one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ForwardListen {
    /// Connections to a TCP port.
    Tcp(SocketAddr),
    /// Datagrams to a UDP port.
    Udp(SocketAddr),
    /// Connections to a unix socket, which become TCP toward the guest.
    Unix(PathBuf),
}

/// The guest that a forward leads to, looked for with each connection: it follows the guest when its address changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardGuest {
    /// A guest with a fixed lease, else the one that has been on the LAN longest.
    First,
    /// Whoever has this address.
    Address(IpAddr),
    /// Whoever has this card.
    Mac(MacAddr),
    /// Whoever leased by this name, or has the address that the LAN's DNS has for it; in lower case.
    Name(String),
}

impl ForwardListen {
    /// The address of this host that it takes.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) | Self::Udp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether the kernel chooses the port.
    pub(super) fn is_free(&self) -> bool {
        self.address().is_some_and(|address| address.port() == 0)
    }
}

impl fmt::Display for ForwardListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for ForwardListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind @ ("tcp" | "udp" | "unix"), rest)) => (kind, rest),
            _ => ("tcp", text),
        };
        if kind == "unix" {
            return qemu::socket_path(rest).map(Self::Unix);
        }
        let address = parse::address(rest).ok_or_else(|| {
            format!("`{text}` is not where to listen; write 8080, 127.0.0.1:8080, :8080, udp:5353 or unix:/run/guest.sock")
        })?;
        Ok(if kind == "udp" { Self::Udp(address) } else { Self::Tcp(address) })
    }
}

impl fmt::Display for ForwardGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str(FIRST),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Mac(mac) => mac.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for ForwardGuest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(if text == FIRST {
            Self::First
        } else if let Ok(mac) = text.parse() {
            Self::Mac(mac)
        } else if let Ok(address) = text.trim_matches(['[', ']']).parse() {
            Self::Address(address)
        } else {
            let name = parse::host_name(text)?;
            Self::Name(name.strip_suffix(DOMAIN).unwrap_or(&name).to_owned())
        })
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.listen, self.guest, self.port)?;
        if self.keep_source { write!(f, ",{KEEP_SOURCE}") } else { Ok(()) }
    }
}

impl Forward {
    /// Reads a forward, and the LAN that it names, if it does.
    ///
    /// # Errors
    /// What is wrong, with how to write it.
    pub fn parse(text: &str) -> Result<(Option<String>, Self), String> {
        let wrong = || {
            format!(
                "`{text}` is not a forward; write LISTEN=GUEST:PORT, as 8080=first:80, 127.0.0.1:8080=192.168.86.100:80 or udp:5353=dns.lan:53"
            )
        };
        let (listen, target) = text.rsplit_once('=').ok_or_else(wrong)?;
        let listen = listen.parse()?;
        let (target, keep_source) = match target.split_once(',') {
            Some((target, KEEP_SOURCE)) => (target, true),
            Some((_, option)) => {
                return Err(format!(
                    "`{option}` is no option of a forward; write {KEEP_SOURCE}, or leave it out"
                ));
            }
            None => (target, false),
        };
        if keep_source && matches!(listen, ForwardListen::Unix(_)) {
            return Err(format!("who asks on a unix socket has no address; leave out {KEEP_SOURCE}"));
        }
        let (lan, guest, port) = parse_target(target)?.ok_or_else(wrong)?;
        Ok((lan, Self { listen, guest, port, keep_source }))
    }

    /// Whether a text leads to this LAN: it names it, or none.
    pub(super) fn is_of(text: &str, lan: &str, is_default: bool) -> bool {
        let named = text.rsplit_once('=').and_then(|(_, target)| target.split_once('/'));
        named.map_or(is_default, |(named, _)| named == lan)
    }
}

/// `[LAN/]GUEST:PORT`; `None` if it is not so written.
pub(super) fn parse_target(text: &str) -> Result<Option<(Option<String>, ForwardGuest, u16)>, String> {
    let (lan, rest) = match text.split_once('/') {
        Some((lan, rest)) => (Some(parse::lan_name(lan)?), rest),
        None => (None, text),
    };
    let Some((guest, port)) = rest.rsplit_once(':') else { return Ok(None) };
    let Some(port) = port.parse().ok().filter(|port| *port != 0) else { return Ok(None) };
    Ok(Some((lan, guest.parse()?, port)))
}
