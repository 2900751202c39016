//! The egress policy: one pure type, asked when a flow opens and again for every address about to be dialled.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use crate::addr::{IpNet, unwrap_embedded_ipv4};
use crate::flow::Protocol;

/// What guests may reach outside their LAN.
///
/// Rules are tried in this order: the relay's own listeners, `deny`, `allow`, then the defaults, which refuse what is never meant for
/// a guest (loopback, link-local, multicast, unspecified, reserved) and, unless `private` is set, private networks (RFC 1918, 6598, 4193).
/// IPv6 forms that carry an IPv4 address are judged by that address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Networks that are reached whatever the defaults say.
    pub allow: Vec<IpNet>,
    /// Networks that are refused whatever `allow` says.
    pub deny: Vec<IpNet>,
    /// Addresses that the relay itself listens on. An unspecified address stands for every address of the host.
    pub own: Vec<SocketAddr>,
    /// Addresses of the host, where an `own` entry with an unspecified address is found.
    pub host: Vec<IpAddr>,
    /// Whether private networks are reached.
    pub private: bool,
}

/// The policy's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The address may be dialled.
    Allow,
    /// It may not, because of this rule.
    Deny(Rule),
}

/// The rule that refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// One of the relay's own listeners.
    Own,
    /// A network of the deny list.
    Denied(IpNet),
    /// Loopback: 127.0.0.0/8 and ::1.
    Loopback,
    /// Link-local: 169.254.0.0/16 (cloud metadata lives there) and fe80::/10.
    LinkLocal,
    /// Multicast and broadcast.
    Multicast,
    /// 0.0.0.0/8, ::, 240.0.0.0/4 and other addresses that name no host.
    Reserved,
    /// A private network (RFC 1918, RFC 6598, RFC 4193).
    Private,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("the relay's own listener"),
            Self::Denied(net) => write!(f, "deny {net}"),
            Self::Loopback => f.write_str("loopback"),
            Self::LinkLocal => f.write_str("link-local"),
            Self::Multicast => f.write_str("multicast"),
            Self::Reserved => f.write_str("reserved"),
            Self::Private => f.write_str("private network"),
        }
    }
}

impl Policy {
    /// Whether `address` and `port` may be reached. `name` is the host name that was resolved to the address, where there was one.
    #[must_use]
    pub fn check(&self, _name: Option<&str>, address: IpAddr, port: u16, _protocol: Protocol) -> Verdict {
        let address = unwrap_embedded_ipv4(address);
        if self.is_own(address, port) {
            return Verdict::Deny(Rule::Own);
        }
        if let Some(net) = self.deny.iter().find(|net| net.contains(address)) {
            return Verdict::Deny(Rule::Denied(*net));
        }
        if self.allow.iter().any(|net| net.contains(address)) {
            return Verdict::Allow;
        }
        match default_rule(address) {
            Some(Rule::Private) if self.private => Verdict::Allow,
            Some(rule) => Verdict::Deny(rule),
            None => Verdict::Allow,
        }
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

/// The default rule that an address falls under, if any.
#[must_use]
pub fn default_rule(address: IpAddr) -> Option<Rule> {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            match (a, b, c) {
                (0, ..) => Some(Rule::Reserved),
                (127, ..) => Some(Rule::Loopback),
                (169, 254, _) => Some(Rule::LinkLocal),
                (224..=239, ..) => Some(Rule::Multicast),
                (240.., ..) if v4.is_broadcast() => Some(Rule::Multicast),
                (240.., ..) | (192, 0, 0) => Some(Rule::Reserved),
                (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => Some(Rule::Private),
                _ => None,
            }
        }
        IpAddr::V6(v6) => match v6.segments()[0] {
            _ if v6.is_loopback() => Some(Rule::Loopback),
            _ if v6.is_unspecified() => Some(Rule::Reserved),
            0xfe80..=0xfebf => Some(Rule::LinkLocal),
            0xfc00..=0xfdff | 0xfec0..=0xfeff => Some(Rule::Private),
            0xff00.. => Some(Rule::Multicast),
            0x100 => Some(Rule::Reserved),
            _ => None,
        },
    }
}
