//! Single values: from the text that somebody wrote to what it means, or how it should have been written.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netloom_core::policy::{ParsePatternError, default_rule};
use netloom_core::{IpNet, Ipv4Net, MacAddr, Pattern, Rule};

use crate::zone;

/// Port to listen on where none is given.
const LISTEN_PORT: u16 = 8086;
const DNS_PORT: u16 = 53;
/// Addresses that a DHCP pool may have beside its first.
pub(super) const MAX_POOL: u32 = 65_535;

/// Origins that are admitted: what `--origin` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `*`: all of them, `null` too.
    Any,
    /// This one, as browsers write it: lower case, default port left out.
    Exactly(String),
}

impl Origin {
    /// Whether this admits an `Origin` header.
    #[must_use]
    pub fn admits(&self, header: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(origin) => origin.eq_ignore_ascii_case(header),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exactly(origin) => f.write_str(origin),
        }
    }
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse() {
        return Ok(SocketAddr::new(ip, LISTEN_PORT));
    }
    address(text).ok_or_else(|| {
        format!("`{text}` is not an address to listen on; write 127.0.0.1:8086, [::1]:8086, :8086 or 8086")
    })
}

/// An address with its port, a port of every IPv4 address of this host, or a port on its loopback.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(port) = text.parse() {
        return Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    }
    let (host, port) = text.rsplit_once(':')?;
    let ip = match host {
        "" | "*" => Ipv4Addr::UNSPECIFIED,
        "localhost" => Ipv4Addr::LOCALHOST,
        _ => return None,
    };
    Some(SocketAddr::new(ip.into(), port.parse().ok()?))
}

pub(super) fn origin(text: &str) -> Result<Origin, String> {
    let wrong = || {
        format!("`{text}` is not an origin; write scheme and host as in https://example.com, or * for all")
    };
    match text {
        "*" => return Ok(Origin::Any),
        "null" => return Ok(Origin::Exactly("null".to_owned())),
        _ => {}
    }
    let lower = text.trim_end_matches('/').to_ascii_lowercase();
    let (scheme, authority) = lower.split_once("://").ok_or_else(wrong)?;
    let plain =
        |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '?' | '#' | '@' | '*' | '"' | '\'' | '<' | '>');
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if !scheme_ok || authority.is_empty() || !authority.chars().all(plain) {
        return Err(wrong());
    }
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    Ok(Origin::Exactly(format!("{scheme}://{authority}")))
}

pub(crate) fn host_name(text: &str) -> Result<String, String> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(format!(
            "`{text}` is not a host name; write letters, digits, hyphens and dots, as in relay.example.com"
        ))
    }
}

