//! From what was written to the configuration in effect: precedence, defaults, and what values must be to each other.

use std::net::{Ipv4Addr, SocketAddr};

use netloom_core::Ipv4Net;

use super::cors::{CorsInput, CorsSettings};
use super::error::{ConfigError, Given};
use super::input::{Input, LanInput};
use super::parse;
use super::{Config, DEFAULT_LAN, LanSettings, QemuAddress, ipv6, qemu};

/// Listeners that one relay may have.
const MAX_LISTENERS: usize = 64;

pub(super) fn resolve(flags: Input, file: Input) -> Result<Config, ConfigError> {
    let listen = either(flags.listen, file.listen);
    if let Some(surplus) = listen.get(MAX_LISTENERS) {
        return Err(surplus.wrong(format_args!("more than {MAX_LISTENERS} addresses; leave some out")));
    }
    let mut addresses = each(&listen, parse::listen)?;
    if addresses.is_empty() {
        addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 8086)));
    }
    for (n, address) in addresses.iter().enumerate() {
        if address.port() != 0 && addresses[..n].contains(address) {
            return Err(listen[n].wrong(format_args!("{address} is given twice; leave one out")));
        }
    }
    let given = either(flags.qemu_listen, file.qemu_listen);
    let qemu_listen = each(&given, qemu::parse)?;
    let qemu_addresses = qemu_listen.iter().filter_map(|listen| match listen.address {
        QemuAddress::Tcp(address) => Some(address),
        QemuAddress::Unix(_) => None,
    });
    let loopback_only =
        addresses.iter().copied().chain(qemu_addresses).all(|address| address.ip().is_loopback());
    let lans = lans(&flags.defaults, flags.lans, file.lans, loopback_only)?;
    for (n, listen) in qemu_listen.iter().enumerate() {
        if !lans.iter().any(|lan| lan.name == listen.lan) {
            return Err(given[n].wrong(format_args!("there is no LAN `{0}`; add --lan {0}", listen.lan)));
        }
    }
    let max_connections = one(flags.max_connections.or(file.max_connections), |n| parse::count(*n))?;
    let log = one(flags.log.or(file.log), |text| match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.clone()),
        Err(_) => Err(format!("`{text}` is not a log filter; write error, warn, info, debug or trace")),
    })?;
    Ok(Config {
        origins: each(&either(flags.origins, file.origins), parse::origin)?,
        public_names: each(&either(flags.public_names, file.public_names), parse::host_name)?,
        max_connections: max_connections.unwrap_or(4096),
        log,
        cors: cors(flags.cors, file.cors)?,
        lans,
        listen: addresses,
        qemu_listen,
    })
}

/// The CORS proxy, if either source has one. What the flags say wins.
fn cors(flags: Option<CorsInput>, file: Option<CorsInput>) -> Result<Option<CorsSettings>, ConfigError> {
    let either = match (flags, file) {
        (Some(flags), Some(file)) => Some(flags.or(file)),
        (flags, file) => flags.or(file),
    };
    either.map(CorsInput::resolve).transpose()
}

/// All LANs, the default first. One that both flags and file name is one LAN, and the flags win.
fn lans(
    defaults: &LanInput,
    flags: Vec<LanInput>,
    file: Vec<LanInput>,
    loopback_only: bool,
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
    // A lease is for one subnet, so those of flags stay with the default LAN.
    let others = LanInput { leases: Vec::new(), ..defaults.clone() };
    let resolved = inputs.into_iter().enumerate().map(|(n, input)| {
        let merged = if n == 0 { defaults.clone().or(&input) } else { input.or(&others) };
        lan(merged, loopback_only)
    });
    resolved.collect()
}

fn lan(input: LanInput, loopback_only: bool) -> Result<LanSettings, ConfigError> {
    let subnet = one(input.subnet, |text| parse::subnet(text))?;
    let subnet = subnet.unwrap_or_else(|| Ipv4Net::new(Ipv4Addr::new(192, 168, 86, 0), 24));
    let name = input.name.map_or_else(|| DEFAULT_LAN.to_owned(), |name| name.value);
    let mtu = one(input.mtu, |mtu| parse::mtu(*mtu))?.unwrap_or(1500);
    let ipv6 = one(input.ipv6, |text| ipv6::parse(text, &name, mtu))?.flatten();
    let settings = LanSettings {
        name,
        subnet,
        ipv6,
        mtu,
        gateway: input.gateway.unwrap_or(true),
        dhcp: input.dhcp.unwrap_or(true),
        dns: input.dns.unwrap_or(true),
        isolate: input.isolate.unwrap_or(false),
        host_loopback: input.host_loopback.unwrap_or(false),
        private: input.private.unwrap_or(loopback_only),
        allow: each(&input.allow, parse::net)?,
        deny: each(&input.deny, parse::net)?,
        resolvers: each(&input.resolvers, parse::resolver)?,
        records: each(&input.records, parse::record)?,
        leases: each(&input.leases, parse::lease)?,
        max_clients: one(input.max_clients, |n| parse::count(*n))?.unwrap_or(1024),
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
    Ok(settings)
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
