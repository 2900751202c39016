//! The egress policy: one pure type, asked when a flow opens and again for every address about to be dialled.
//!
//! What the defaults refuse follows the IANA registries of special-purpose addresses (RFC 6890) and, for IPv6, what is not unicast at
//! all (RFC 4291 section 2.4). Addresses for documentation pass: they are nobody's to protect.

mod pattern;
#[cfg(test)]
mod tests;

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::addr::unwrap_embedded_ipv4;
use crate::flow::Protocol;
pub use pattern::{Hosts, ParsePatternError, Pattern};

/// What may be reached outside, by whatever way.
///
/// Rules are tried in this order: the relay's own listeners, `deny`, `allow` by address, then the defaults, which refuse what is never
/// meant for a guest (loopback, link-local, cloud metadata, multicast, unspecified, reserved) and, unless `private` is set, private
/// networks (RFC 1918, 6598, 4193); then, where the policy is `closed`, what `allow` does not name. `allow` by name opens private networks
/// too, but nothing else that the defaults refuse. IPv6 forms that carry an IPv4 address are judged by that address; `deny` looks at both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What is reached whatever the defaults say.
    pub allow: Vec<Pattern>,
    /// What is refused whatever `allow` says.
    pub deny: Vec<Pattern>,
    /// Addresses that the relay itself listens on. An unspecified address stands for every address of the host.
    pub own: Vec<SocketAddr>,
    /// Addresses of the host, where an `own` entry with an unspecified address is found.
    pub host: Vec<IpAddr>,
    /// Whether private networks are reached.
    pub private: bool,
    /// Whether nothing is reached but what `allow` names.
    pub closed: bool,
}

/// The policy's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The address may be dialled.
    Allow,
    /// It may not, because of this rule.
    Deny(Rule),
}

/// The rule that refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// One of the relay's own listeners.
    Own,
    /// A rule of the deny list.
    Denied(Box<Pattern>),
    /// Loopback: 127.0.0.0/8 and ::1.
    Loopback,
    /// Link-local: 169.254.0.0/16 (cloud metadata lives there) and fe80::/10.
    LinkLocal,
    /// Where a cloud hands its machines their credentials, if that is not link-local.
    Metadata,
    /// Multicast and broadcast.
    Multicast,
    /// 0.0.0.0/8, 240.0.0.0/4, ::, 2001::/23, what lies outside 2000::/3, and other addresses that name no host.
    Reserved,
    /// A private network (RFC 1918, RFC 6598, RFC 4193, RFC 8215, and the former site-local fec0::/10).
    Private,
    /// A private address that DNS gave for a public name.
    Rebinding,
    /// Nothing is reached but what is allowed, and this is not.
    Closed,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("the relay's own listener"),
            Self::Denied(pattern) => write!(f, "deny {pattern}"),
            Self::Loopback => f.write_str("loopback"),
            Self::LinkLocal => f.write_str("link-local"),
            Self::Metadata => f.write_str("cloud metadata"),
            Self::Multicast => f.write_str("multicast"),
            Self::Reserved => f.write_str("reserved"),
            Self::Private => f.write_str("private network"),
            Self::Rebinding => f.write_str("private address of a public name"),
            Self::Closed => f.write_str("not allowed by name or address"),
        }
    }
}

impl Policy {
    /// Whether `address` and `port` may be reached. `names` are the host names that are known to have the address, if any.
    #[must_use]
    pub fn check(&self, names: &[&str], address: IpAddr, port: u16, protocol: Protocol) -> Verdict {
        let (written, address) = (address, unwrap_embedded_ipv4(address));
        if self.is_own(written, port) || self.is_own(address, port) {
            return Verdict::Deny(Rule::Own);
        }
        let has_name = |pattern: &Pattern| names.iter().any(|name| pattern.has_name(name));
        let about = |pattern: &&Pattern| {
            pattern.has_port(port, protocol)
                && (pattern.is_of_all()
                    || pattern.has_address(address)
                    || pattern.has_address(written)
                    || has_name(pattern))
        };
        if let Some(pattern) = self.deny.iter().find(about) {
            return Verdict::Deny(Rule::Denied(Box::new(pattern.clone())));
        }
        let mut allows = self.allow.iter().filter(|pattern| pattern.has_port(port, protocol));
        if allows.clone().any(|pattern| pattern.has_address(address)) {
            return Verdict::Allow;
        }
        let is_named = allows.clone().any(has_name);
        match default_rule(address) {
            Some(Rule::Private) if self.private || is_named => {}
            Some(rule) => return Verdict::Deny(rule),
            None => {}
        }
        if self.closed && !is_named && !allows.any(Pattern::is_of_all) {
            return Verdict::Deny(Rule::Closed);
        }
        Verdict::Allow
    }