pub(super) fn lan_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=63).contains(&text.len()) && text.chars().all(plain) && text != "." && text != ".." {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` cannot name a LAN; use 1 to 63 letters, digits, `-`, `_` or `.`"))
    }
}

pub(super) fn subnet(text: &str) -> Result<Ipv4Net, String> {
    let form = "write an IPv4 network with a prefix of 8 to 29, as in 192.168.86.0/24";
    let net: IpNet = text.parse().map_err(|_| format!("`{text}` is not a network; {form}"))?;
    let IpAddr::V4(address) = net.address() else {
        return Err(format!("`{text}` is not IPv4; {form}"));
    };
    if !(8..=29).contains(&net.prefix()) {
        return Err(format!("`{text}` has a prefix of {}; {form}", net.prefix()));
    }
    let subnet = Ipv4Net::new(address, net.prefix());
    if subnet.network() != address {
        return Err(format!("`{text}` has host bits set; write {subnet}"));
    }
    match default_rule(address.into()) {
        None | Some(Rule::Private | Rule::LinkLocal) => Ok(subnet),
        Some(rule) => {
            Err(format!("`{text}` cannot be a LAN ({rule}); use a private network, as 192.168.86.0/24"))
        }
    }
}

pub(super) fn mtu(value: i64) -> Result<u16, String> {
    u16::try_from(value)
        .ok()
        .filter(|mtu| *mtu >= 576)
        .ok_or_else(|| format!("{value} is no MTU; write a number of bytes from 576 to 65535, as 1500"))
}

pub(super) fn count(value: i64) -> Result<usize, String> {
    usize::try_from(value)
        .ok()
        .filter(|count| (1..=1_000_000).contains(count))
        .ok_or_else(|| format!("{value} is out of range; write a number from 1 to 1000000"))
}

pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    text.parse().map_err(|error: ParsePatternError| {
        // What begins as a network was meant as one.
        let net = text.split_once('/').filter(|(address, _)| address.parse::<IpAddr>().is_ok());
        match (net, text.parse::<IpNet>()) {
            (Some(_), Err(error)) => format!("`{text}` is not a network: {error}"),
            _ => format!("`{text}` is not a rule: {error}; write HOST[:PORT[-PORT]][/tcp|/udp|/ping], as 10.0.0.0/8, *.example.com:443 or *:25/tcp"),
        }
    })
}

pub(super) fn resolver(text: &str) -> Result<SocketAddr, String> {
    let address = zone::parse(text, DNS_PORT).filter(|address| {
        !address.ip().is_unspecified() && !address.ip().is_multicast() && address.port() != 0
    });
    match address {
        Some(address) if zone::lacks_zone(address) => {
            Err(format!("`{text}` is link-local; write its interface too, as fe80::1%eth0"))
        }
        Some(address) => Ok(address),
        None => Err(format!(
            "`{text}` is not a DNS server; write its address, as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353"
        )),
    }
}

pub(super) fn record(text: &str) -> Result<(String, Vec<IpAddr>), String> {
    let wrong = || {
        format!(
            "`{text}` is not a record; write NAME=IP, or several addresses, as web.lan=192.168.86.10,fd00::10"
        )
    };
    let (name, addresses) = text.split_once('=').ok_or_else(wrong)?;
    let addresses: Result<_, _> = addresses.split(',').map(|address| address.trim().parse()).collect();
    Ok((host_name(name)?, addresses.map_err(|_| wrong())?))
}

pub(super) fn mac(text: &str) -> Result<MacAddr, String> {
    let mac = text.trim().parse().ok().filter(|mac: &MacAddr| mac.is_unicast());
    mac.ok_or_else(|| {
        format!(
            "`{text}` is no MAC address of one card; write six octets, the first even, as 02:4e:65:74:6c:01"
        )
    })
}

pub(super) fn pool(text: &str, subnet: Ipv4Net) -> Result<(Ipv4Addr, Ipv4Addr), String> {
    let ends = text.split_once('-');
    let ends = ends.and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)));
    let Some((first, last)) = ends else {
        return Err(format!("`{text}` is not a pool; write FIRST-LAST, as 192.168.86.100-192.168.86.253"));
    };
    let is_host =
        |address| subnet.contains(address) && address != subnet.network() && address != subnet.broadcast();
    if !is_host(first) || !is_host(last) || first > last {
        return Err(format!(
            "`{text}` are no hosts of {subnet}, the first one first; write a range inside it"
        ));
    }
    if last.to_bits() - first.to_bits() > MAX_POOL {
        return Err(format!("`{text}` are more than 65536 addresses; write a shorter range"));
    }
    Ok((first, last))
}

pub(super) fn lease_s(value: i64) -> Result<u32, String> {
    u32::try_from(value).ok().filter(|seconds| (60..=31_536_000).contains(seconds)).ok_or_else(|| {
        format!("{value} is no time to lease for; write seconds from 60 to 31536000, as 86400")
    })
}

pub(super) fn lease(text: &str) -> Result<(MacAddr, Ipv4Addr), String> {
    let wrong = || format!("`{text}` is not a lease; write MAC=IP, as 52:54:00:12:34:56=192.168.86.10");
    let (mac, address) = text.split_once('=').ok_or_else(wrong)?;
    let mac: MacAddr = mac.trim().parse().map_err(|_| wrong())?;
    if !mac.is_unicast() {
        return Err(format!(
            "`{mac}` cannot be a guest's MAC; its first octet must be even and not all may be zero"
        ));
    }
    Ok((mac, address.trim().parse().map_err(|_| wrong())?))
}
