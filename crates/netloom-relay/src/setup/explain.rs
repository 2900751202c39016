//! `netloom check`: a configuration in words, above all who may reach what.

use std::fmt::{Display, Write as _};
use std::net::IpAddr;

use crate::config::{Config, ControlAddress, DEFAULT_LAN, EgressSettings, LanSettings, ResumeByMac};

/// What a configuration means, in lines; those that begin with `warning: ` say what an operator may not have meant, and the fix.
#[must_use]
pub fn explain(config: &Config) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        text += &line;
        text.push('\n');
    };
    listeners(config, &mut say);
    limits(config, &mut say);
    control(config, &mut say);
    for lan in &config.lans {
        say(String::new());
        self::lan(config, lan, &mut say);
    }
    say(String::new());
    streams(config, &mut say);
    let warnings = warnings(config);
    if !warnings.is_empty() {
        say(String::new());
    }
    for warning in warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

fn listeners(config: &Config, say: &mut impl FnMut(String)) {
    let (scheme, name) = if config.tls.is_some() { ("wss", "TLS") } else { ("ws", "no TLS") };
    for address in &config.listen {
        let from = reached_from(config, address.ip());
        say(format!("Listens on {scheme}://{address}/ ({name}), reached from {from}."));
    }
    for address in &config.listen_plain {
        let from = reached_from(config, address.ip());
        say(format!("Listens on ws://{address}/ (no TLS), reached from {from}."));
    }
    for address in &config.listen_redirect {
        say(format!("Sends who asks http://{address}/ on to https."));
    }
    for listen in &config.qemu_listen {
        say(format!("Listens for QEMU on {}, for LAN {}.", listen.address, listen.lan));
    }
    say(match &config.tokens {
        Some(file) => format!("Clients need a token of {}.", file.display()),
        None => "Clients need no token.".to_owned(),
    });
    let names = listed(&config.public_names);
    say(match names.as_str() {
        "" => "Clients name it by an address or localhost.".to_owned(),
        names => format!("Clients name it by an address, localhost, or {names}."),
    });
    say(match listed(&config.origins).as_str() {
        "" => "Web pages that may connect: its own; on this host those of this host's loopback.".to_owned(),
        origins => format!("Web pages that may connect: its own, and those of {origins}."),
    });
}

fn limits(config: &Config, say: &mut impl FnMut(String)) {
    let limits = &config.limits;
    for (whose, scope) in [("client", limits.client), ("address", limits.address), ("token", limits.token)] {
        let set = listed(
            scope.values().filter(|(_, limit)| *limit > 0).map(|(key, limit)| format!("{key} {limit}")),
        );
        if !set.is_empty() {
            say(format!("Each {whose} may use: {set}."));
        }
    }
    if !limits.trusted_proxies.is_empty() {
        say(format!("Who connects by {} says the client's address.", listed(&limits.trusted_proxies)));
    }
}

fn control(config: &Config, say: &mut impl FnMut(String)) {
    say(match &config.control.socket {
        ControlAddress::Off => "Controlled by no socket.".to_owned(),
        ControlAddress::Default => "Controlled by who runs it, over its usual socket.".to_owned(),
        socket => format!("Controlled by who runs it, over {socket}."),
    });
    if config.control.token_file.is_some() {
        say("Controlled at /api/ as well, by who has the control token.".to_owned());
    }
}

fn reached_from(config: &Config, ip: IpAddr) -> &'static str {
    let has_proxy = !config.public_names.is_empty() || !config.limits.trusted_proxies.is_empty();
    if ip.is_loopback() && has_proxy {
        "this host, and from elsewhere by a proxy on it"
    } else if ip.is_loopback() {
        "this host alone"
    } else if ip.is_unspecified() {
        "every network that this host is in"
    } else {
        "the network of that address"
    }
}

fn lan(config: &Config, lan: &LanSettings, say: &mut impl FnMut(String)) {
    let path = if lan.name == DEFAULT_LAN { "/".to_owned() } else { format!("/lan/{}", lan.name) };
    let ipv6 = lan.ipv6.map_or_else(String::new, |prefix| format!(" and {prefix}"));
    say(format!(
        "LAN {} at {path}: {}{ipv6}, MTU {} bytes, at most {} guests.",
        lan.name, lan.subnet, lan.mtu, lan.max_clients
    ));
    let (first, last) = lan.pool;
    say(match (lan.dhcp, lan.dns) {
        (true, true) => format!(
            "  DHCP leases {first} to {last} for {} s; DNS answers at the gateway, {}.",
            lan.lease_s,
            lan.gateway_address()
        ),
        (true, false) => format!("  DHCP leases {first} to {last} for {} s; there is no DNS.", lan.lease_s),
        (false, true) => {
            format!("  There is no DHCP; DNS answers at the gateway, {}.", lan.gateway_address())
        }
        (false, false) => "  There is neither DHCP nor DNS.".to_owned(),
    });
    for (mac, address) in &lan.leases {
        say(format!("  {mac} always gets {address}."));
    }
    for (name, addresses) in &lan.records {
        say(format!("  The name {name} is {}.", listed(addresses)));
    }
    say(format!("  Guests {} each other.", if lan.isolate { "do not reach" } else { "reach" }));
    say(format!("  Guests reach {}.", reach(&config.egress, Some(lan))));
    if lan.gateway && !config.egress.deny.is_empty() | !lan.deny.is_empty() {
        say(format!("  Guests never reach {}.", listed(config.egress.deny.iter().chain(&lan.deny))));
    }
    for forward in &lan.forwards {
        say(format!("  {} leads to port {} of guest {}.", forward.listen, forward.port, forward.guest));
    }
    for tap in &lan.taps {
        say(format!("  This host is on it by the TAP {tap}."));
    }
    let names = config.hosts.names.iter().filter(|(_, host)| host.lan == lan.name);
    for (name, host) in names {
        say(format!("  http://{name}/ leads to port {} of guest {}.", host.port, host.guest));
    }
    say(match (lan.resume_s, lan.resume_by_mac) {
        (0, _) => "  A guest whose connection is lost has lost its flows.".to_owned(),
        (s, by_mac) => {
            let who = match by_mac {
                ResumeByMac::Off => "shows its cookie or token",
                ResumeByMac::Address => "shows its cookie or token, or comes from the same address",
                ResumeByMac::Any => "has its MAC address",
            };
            format!("  A guest whose connection is lost has {s} s to come back to its flows, if it {who}.")
        }
    });
}

