//! The rules of the DNS server: which names are the LAN's own, and what they answer (RFC 1034 section 4.3, 2308, 6303, 6761, 8482).
//! No state: names of guests are asked from whoever knows them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::DnsConfig;
use super::build::{Rcode, Reply};
use super::message::{
    CLASS_ANY, CLASS_IN, Edns, FLAG_AA, Header, OPCODE, Question, TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_PTR,
    edns, question,
};
use crate::addr::{Ipv4Net, Ipv6Net};

/// What to do with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send this reply.
    Reply(Vec<u8>),
    /// Ask the outside, with the query as it came.
    Forward,
    /// Not a query that can be answered or asked. The reply says so, if there is anybody to tell.
    Malformed(Option<Vec<u8>>),
}

/// The names of a LAN's guests.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The LAN's network: names of its addresses are not asked outside.
    pub subnet: Ipv4Net,
    /// The LAN's IPv6 prefix, for which the same holds.
    pub prefix: Option<Ipv6Net>,
    /// The addresses of a guest, by one label in lower case; none if there is no such guest.
    pub addresses_of: &'a dyn Fn(&str) -> Vec<IpAddr>,
    /// The label of the guest with an address.
    pub name_of: &'a dyn Fn(IpAddr) -> Option<String>,
}

/// What is known about one of our own names.
enum Found {
    /// Its addresses; none if it exists without.
    Addresses(Vec<IpAddr>),
    /// The name of an address.
    Pointer(String),
    /// It does not exist; the zone of ours that says so.
    Nothing(String),
}

/// Answers a query about the LAN's names, or says that it is for the outside.
#[must_use]
pub fn answer(config: &DnsConfig, names: Names<'_>, query: &[u8]) -> Answer {
    let Some(header) = Header::read(query) else { return Answer::Malformed(None) };
    // An answer to an answer could be answered for ever.
    if header.is_response() {
        return Answer::Malformed(None);
    }
    if header.flags & OPCODE != 0 {
        return Reply::to(query, Rcode::NotImp, 0)
            .map_or(Answer::Malformed(None), |r| Answer::Reply(r.finish()));
    }
    let Some(question) = question(query).filter(|q| q.end <= query.len()) else { return form_err(query) };
    if !matches!(question.class, CLASS_IN | CLASS_ANY) {
        return Answer::Forward;
    }
    let Some(found) = find(config, names, &question) else { return Answer::Forward };
    let Some(edns) = edns(query) else { return form_err(query) };
    reply(config, query, &question, &found, edns).map_or(Answer::Malformed(None), Answer::Reply)
}

/// The reply that says that the outside gave no answer. `None` if the query has no header to answer to.
#[must_use]
pub fn servfail(query: &[u8]) -> Option<Vec<u8>> {
    Header::read(query).filter(|header| !header.is_response())?;
    let mut reply = Reply::to(query, Rcode::ServFail, 0)?;
    if let Some(edns) = edns(query).flatten() {
        reply.edns(edns, Rcode::ServFail);
    }
    Some(reply.finish())
}

fn form_err(query: &[u8]) -> Answer {
    Answer::Malformed(Reply::to(query, Rcode::FormErr, 0).map(Reply::finish))
}

fn reply(
    config: &DnsConfig,
    query: &[u8],
    asked: &Question,
    found: &Found,
    edns: Option<Edns>,
) -> Option<Vec<u8>> {
    let ttl = u32::try_from(config.ttl.as_secs()).unwrap_or(u32::MAX).min(MAX_TTL_S);
    let rcode = match found {
        _ if edns.is_some_and(|edns| edns.version != 0) => Rcode::BadVers,
        Found::Nothing(_) => Rcode::NxDomain,
        Found::Addresses(_) | Found::Pointer(_) => Rcode::NoError,
    };
    let mut reply = Reply::to(query, rcode, if rcode == Rcode::BadVers { 0 } else { FLAG_AA })?;
    if rcode != Rcode::BadVers {
        match found {
            Found::Addresses(addresses) => {
                for address in asked_for(asked.kind, addresses) {
                    reply.address(*address, ttl);
                }
            }
            Found::Pointer(name) if matches!(asked.kind, TYPE_PTR | TYPE_ANY) => reply.pointer(name, ttl),
            Found::Pointer(_) => {}
            Found::Nothing(zone) => reply.absence(zone, ttl),
        }
    }
    if let Some(edns) = edns {
        reply.edns(edns, rcode);
    }
    Some(reply.finish())
}

/// The longest time to live (RFC 2181 section 8).
const MAX_TTL_S: u32 = 0x7fff_ffff;

/// The addresses of the type asked for; for ANY those of one type (RFC 8482 section 4.1).
fn asked_for(kind: u16, addresses: &[IpAddr]) -> impl Iterator<Item = &IpAddr> {
    let has_v4 = addresses.iter().any(IpAddr::is_ipv4);
    addresses.iter().filter(move |address| match kind {
        TYPE_A => address.is_ipv4(),
        TYPE_AAAA => address.is_ipv6(),
        TYPE_ANY => address.is_ipv4() == has_v4,
        _ => false,
    })
}

/// What we know about the name, if it is ours to know: static records first, then names with a meaning of their own, then guests.
fn find(config: &DnsConfig, names: Names<'_>, asked: &Question) -> Option<Found> {
    let name = asked.name.to_ascii_lowercase();
    record(config, &name)
        .or_else(|| special(&name))
        .or_else(|| reverse(config, names, &name))
        .or_else(|| guest(config, names, &name))
        .or_else(|| config.wildcard.map(|address| Found::Addresses(vec![address.into()])))
}

