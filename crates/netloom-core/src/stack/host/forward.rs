//! Forwarding: packets for others are sent on to their next hop (RFC 1812 4.2 and 5.2, RFC 8200).
//!
//! A segment that came larger than the wire, or without checksums, because its way here allowed it, is cut and completed where its way on
//! does not.

use crate::addr::MacAddr;
use crate::counters::Drop;
use crate::flow::Guest;
use crate::stack::errors::Error;
use crate::stack::ip::From;
use crate::stack::ipv6::names_no_host;
use crate::stack::resolve::Packet;
use crate::stack::{Role, Stack};
use crate::time::Instant;
use crate::wire::checksum::{fold, sum, transport_checksum};
use crate::wire::ethernet::{self, ETHERNET_BYTES};
use crate::wire::ip::{Pair, TCP};
use crate::wire::segmentation::{Part, Template};
use crate::wire::{ipv4, ipv6};

impl<R: Role> Stack<R> {
    /// Sends an IPv4 packet of somebody else's on.
    pub(super) fn forward_ipv4(&mut self, now: Instant, from: From, packet: &ipv4::Packet<'_>) {
        let to = packet.destination;
        let Some(host) = self.host.as_ref().filter(|host| host.forwards) else {
            return self.drops.count(Drop::Ipv4NotForUs);
        };
        if to.is_unspecified() || to.is_link_local() || packet.source.is_link_local() || to.octets()[0] >= 240
        {
            return self.drops.count(Drop::Ipv4NotForUs);
        }
        if packet.ttl <= 1 {
            self.drops.count(Drop::Ipv4Ttl);
            return self.send_ipv4_error(now, from, packet, Error::HopLimit);
        }
        let route = host.routes.find(&host.interfaces, to.into(), None);
        let Some((interface, _)) = route else {
            self.drops.count(Drop::Ipv4NotForUs);
            return self.send_ipv4_error(now, from, packet, Error::NoRoute);
        };
        let leaves = self.interface_of(from.guest.port) != Some(interface);
        if leaves && host.interfaces.get(interface).is_some_and(|interface| interface.masquerade) {
            self.masquerade(now, from, interface, packet);
        } else {
            self.send_on(now, from, packet.bytes);
        }
    }

    /// Sends an IPv6 packet of somebody else's on.
    pub(in crate::stack) fn forward_ipv6(&mut self, now: Instant, from: From, packet: &ipv6::Packet<'_>) {
        let (source, to) = (packet.source, packet.destination);
        let forwards = self.host.as_ref().is_some_and(|host| host.forwards);
        let (why, error) = if !forwards || names_no_host(to) || to.is_unicast_link_local() {
            (Drop::Ipv6NotForUs, None)
        } else if source.is_unicast_link_local() {
            (Drop::Ipv6NotForUs, Some(Error::BeyondScope))
        } else if packet.hop_limit <= 1 {
            (Drop::Ipv6HopLimit, Some(Error::HopLimit))
        } else if self.way(to.into(), None).is_none() {
            (Drop::Ipv6NotForUs, Some(Error::NoRoute))
        } else {
            return self.send_on(now, from, packet.bytes);
        };
        self.drops.count(why);
        if let Some(error) = error {
            self.send_fault(now, from, packet, error);
        }
    }

    /// Sends a packet to its next hop, with one hop less to go: cut or in fragments where the way on is narrower, or its sender is told.
    pub(super) fn send_on(&mut self, now: Instant, from: From, packet: &[u8]) {
        let Some(head) = Head::parse(packet) else { return };
        let Some(way) = self.way(head.pair.destination(), None) else { return };
        let interface = self.host.as_ref().and_then(|host| host.interfaces.get(way.interface));
        let Some((medium, mtu)) = interface.map(|interface| (interface.medium, interface.mtu)) else {
            return;
        };
        if medium == crate::interface::Medium::Loopback {
            return self.drops.count(Drop::Ipv4NotForUs);
        }
        let (large_in, narrow_in) = self
            .link(from.guest.port)
            .map_or((false, mtu), |link| (link.config.large_segments, link.config.mtu));
        let out = way.guest.and_then(|guest| self.link(guest.port));
        let (large_out, trusted_out) =
            out.map_or((false, false), |link| (link.config.large_segments, link.config.trusted));
        let mut packet = packet.to_vec();
        head.count_hop(&mut packet);
        let is_large = large_in && packet.len() > usize::from(narrow_in);
        if is_large && large_out && head.is_tcp() || packet.len() <= usize::from(mtu) {
            if from.trusted && !trusted_out {
                head.complete(&mut packet);
            }
            return self.send_hop(now, from.guest, &way, packet);
        }
        if is_large && head.is_tcp() {
            let widest = usize::from(mtu.min(narrow_in));
            for part in cut(&packet, widest) {
                self.send_hop(now, from.guest, &way, part);
            }
            return;
        }
        if head.may_fragment {
            for part in fragments(&packet, mtu.into()) {
                self.send_hop(now, from.guest, &way, part);
            }
            return;
        }
        self.drops.count(Drop::PortMtu);
        self.send_error_about(now, from.guest, &packet, Error::TooBig(mtu));
    }

    fn send_hop(&mut self, now: Instant, from: Guest, way: &super::routes::Way, packet: Vec<u8>) {
        match way.guest {
            Some(guest) => self.send_forwarded(guest, &packet),
            None => {
                let place = (way.interface, way.hop);
                if !self.resolve_packet(now, place, Packet::Forwarded { from, packet }) {
                    self.drops.count(Drop::NeighborUnresolved);
                }
            }
        }
    }

