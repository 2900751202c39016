//! Replies from outside: whether they answer the query, which addresses they tell, and how they fit (RFC 1035, 2181, 5452, 9460).
//! No state. Replies may be hostile: nothing here trusts a count, a length or a pointer.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;

use super::build::{Rcode, Reply, Section};
use super::message::{
    CLASS_IN, FLAG_AD, FLAG_TC, HEADER_BYTES, Header, OPCODE, Record, Records, TYPE_A, TYPE_AAAA, TYPE_CNAME,
    TYPE_OPT, TYPE_SOA, edns, question, u16_at, u32_at,
};
use super::name;

const TYPE_SVCB: u16 = 64;
const TYPE_HTTPS: u16 = 65;

/// The response code among the flags, and one of its values.
const RCODE: u16 = 0x000f;
const NXDOMAIN: u16 = 3;

/// What a client without EDNS takes by UDP, in bytes (RFC 1035 section 4.2.1).
const PLAIN_UDP_BYTES: usize = 512;

/// The largest payload of a UDP datagram over IPv4.
const MAX_UDP_BYTES: usize = 65_507;

/// Whether a reply answers the query: a response of the same identifier and question (RFC 5452 section 9).
#[must_use]
pub fn matches(query: &[u8], reply: &[u8]) -> bool {
    let (Some(asked), Some(answered)) = (Header::read(query), Header::read(reply)) else { return false };
    if answered.id != asked.id || !answered.is_response() || (asked.flags ^ answered.flags) & OPCODE != 0 {
        return false;
    }
    let (Some(a), Some(b)) = (question(query), question(reply)) else { return false };
    a.name.eq_ignore_ascii_case(&b.name) && a.kind == b.kind && a.class == b.class
}

/// The reply as it may go by UDP: as it is if the client takes it, else its question alone and the sign to ask again by TCP.
#[must_use]
pub fn truncate_for_udp<'a>(query: &[u8], reply: &'a [u8]) -> Cow<'a, [u8]> {
    let taken = edns(query).flatten().map_or(0, |edns| usize::from(edns.payload_bytes));
    if reply.len() <= taken.clamp(PLAIN_UDP_BYTES, MAX_UDP_BYTES) {
        return Cow::Borrowed(reply);
    }
    let (Some(header), Some(mut short)) = (Header::read(reply), Reply::to(query, Rcode::NoError, 0)) else {
        return Cow::Borrowed(&reply[..HEADER_BYTES.min(reply.len())]);
    };
    short.set_flags(header.flags | FLAG_TC);
    if let Some(edns) = edns(reply).flatten() {
        short.opt(edns);
    }
    Cow::Owned(short.finish())
}

/// An address that a reply tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRecord {
    /// Whose it is: the name asked for, or what that is another name of.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// Time to live in seconds.
    pub ttl_s: u32,
}

/// The A and AAAA records of a reply's answer section, up to where it stops parsing.
pub fn addresses(reply: &[u8]) -> impl Iterator<Item = AddressRecord> + '_ {
    let records = Records::of(reply).into_iter().flatten().map_while(|record| record);
    records.take_while(|record| record.section == Section::Answer as usize).filter_map(|record| {
        let address = address(reply, &record)?;
        // A time to live with the top bit set counts as zero (RFC 2181 section 8).
        let ttl_s = if record.ttl >> 31 == 0 { record.ttl } else { 0 };
        Some(AddressRecord { name: name::read(reply, record.start)?.0, address, ttl_s })
    })
}

