//! What was written, by flags or in the file, before it is checked.

use super::control::ControlInput;
use super::cors::CorsInput;
use super::error::{Given, Place};
use super::hosts::HostsInput;
use super::limits::LimitsInput;
use super::wisp::WispInput;
use crate::cli::RelayArgs;

/// All that one source said. `None` and empty lists mean that it said nothing.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) listen: Vec<Given<String>>,
    pub(crate) listen_plain: Vec<Given<String>>,
    pub(crate) listen_redirect: Vec<Given<String>>,
    pub(crate) qemu_listen: Vec<Given<String>>,
    /// Those of flags, which name their LAN.
    pub(crate) taps: Vec<Given<String>>,
    pub(crate) tls_cert: Option<Given<String>>,
    pub(crate) tls_key: Option<Given<String>>,
    pub(crate) origins: Vec<Given<String>>,
    pub(crate) public_names: Vec<Given<String>>,
    pub(crate) max_connections: Option<Given<i64>>,
    pub(crate) drain_timeout_s: Option<Given<i64>>,
    pub(crate) root: Option<Given<String>>,
    pub(crate) log: Option<Given<String>>,
    pub(crate) tokens: Option<Given<String>>,
    pub(crate) cors: Option<CorsInput>,
    pub(crate) control: ControlInput,
    pub(crate) limits: LimitsInput,
    pub(crate) hosts: HostsInput,
    pub(crate) egress: EgressInput,
    pub(crate) wisp: WispInput,
    /// What holds for every LAN that does not say otherwise.
    pub(crate) defaults: LanInput,
    pub(crate) lans: Vec<LanInput>,
}

/// What was said about all ways out.
#[derive(Debug, Default)]
pub(crate) struct EgressInput {
    pub(crate) allow: Vec<Given<String>>,
    pub(crate) deny: Vec<Given<String>>,
    pub(crate) allow_only: Option<bool>,
    pub(crate) upstream: Option<Given<String>>,
    pub(crate) resolvers: Vec<Given<String>>,
    pub(crate) records: Vec<Given<String>>,
}

/// What was said about a LAN.
#[derive(Clone, Debug, Default)]
pub(crate) struct LanInput {
    pub(crate) name: Option<Given<String>>,
    pub(crate) preset: Option<Given<String>>,
    pub(crate) subnet: Option<Given<String>>,
    pub(crate) ipv6: Option<Given<String>>,
    pub(crate) mtu: Option<Given<i64>>,
    pub(crate) gateway_mac: Option<Given<String>>,
    pub(crate) pool: Option<Given<String>>,
    pub(crate) lease_s: Option<Given<i64>>,
    pub(crate) gateway: Option<bool>,
    pub(crate) dhcp: Option<bool>,
    pub(crate) dns: Option<bool>,
    pub(crate) isolate: Option<bool>,
    pub(crate) host_loopback: Option<bool>,
    pub(crate) private: Option<bool>,
    pub(crate) allow: Vec<Given<String>>,
    pub(crate) deny: Vec<Given<String>>,
    pub(crate) allow_only: Option<bool>,
    pub(crate) resolvers: Vec<Given<String>>,
    pub(crate) records: Vec<Given<String>>,
    pub(crate) leases: Vec<Given<String>>,
    pub(crate) forwards: Vec<Given<String>>,
    pub(crate) taps: Vec<Given<String>>,
    pub(crate) max_clients: Option<Given<i64>>,
    pub(crate) resume_s: Option<Given<i64>>,
    pub(crate) resume_by_mac: Option<Given<String>>,
}

impl LanInput {
    /// What this says, and `other` where it says nothing.
    pub(crate) fn or(self, other: &Self) -> Self {
        let list = |own: Vec<Given<String>>, other: &Vec<Given<String>>| {
            if own.is_empty() { other.clone() } else { own }
        };
        Self {
            name: self.name.or_else(|| other.name.clone()),
            preset: self.preset.or_else(|| other.preset.clone()),
            subnet: self.subnet.or_else(|| other.subnet.clone()),
            ipv6: self.ipv6.or_else(|| other.ipv6.clone()),
            mtu: self.mtu.or_else(|| other.mtu.clone()),
            gateway_mac: self.gateway_mac.or_else(|| other.gateway_mac.clone()),
            pool: self.pool.or_else(|| other.pool.clone()),
            lease_s: self.lease_s.or_else(|| other.lease_s.clone()),
            gateway: self.gateway.or(other.gateway),
            dhcp: self.dhcp.or(other.dhcp),
            dns: self.dns.or(other.dns),
            isolate: self.isolate.or(other.isolate),
            host_loopback: self.host_loopback.or(other.host_loopback),
            private: self.private.or(other.private),
            allow: list(self.allow, &other.allow),
            deny: list(self.deny, &other.deny),
            allow_only: self.allow_only.or(other.allow_only),
            resolvers: list(self.resolvers, &other.resolvers),
            records: list(self.records, &other.records),
            leases: list(self.leases, &other.leases),
            forwards: list(self.forwards, &other.forwards),
            taps: list(self.taps, &other.taps),
            max_clients: self.max_clients.or_else(|| other.max_clients.clone()),
            resume_s: self.resume_s.or_else(|| other.resume_s.clone()),
            resume_by_mac: self.resume_by_mac.or_else(|| other.resume_by_mac.clone()),
        }
    }
}