    /// Whether an answer of DNS about a name may be believed and passed on: not if the address is never reached, and not if it is private
    /// and the name is public, since whoever owns that could aim guests, and rules by name, at the private network (DNS rebinding).
    #[must_use]
    pub fn check_answer(&self, name: &str, address: IpAddr) -> Verdict {
        let (written, address) = (address, unwrap_embedded_ipv4(address));
        let whole = |pattern: &&Pattern| {
            pattern.is_whole() && (pattern.has_address(address) || pattern.has_address(written))
        };
        if let Some(pattern) = self.deny.iter().find(whole) {
            return Verdict::Deny(Rule::Denied(Box::new(pattern.clone())));
        }
        if self.allow.iter().any(|pattern| pattern.has_address(address)) {
            return Verdict::Allow;
        }
        match default_rule(address) {
            Some(Rule::Private) if is_public(name) => Verdict::Deny(Rule::Rebinding),
            Some(Rule::Private)
                if self.private || self.allow.iter().any(|pattern| pattern.has_name(name)) =>
            {
                Verdict::Allow
            }
            Some(rule) => Verdict::Deny(rule),
            None => Verdict::Allow,
        }
    }

    /// Whether a host may be reached by a name that somebody else resolves. What has an address here is judged by that.
    #[must_use]
    pub fn check_name(&self, name: &str, port: u16, protocol: Protocol) -> Verdict {
        let about = |pattern: &&Pattern| {
            pattern.has_port(port, protocol) && (pattern.is_of_all() || pattern.has_name(name))
        };
        if let Some(pattern) = self.deny.iter().find(about) {
            return Verdict::Deny(Rule::Denied(Box::new(pattern.clone())));
        }
        let mut allows = self.allow.iter().filter(|pattern| pattern.has_port(port, protocol));
        if allows.clone().any(|pattern| pattern.has_name(name)) {
            return Verdict::Allow;
        }
        if !self.private && !is_public(name) {
            return Verdict::Deny(Rule::Private);
        }
        if self.closed && !allows.any(Pattern::is_of_all) {
            return Verdict::Deny(Rule::Closed);
        }
        Verdict::Allow
    }

    /// Whether a rule is about hosts of this name.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        self.allow.iter().chain(&self.deny).any(|pattern| pattern.has_name(name))
    }

    /// Whether any rule is about names.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.allow.iter().chain(&self.deny).any(Pattern::is_of_names)
    }

    fn is_own(&self, address: IpAddr, port: u16) -> bool {
        self.own.iter().any(|own| {
            own.port() == port
                && (own.ip() == address
                    || own.ip().is_unspecified()
                        && (address.is_loopback()
                            || address.is_unspecified()
                            || self.host.contains(&address))
                    || own.ip().is_loopback() && address.is_unspecified())
        })
    }
}

/// Whether anybody may own a name: it has a dot, and its end is not kept for private use (RFC 6761, 6762, 8375, and ICANN's `internal`) or
/// in private use by custom.
fn is_public(name: &str) -> bool {
    const PRIVATE: [&str; 11] = [
        "localhost",
        "local",
        "internal",
        "test",
        "lan",
        "home",
        "corp",
        "intranet",
        "private",
        "localdomain",
        "home.arpa",
    ];
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_of = |end: &&str| {
        let above = name.len().checked_sub(end.len() + 1);
        above
            .and_then(|above| name.get(above..))
            .is_some_and(|rest| rest.starts_with('.') && rest[1..].eq_ignore_ascii_case(end))
    };
    name.contains('.') && !PRIVATE.iter().any(is_of)
}

/// The default rule that an address falls under, if any.
#[must_use]
pub fn default_rule(address: IpAddr) -> Option<Rule> {
    match address {
        IpAddr::V4(v4) => ipv4_rule(v4),
        IpAddr::V6(v6) => ipv6_rule(v6),
    }
}

fn ipv4_rule(address: Ipv4Addr) -> Option<Rule> {
    match address.octets() {
        [0, ..] => Some(Rule::Reserved),
        [127, ..] => Some(Rule::Loopback),
        [169, 254, ..] => Some(Rule::LinkLocal),
        // Alibaba, Azure.
        [100, 100, 100, 200] | [168, 63, 129, 16] => Some(Rule::Metadata),
        [224..=239, ..] | [255, 255, 255, 255] => Some(Rule::Multicast),
        [240..=255, ..] | [192, 0, 0, _] => Some(Rule::Reserved),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Rule::Private),
        _ => None,
    }
}

fn ipv6_rule(address: Ipv6Addr) -> Option<Rule> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Rule::Loopback),
        [0xfe80..=0xfebf, ..] => Some(Rule::LinkLocal),
        // Amazon, Google, Oracle, Scaleway, Alibaba, Akamai.
        [0xfd00, 0xec2, ..]
        | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
        | [0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]
        | [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]
        | [0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200]
        | [0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1] => Some(Rule::Metadata),
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Some(Rule::Private),
        [0xff00..=0xffff, ..] => Some(Rule::Multicast),
        // Protocol assignments, as 192.0.0.0/24 (RFC 2928).
        [0x2001, 0..=0x1ff, ..] => Some(Rule::Reserved),
        [0x2000..=0x3fff, ..] => None,
        // Not given out as unicast, or for discarding (RFC 6666).
        _ => Some(Rule::Reserved),
    }
}
