//! Masquerading: what is forwarded out by an interface takes the host's address there, with a port of its own (NAPT: RFC 3022, 4787, 5382,
//! 5508). IPv4 only: hosts with IPv6 have addresses of their own.
//!
//! A mapping is of an inside address and port, whoever the peer is (RFC 4787 REQ-1), and anyone may answer to it (REQ-8 as the least
//! surprising choice for peers behind a page). Ports lie below those that the host's own connections choose from.

use core::net::{IpAddr, Ipv4Addr};

use super::forward::put_header_checksum;
use crate::counters::Drop;
use crate::interface::InterfaceId;
use crate::sorted::SortedMap;
use crate::stack::ip::From;
use crate::stack::ipv4::fragment_of;
use crate::stack::{Role, Stack};
use crate::time::{Duration, Instant};
use crate::wire::checksum::{fold, sum};
use crate::wire::ip::{ICMP, TCP, UDP};
use crate::wire::ipv4;

/// Ports of mappings.
const PORTS: core::ops::Range<u16> = 32_768..49_152;
/// Silence after which a mapping ends (RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 5508 REQ-2).
const UDP_IDLE: Duration = Duration::from_secs(300);
const TCP_IDLE: Duration = Duration::from_secs(7440);
const TCP_TRANSITORY: Duration = Duration::from_secs(240);
const ICMP_IDLE: Duration = Duration::from_secs(60);

const FIN: u8 = 1;
const RST: u8 = 4;

/// One end of a conversation: protocol, address, and port or identifier.
type End = (u8, Ipv4Addr, u16);

struct Mapping {
    inside: End,
    interface: InterfaceId,
    heard_at: Instant,
    /// Whether a TCP connection of it began to end.
    closing: bool,
}

impl Mapping {
    fn idle(&self) -> Duration {
        match self.inside.0 {
            TCP if self.closing => TCP_TRANSITORY,
            TCP => TCP_IDLE,
            UDP => UDP_IDLE,
            _ => ICMP_IDLE,
        }
    }
}

pub(in crate::stack) struct Nat {
    /// By protocol and outside port.
    outside: SortedMap<(u8, u16), Mapping>,
    inside: SortedMap<(End, InterfaceId), u16>,
    next_port: u16,
}

impl Nat {
    /// Ports are chosen from a place that `first` tells.
    pub(in crate::stack) fn new(first: u16) -> Self {
        Self {
            outside: SortedMap::default(),
            inside: SortedMap::default(),
            next_port: first % (PORTS.end - PORTS.start),
        }
    }

    /// Ends the mappings of an interface.
    pub(in crate::stack) fn forget(&mut self, interface: InterfaceId) {
        self.outside.retain(|_, mapping| mapping.interface != interface);
        self.inside.retain(|(_, of), _| *of != interface);
    }

    /// The outside port of an inside end, which is mapped if it is not yet. With none free the one that was silent for longest gives way.
    fn map(&mut self, now: Instant, inside: End, interface: InterfaceId) -> u16 {
        if let Some(port) = self.inside.get(&(inside, interface)) {
            return *port;
        }
        if self.outside.len() >= PORTS.len() / 2 {
            self.outside.retain(|_, mapping| now.since(mapping.heard_at) < mapping.idle());
            let outside = &self.outside;
            self.inside.retain(|(end, _), port| outside.contains_key(&(end.0, *port)));
        }
        let free = (0..PORTS.len()).find_map(|_| {
            self.next_port = (self.next_port + 1) % (PORTS.end - PORTS.start);
            let port = PORTS.start + self.next_port;
            (!self.outside.contains_key(&(inside.0, port))).then_some(port)
        });
        let port = free.unwrap_or_else(|| self.oldest(inside.0));
        if let Some(gone) = self.outside.remove(&(inside.0, port)) {
            self.inside.remove(&(gone.inside, gone.interface));
        }
        self.inside.insert((inside, interface), port);
        self.outside.insert((inside.0, port), Mapping { inside, interface, heard_at: now, closing: false });
        port
    }

    fn oldest(&self, protocol: u8) -> u16 {
        let of_protocol = self.outside.iter().filter(|((of, _), _)| *of == protocol);
        of_protocol
            .min_by_key(|((_, port), mapping)| (mapping.heard_at, *port))
            .map_or(PORTS.start, |((_, port), _)| *port)
    }

