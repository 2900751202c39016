//! A guest known by another MAC address than the one that it believes in: clones of one saved state tell apart on one LAN so.
//!
//! Whatever says who is who is rewritten in frames of the port: the Ethernet header, the senders and targets of ARP (RFC 826), the options of
//! neighbour discovery (RFC 4861 4.6.1), and what a client tells a server of DHCP (`chaddr`, option 61: RFC 2131, 2132 9.14, 4361) and of
//! DHCPv6 (its DUID: RFC 8415 11). Checksums follow (RFC 1624). Owns the two addresses of each such port.

#[cfg(test)]
mod tests;

use crate::addr::MacAddr;
use crate::wire::checksum::{fold, sum};
use crate::wire::ethernet::{self, ETHERNET_BYTES, mac_at};
use crate::wire::{ip, ipv4, ipv6};

const ARP: u16 = 0x0806;
const VLAN_TAGS: [u16; 2] = [0x8100, 0x88a8];
const VLAN_TAG_BYTES: usize = 4;

const DHCP_PORTS: core::ops::RangeInclusive<u16> = 67..=68;
const DHCPV6_PORTS: core::ops::RangeInclusive<u16> = 546..=547;
const UDP_HEADER_BYTES: usize = 8;

const NEIGHBOR_DISCOVERY: core::ops::RangeInclusive<u8> = 133..=137;

/// The two addresses of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Translation {
    /// By which the LAN knows it.
    outer: MacAddr,
    /// In which it believes, as its frames tell.
    inner: Option<MacAddr>,
}

impl Translation {
    pub(crate) const fn new(outer: MacAddr) -> Self {
        Self { outer, inner: None }
    }

    /// Rewrites a frame from the guest, whose address is learnt from it.
    pub(crate) fn outward(&mut self, frame: &mut [u8]) {
        if frame.len() < ETHERNET_BYTES {
            return;
        }
        let source = ethernet::source(frame);
        if source.is_unicast() {
            self.inner = (source != self.outer).then_some(source);
        }
        if let Some(inner) = self.inner {
            replace_at(frame, 6, inner, self.outer);
            replace(frame, inner, self.outer);
        }
    }

    /// Rewrites a frame to the guest.
    pub(crate) fn inward(&self, frame: &mut [u8]) {
        if let Some(inner) = self.inner.filter(|_| frame.len() >= ETHERNET_BYTES) {
            replace_at(frame, 0, self.outer, inner);
            replace(frame, self.outer, inner);
        }
    }
}

/// Puts one address in place of another, wherever a frame's payload names it.
fn replace(frame: &mut [u8], old: MacAddr, new: MacAddr) {
    let mut at = 12;
    let ethertype = loop {
        let Some(&[high, low]) = frame.get(at..at + 2) else { return };
        let ethertype = u16::from_be_bytes([high, low]);
        if !VLAN_TAGS.contains(&ethertype) {
            break ethertype;
        }
        at += VLAN_TAG_BYTES;
    };
    let packet = &mut frame[at + 2..];
    match ethertype {
        ARP if packet.starts_with(&[0, 1, 8, 0, 6, 4]) => {
            replace_at(packet, 8, old, new);
            replace_at(packet, 18, old, new);
        }
        ipv4::ETHERTYPE => replace_in_ipv4(packet, old, new),
        ipv6::ETHERTYPE => replace_in_ipv6(packet, old, new),
        _ => {}
    }
}

fn replace_in_ipv4(packet: &mut [u8], old: MacAddr, new: MacAddr) {
    let (Some(&first), Some(&[high, low]), Some(&protocol)) =
        (packet.first(), packet.get(6..8), packet.get(9))
    else {
        return;
    };
    let is_first_part = u16::from_be_bytes([high, low]) & 0x1fff == 0;
    let header_bytes = usize::from(first & 15) * 4;
    if first >> 4 != 4 || header_bytes < ipv4::HEADER_BYTES || protocol != ip::UDP || !is_first_part {
        return;
    }
    let Some(udp) = packet.get_mut(header_bytes..) else { return };
    if udp_ports(udp).is_some_and(|ports| ports.iter().all(|port| DHCP_PORTS.contains(port))) {
        let mut message = Summed::udp(udp);
        message.replace(UDP_HEADER_BYTES + 28, old, new);
        replace_in_dhcp_options(&mut message, UDP_HEADER_BYTES + 236, old, new);
        message.finish(true);
    }
}

/// Rewrites the client identifiers among a message's options, which begin with a magic number.
fn replace_in_dhcp_options(message: &mut Summed<'_>, at: usize, old: MacAddr, new: MacAddr) {
    const COOKIE: [u8; 4] = [99, 130, 83, 99];
    const PAD: u8 = 0;
    const END: u8 = 255;
    const CLIENT_ID: u8 = 61;
    const ETHERNET: u8 = 1;
    const DUID: u8 = 255;
    if message.bytes.get(at..at + 4) != Some(&COOKIE) {
        return;
    }
    let mut at = at + 4;
    while let Some(&code) = message.bytes.get(at) {
        if code == PAD {
            at += 1;
            continue;
        }
        let (Some(&length), false) = (message.bytes.get(at + 1), code == END) else { return };
        let (value, end) = (at + 2, at + 2 + usize::from(length));
        match message.bytes.get(value..end) {
            Some([ETHERNET, _, _, _, _, _, _]) if code == CLIENT_ID => message.replace(value + 1, old, new),
            // Behind the number of the interface, in four bytes.
            Some([DUID, ..]) if code == CLIENT_ID => message.replace_in_duid(value + 5, end, old, new),
            Some(_) => {}
            None => return,
        }
        at = end;
    }
}

