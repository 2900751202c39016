//! What clients, addresses and tokens may use: the `[limits]` table and the flags `--limit` and `--trusted-proxy`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netloom_core::IpNet;
use serde::Deserialize;
use toml::{Spanned, Table, Value};

use super::error::{ConfigError, Given};
use super::input::{all, given};
use super::resolve::each;
use super::show::texts;
use super::source::Source;
use crate::cli::limits::LimitArgs;

/// Flows of one client, where nothing else is said.
const CLIENT_FLOWS: u64 = 4096;
/// Dials of one client that wait for an answer, where nothing else is said.
const CLIENT_DIALS: u64 = 256;
/// Broadcast and multicast frames of one client per second, where the relay is reached from other hosts and nothing else is said.
const BROADCAST_FRAMES: u64 = 1000;
/// Largest limit.
const MAX: u64 = 1_000_000_000_000;
/// The key that stands in no scope.
const BROADCAST: &str = "broadcast_frames_per_s";

/// What may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Proxies that are believed who connects through them.
    pub trusted_proxies: Vec<IpNet>,
    /// Broadcast and multicast frames of one guest's port per second.
    pub broadcast_frames_per_s: u64,
    /// What one client may use: a guest's connection to a LAN, or one of the Wisp server.
    pub client: Scope,
    /// What all clients of one address may use together; of IPv6 those of one /64.
    pub address: Scope,
    /// What all clients with one token may use together, where the token does not say otherwise.
    pub token: Scope,
}

/// What somebody may use. `None` is the default, 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Connections at once.
    pub connections: Option<u64>,
    /// New connections per second; after a silence as many at once.
    pub connections_per_s: Option<u64>,
    /// Flows and Wisp streams at once.
    pub flows: Option<u64>,
    /// Flows and streams at once that wait for their target's answer; further ones wait for these.
    pub pending_dials: Option<u64>,
    /// Bytes per second from the client, delayed beyond that.
    pub upload_bytes_per_s: Option<u64>,
    /// Bytes per second to the client, delayed beyond that.
    pub download_bytes_per_s: Option<u64>,
}

impl Scope {
    /// The keys of a scope.
    pub const KEYS: [&str; 6] = [
        "connections",
        "connections_per_s",
        "flows",
        "pending_dials",
        "upload_bytes_per_s",
        "download_bytes_per_s",
    ];

    /// Sets a limit by its key; 0 is none.
    ///
    /// # Errors
    /// What is wrong with key or number, with the fix.
    pub fn set(&mut self, key: &str, value: u64) -> Result<(), String> {
        if value > MAX {
            return Err(format!("{value} is out of range; write a number from 0 to {MAX}"));
        }
        let place = match key {
            "connections" => &mut self.connections,
            "connections_per_s" => &mut self.connections_per_s,
            "flows" => &mut self.flows,
            "pending_dials" => &mut self.pending_dials,
            "upload_bytes_per_s" => &mut self.upload_bytes_per_s,
            "download_bytes_per_s" => &mut self.download_bytes_per_s,
            _ => {
                let known = Self::KEYS.join(", ");
                return Err(format!("there is no limit `{key}`; write one of {known}"));
            }
        };
        *place = Some(value);
        Ok(())
    }

    /// The limits by their keys, those that are set.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let values = [
            self.connections,
            self.connections_per_s,
            self.flows,
            self.pending_dials,
            self.upload_bytes_per_s,
            self.download_bytes_per_s,
        ];
        Self::KEYS.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?)))
    }

    /// These limits, and `other` where they are not set.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            connections: self.connections.or(other.connections),
            connections_per_s: self.connections_per_s.or(other.connections_per_s),
            flows: self.flows.or(other.flows),
            pending_dials: self.pending_dials.or(other.pending_dials),
            upload_bytes_per_s: self.upload_bytes_per_s.or(other.upload_bytes_per_s),
            download_bytes_per_s: self.download_bytes_per_s.or(other.download_bytes_per_s),
        }
    }
}

impl LimitSettings {
    /// The defaults. `is_public` tells whether other hosts reach the relay.
    #[must_use]
    pub fn new(is_public: bool) -> Self {
        Self {
            trusted_proxies: Vec::new(),
            broadcast_frames_per_s: if is_public { BROADCAST_FRAMES } else { 0 },
            client: Scope {
                flows: Some(CLIENT_FLOWS),
                pending_dials: Some(CLIENT_DIALS),
                ..Scope::default()
            },
            address: Scope::default(),
            token: Scope::default(),
        }
    }

    /// Sets a limit by its key, as `address.flows`.
    fn set(&mut self, key: &str, value: u64) -> Result<(), String> {
        let (scope, name) = match key.split_once('.') {
            None if key == BROADCAST && value <= MAX => {
                self.broadcast_frames_per_s = value;
                return Ok(());
            }
            Some(("client", "connections" | "connections_per_s")) => {
                return Err(format!(
                    "a client is one connection; write address.{} or token.{0}",
                    &key["client.".len()..]
                ));
            }
            Some(("client", name)) => (&mut self.client, name),
            Some(("address", name)) => (&mut self.address, name),
            Some(("token", name)) => (&mut self.token, name),
            _ => {
                return Err(format!(
                    "there is no limit `{key}`; write {BROADCAST}, or client., address. or token. and one of {}",
                    Scope::KEYS.join(", ")
                ));
            }
        };
        scope.set(name, value)
    }
}

