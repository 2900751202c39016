//! From what was written to the configuration in effect: precedence, defaults, and what values must be to each other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use netloom_core::{Ipv4Net, MacAddr};

use super::control;
use super::cors::{CorsInput, CorsSettings};
use super::error::{ConfigError, Given};
use super::input::{EgressInput, Input, LanInput};
use super::parse;
use super::{
    Config, DEFAULT_LAN, EgressSettings, Forward, ForwardGuest, LanSettings, QemuAddress, ResumeByMac, Root,
    Tls,
};
use super::{host_address, ipv6, limits, preset, qemu, resume, tap, tokens, wisp};
use crate::egress::proxy;
use crate::tls::{self, TlsError};

/// MAC address of every gateway that is told no other: locally administered, and the same after a restart, so that guests' ARP caches stay
/// right.
const GATEWAY_MAC: MacAddr = MacAddr([0x02, 0x4e, 0x65, 0x74, 0x6c, 0x01]);
/// Listeners that one relay may have.
const MAX_LISTENERS: usize = 64;

pub(super) fn resolve(flags: Input, file: Input) -> Result<Config, ConfigError> {
    let mut taken = Vec::new();
    let mut addresses = listeners(&either(flags.listen, file.listen), &mut taken)?;
    if addresses.is_empty() {
        addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 8086)));
    }
    let listen_plain = listeners(&either(flags.listen_plain, file.listen_plain), &mut taken)?;
    let redirect = either(flags.listen_redirect, file.listen_redirect);
    let listen_redirect = listeners(&redirect, &mut taken)?;
    let given = either(flags.qemu_listen, file.qemu_listen);
    let qemu_listen = each(&given, qemu::parse)?;
    let qemu_addresses = qemu_listen.iter().filter_map(|listen| match listen.address {
        QemuAddress::Tcp(address) => Some(address),
        QemuAddress::Unix(_) => None,
    });
    let public_names = each(&either(flags.public_names, file.public_names), parse::host_name)?;
    let has_proxies = flags.limits.names_proxies() || file.limits.names_proxies();
    // A proxy on this host, and who has made a name for it elsewhere, bring others' clients to the loopback.
    let is_local = public_names.is_empty()
        && !has_proxies
        && addresses
            .iter()
            .chain(&listen_plain)
            .copied()
            .chain(qemu_addresses)
            .all(|address| address.ip().is_loopback());
    // What a LAN does not say of DNS is said for every way out.
    let of_dns = |egress: &EgressInput, lan: LanInput| LanInput {
        resolvers: egress.resolvers.clone(),
        records: egress.records.clone(),
        ..lan
    };
    let defaults = of_dns(&flags.egress, flags.defaults);
    let common = of_dns(&file.egress, LanInput::default());
    let mut lans = lans(&defaults, &common, flags.lans, file.lans, is_local)?;
    tap::of_flags(&flags.taps, &mut lans)?;
    for (n, listen) in qemu_listen.iter().enumerate() {
        if !lans.iter().any(|lan| lan.name == listen.lan) {
            return Err(given[n].wrong(format_args!("there is no LAN `{0}`; add --lan {0}", listen.lan)));
        }
    }
    let drain_timeout_s = one(flags.drain_timeout_s.or(file.drain_timeout_s), |s| resume::seconds(*s))?;
    let max_connections = one(flags.max_connections.or(file.max_connections), |n| parse::count(*n))?;
    let log = one(flags.log.or(file.log), |text| match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.clone()),
        Err(_) => Err(format!("`{text}` is not a log filter; write error, warn, info, debug or trace")),
    })?;
    let cors = cors(flags.cors, file.cors)?;
    let hosts = flags.hosts.or(file.hosts).resolve(&lans, &public_names, is_local)?;
    let root = one(flags.root.or(file.root), |text| match wisp::root(text)? {
        Root::Cors if cors.is_none() => Err("there is no CORS proxy; add --cors".to_owned()),
        root => Ok(root),
    })?;
    let tokens = one(flags.tokens.or(file.tokens), |path| {
        let path = PathBuf::from(path);
        tokens::read(&path).map_err(|error| error.to_string())?;
        Ok(path)
    })?;
    let tls = tls_files(flags.tls_cert.or(file.tls_cert), flags.tls_key.or(file.tls_key))?;
    if let (None, Some(address)) = (&tls, redirect.first()) {
        return Err(address.wrong("there is no TLS to redirect to; add --tls-cert and --tls-key"));
    }
    Ok(Config {
        listen_plain,
        listen_redirect,
        tokens,
        limits: limits::resolve(flags.limits, file.limits, !is_local)?,
        is_local,
        egress: egress(flags.egress, file.egress)?,
        origins: each(&either(flags.origins, file.origins), parse::origin)?,
        public_names,
        hosts,
        max_connections: max_connections.unwrap_or(4096),
        drain_timeout_s: drain_timeout_s.unwrap_or(0),
        root: root.unwrap_or(Root::Lan),
        wisp: wisp::resolve(flags.wisp, file.wisp)?,
        control: control::resolve(flags.control, file.control)?,
        log,
        cors,
        tls,
        lans,
        listen: addresses,
        qemu_listen,
    })
}