fn replace_in_ipv6(packet: &mut [u8], old: MacAddr, new: MacAddr) {
    if packet.len() < ipv6::HEADER_BYTES || packet[0] >> 4 != 6 {
        return;
    }
    let (protocol, payload) = (packet[6], &mut packet[ipv6::HEADER_BYTES..]);
    match protocol {
        ip::ICMPV6 if payload.first().is_some_and(|kind| NEIGHBOR_DISCOVERY.contains(kind)) => {
            replace_in_discovery(payload, old, new);
        }
        ip::UDP
            if udp_ports(payload)
                .is_some_and(|ports| ports.iter().all(|port| DHCPV6_PORTS.contains(port))) =>
        {
            replace_in_dhcpv6(payload, old, new);
        }
        _ => {}
    }
}

/// Rewrites the link-layer addresses among the options of neighbour discovery.
fn replace_in_discovery(payload: &mut [u8], old: MacAddr, new: MacAddr) {
    const CHECKSUM_AT: usize = 2;
    // Router solicitations, router advertisements, neighbour solicitations and advertisements, redirects.
    const OPTIONS_AT: [usize; 5] = [8, 16, 24, 24, 40];
    const SOURCE_OR_TARGET: [u8; 2] = [1, 2];
    let mut at = OPTIONS_AT[usize::from(payload[0] - NEIGHBOR_DISCOVERY.start())];
    let mut message = Summed { bytes: payload, checksum_at: CHECKSUM_AT, before: 0, after: 0 };
    while let Some(&[kind, length]) = message.bytes.get(at..at + 2) {
        if length == 0 {
            break;
        }
        if SOURCE_OR_TARGET.contains(&kind) && length == 1 {
            message.replace(at + 2, old, new);
        }
        at += usize::from(length) * 8;
    }
    message.finish(false);
}

/// Rewrites the client's DUID in a message between client and server.
fn replace_in_dhcpv6(udp: &mut [u8], old: MacAddr, new: MacAddr) {
    const RELAYED: core::ops::RangeInclusive<u8> = 12..=13;
    const CLIENT_ID: u16 = 1;
    let mut message = Summed::udp(udp);
    if message.bytes.get(UDP_HEADER_BYTES).is_none_or(|kind| RELAYED.contains(kind)) {
        return;
    }
    let mut at = UDP_HEADER_BYTES + 4;
    while let Some(&[code_high, code_low, high, low]) = message.bytes.get(at..at + 4) {
        let end = at + 4 + usize::from(u16::from_be_bytes([high, low]));
        if u16::from_be_bytes([code_high, code_low]) == CLIENT_ID && end <= message.bytes.len() {
            message.replace_in_duid(at + 4, end, old, new);
        }
        at = end;
    }
    message.finish(true);
}

/// The ports of a UDP message.
fn udp_ports(udp: &[u8]) -> Option<[u16; 2]> {
    let ports = udp.first_chunk::<4>().filter(|_| udp.len() >= UDP_HEADER_BYTES)?;
    Some([u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]])])
}

fn replace_at(bytes: &mut [u8], at: usize, old: MacAddr, new: MacAddr) {
    if bytes.len() >= at + 6 && mac_at(bytes, at) == old {
        bytes[at..at + 6].copy_from_slice(&new.0);
    }
}

/// A message whose checksum follows what is replaced in it.
struct Summed<'a> {
    bytes: &'a mut [u8],
    checksum_at: usize,
    /// Sums of the words that changed, as they were and as they are.
    before: u32,
    after: u32,
}

impl<'a> Summed<'a> {
    fn udp(bytes: &'a mut [u8]) -> Self {
        // What follows in a frame is no part of it; what is missing is in another fragment.
        let length = usize::from(u16::from_be_bytes([bytes[4], bytes[5]])).max(UDP_HEADER_BYTES);
        let end = length.min(bytes.len());
        Self { bytes: &mut bytes[..end], checksum_at: 6, before: 0, after: 0 }
    }

    fn replace(&mut self, at: usize, old: MacAddr, new: MacAddr) {
        if self.bytes.len() < at + 6 || mac_at(self.bytes, at) != old {
            return;
        }
        // Whole words of the message.
        let words = at & !1..((at + 7) & !1).min(self.bytes.len());
        self.before += sum(&self.bytes[words.clone()]);
        self.bytes[at..at + 6].copy_from_slice(&new.0);
        self.after += sum(&self.bytes[words]);
    }

    /// Replaces the address of a DUID of one of the kinds that are made of it (RFC 8415 11.2 and 11.4).
    fn replace_in_duid(&mut self, at: usize, end: usize, old: MacAddr, new: MacAddr) {
        match self.bytes.get(at..end) {
            // With a time before the address.
            Some([0, 1, 0, 1, rest @ ..]) if rest.len() == 10 => self.replace(at + 8, old, new),
            Some([0, 3, 0, 1, rest @ ..]) if rest.len() == 6 => self.replace(at + 4, old, new),
            _ => {}
        }
    }

    /// Brings the checksum up to date; one of zero says that there is none, where that may be.
    fn finish(self, optional: bool) {
        let Some(field) = self.bytes.get_mut(self.checksum_at..self.checksum_at + 2) else { return };
        let old = u16::from_be_bytes([field[0], field[1]]);
        if self.before == self.after || optional && old == 0 {
            return;
        }
        // Equation 3 of RFC 1624; the sum of the old words is below 2^18.
        let taken = u32::from(!fold(self.before));
        let new = !fold(u32::from(!old) + taken + u32::from(fold(self.after)));
        let new = if optional && new == 0 { u16::MAX } else { new };
        field.copy_from_slice(&new.to_be_bytes());
    }
}