/// The reply without the addresses that are denied: as it is if it tells none, else made anew of the aliases and addresses that remain.
///
/// `None` if the reply does not parse to its end: what cannot be judged must not be passed on.
#[must_use]
pub fn without_denied<'a>(reply: &'a [u8], is_denied: &dyn Fn(IpAddr) -> bool) -> Option<Cow<'a, [u8]>> {
    let header = Header::read(reply)?;
    let records: Vec<Record> = Records::of(reply)?.collect::<Option<_>>()?;
    if !records.iter().any(|record| tells_denied(reply, record, is_denied)) {
        return Some(Cow::Borrowed(reply));
    }
    let mut clean = Reply::to(reply, Rcode::NoError, 0)?;
    clean.set_flags(header.flags & !FLAG_AD);
    for record in &records {
        // Other records may hold names compressed against bytes that are gone, and signatures no longer hold.
        let owner = name::expand(reply, record.start)?.0;
        if record.section != Section::Answer as usize || tells_denied(reply, record, is_denied) {
            continue;
        }
        let data = match record.kind {
            TYPE_CNAME => name::expand(reply, record.data.start)?.0,
            TYPE_A | TYPE_AAAA => reply.get(record.data.clone())?.to_vec(),
            _ => continue,
        };
        clean.record(Section::Answer, &owner, record.kind, record.class, record.ttl, &data);
    }
    if let Some(edns) = edns(reply).flatten() {
        clean.opt(edns);
    }
    Some(Cow::Owned(clean.finish()))
}

/// How long a reply may be kept, in seconds: the shortest time to live of its answers (RFC 8484 section 5.1), or how long it holds that there
/// are none (RFC 2308 section 5). `None` if it says neither: an error, or what does not parse.
#[must_use]
pub fn lifetime_s(reply: &[u8]) -> Option<u32> {
    let header = Header::read(reply)?;
    if !matches!(header.flags & RCODE, 0 | NXDOMAIN) {
        return None;
    }
    let records: Vec<Record> = Records::of(reply)?.collect::<Option<_>>()?;
    // A time to live with the top bit set counts as zero (RFC 2181 section 8).
    let ttl_s = |record: &Record| if record.ttl >> 31 == 0 { record.ttl } else { 0 };
    let answers = records.iter().filter(|record| record.section == Section::Answer as usize);
    if let Some(shortest) = answers.map(ttl_s).min() {
        return Some(shortest);
    }
    let is_start =
        |record: &&Record| record.section == Section::Authority as usize && record.kind == TYPE_SOA;
    let start = records.iter().find(is_start)?;
    let minimum = start.data.end.checked_sub(4).filter(|at| *at >= start.data.start)?;
    Some(ttl_s(start).min(u32_at(reply, minimum)?))
}

fn address(message: &[u8], record: &Record) -> Option<IpAddr> {
    let data = message.get(record.data.clone())?;
    match record.kind {
        _ if record.class != CLASS_IN => None,
        TYPE_A => <[u8; 4]>::try_from(data).ok().map(|octets| Ipv4Addr::from(octets).into()),
        TYPE_AAAA => <[u8; 16]>::try_from(data).ok().map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

fn tells_denied(message: &[u8], record: &Record, is_denied: &dyn Fn(IpAddr) -> bool) -> bool {
    match record.kind {
        TYPE_SVCB | TYPE_HTTPS => hints(message, record).is_none_or(|hints| hints.into_iter().any(is_denied)),
        TYPE_OPT => false,
        _ => address(message, record).is_some_and(is_denied),
    }
}

/// The addresses that a service binding gives beside its target (RFC 9460 sections 2.2 and 7.3); `None` if it does not parse.
fn hints(message: &[u8], record: &Record) -> Option<Vec<IpAddr>> {
    const IPV4_HINT: u16 = 4;
    const IPV6_HINT: u16 = 6;
    let target = record.data.start + 2;
    let mut parameters = message.get(name::skip(message, target)?..record.data.end)?;
    let mut hints = Vec::new();
    while !parameters.is_empty() {
        let (key, length) = (u16_at(parameters, 0)?, usize::from(u16_at(parameters, 2)?));
        let value = parameters.get(4..4 + length)?;
        match key {
            IPV4_HINT => hints.extend(value.as_chunks::<4>().0.iter().map(|a| IpAddr::from(*a))),
            IPV6_HINT => hints.extend(value.as_chunks::<16>().0.iter().map(|a| IpAddr::from(*a))),
            _ => {}
        }
        parameters = &parameters[4 + length..];
    }
    Some(hints)
}
