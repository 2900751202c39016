//! The configuration's tables and keys.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::control::{ControlInput, ControlTable};
use super::cors::{CorsInput, CorsTable};
use super::error::ConfigError;
use super::hosts::{HostsInput, HostsTable};
use super::input::{EgressInput, Input, LanInput};
use super::limits::{LimitsInput, LimitsTable};
use super::source::Source;
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
pub(super) const FORMS: &[(&str, &str)] = &[
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

impl Source {
    fn wisp(&self, wisp: Wisp) -> WispInput {
        WispInput {
            enabled: wisp.enabled,
            users: self.pairs("users", wisp.users),
            keys: self.all("keys", wisp.keys),
            motd: self.maybe("motd", wisp.motd),
            udp: wisp.udp,
            max_clients: self.maybe("max_clients", wisp.max_clients),
            max_streams: self.maybe("max_streams", wisp.max_streams),
            max_message_bytes: self.maybe("max_message_bytes", wisp.max_message_bytes),
            udp_idle_s: self.maybe("udp_idle_s", wisp.udp_idle_s),
        }
    }

    fn lan(&self, lan: Lan) -> LanInput {
        LanInput {
            name: Some(self.given("name", lan.name)),
            preset: self.maybe("preset", lan.preset),
            subnet: self.maybe("subnet", lan.subnet),
            ipv6: self.maybe("ipv6", lan.ipv6),
            mtu: self.maybe("mtu", lan.mtu),
            gateway_mac: self.maybe("gateway_mac", lan.gateway_mac),
            pool: self.maybe("pool", lan.pool),
            lease_s: self.maybe("lease_s", lan.lease_s),
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
            max_clients: self.maybe("max_clients", lan.max_clients),
            resume_s: self.maybe("resume_s", lan.resume_s),
            resume_by_mac: self.maybe("resume_by_mac", lan.resume_by_mac),
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
        tls_cert: source.maybe("tls_cert", file.listen.tls_cert),
        tls_key: source.maybe("tls_key", file.listen.tls_key),
        origins: source.all("origins", file.listen.origins),
        public_names: source.all("public_names", file.listen.public_names),
        max_connections: source.maybe("max_connections", file.listen.max_connections),
        drain_timeout_s: source.maybe("drain_timeout_s", file.listen.drain_timeout_s),
        tokens: source.maybe("tokens", file.access.tokens),
        log: source.maybe("filter", file.log.filter),
        hosts: HostsInput::from_table(&source, file.hosts),
        control: ControlInput::from_table(&source, file.control),
        cors: file.cors.map(|table| CorsInput::from_table(&source, table)),
        limits: LimitsInput::from_table(&source, file.limits),
        egress: EgressInput {
            allow: source.all("allow", file.egress.allow),
            deny: source.all("deny", file.egress.deny),
            allow_only: file.egress.allow_only,
            upstream: source.maybe("upstream", file.egress.upstream),
            resolvers: source.all("resolvers", file.egress.resolvers),
            records: source.pairs("records", file.egress.records),
        },
        root: source.maybe("root", file.listen.root),
        wisp: source.wisp(file.wisp),
        defaults: LanInput::default(),
        lans: file.lan.into_iter().map(|lan| source.lan(lan)).collect(),
    })
}