impl Input {
    /// What the flags say.
    pub(crate) fn from_args(args: &RelayArgs) -> Self {
        let lans = args.lan.iter().map(|text| {
            let (name, subnet) = text.split_once('=').map_or((text.as_str(), None), |(n, s)| (n, Some(s)));
            LanInput {
                name: Some(given("--lan", name.to_owned())),
                subnet: subnet.map(|subnet| given("--lan", subnet.to_owned())),
                ..LanInput::default()
            }
        });
        Self {
            listen: all("--listen", &args.listen),
            listen_plain: all("--listen-plain", &args.listen_plain),
            listen_redirect: all("--listen-redirect", &args.listen_redirect),
            qemu_listen: all("--qemu-listen", &args.qemu_listen),
            taps: all("--tap", &args.tap),
            tls_cert: args.tls_cert.clone().map(|file| given("--tls-cert", file)),
            tls_key: args.tls_key.clone().map(|file| given("--tls-key", file)),
            origins: all("--origin", &args.origin),
            public_names: all("--public-name", &args.public_name),
            max_connections: None,
            drain_timeout_s: args.drain_timeout.map(|seconds| given("--drain-timeout", seconds)),
            cors: CorsInput::from_args(&args.cors),
            control: ControlInput {
                socket: args.control.control.clone().map(|socket| given("--control", socket)),
                token_file: args
                    .control
                    .control_token_file
                    .clone()
                    .map(|file| given("--control-token-file", file)),
            },
            hosts: HostsInput {
                localhost: args.no_guest_hosts.then_some(false),
                names: all("--host", &args.host),
            },
            root: args.root.clone().map(|root| given("--root", root)),
            tokens: args.tokens.clone().map(|file| given("--tokens", file)),
            log: args.log.clone().map(|log| given("--log", log)),
            limits: LimitsInput::from_args(&args.limits),
            egress: EgressInput {
                allow: all("--allow", &args.allow),
                deny: all("--deny", &args.deny),
                allow_only: args.allow_only.then_some(true),
                upstream: args.upstream.clone().map(|url| given("--upstream", url)),
                resolvers: all("--dns", &args.dns),
                records: all("--record", &args.record),
            },
            wisp: WispInput {
                enabled: args.no_wisp.then_some(false),
                users: all("--wisp-user", &args.wisp_user),
                keys: all("--wisp-key", &args.wisp_key),
                ..WispInput::default()
            },
            defaults: LanInput {
                preset: args.preset.clone().map(|preset| given("--preset", preset)),
                subnet: args.subnet.clone().map(|subnet| given("--subnet", subnet)),
                ipv6: args.ipv6.clone().map(|ipv6| given("--ipv6", ipv6)),
                mtu: args.mtu.map(|mtu| given("--mtu", mtu)),
                gateway_mac: None,
                pool: None,
                lease_s: None,
                gateway: args.no_gateway.then_some(false),
                dhcp: args.no_dhcp.then_some(false),
                dns: args.no_dns.then_some(false),
                isolate: args.isolate.then_some(true),
                host_loopback: args.host_loopback.then_some(true),
                leases: all("--lease", &args.lease),
                forwards: all("--forward", &args.forward),
                resume_s: args.resume_s.map(|seconds| given("--resume-s", seconds)),
                resume_by_mac: args.resume_by_mac.clone().map(|text| given("--resume-by-mac", text)),
                ..LanInput::default()
            },
            lans: lans.collect(),
        }
    }
}

/// All values of a flag.
pub(super) fn all(flag: &'static str, values: &[String]) -> Vec<Given<String>> {
    values.iter().map(|value| given(flag, value.clone())).collect()
}

/// A value of a flag.
pub(super) fn given<T>(flag: &'static str, value: T) -> Given<T> {
    Given { value, place: Place::Flag(flag) }
}