/// Reads `KEY=NUMBER`, the number perhaps with k, M or G for thousands, millions and so on.
///
/// # Errors
/// How it is to be written.
pub fn key_and_value(text: &str) -> Result<(&str, u64), String> {
    let wrong = || {
        format!(
            "`{text}` is not a limit; write KEY=NUMBER, as address.connections=32 or client.upload_bytes_per_s=2M"
        )
    };
    let (key, value) = text.split_once('=').ok_or_else(wrong)?;
    let value = value.trim();
    let units = [('k', 1_000), ('K', 1_000), ('M', 1_000_000), ('G', 1_000_000_000)];
    let unit = units.into_iter().find_map(|(letter, unit)| Some((value.strip_suffix(letter)?, unit)));
    let (digits, unit) = unit.unwrap_or((value, 1));
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    Ok((key.trim(), number.ok_or_else(wrong)?))
}

/// The `[limits]` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsTable {
    trusted_proxies: Vec<Spanned<String>>,
    broadcast_frames_per_s: Option<Spanned<i64>>,
    client: BTreeMap<String, Spanned<i64>>,
    address: BTreeMap<String, Spanned<i64>>,
    token: BTreeMap<String, Spanned<i64>>,
}

/// How each key is written, for messages.
pub(super) const FORMS: &[(&str, &str)] = &[
    ("trusted_proxies", "trusted_proxies = [\"127.0.0.1\"]"),
    (BROADCAST, "broadcast_frames_per_s = 1000"),
    ("connections", "connections = 32"),
    ("connections_per_s", "connections_per_s = 10"),
    ("flows", "flows = 1024"),
    ("pending_dials", "pending_dials = 64"),
    ("upload_bytes_per_s", "upload_bytes_per_s = 1000000"),
    ("download_bytes_per_s", "download_bytes_per_s = 1000000"),
    ("limits", "[limits]"),
    ("limits.client", "[limits.client]"),
    ("limits.address", "[limits.address]"),
    ("limits.token", "[limits.token]"),
];

/// What one source said of limits.
#[derive(Debug, Default)]
pub(crate) struct LimitsInput {
    trusted_proxies: Vec<Given<String>>,
    /// As `KEY=NUMBER`.
    values: Vec<Given<String>>,
}

impl LimitsInput {
    /// What the flags say.
    pub(super) fn from_args(args: &LimitArgs) -> Self {
        Self {
            trusted_proxies: all("--trusted-proxy", &args.trusted_proxy),
            values: args.limit.iter().map(|text| given("--limit", text.clone())).collect(),
        }
    }

    /// What the file says.
    pub(super) fn from_table(source: &Source, table: LimitsTable) -> Self {
        let scopes = [("client", table.client), ("address", table.address), ("token", table.token)];
        let scoped = scopes.into_iter().flat_map(|(scope, values)| {
            values.into_iter().map(move |(key, value)| (key.clone(), format!("{scope}.{key}"), value))
        });
        let broadcast = table.broadcast_frames_per_s.map(|value| (BROADCAST.into(), BROADCAST.into(), value));
        let value = |(key, name, value): (String, String, _)| {
            let given = source.given(&key, value);
            given.with(format!("{name}={}", given.value))
        };
        Self {
            trusted_proxies: source.all("trusted_proxies", table.trusted_proxies),
            values: scoped.chain(broadcast).map(value).collect(),
        }
    }
}

impl LimitsInput {
    pub(super) const fn names_proxies(&self) -> bool {
        !self.trusted_proxies.is_empty()
    }
}

/// What is in effect. What the flags say wins, key by key.
pub(super) fn resolve(
    flags: LimitsInput,
    file: LimitsInput,
    is_public: bool,
) -> Result<LimitSettings, ConfigError> {
    let mut settings = LimitSettings::new(is_public);
    for given in file.values.iter().chain(&flags.values) {
        let set = key_and_value(&given.value).and_then(|(key, value)| settings.set(key, value));
        set.map_err(|message| given.wrong(message))?;
    }
    let proxies = if flags.trusted_proxies.is_empty() { file.trusted_proxies } else { flags.trusted_proxies };
    settings.trusted_proxies = each(&proxies, network)?;
    Ok(settings)
}

/// The `[limits]` table that would give the settings.
pub(super) fn to_table(limits: &LimitSettings) -> Table {
    let number = |value| Value::from(i64::try_from(value).unwrap_or(i64::MAX));
    let scope = |scope: Scope| {
        Value::Table(scope.values().map(|(key, value)| (key.to_owned(), number(value))).collect())
    };
    Table::from_iter([
        ("trusted_proxies".to_owned(), texts(&limits.trusted_proxies)),
        (BROADCAST.to_owned(), number(limits.broadcast_frames_per_s)),
        ("client".to_owned(), scope(limits.client)),
        ("address".to_owned(), scope(limits.address)),
        ("token".to_owned(), scope(limits.token)),
    ])
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::new(address, if address.is_ipv4() { 32 } else { 128 }));
    }
    text.parse().map_err(|_| {
        format!("`{text}` is no address or network of a proxy; write 127.0.0.1, 10.0.0.0/8 or fd00::/64")
    })
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