    fn find(&mut self, now: Instant, protocol: u8, port: u16) -> Option<&mut Mapping> {
        let mapping = self.outside.get_mut(&(protocol, port))?;
        (now.since(mapping.heard_at) < mapping.idle()).then_some(mapping)
    }
}

impl<R: Role> Stack<R> {
    /// Sends a packet on from the host's own address on an interface.
    pub(super) fn masquerade(
        &mut self,
        now: Instant,
        from: From,
        interface: InterfaceId,
        packet: &ipv4::Packet<'_>,
    ) {
        let Some(mut bytes) = self.whole(now, from, packet) else { return };
        let host = self.host.as_ref();
        let own = host.and_then(|host| host.interfaces.source(interface, packet.destination.into()));
        let (Some(IpAddr::V4(own)), Some(end)) = (own, Place::parse(&bytes)) else {
            return self.drops.count(Drop::Ipv4Protocol);
        };
        let Some(host) = &mut self.host else { return };
        // Errors about what came from outside keep what they quote; answers to echo requests from outside have no mapping.
        let (Some(port_at), false) = (end.source_at, end.is_error) else {
            return self.drops.count(Drop::Ipv4Protocol);
        };
        let inside = (packet.protocol, packet.source, word(&bytes, port_at));
        let port = host.nat.map(now, inside, interface);
        if let Some(mapping) = host.nat.find(now, packet.protocol, port) {
            mapping.heard_at = now;
            mapping.closing |= end.closes;
        }
        end.rewrite(&mut bytes, 12, own, port_at, port);
        self.send_on(now, from, &bytes);
    }

    /// Whether a packet to the host is for one behind it; then it is sent there.
    pub(super) fn translated_back(&mut self, now: Instant, from: From, packet: &[u8]) -> bool {
        let Ok(parsed) = ipv4::Packet::parse(packet, false) else { return false };
        let Some(host) = &self.host else { return false };
        if host.nat.outside.is_empty() || !host.interfaces.is_ours(parsed.destination.into()) {
            return false;
        }
        let Some(on) = self.interface_of(from.guest.port) else { return false };
        if parsed.more_fragments || parsed.offset > 0 {
            let masquerades = host.interfaces.get(on).is_some_and(|interface| interface.masquerade);
            if !masquerades {
                return false;
            }
            let Some(whole) = self.whole(now, from, &parsed) else { return true };
            if !self.translated_back(now, from, &whole)
                && let Ok(packet) = ipv4::Packet::parse(&whole, false)
            {
                self.take_ipv4(now, from, &packet);
            }
            return true;
        }
        let Some(end) = Place::parse(packet) else { return false };
        let Some(host) = &mut self.host else { return false };
        let mut bytes = packet.to_vec();
        if end.is_error {
            // An error about a packet that went out: it quotes our address and port.
            let Some((protocol, port_at)) = end.quoted_port else { return false };
            let Some(mapping) = host.nat.find(now, protocol, word(&bytes, port_at)) else { return false };
            if mapping.interface != on {
                return false;
            }
            let (_, address, port) = mapping.inside;
            let quoted_at = end.payload_at + 8;
            bytes[port_at..port_at + 2].copy_from_slice(&port.to_be_bytes());
            bytes[quoted_at + 12..quoted_at + 16].copy_from_slice(&address.octets());
            bytes[16..20].copy_from_slice(&address.octets());
            let icmp = end.payload_at + 2..end.payload_at + 4;
            bytes[icmp.clone()].fill(0);
            let checksum = !fold(sum(&bytes[end.payload_at..]));
            bytes[icmp].copy_from_slice(&checksum.to_be_bytes());
            put_header_checksum(&mut bytes[..end.payload_at]);
        } else {
            let Some(port_at) = end.destination_at else { return false };
            let Some(mapping) = host.nat.find(now, parsed.protocol, word(packet, port_at)) else {
                return false;
            };
            if mapping.interface != on {
                return false;
            }
            mapping.heard_at = now;
            mapping.closing |= end.closes;
            let (_, address, port) = mapping.inside;
            end.rewrite(&mut bytes, 16, address, port_at, port);
        }
        if parsed.ttl <= 1 {
            self.drops.count(Drop::Ipv4Ttl);
            return true;
        }
        self.send_on(now, from, &bytes);
        true
    }