    /// Hands a packet to its next hop.
    pub(in crate::stack) fn send_forwarded(&mut self, guest: Guest, packet: &[u8]) {
        let Some(own) = self.link(guest.port).map(|link| link.mac) else { return };
        let ethertype = if packet[0] >> 4 == 4 { ipv4::ETHERTYPE } else { ipv6::ETHERTYPE };
        if let Some(frame) = self.place(guest.port, ETHERNET_BYTES + packet.len()) {
            ethernet::emit(guest.mac, own, ethertype, frame);
            frame[ETHERNET_BYTES..].copy_from_slice(packet);
        }
    }
}

/// What matters of a packet's header to those who send it on.
struct Head {
    pair: Pair,
    protocol: u8,
    header_bytes: usize,
    may_fragment: bool,
    whole: bool,
}

impl Head {
    fn parse(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => {
                let parsed = ipv4::Packet::parse(packet, false).ok()?;
                Some(Self {
                    pair: Pair::V4(parsed.source, parsed.destination),
                    protocol: parsed.protocol,
                    header_bytes: parsed.bytes.len() - parsed.payload.len(),
                    may_fragment: !parsed.dont_fragment,
                    whole: parsed.offset == 0 && !parsed.more_fragments,
                })
            }
            _ => {
                let parsed = ipv6::Packet::parse(packet).ok()?;
                Some(Self {
                    pair: Pair::V6(parsed.source, parsed.destination),
                    protocol: packet[6],
                    header_bytes: ipv6::HEADER_BYTES,
                    may_fragment: false,
                    whole: true,
                })
            }
        }
    }

    const fn is_tcp(&self) -> bool {
        self.protocol == TCP && self.whole
    }

    /// One hop less, and the header's checksum made anew.
    fn count_hop(&self, packet: &mut [u8]) {
        match self.pair {
            Pair::V4(..) => {
                packet[8] -= 1;
                put_header_checksum(&mut packet[..self.header_bytes]);
            }
            Pair::V6(..) => packet[7] -= 1,
        }
    }

    /// Computes the TCP checksum that a trusted port leaves out.
    fn complete(&self, packet: &mut [u8]) {
        let Some(message) = packet.get_mut(self.header_bytes..).filter(|m| self.is_tcp() && m.len() >= 20)
        else {
            return;
        };
        message[16..18].fill(0);
        let sum = transport_checksum(self.pair.source(), self.pair.destination(), TCP, message);
        message[16..18].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Makes the checksum of an IPv4 header anew.
pub(super) fn put_header_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let checksum = !fold(sum(header));
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// The segments of a larger one, each in a packet of at most `mtu` bytes.
fn cut(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    const FIN: u8 = 1;
    const PSH: u8 = 8;
    let mut frame = vec![0; ETHERNET_BYTES];
    let is_v4 = packet[0] >> 4 == 4;
    let ethertype = if is_v4 { ipv4::ETHERTYPE } else { ipv6::ETHERTYPE };
    ethernet::emit(MacAddr::default(), MacAddr::default(), ethertype, &mut frame);
    frame.extend_from_slice(packet);
    let tcp_at = ETHERNET_BYTES + if is_v4 { usize::from(packet[0] & 15) * 4 } else { ipv6::HEADER_BYTES };
    let Some(&[_, _, _, _, a, b, c, d, .., last_flags]) = frame.get(tcp_at..tcp_at + 14) else {
        return Vec::new();
    };
    let (seq, id) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([packet[4], packet[5]]));
    frame[tcp_at + 13] &= !(FIN | PSH);
    let Some(template) = Template::new(&frame, true) else { return Vec::new() };
    let head_bytes = template.head_bytes();
    let step = (mtu + ETHERNET_BYTES).saturating_sub(head_bytes).max(1);
    let payload = &frame[head_bytes..];
    let parts = payload.chunks(step).enumerate().map(|(index, chunk)| {
        let at = index * step;
        let flags = if at + chunk.len() == payload.len() { last_flags & (FIN | PSH) } else { 0 };
        let mut part = vec![0; head_bytes + chunk.len()];
        part[head_bytes..].copy_from_slice(chunk);
        let id = id.wrapping_add(index as u16);
        template
            .write(Part { seq: seq.wrapping_add(at as u32), id, flags, payload_sum: sum(chunk) }, &mut part);
        part.split_off(ETHERNET_BYTES)
    });
    parts.collect()
}

/// The fragments of an IPv4 packet, perhaps one itself, of at most `mtu` bytes each (RFC 791 3.2). All keep the header's options.
fn fragments(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    const MORE: u16 = 0x2000;
    const OFFSET: u16 = 0x1fff;
    let header_bytes = usize::from(packet[0] & 15) * 4;
    let (header, payload) = packet.split_at(header_bytes);
    let field = u16::from_be_bytes([header[6], header[7]]);
    let step = (mtu.saturating_sub(header_bytes) / 8 * 8).max(8);
    let parts = payload.chunks(step).enumerate().map(|(index, chunk)| {
        let at = index * step;
        let more = if at + chunk.len() < payload.len() { MORE } else { field & MORE };
        let offset = (field & OFFSET) + (at / 8) as u16;
        let mut part = header.to_vec();
        part[2..4].copy_from_slice(&((header_bytes + chunk.len()) as u16).to_be_bytes());
        part[6..8].copy_from_slice(&(more | offset).to_be_bytes());
        put_header_checksum(&mut part);
        part.extend_from_slice(chunk);
        part
    });
    parts.collect()
}
