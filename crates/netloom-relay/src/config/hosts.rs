//! Host names that lead to guests' web servers: `<guest>.localhost`, and those that are given.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;
use toml::{Spanned, Table};

use super::error::{ConfigError, Given};
use super::forward::parse_target;
use super::source::Source;
use super::{DEFAULT_LAN, ForwardGuest, LanSettings, parse};

/// What every name of a guest's ends in that is not given.
const LOCALHOST: &str = "localhost";
/// The guest's port where none is told.
const HTTP_PORT: u16 = 80;

/// How each key is written, for messages.
pub(super) const FORMS: &[(&str, &str)] = &[
    ("localhost", "localhost = true"),
    ("names", "names = { \"web.example.com\" = \"first:80\" }"),
    ("hosts", "[hosts]"),
];

/// Host names of guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSettings {
    /// Whether `<guest>.localhost` leads to the guest's port 80 and `<port>.<guest>.localhost` to others, for clients on this host.
    pub localhost: bool,
    /// Names, in lower case, and where they lead.
    pub names: Vec<(String, GuestHost)>,
}

/// Where a host name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestHost {
    /// The LAN.
    pub lan: String,
    /// The guest, looked for with each request.
    pub guest: ForwardGuest,
    /// The guest's port.
    pub port: u16,
}

impl HostSettings {
    /// Where a name under `localhost` leads: `[PORT.]GUEST[.LAN].localhost`. A MAC or IPv4 address is written with hyphens. `None` if it is not
    /// such a name.
    #[must_use]
    pub fn parse_localhost(name: &str) -> Option<GuestHost> {
        let rest = name.strip_suffix(LOCALHOST)?.strip_suffix('.')?;
        let (port, rest) = match rest.split_once('.') {
            Some((port, rest)) if port.bytes().all(|b| b.is_ascii_digit()) => (port.parse().ok()?, rest),
            _ => (HTTP_PORT, rest),
        };
        let (guest, lan) = rest.split_once('.').unwrap_or((rest, DEFAULT_LAN));
        let address = guest.replace('-', ".").parse::<Ipv4Addr>().map(|v4| ForwardGuest::Address(v4.into()));
        let mac = guest.replace('-', ":").parse().map(ForwardGuest::Mac);
        let guest = address.or(mac).or_else(|_| guest.parse()).ok()?;
        (port != 0).then(|| GuestHost { lan: lan.to_owned(), guest, port })
    }
}

/// The table `[hosts]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HostsTable {
    localhost: Option<bool>,
    names: BTreeMap<String, Spanned<String>>,
}

/// What was said about host names.
#[derive(Debug, Default)]
pub(crate) struct HostsInput {
    pub(super) localhost: Option<bool>,
    /// As `NAME=[LAN/]GUEST:PORT`.
    pub(super) names: Vec<Given<String>>,
}

impl HostsInput {
    pub(super) fn from_table(source: &Source, table: HostsTable) -> Self {
        Self { localhost: table.localhost, names: source.pairs("names", table.names) }
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self {
            localhost: self.localhost.or(other.localhost),
            names: if self.names.is_empty() { other.names } else { self.names },
        }
    }

    /// `<guest>.localhost` is for those on this host, so it is off by default where others come in, themselves or through a proxy.
    pub(super) fn resolve(
        self,
        lans: &[LanSettings],
        public_names: &[String],
        is_local: bool,
    ) -> Result<HostSettings, ConfigError> {
        let mut names: Vec<(String, GuestHost)> = Vec::new();
        for given in &self.names {
            let (name, host) = parse_host(&given.value).map_err(|message| given.wrong(message))?;
            if public_names.contains(&name) {
                return Err(
                    given.wrong(format_args!("{name} is the relay's own by --public-name; name another"))
                );
            }
            if names.iter().any(|(known, _)| *known == name) {
                return Err(given.wrong(format_args!("{name} is given twice; leave one out")));
            }
            if !lans.iter().any(|lan| lan.name == host.lan) {
                return Err(given.wrong(format_args!("there is no LAN `{0}`; add --lan {0}", host.lan)));
            }
            names.push((name, host));
        }
        let localhost = self.localhost.unwrap_or(is_local);
        Ok(HostSettings { localhost, names })
    }
}

fn parse_host(text: &str) -> Result<(String, GuestHost), String> {
    let wrong =
        || format!("`{text}` is no name of a guest; write NAME=GUEST:PORT, as web.example.com=first:80");
    let (name, target) = text.split_once('=').ok_or_else(wrong)?;
    let name = parse::host_name(name)?;
    if name == LOCALHOST || name.parse::<Ipv4Addr>().is_ok() {
        return Err(format!("{name} is the relay's own; name another, as web.{LOCALHOST}"));
    }
    let (lan, guest, port) = parse_target(target)?.ok_or_else(wrong)?;
    Ok((name, GuestHost { lan: lan.unwrap_or_else(|| DEFAULT_LAN.to_owned()), guest, port }))
}

pub(super) fn to_table(hosts: &HostSettings) -> Table {
    let target = |host: &GuestHost| format!("{}/{}:{}", host.lan, host.guest, host.port);
    let names = hosts.names.iter().map(|(name, host)| (name.clone(), target(host).into()));
    Table::from_iter([
        ("localhost".to_owned(), hosts.localhost.into()),
        ("names".to_owned(), names.collect::<Table>().into()),
    ])
}