/// Addresses to listen on, none of which is in `taken` yet.
fn listeners(given: &[Given<String>], taken: &mut Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ConfigError> {
    let addresses = each(given, parse::listen)?;
    for (given, address) in given.iter().zip(&addresses) {
        if address.port() != 0 && taken.contains(address) {
            return Err(given.wrong(format_args!("{address} is given twice; leave one out")));
        }
        if taken.len() == MAX_LISTENERS {
            return Err(given.wrong(format_args!("more than {MAX_LISTENERS} addresses; leave some out")));
        }
        taken.push(*address);
    }
    Ok(addresses)
}

/// The CORS proxy, if either source has one. What the flags say wins.
fn cors(flags: Option<CorsInput>, file: Option<CorsInput>) -> Result<Option<CorsSettings>, ConfigError> {
    let either = match (flags, file) {
        (Some(flags), Some(file)) => Some(flags.or(file)),
        (flags, file) => flags.or(file),
    };
    either.map(CorsInput::resolve).transpose()
}

fn egress(flags: EgressInput, file: EgressInput) -> Result<EgressSettings, ConfigError> {
    Ok(EgressSettings {
        allow: each(&either(flags.allow, file.allow), parse::pattern)?,
        deny: each(&either(flags.deny, file.deny), parse::pattern)?,
        allow_only: flags.allow_only.or(file.allow_only).unwrap_or(false),
        upstream: one(flags.upstream.or(file.upstream), |url| proxy::parse(url))?,
        resolvers: each(&either(flags.resolvers, file.resolvers), parse::resolver)?,
        records: each(&either(flags.records, file.records), parse::record)?,
    })
}

/// Both files, which must be there and belong together.
fn tls_files(
    certificate: Option<Given<String>>,
    key: Option<Given<String>>,
) -> Result<Option<Tls>, ConfigError> {
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(lone), None) => return Err(lone.wrong("a certificate needs its key; add --tls-key FILE")),
        (None, Some(lone)) => return Err(lone.wrong("a key needs its certificate; add --tls-cert FILE")),
    };
    let tls = Tls { certificate: certificate.value.clone().into(), key: key.value.clone().into() };
    match tls::server_config(&tls) {
        Ok(_) => Ok(Some(tls)),
        Err(TlsError::Key(why)) => Err(key.wrong(why)),
        Err(TlsError::Certificate(why)) => Err(certificate.wrong(why)),
    }
}

/// All LANs, the default first. One that both flags and file name is one LAN, and the flags win.
fn lans(
    defaults: &LanInput,
    common: &LanInput,
    flags: Vec<LanInput>,
    file: Vec<LanInput>,
    is_local: bool,
) -> Result<Vec<LanSettings>, ConfigError> {
    let mut inputs = vec![LanInput::default()];
    for (source, from_flags) in [(file, false), (flags, true)] {
        let mut seen: Vec<String> = Vec::new();
        for input in source {
            let Some(given) = &input.name else { continue };
            let name = parse::lan_name(&given.value).map_err(|message| given.wrong(message))?;
            if seen.contains(&name) {
                return Err(given.wrong(format_args!("there are two LANs named `{name}`; rename one")));
            }
            if from_flags && name == DEFAULT_LAN {
                return Err(given.wrong("the LAN `default` is always there; use --subnet to place it"));
            }
            let named = |lan: &LanInput| lan.name.as_ref().is_some_and(|n| n.value == name);
            let known = inputs.iter().position(named).or_else(|| (name == DEFAULT_LAN).then_some(0));
            match known {
                Some(at) => inputs[at] = input.or(&inputs[at].clone()),
                None => inputs.push(input),
            }
            seen.push(name);
        }
    }
    // A preset and a lease are for one subnet, so those of flags stay with the default LAN.
    let others = LanInput { preset: None, leases: Vec::new(), forwards: Vec::new(), ..defaults.clone() };
    let resolved = inputs.into_iter().enumerate().map(|(n, mut input)| {
        let name = input.name.as_ref().map_or(DEFAULT_LAN, |name| &name.value);
        let is_of = |given: &&Given<String>| Forward::is_of(&given.value, name, n == 0);
        let forwards: Vec<_> = defaults.forwards.iter().filter(is_of).cloned().collect();
        let merged = if n == 0 {
            LanInput { forwards, ..defaults.clone() }.or(&input)
        } else {
            if !forwards.is_empty() {
                input.forwards = forwards;
            }
            input.or(&others)
        };
        lan(merged.or(common), is_local)
    });
    let resolved: Vec<LanSettings> = resolved.collect::<Result<_, _>>()?;
    for given in &defaults.forwards {
        if let Ok((Some(name), _)) = Forward::parse(&given.value)
            && !resolved.iter().any(|lan| lan.name == name)
        {
            return Err(given.wrong(format_args!("there is no LAN `{name}`; add --lan {name}")));
        }
    }
    Ok(resolved)
}

