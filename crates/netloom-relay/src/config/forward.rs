//! A port of this host that leads to a guest, as it is written: `LISTEN=GUEST:PORT`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use netloom_core::MacAddr;

use super::parse;

/// The word for whichever guest is there.
const FIRST: &str = "first";
/// The domain of guests' names, which may be left out.
const DOMAIN: &str = ".lan";

/// A TCP port of this host that leads to a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The guest.
    pub guest: ForwardGuest,
    /// The guest's port.
    pub port: u16,
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
    /// Whoever leased by this name, which is in lower case.
    Name(String),
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

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.listen, self.guest, self.port)
    }
}

pub(super) fn parse(text: &str) -> Result<Forward, String> {
    let wrong = || {
        format!(
            "`{text}` is not a forward; write LISTEN=GUEST:PORT, as 8080=first:80 or 127.0.0.1:8080=192.168.86.100:80"
        )
    };
    let (listen, target) = text.split_once('=').ok_or_else(wrong)?;
    let listen = parse::address(listen).ok_or_else(wrong)?;
    let (guest, port) = target.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
    let guest = if guest == FIRST {
        ForwardGuest::First
    } else if let Ok(mac) = guest.parse() {
        ForwardGuest::Mac(mac)
    } else if let Ok(address) = guest.trim_matches(['[', ']']).parse() {
        ForwardGuest::Address(address)
    } else {
        let name = parse::host_name(guest)?;
        ForwardGuest::Name(name.strip_suffix(DOMAIN).unwrap_or(&name).to_owned())
    };
    Ok(Forward { listen, guest, port })
}