/// The records of a name, else those of the nearest `*` above it.
fn record(config: &DnsConfig, name: &str) -> Option<Found> {
    let of_name = |name: &str| {
        let mut records = config.records.iter().filter(|(owner, _)| is_same(owner, name)).peekable();
        records.peek()?;
        Some(Found::Addresses(records.flat_map(|(_, addresses)| addresses).copied().collect()))
    };
    let above = |name: &str| name.match_indices('.').map(|(dot, _)| format!("*{}", &name[dot..])).collect();
    of_name(name).or_else(|| {
        let wildcards: Vec<String> = above(name);
        wildcards.iter().find_map(|wildcard| of_name(wildcard))
    })
}

/// Names that never leave the host (RFC 6761 sections 6.3 and 6.4, RFC 7686 section 2).
fn special(name: &str) -> Option<Found> {
    const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let last = name.rsplit('.').next()?;
    match last {
        "localhost" => Some(Found::Addresses(LOOPBACK.to_vec())),
        "invalid" | "onion" => Some(Found::Nothing(last.to_owned())),
        _ => None,
    }
}

/// Names of addresses. Those of the LAN and of loopback are not asked outside, where nobody can know them (RFC 6303).
fn reverse(config: &DnsConfig, names: Names<'_>, name: &str) -> Option<Found> {
    let address = reverse_address(name)?;
    let is_named = |(owner, a): &&(String, Vec<IpAddr>)| !owner.starts_with('*') && a.contains(&address);
    if let Some((owner, _)) = config.records.iter().find(is_named) {
        return Some(Found::Pointer(trim_dot(owner).to_owned()));
    }
    let (localhost, zone) = match address {
        IpAddr::V4(v4) if names.subnet.contains(v4) => (false, Some(reverse_zone(names.subnet))),
        IpAddr::V4(v4) => {
            (v4 == Ipv4Addr::LOCALHOST, v4.is_loopback().then(|| "127.in-addr.arpa".to_owned()))
        }
        IpAddr::V6(v6) => {
            let prefix = names.prefix.filter(|prefix| prefix.contains(v6));
            (v6.is_loopback(), prefix.map(reverse_zone_v6))
        }
    };
    if localhost {
        return Some(Found::Pointer("localhost".to_owned()));
    }
    let zone = zone?;
    Some(match (names.name_of)(address) {
        Some(label) => Found::Pointer(with_domain(config, &label)),
        None => Found::Nothing(zone),
    })
}

/// Names of leased guests, and everything else under their domain.
fn guest(config: &DnsConfig, names: Names<'_>, name: &str) -> Option<Found> {
    let of_label = |label: &str| {
        let addresses = (names.addresses_of)(label);
        (!addresses.is_empty()).then_some(Found::Addresses(addresses))
    };
    let domain = own_domain(config);
    if !domain.is_empty() {
        if name == domain {
            return Some(Found::Addresses(Vec::new()));
        }
        if let Some(rest) = name.strip_suffix(&domain).and_then(|rest| rest.strip_suffix('.')) {
            if let Some(found) = of_label(rest).filter(|_| !rest.contains('.')) {
                return Some(found);
            }
            // A name with names below it exists (RFC 8020).
            let below = |owner: &str| trim_dot(&owner.to_ascii_lowercase()).ends_with(&format!(".{name}"));
            let exists = config.records.iter().any(|(owner, _)| below(owner));
            return Some(if exists { Found::Addresses(Vec::new()) } else { Found::Nothing(domain) });
        }
    }
    if name.is_empty() || name.contains('.') { None } else { of_label(name) }
}

fn own_domain(config: &DnsConfig) -> String {
    trim_dot(&config.domain).to_ascii_lowercase()
}

fn with_domain(config: &DnsConfig, label: &str) -> String {
    let domain = own_domain(config);
    if domain.is_empty() { label.to_owned() } else { format!("{label}.{domain}") }
}

fn trim_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn is_same(owner: &str, name: &str) -> bool {
    trim_dot(owner).eq_ignore_ascii_case(name)
}

/// The zone of a network's addresses: under in-addr.arpa, by the whole octets of its prefix.
fn reverse_zone(subnet: Ipv4Net) -> String {
    let octets = subnet.network().octets();
    let whole = octets.iter().take(usize::from(subnet.prefix() / 8)).rev();
    whole.map(|octet| format!("{octet}.")).collect::<String>() + "in-addr.arpa"
}

/// The zone of a network's addresses: under ip6.arpa, by the whole half octets of its prefix.
fn reverse_zone_v6(prefix: Ipv6Net) -> String {
    let digits = format!("{:032x}", prefix.network().to_bits());
    let whole = digits.chars().take(usize::from(prefix.prefix() / 4)).collect::<Vec<_>>();
    whole.iter().rev().map(|digit| format!("{digit}.")).collect::<String>() + "ip6.arpa"
}

/// The address that a name under in-addr.arpa or ip6.arpa stands for (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reverse_address(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut parts = labels.split('.');
        for octet in octets.iter_mut().rev() {
            *octet = parts.next().filter(|p| p.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        }
        return parts.next().is_none().then_some(IpAddr::V4(octets.into()));
    }
    let labels = name.strip_suffix(".ip6.arpa")?;
    let mut bits: u128 = 0;
    let mut count = 0;
    for label in labels.rsplit('.') {
        let digit = u128::from_str_radix(label, 16).ok().filter(|_| label.len() == 1)?;
        (bits, count) = (bits << 4 | digit, count + 1);
        if count > 32 {
            return None;
        }
    }
    (count == 32).then_some(IpAddr::V6(bits.into()))
}
