//! Where to connect in place of a target, as curl's `--connect-to` says it: `HOST1:PORT1:HOST2:PORT2`.

use std::fmt;
use std::str::FromStr;

/// One rule. Name, certificate and `Host` stay those of the target; only the connection goes elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectTo {
    /// The host whose requests go elsewhere; `None`: any.
    host: Option<String>,
    /// The port, likewise.
    port: Option<u16>,
    /// Where they go; `None`: to the target's own host.
    to_host: Option<String>,
    /// The port there; `None`: the target's own.
    to_port: Option<u16>,
}

impl FromStr for ConnectTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not HOST1:PORT1:HOST2:PORT2; write it as example.com:443:192.0.2.7:8443");
        let (host, rest) = host(text).ok_or_else(wrong)?;
        let (port, rest) = rest.split_once(':').ok_or_else(wrong)?;
        let (to_host, to_port) = self::host(rest).ok_or_else(wrong)?;
        let number = |port: &str| match port {
            "" => Ok(None),
            _ => port.parse().ok().filter(|port| *port != 0).map(Some).ok_or_else(wrong),
        };
        Ok(Self { host, port: number(port)?, to_host, to_port: number(to_port)? })
    }
}

impl fmt::Display for ConnectTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |host: &Option<String>| host.clone().unwrap_or_default();
        let port = |port: Option<u16>| port.map(|port| port.to_string()).unwrap_or_default();
        let (from, to) = (host(&self.host), host(&self.to_host));
        write!(f, "{from}:{}:{to}:{}", port(self.port), port(self.to_port))
    }
}

impl ConnectTo {
    /// Where to connect for a host in lower case and a port, by the first of the rules that is for them.
    pub(crate) fn apply<'a>(rules: &'a [Self], host: &'a str, port: u16) -> (&'a str, u16) {
        let is_for = |rule: &&Self| {
            rule.host.as_ref().is_none_or(|name| name == host) && rule.port.is_none_or(|own| own == port)
        };
        match rules.iter().find(is_for) {
            Some(rule) => (rule.to_host.as_deref().unwrap_or(host), rule.to_port.unwrap_or(port)),
            None => (host, port),
        }
    }
}

/// The host that a text begins with, an IPv6 address in brackets, and what comes after its colon.
fn host(text: &str) -> Option<(Option<String>, &str)> {
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':')? };
    let (host, rest) = text.split_at(end);
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '?' | '#' | '@' | '%');
    let host = host.chars().all(plain).then(|| host.to_ascii_lowercase())?;
    Some(((!host.is_empty()).then_some(host), rest.strip_prefix(':')?))
}

#[cfg(test)]
#[path = "connect_to_tests.rs"]
mod tests;
