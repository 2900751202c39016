//! The TOML file: its tables and keys, and the line of every value.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use serde::Deserialize;
use toml::Spanned;

use super::control::{self, ControlInput, ControlTable};
use super::cors::{self, CorsInput, CorsTable};
use super::error::{ConfigError, Given, Place};
use super::hosts::{self, HostsInput, HostsTable};
use super::input::{EgressInput, Input, LanInput};
use super::limits::{self, LimitsInput, LimitsTable};
use super::tokens;
use super::wisp::WispInput;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Listen,
    log: Log,
    access: Access,
    cors: Option<CorsTable>,
    control: ControlTable,
    limits: LimitsTable,
    hosts: HostsTable,
    egress: Egress,
    wisp: Wisp,
    lan: Vec<Lan>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Listen {
    addresses: Vec<Spanned<String>>,
    plain: Vec<Spanned<String>>,
    redirect: Vec<Spanned<String>>,
    qemu: Vec<Spanned<String>>,
    tls_cert: Option<Spanned<String>>,
    tls_key: Option<Spanned<String>>,
    origins: Vec<Spanned<String>>,
    public_names: Vec<Spanned<String>>,
    max_connections: Option<Spanned<i64>>,
    drain_timeout_s: Option<Spanned<i64>>,
    root: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wisp {
    enabled: Option<bool>,
    users: BTreeMap<String, Spanned<String>>,
    keys: Vec<Spanned<String>>,
    motd: Option<Spanned<String>>,
    udp: Option<bool>,
    max_clients: Option<Spanned<i64>>,
    max_streams: Option<Spanned<i64>>,
    max_message_bytes: Option<Spanned<i64>>,
    udp_idle_s: Option<Spanned<i64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Access {
    tokens: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    filter: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Egress {
    allow: Vec<Spanned<String>>,
    deny: Vec<Spanned<String>>,
    allow_only: Option<bool>,
    upstream: Option<Spanned<String>>,
    resolvers: Vec<Spanned<String>>,
    records: BTreeMap<String, Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lan {
    name: Spanned<String>,
    preset: Option<Spanned<String>>,
    subnet: Option<Spanned<String>>,
    ipv6: Option<Spanned<String>>,
    mtu: Option<Spanned<i64>>,
    gateway_mac: Option<Spanned<String>>,
    pool: Option<Spanned<String>>,
    lease_s: Option<Spanned<i64>>,
    gateway: Option<bool>,
    dhcp: Option<bool>,
    dns: Option<bool>,
    isolate: Option<bool>,
    host_loopback: Option<bool>,
    private: Option<bool>,
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    #[serde(default)]
    deny: Vec<Spanned<String>>,
    allow_only: Option<bool>,
    #[serde(default)]
    resolvers: Vec<Spanned<String>>,
    #[serde(default)]
    records: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    leases: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    forwards: Vec<Spanned<String>>,
    #[serde(default)]
    taps: Vec<Spanned<String>>,
    max_clients: Option<Spanned<i64>>,
    resume_s: Option<Spanned<i64>>,
    resume_by_mac: Option<Spanned<String>>,
}

/// How each key is written, for messages.
const FORMS: &[(&str, &str)] = &[
    ("addresses", "addresses = [\"127.0.0.1:8086\"]"),
    ("plain", "plain = [\"127.0.0.1:8080\"]"),
    ("redirect", "redirect = [\":80\"]"),
    ("qemu", "qemu = [\"unix:/run/netloom.sock\"]"),
    ("tls_cert", "tls_cert = \"/etc/netloom/chain.pem\""),
    ("tls_key", "tls_key = \"/etc/netloom/key.pem\""),
    ("origins", "origins = [\"https://example.com\"]"),
    ("public_names", "public_names = [\"relay.example.com\"]"),
    ("max_connections", "max_connections = 4096"),
    ("drain_timeout_s", "drain_timeout_s = 10"),
    ("filter", "filter = \"info\""),
    ("name", "name = \"default\""),
    ("preset", "preset = \"c2w\""),
    ("subnet", "subnet = \"192.168.86.0/24\""),
    ("ipv6", "ipv6 = \"ula\""),
    ("mtu", "mtu = 1500"),
    ("gateway_mac", "gateway_mac = \"02:4e:65:74:6c:01\""),
    ("pool", "pool = \"192.168.86.100-192.168.86.253\""),
    ("lease_s", "lease_s = 86400"),
    ("gateway", "gateway = true"),
    ("dhcp", "dhcp = true"),
    ("dns", "dns = true"),
    ("isolate", "isolate = false"),
    ("host_loopback", "host_loopback = false"),
    ("private", "private = true"),
    ("allow", "allow = [\"10.0.0.0/8\"]"),
    ("deny", "deny = [\"203.0.113.0/24\"]"),
    ("allow_only", "allow_only = true"),
    ("upstream", "upstream = \"socks5://127.0.0.1:1080\""),
    ("resolvers", "resolvers = [\"192.0.2.53\"]"),
    ("records", "records = { \"web.lan\" = \"192.168.86.10\" }"),
    ("leases", "leases = { \"52:54:00:12:34:56\" = \"192.168.86.10\" }"),
    ("forwards", "forwards = [\"8080=first:80\"]"),
    ("taps", "taps = [\"tap0\"]"),
    ("max_clients", "max_clients = 1024"),
    ("resume_s", "resume_s = 30"),
    ("resume_by_mac", "resume_by_mac = \"address\""),
    ("root", "root = \"lan\""),
    ("enabled", "enabled = true"),
    ("users", "users = { \"NAME\" = \"PASSWORD\" }"),
    ("keys", "keys = [\"BASE64\"]"),
    ("motd", "motd = \"TEXT\""),
    ("udp", "udp = true"),
    ("max_streams", "max_streams = 1024"),
    ("max_message_bytes", "max_message_bytes = 1048576"),
    ("udp_idle_s", "udp_idle_s = 120"),
    ("wisp", "[wisp]"),
    ("listen", "[listen]"),
    ("log", "[log]"),
    ("access", "[access]"),
    ("egress", "[egress]"),
    ("lan", "[[lan]]"),
];

/// The file's text with its name, to find lines in.
pub(super) struct Source {
    path: Rc<str>,
    text: String,
}

impl Source {
    /// Reads a file; `unreadable` says what to do if that fails.
    pub(super) fn open(
        path: &Path,
        unreadable: impl FnOnce(&std::io::Error) -> String,
    ) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::new(path.display(), unreadable(&error)))?;
        Ok(Self { path: path.to_string_lossy().into(), text })
    }

    pub(super) fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(&self.text).map_err(|error| self.refuse(&error))
    }

    fn line_of(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }

    fn place(&self, offset: usize, key: &str) -> Place {
        Place::File { path: Rc::clone(&self.path), line: self.line_of(offset), key: key.to_owned() }
    }

    pub(super) fn given<T>(&self, key: &str, value: Spanned<T>) -> Given<T> {
        let place = self.place(value.span().start, key);
        Given { value: value.into_inner(), place }
    }

    pub(super) fn all(&self, key: &str, values: Vec<Spanned<String>>) -> Vec<Given<String>> {
        values.into_iter().map(|value| self.given(key, value)).collect()
    }

    /// A table as `name=value` texts, the form of the flags.
    pub(super) fn pairs(&self, key: &str, table: BTreeMap<String, Spanned<String>>) -> Vec<Given<String>> {
        let pair = |(name, value)| {
            let given = self.given(key, value);
            Given { value: format!("{name}={}", given.value), place: given.place }
        };
        table.into_iter().map(pair).collect()
    }

    /// What the TOML reader could not take: its line, the line's key, its message, and how that key is written.
    fn refuse(&self, error: &toml::de::Error) -> ConfigError {
        let Some(span) = error.span() else { return ConfigError::new(&self.path, error.message()) };
        let line = self.line_of(span.start);
        let written = self.text.lines().nth(line - 1).unwrap_or_default();
        let key = written.split('=').next().unwrap_or_default().trim().trim_matches(['[', ']', '"']);
        let key = if key.starts_with('#') { "" } else { key };
        let tables = [FORMS, control::FORMS, cors::FORMS, limits::FORMS, hosts::FORMS, tokens::FORMS];
        let form = tables.into_iter().flatten().find(|(name, _)| *name == key);
        let place = self.place(span.start, key);
        match form {
            Some((_, form)) => ConfigError::new(place, format_args!("{}; write {form}", error.message())),
            None => ConfigError::new(place, error.message()),
        }
    }

    fn wisp(&self, wisp: Wisp) -> WispInput {
        let number = |key: &str, value: Option<Spanned<i64>>| value.map(|value| self.given(key, value));
        WispInput {
            enabled: wisp.enabled,
            users: self.pairs("users", wisp.users),
            keys: self.all("keys", wisp.keys),
            motd: wisp.motd.map(|value| self.given("motd", value)),
            udp: wisp.udp,
            max_clients: number("max_clients", wisp.max_clients),
            max_streams: number("max_streams", wisp.max_streams),
            max_message_bytes: number("max_message_bytes", wisp.max_message_bytes),
            udp_idle_s: number("udp_idle_s", wisp.udp_idle_s),
        }
    }

    fn lan(&self, lan: Lan) -> LanInput {
        LanInput {
            name: Some(self.given("name", lan.name)),
            preset: lan.preset.map(|value| self.given("preset", value)),
            subnet: lan.subnet.map(|value| self.given("subnet", value)),
            ipv6: lan.ipv6.map(|value| self.given("ipv6", value)),
            mtu: lan.mtu.map(|value| self.given("mtu", value)),
            gateway_mac: lan.gateway_mac.map(|value| self.given("gateway_mac", value)),
            pool: lan.pool.map(|value| self.given("pool", value)),
            lease_s: lan.lease_s.map(|value| self.given("lease_s", value)),
            gateway: lan.gateway,
            dhcp: lan.dhcp,
            dns: lan.dns,
            isolate: lan.isolate,
            host_loopback: lan.host_loopback,
            private: lan.private,
            allow: self.all("allow", lan.allow),
            deny: self.all("deny", lan.deny),
            allow_only: lan.allow_only,
            resolvers: self.all("resolvers", lan.resolvers),
            records: self.pairs("records", lan.records),
            leases: self.pairs("leases", lan.leases),
            forwards: self.all("forwards", lan.forwards),
            taps: self.all("taps", lan.taps),
            max_clients: lan.max_clients.map(|value| self.given("max_clients", value)),
            resume_s: lan.resume_s.map(|value| self.given("resume_s", value)),
            resume_by_mac: lan.resume_by_mac.map(|value| self.given("resume_by_mac", value)),
        }
    }
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Input, ConfigError> {
    let source = Source::open(path, |error| {
        format!("cannot be read ({error}); name a TOML file after --config, or leave the flag out")
    })?;
    let file = source.parse::<File>()?;
    Ok(Input {
        listen: source.all("addresses", file.listen.addresses),
        listen_plain: source.all("plain", file.listen.plain),
        listen_redirect: source.all("redirect", file.listen.redirect),
        qemu_listen: source.all("qemu", file.listen.qemu),
        taps: Vec::new(),
        tls_cert: file.listen.tls_cert.map(|value| source.given("tls_cert", value)),
        tls_key: file.listen.tls_key.map(|value| source.given("tls_key", value)),
        origins: source.all("origins", file.listen.origins),
        public_names: source.all("public_names", file.listen.public_names),
        max_connections: file.listen.max_connections.map(|value| source.given("max_connections", value)),
        drain_timeout_s: file.listen.drain_timeout_s.map(|value| source.given("drain_timeout_s", value)),
        tokens: file.access.tokens.map(|value| source.given("tokens", value)),
        log: file.log.filter.map(|value| source.given("filter", value)),
        hosts: HostsInput::from_table(&source, file.hosts),
        control: ControlInput::from_table(&source, file.control),
        cors: file.cors.map(|table| CorsInput::from_table(&source, table)),
        limits: LimitsInput::from_table(&source, file.limits),
        egress: EgressInput {
            allow: source.all("allow", file.egress.allow),
            deny: source.all("deny", file.egress.deny),
            allow_only: file.egress.allow_only,
            upstream: file.egress.upstream.map(|value| source.given("upstream", value)),
            resolvers: source.all("resolvers", file.egress.resolvers),
            records: source.pairs("records", file.egress.records),
        },
        root: file.listen.root.map(|value| source.given("root", value)),
        wisp: source.wisp(file.wisp),
        defaults: LanInput::default(),
        lans: file.lan.into_iter().map(|lan| source.lan(lan)).collect(),
    })
}