    /// The datagram that a packet carries or completes.
    fn whole(&mut self, now: Instant, from: From, packet: &ipv4::Packet<'_>) -> Option<Vec<u8>> {
        if !packet.more_fragments && packet.offset == 0 {
            return Some(packet.bytes.to_vec());
        }
        let fragment = fragment_of(packet);
        let (mut whole, payload) = self.reassembly.handle(now, from.guest, &fragment, &mut self.drops)?;
        let header_bytes = whole.len();
        whole.extend_from_slice(&payload);
        let length = u16::try_from(whole.len()).ok()?;
        whole[2..4].copy_from_slice(&length.to_be_bytes());
        whole[6..8].fill(0);
        put_header_checksum(&mut whole[..header_bytes]);
        Some(whole)
    }
}

/// Where in a packet stands what a translation changes.
struct Place {
    payload_at: usize,
    protocol: u8,
    source_at: Option<usize>,
    destination_at: Option<usize>,
    checksum_at: usize,
    /// Whether it is an ICMP error.
    is_error: bool,
    /// Of an error: the protocol of the packet that it quotes, and where that one's source port stands.
    quoted_port: Option<(u8, usize)>,
    /// Whether it ends a TCP connection.
    closes: bool,
}

impl Place {
    /// `None` for what cannot be translated.
    fn parse(packet: &[u8]) -> Option<Self> {
        let parsed = ipv4::Packet::parse(packet, false).ok()?;
        let at = parsed.bytes.len() - parsed.payload.len();
        let payload = parsed.payload;
        let place = Self {
            payload_at: at,
            protocol: parsed.protocol,
            source_at: None,
            destination_at: None,
            checksum_at: at + 2,
            is_error: false,
            quoted_port: None,
            closes: false,
        };
        match parsed.protocol {
            TCP if payload.len() >= 20 => Some(Self {
                source_at: Some(at),
                destination_at: Some(at + 2),
                checksum_at: at + 16,
                closes: payload[13] & (FIN | RST) != 0,
                ..place
            }),
            UDP if payload.len() >= 8 => {
                Some(Self { source_at: Some(at), destination_at: Some(at + 2), checksum_at: at + 6, ..place })
            }
            ICMP if payload.len() >= 8 => match payload[0] {
                8 => Some(Self { source_at: Some(at + 4), ..place }),
                0 => Some(Self { destination_at: Some(at + 4), ..place }),
                _ => Some(Self { is_error: true, quoted_port: quoted_port(payload, at), ..place }),
            },
            _ => None,
        }
    }

    /// Puts an address and a port in, and mends the checksums by what changed (RFC 1624).
    fn rewrite(&self, packet: &mut [u8], address_at: usize, address: Ipv4Addr, port_at: usize, port: u16) {
        let none = self.protocol == UDP && word(packet, self.checksum_at) == 0;
        let [a, b, c, d] = address.octets();
        let words = [(address_at, u16::from_be_bytes([a, b])), (address_at + 2, u16::from_be_bytes([c, d]))];
        let mut change = 0_u32;
        for (at, new) in words.into_iter().chain([(port_at, port)]) {
            // ICMP's checksum does not cover addresses.
            if self.protocol != ICMP || at == port_at {
                change += u32::from(!word(packet, at)) + u32::from(new);
            }
            packet[at..at + 2].copy_from_slice(&new.to_be_bytes());
        }
        if !none {
            let sum = !fold(u32::from(!word(packet, self.checksum_at)) + change);
            // Zero would say that there is no checksum.
            let sum = if self.protocol == UDP && sum == 0 { 0xffff } else { sum };
            packet[self.checksum_at..self.checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        put_header_checksum(&mut packet[..self.payload_at]);
    }
}

/// The protocol of the packet that an ICMP error quotes, and where its source port or identifier stands.
fn quoted_port(message: &[u8], at: usize) -> Option<(u8, usize)> {
    let quoted = message.get(8..)?;
    let header = quoted.first_chunk::<{ ipv4::HEADER_BYTES }>()?;
    let header_bytes = usize::from(header[0] & 15) * 4;
    let head = quoted.get(header_bytes..header_bytes + 8).filter(|_| header_bytes >= ipv4::HEADER_BYTES)?;
    let port_at = at + 8 + header_bytes;
    match header[9] {
        TCP | UDP => Some((header[9], port_at)),
        ICMP if head[0] == 8 => Some((ICMP, port_at + 4)),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
