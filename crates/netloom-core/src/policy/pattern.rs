//! What a rule of the policy is about: hosts, ports and a protocol, and how that is written.
//!
//! `HOST[:PORT[-PORT]][/tcp|/udp|/ping]`, where `HOST` is an address, a network (`10.0.0.0/8`), a host name, `*.example.com` for the
//! names below one, `.example.com` for those and itself, or `*` for every host. An IPv6 address stands in brackets before a port.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use crate::addr::IpNet;
use crate::flow::Protocol;

/// Longest host name, in bytes (RFC 1035 section 2.3.4).
const MAX_NAME_BYTES: usize = 253;

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    /// The hosts.
    pub hosts: Hosts,
    /// The first and the last of their ports; `None` for all of them, and for what has no ports.
    pub ports: Option<(u16, u16)>,
    /// The protocol; `None` for all of them.
    pub protocol: Option<Protocol>,
}

/// The hosts that a rule is about. Names are in lower case and without trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hosts {
    /// Every host.
    Any,
    /// The addresses of a network.
    Net(IpNet),
    /// The host of this name.
    Name(String),
    /// The hosts of the names below this one: `*.example.com`.
    Below(String),
    /// The host of this name and those below: `.example.com`.
    Domain(String),
}

impl Pattern {
    /// Whether the rule is about an address, whatever its name.
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        matches!(&self.hosts, Hosts::Net(net) if net.contains(address))
    }

    /// Whether the rule is about a host of this name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        let is = |own: &str| name.eq_ignore_ascii_case(own);
        let is_below = |own: &str| {
            let above = name.len().checked_sub(own.len()).filter(|above| *above > 1);
            let split = above.and_then(|above| Some((name.get(..above)?, name.get(above..)?)));
            split.is_some_and(|(label, end)| label.ends_with('.') && end.eq_ignore_ascii_case(own))
        };
        match &self.hosts {
            Hosts::Any | Hosts::Net(_) => false,
            Hosts::Name(own) => is(own),
            Hosts::Below(own) => is_below(own),
            Hosts::Domain(own) => is(own) || is_below(own),
        }
    }

    pub(super) const fn is_of_names(&self) -> bool {
        matches!(self.hosts, Hosts::Name(_) | Hosts::Below(_) | Hosts::Domain(_))
    }

    pub(super) const fn is_of_all(&self) -> bool {
        matches!(self.hosts, Hosts::Any)
    }

    /// Whether the rule is about all that its hosts have.
    pub(super) const fn is_whole(&self) -> bool {
        self.ports.is_none() && self.protocol.is_none()
    }

    pub(super) fn has_port(&self, port: u16, protocol: Protocol) -> bool {
        self.protocol.is_none_or(|own| own == protocol)
            && self
                .ports
                .is_none_or(|(first, last)| protocol != Protocol::Ping && (first..=last).contains(&port))
    }
}

impl From<IpNet> for Pattern {
    fn from(net: IpNet) -> Self {
        Self { hosts: Hosts::Net(net), ports: None, protocol: None }
    }
}

/// The text is no rule's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePatternError {
    /// What stands for the hosts is neither network nor address nor name.
    #[error("its host is neither a network, an address, a name, *.NAME, .NAME nor *")]
    Host,
    /// What stands for the ports is no port from 1 on, and no range of them.
    #[error("its port is not a number from 1 to 65535, nor two of them as in 8000-8999")]
    Port,
    /// Ping has no ports.
    #[error("ping has no ports: leave the port out")]
    PingPort,
}

impl FromStr for Pattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, ParsePatternError> {
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, "tcp")) => (rest, Some(Protocol::Tcp)),
            Some((rest, "udp")) => (rest, Some(Protocol::Udp)),
            Some((rest, "ping")) => (rest, Some(Protocol::Ping)),
            _ => (text, None),
        };
        // An IPv6 address without brackets has no port.
        let (hosts, ports) = match rest.parse() {
            Ok(net) => (Hosts::Net(net), None),
            Err(_) => {
                let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                    Some((host, "")) => (host, None),
                    Some((host, port)) => {
                        (host, Some(port.strip_prefix(':').ok_or(ParsePatternError::Host)?))
                    }
                    None => rest.rsplit_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
                };
                (parse_hosts(host)?, port.map(parse_ports).transpose()?)
            }
        };
        if protocol == Some(Protocol::Ping) && ports.is_some() {
            return Err(ParsePatternError::PingPort);
        }
        Ok(Self { hosts, ports, protocol })
    }
}

fn parse_hosts(text: &str) -> Result<Hosts, ParsePatternError> {
    if text == "*" {
        return Ok(Hosts::Any);
    }
    if let Ok(net) = text.parse() {
        return Ok(Hosts::Net(net));
    }
    if let Some(name) = text.strip_prefix("*.") {
        return Ok(Hosts::Below(parse_name(name)?));
    }
    match text.strip_prefix('.') {
        Some(name) => Ok(Hosts::Domain(parse_name(name)?)),
        None => Ok(Hosts::Name(parse_name(text)?)),
    }
}

fn parse_name(text: &str) -> Result<String, ParsePatternError> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    // A name that ends in a number is an address to some readers.
    let ends_in_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if name.len() <= MAX_NAME_BYTES && name.split('.').all(is_label) && !ends_in_number {
        Ok(name)
    } else {
        Err(ParsePatternError::Host)
    }
}

fn parse_ports(text: &str) -> Result<(u16, u16), ParsePatternError> {
    let port = |text: &str| text.parse().ok().filter(|port: &u16| *port > 0).ok_or(ParsePatternError::Port);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if first <= last { Ok((first, last)) } else { Err(ParsePatternError::Port) }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Any => f.write_str("*")?,
            Hosts::Net(net) if net.address().is_ipv6() && self.ports.is_some() => write!(f, "[{net}]")?,
            Hosts::Net(net) => write!(f, "{net}")?,
            Hosts::Name(name) => f.write_str(name)?,
            Hosts::Below(name) => write!(f, "*.{name}")?,
            Hosts::Domain(name) => write!(f, ".{name}")?,
        }
        match self.ports {
            Some((first, last)) if first == last => write!(f, ":{first}")?,
            Some((first, last)) => write!(f, ":{first}-{last}")?,
            None => {}
        }
        match self.protocol {
            Some(Protocol::Tcp) => f.write_str("/tcp"),
            Some(Protocol::Udp) => f.write_str("/udp"),
            Some(Protocol::Ping) => f.write_str("/ping"),
            None => Ok(()),
        }
    }
}