/// What is reached, but for what is denied.
fn reach(egress: &EgressSettings, lan: Option<&LanSettings>) -> String {
    if lan.is_some_and(|lan| !lan.gateway) {
        return "nothing outside".to_owned();
    }
    let allow = listed(egress.allow.iter().chain(lan.iter().flat_map(|lan| &lan.allow)));
    let host = if lan.is_some_and(|lan| lan.host_loopback) { "this host's loopback as host.lan" } else { "" };
    if egress.allow_only || lan.is_some_and(|lan| lan.allow_only) {
        return match (allow.as_str(), host) {
            ("", "") => "nothing outside, since allow_only is set and allow names nothing".to_owned(),
            (allow, host) => {
                format!("nothing but {}", listed([allow, host].into_iter().filter(|part| !part.is_empty())))
            }
        };
    }
    let private = lan.is_some_and(|lan| lan.private);
    let rest = if private {
        "the internet and private networks, but not this host's loopback, link-local addresses and the relay itself"
    } else {
        "the internet, but not private networks, this host, link-local addresses and the relay itself"
    };
    let also = listed([allow.as_str(), host].into_iter().filter(|part| !part.is_empty()));
    if also.is_empty() { rest.to_owned() } else { format!("{rest}; and in any case {also}") }
}

fn streams(config: &Config, say: &mut impl FnMut(String)) {
    say(match &config.wisp {
        None => "Wisp: off.".to_owned(),
        Some(wisp) if wisp.is_closed() => {
            "Wisp at /wisp/: for who has a password or key of its own.".to_owned()
        }
        Some(_) => "Wisp at /wisp/: for everyone who may connect.".to_owned(),
    });
    say(match &config.cors {
        None => "CORS proxy: off.".to_owned(),
        Some(_) => "CORS proxy at /cors/: for pages of every origin, within its own lists.".to_owned(),
    });
    if config.wisp.is_some() || config.cors.is_some() {
        say(format!("Streams of these reach {}.", reach(&config.egress, None)));
        if !config.egress.deny.is_empty() {
            say(format!("They never reach {}.", listed(&config.egress.deny)));
        }
    }
    if let Some(proxy) = &config.egress.upstream {
        say(format!("All TCP goes out by {proxy}; UDP and ping do not go out."));
    }
}

fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let public = config.listen.iter().find(|address| !address.ip().is_loopback());
    if let Some(address) = public
        && config.tls.is_none()
    {
        warnings.push(format!(
            "{address} is reached from other hosts without TLS, and what guests send is read on the way: add tls_cert and tls_key, or put a proxy with TLS in front and listen on 127.0.0.1"
        ));
    }
    let by_proxy = || config.public_names.first().map_or_else(|| "the proxy".to_owned(), Clone::clone);
    if !config.is_local {
        let reached = public.map_or_else(by_proxy, ToString::to_string);
        if config.tokens.is_none() {
            warnings.push(format!(
                "whoever reaches {reached} may use the relay: make a token with `netloom token create NAME --tokens FILE`, and name that file with tokens = \"FILE\" under [access]"
            ));
        }
        if config.origins.iter().any(|origin| origin.to_string() == "*") {
            warnings.push(
                "web pages of every origin may connect from every browser that reaches it: name origins in place of `*`"
                    .to_owned(),
            );
        }
    }
    for lan in &config.lans {
        if !config.is_local && lan.private {
            warnings.push(format!(
                "guests of LAN {} come from other hosts and reach this host's private networks: leave out `private = true`, or name in allow what they need",
                lan.name
            ));
        }
        if !config.is_local && lan.host_loopback {
            warnings.push(format!(
                "guests of LAN {} come from other hosts and reach what listens on this host's loopback: leave out host_loopback",
                lan.name
            ));
        }
        if lan.resume_by_mac == ResumeByMac::Any && !config.is_local {
            warnings.push(format!(
                "on LAN {} whoever knows the MAC address of a lost guest has its flows: write resume_by_mac = \"address\"",
                lan.name
            ));
        }
    }
    warnings
}

fn listed(parts: impl IntoIterator<Item = impl Display>) -> String {
    parts.into_iter().map(|part| part.to_string()).collect::<Vec<_>>().join(", ")
}
