//! What is to be reached: a host by name or address, and a port, as a client wrote it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest host name, in bytes, without trailing dot (RFC 1035 section 2.3.4).
const MAX_NAME_BYTES: usize = 253;
/// Longest label of a name, in bytes.
const MAX_LABEL_BYTES: usize = 63;

/// A host and a port to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(super) host: Host,
    pub(super) port: u16,
    /// Whether this host's loopback may be reached.
    pub(super) loopback: bool,
}

/// Who is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// A name to resolve: lower case, without trailing dot.
    Name(String),
    /// An address, with the names that it was given for.
    Address(IpAddr, Vec<String>),
}

/// The text names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host name nor an IP address")]
pub(crate) struct BadHost(String);

impl Target {
    /// The host that `host` writes: an address in its usual form, an IPv6 address also in brackets, or a host name.
    ///
    /// Other ways to write an address (`127.1`, `0x7f000001`, `0177.0.0.1`), zones, blanks, NUL and bytes outside ASCII are refused: they
    /// mean different hosts to different readers. So is what has no port to go to.
    ///
    /// # Errors
    /// [`BadHost`] if it is none of these.
    pub(crate) fn parse(host: &[u8], port: u16) -> Result<Self, BadHost> {
        let bad = || BadHost(String::from_utf8_lossy(&host[..host.len().min(MAX_NAME_BYTES)]).into_owned());
        let text = std::str::from_utf8(host).map_err(|_| bad())?;
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match (bare, text.parse()) {
            (Some(v6), _) => Host::Address(IpAddr::V6(v6.parse().map_err(|_| bad())?), Vec::new()),
            (None, Ok(address)) => Host::Address(address, Vec::new()),
            (None, Err(_)) => Host::Name(host_name(text).ok_or_else(bad)?),
        };
        if port == 0 {
            return Err(bad());
        }
        Ok(Self { host, port, loopback: false })
    }

    /// An address that was dialled as such, with the names that it was given for.
    pub(crate) fn address(address: SocketAddr, names: Vec<String>) -> Self {
        Self { host: Host::Address(address.ip(), names), port: address.port(), loopback: false }
    }

    /// This host's loopback, of the family of `like`; reached only by who is `permitted`.
    pub(crate) fn loopback(like: IpAddr, port: u16, permitted: bool) -> Self {
        let address: IpAddr =
            if like.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        Self { host: Host::Address(address, Vec::new()), port, loopback: permitted }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(address, _) => SocketAddr::new(*address, self.port).fmt(f),
        }
    }
}

/// A host name in lower case without trailing dot; `None` if it is none, or could be read as an IPv4 address: its last label is a number
/// (WHATWG URL, "ends in a number").
fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let last = name.rsplit('.').next()?;
    let digits = |text: &str, hex: bool| {
        text.bytes().all(|b| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() })
    };
    let is_number = digits(last, false) || last.strip_prefix("0x").is_some_and(|rest| digits(rest, true));
    (name.len() <= MAX_NAME_BYTES && name.split('.').all(is_label) && !is_number).then_some(name)
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