fn lan(input: LanInput, is_local: bool) -> Result<LanSettings, ConfigError> {
    let input = preset::apply(input)?;
    let subnet = one(input.subnet, |text| parse::subnet(text))?;
    let subnet = subnet.unwrap_or_else(|| Ipv4Net::new(Ipv4Addr::new(192, 168, 86, 0), 24));
    let name = input.name.map_or_else(|| DEFAULT_LAN.to_owned(), |name| name.value);
    let mtu = one(input.mtu, |mtu| parse::mtu(*mtu))?.unwrap_or(1500);
    let ipv6 = one(input.ipv6, |text| ipv6::parse(text, &name, mtu))?.flatten();
    let settings = LanSettings {
        name: name.clone(),
        subnet,
        ipv6,
        mtu,
        gateway_mac: one(input.gateway_mac, |text| parse::mac(text))?.unwrap_or(GATEWAY_MAC),
        pool: one(input.pool, |text| parse::pool(text, subnet))?.unwrap_or_else(|| pool(subnet)),
        lease_s: one(input.lease_s, |s| parse::lease_s(*s))?.unwrap_or(24 * 3600),
        gateway: input.gateway.unwrap_or(true),
        dhcp: input.dhcp.unwrap_or(true),
        dns: input.dns.unwrap_or(true),
        isolate: input.isolate.unwrap_or(false),
        host_loopback: input.host_loopback.unwrap_or(false),
        private: input.private.unwrap_or(is_local),
        allow: each(&input.allow, parse::pattern)?,
        deny: each(&input.deny, parse::pattern)?,
        allow_only: input.allow_only.unwrap_or(false),
        resolvers: each(&input.resolvers, parse::resolver)?,
        records: each(&input.records, parse::record)?,
        leases: each(&input.leases, parse::lease)?,
        forwards: each(&input.forwards, |text| match Forward::parse(text)? {
            (Some(named), _) if named != name => {
                Err(format!("`{text}` is for LAN {named}, and stands with LAN {name}; leave out `{named}/`"))
            }
            (_, forward) => Ok(forward),
        })?,
        taps: each(&input.taps, tap::parse)?,
        max_clients: one(input.max_clients, |n| parse::count(*n))?.unwrap_or(1024),
        resume_s: one(input.resume_s, |s| resume::seconds(*s))?.unwrap_or(30),
        resume_by_mac: one(input.resume_by_mac, |text| resume::by_mac(text))?.unwrap_or(ResumeByMac::Address),
    };
    for (n, (mac, address)) in settings.leases.iter().enumerate() {
        let wrong = |message: String| Err(input.leases[n].wrong(message));
        if !subnet.contains(*address) || *address == subnet.network() || *address == subnet.broadcast() {
            return wrong(format!("{address} is no host of {subnet}; lease an address inside it"));
        }
        if *address == settings.gateway_address() || *address == settings.host_address() {
            return wrong(format!("{address} is the gateway's or the host's own; lease another"));
        }
        if settings.leases[..n].iter().any(|(m, a)| m == mac || a == address) {
            return wrong(format!("{mac} or {address} is leased twice; leave one out"));
        }
    }
    for (n, forward) in settings.forwards.iter().enumerate() {
        let wrong = |message: String| Err(input.forwards[n].wrong(message));
        if forward.keep_source && !settings.gateway {
            return wrong(
                "without a gateway guests cannot answer who asks; leave out keep-source".to_owned(),
            );
        }
        if settings.forwards[..n]
            .iter()
            .any(|other| other.listen == forward.listen && !forward.listen.is_free())
        {
            return wrong(format!("{} is given twice; leave one out", forward.listen));
        }
        let ForwardGuest::Address(address) = forward.guest else { continue };
        let is_on_lan = match address {
            IpAddr::V4(address) => subnet.contains(address),
            IpAddr::V6(address) => settings.ipv6.is_some_and(|prefix| prefix.contains(address)),
        };
        if !is_on_lan {
            return wrong(format!("{address} is no guest of {subnet}"));
        }
    }
    tap::check(&input.taps, &settings)?;
    Ok(settings)
}

/// First and last address of the DHCP pool: from the hundredth address where there are 256, and up to the host's address.
fn pool(subnet: Ipv4Net) -> (Ipv4Addr, Ipv4Addr) {
    let size = 1_u32 << (32 - u32::from(subnet.prefix())).min(31);
    let first = subnet.network().to_bits() + if size >= 256 { 100 } else { (size / 4).max(2) };
    let last = (host_address(subnet).to_bits() - 1).min(first + parse::MAX_POOL);
    (Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(last))
}

fn either(flags: Vec<Given<String>>, file: Vec<Given<String>>) -> Vec<Given<String>> {
    if flags.is_empty() { file } else { flags }
}

pub(super) fn one<T, U>(
    given: Option<Given<T>>,
    parse: impl Fn(&T) -> Result<U, String>,
) -> Result<Option<U>, ConfigError> {
    given.map(|given| parse(&given.value).map_err(|message| given.wrong(message))).transpose()
}

pub(super) fn each<T>(
    given: &[Given<String>],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, ConfigError> {
    given.iter().map(|given| parse(&given.value).map_err(|message| given.wrong(message))).collect()
}
