//! Segmentation: headers of one TCP segment after another from those of the first (RFC 9293 3.1), as segmentation offload of a NIC does.

use core::net::Ipv4Addr;

use super::checksum::{fold, pseudo_header_v4, pseudo_header_v6, sum};
use super::ethernet::ETHERNET_BYTES;
use super::ip::{TCP, UDP};
use super::{ipv4, ipv6};

/// Longest headers: Ethernet with one tag, IPv4 with options and TCP with options.
const MAX_HEAD_BYTES: usize = ETHERNET_BYTES + 4 + 60 + 60;
const TCP_HEADER_BYTES: usize = 20;
const UDP_HEADER_BYTES: usize = 8;
/// Control bits that the first segment of a larger one has alone: CWR (RFC 3168 6.1.2).
const FIRST_ONLY: u8 = 0x80;
/// Control bits that the last has alone: FIN and PSH.
const LAST_ONLY: u8 = 0x09;

/// The headers of a train of segments, and what their checksums come to without what differs.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    head: [u8; MAX_HEAD_BYTES],
    head_bytes: usize,
    ip_at: usize,
    tcp_at: usize,
    is_ipv4: bool,
    checksums: bool,
    ip_sum: u32,
    tcp_sum: u32,
}

/// What differs from one segment of a train to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// The sequence number of the first byte.
    pub(crate) seq: u32,
    /// The IPv4 identification.
    pub(crate) id: u16,
    /// Control bits beside those of the template.
    pub(crate) flags: u8,
    /// The sum of the payload, if there are checksums.
    pub(crate) payload_sum: u32,
}

impl Template {
    /// Takes the headers of a frame, whose control bits are to be those of each segment. `None` if it carries anything but a whole TCP
    /// segment directly behind its IP header.
    pub(crate) fn new(frame: &[u8], checksums: bool) -> Option<Self> {
        let layout = Layout::of(frame).filter(|layout| layout.protocol == TCP)?;
        let Layout { ip_at, transport_at: tcp_at, is_ipv4, head_bytes, .. } = layout;
        let mut head = [0; MAX_HEAD_BYTES];
        head.get_mut(..head_bytes)?.copy_from_slice(frame.get(..head_bytes)?);
        let mut template =
            Self { head, head_bytes, ip_at, tcp_at, is_ipv4, checksums, ip_sum: 0, tcp_sum: 0 };
        template.clear();
        Some(template)
    }

    /// Empties the fields that differ, and sums up the rest.
    fn clear(&mut self) {
        let (ip, tcp) = (self.ip_at, self.tcp_at);
        self.head[tcp + 4..tcp + 8].fill(0);
        self.head[tcp + 16..tcp + 18].fill(0);
        let addresses = if self.is_ipv4 {
            self.head[ip + 2..ip + 6].fill(0);
            self.head[ip + 10..ip + 12].fill(0);
            self.ip_sum = sum(&self.head[ip..tcp]);
            let at = |at: usize| {
                Ipv4Addr::new(self.head[at], self.head[at + 1], self.head[at + 2], self.head[at + 3])
            };
            pseudo_header_v4(at(ip + 12), at(ip + 16), TCP, 0)
        } else {
            self.head[ip + 4..ip + 6].fill(0);
            let at = |at: usize| ipv6::address_at(&self.head, at);
            pseudo_header_v6(at(ip + 8), at(ip + 24), TCP, 0)
        };
        self.tcp_sum = addresses + sum(&self.head[tcp..self.head_bytes]);
    }

    /// The length of all headers in bytes.
    pub(crate) const fn head_bytes(&self) -> usize {
        self.head_bytes
    }

    /// Whether checksums are written.
    pub(crate) const fn checksums(&self) -> bool {
        self.checksums
    }

    /// Writes the headers of a frame whose payload stands behind them.
    #[inline(always)]
    pub(crate) fn write(&self, part: Part, frame: &mut [u8]) {
        let packet = frame.len() - self.ip_at;
        let message = frame.len() - self.tcp_at;
        let (head, _) = frame.split_at_mut(self.head_bytes);
        head.copy_from_slice(&self.head[..self.head_bytes]);
        let (front, tcp) = head.split_at_mut(self.tcp_at);
        let ip = &mut front[self.ip_at..];
        if self.is_ipv4 {
            ip[2..4].copy_from_slice(&(packet as u16).to_be_bytes());
            ip[4..6].copy_from_slice(&part.id.to_be_bytes());
            if self.checksums {
                let sum = !fold(self.ip_sum + packet as u32 + u32::from(part.id));
                ip[10..12].copy_from_slice(&sum.to_be_bytes());
            }
        } else {
            ip[4..6].copy_from_slice(&(message as u16).to_be_bytes());
        }
        tcp[4..8].copy_from_slice(&part.seq.to_be_bytes());
        let flags = part.flags & !tcp[13];
        tcp[13] |= flags;
        if self.checksums {
            let seq = (part.seq >> 16) + (part.seq & 0xffff);
            let varying = seq + message as u32 + u32::from(flags) + part.payload_sum;
            tcp[16..18].copy_from_slice(&(!fold(self.tcp_sum + varying)).to_be_bytes());
        }
    }
}

/// Where the headers of a frame are that carries TCP or UDP directly behind its IP header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    ip_at: usize,
    is_ipv4: bool,
    pub(crate) protocol: u8,
    transport_at: usize,
    /// The length of all headers in bytes.
    pub(crate) head_bytes: usize,
}

impl Layout {
    /// `None` for anything else, and for fragments.
    #[inline]
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        let tagged = matches!(frame.get(12..14)?, [0x81, 0x00] | [0x88, 0xa8]);
        let ip_at = ETHERNET_BYTES + if tagged { 4 } else { 0 };
        let (is_ipv4, protocol, transport_at) = match (frame.get(ip_at - 2..ip_at)?, frame.get(ip_at)? >> 4) {
            ([0x08, 0x00], 4) => {
                let header = frame.get(ip_at..ip_at + ipv4::HEADER_BYTES)?;
                let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
                (fragment == 0).then_some((true, header[9], ip_at + usize::from(header[0] & 15) * 4))?
            }
            ([0x86, 0xdd], 6) => {
                let header = frame.get(ip_at..ip_at + ipv6::HEADER_BYTES)?;
                (false, header[6], ip_at + ipv6::HEADER_BYTES)
            }
            _ => return None,
        };
        let header_bytes = match protocol {
            TCP => Some(usize::from(frame.get(transport_at + 12)? >> 4) * 4)
                .filter(|n| *n >= TCP_HEADER_BYTES)?,
            UDP => UDP_HEADER_BYTES,
            _ => return None,
        };
        let head_bytes = transport_at + header_bytes;
        (transport_at >= ip_at + ipv4::HEADER_BYTES && head_bytes <= frame.len()).then_some(Self {
            ip_at,
            is_ipv4,
            protocol,
            transport_at,
            head_bytes,
        })
    }
}

/// A frame that stands for several packets, being cut into them.
pub(crate) struct Cut {
    layout: Layout,
    template: Option<Template>,
    /// Where the next part's payload begins.
    at: usize,
    part_bytes: usize,
    parts: u16,
}

impl Cut {
    /// `None` for a frame that cannot be cut, and for parts without payload.
    pub(crate) fn new(frame: &[u8], part_bytes: usize) -> Option<Self> {
        let layout = Layout::of(frame).filter(|_| part_bytes > 0)?;
        let template = if layout.protocol == TCP {
            let mut head = [0; MAX_HEAD_BYTES];
            let head = head.get_mut(..layout.head_bytes)?;
            head.copy_from_slice(&frame[..layout.head_bytes]);
            head[layout.transport_at + 13] &= !(FIRST_ONLY | LAST_ONLY);
            Some(Template::new(head, true)?)
        } else {
            None
        };
        Some(Self { layout, template, at: layout.head_bytes, part_bytes, parts: 0 })
    }

    /// Writes the next packet to `out`; false if there is none.
    pub(crate) fn next(&mut self, frame: &[u8], out: &mut Vec<u8>) -> bool {
        let Layout { ip_at, is_ipv4, transport_at, head_bytes, .. } = self.layout;
        if self.at >= frame.len() && self.parts > 0 {
            return false;
        }
        let end = (self.at + self.part_bytes).min(frame.len());
        let payload = &frame[self.at..end];
        out.clear();
        out.extend_from_slice(&frame[..head_bytes]);
        out.extend_from_slice(payload);
        let field = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let id = if is_ipv4 { field(ip_at + 4).wrapping_add(self.parts) } else { 0 };
        if let Some(template) = &self.template {
            let first = u32::from(field(transport_at + 4)) << 16 | u32::from(field(transport_at + 6));
            let said = frame[transport_at + 13];
            let mut flags = if self.parts == 0 { said & FIRST_ONLY } else { 0 };
            flags |= if end == frame.len() { said & LAST_ONLY } else { 0 };
            let seq = first.wrapping_add((self.at - head_bytes) as u32);
            template.write(Part { seq, id, flags, payload_sum: sum(payload) }, out);
        } else {
            write_datagram(self.layout, id, out);
        }
        self.at = end;
        self.parts = self.parts.wrapping_add(1);
        true
    }
}

/// Completes the headers of a UDP datagram.
fn write_datagram(layout: Layout, id: u16, frame: &mut [u8]) {
    let Layout { ip_at, is_ipv4, transport_at, .. } = layout;
    let message_bytes = frame.len() - transport_at;
    let (front, message) = frame.split_at_mut(transport_at);
    let ip = &mut front[ip_at..];
    let pseudo_header = if is_ipv4 {
        let packet_bytes = ip.len() + message_bytes;
        ip[2..4].copy_from_slice(&(packet_bytes as u16).to_be_bytes());
        ip[4..6].copy_from_slice(&id.to_be_bytes());
        ip[10..12].fill(0);
        let checksum = !fold(sum(ip));
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        let at = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
        pseudo_header_v4(at(12), at(16), UDP, message_bytes)
    } else {
        ip[4..6].copy_from_slice(&(message_bytes as u16).to_be_bytes());
        pseudo_header_v6(ipv6::address_at(ip, 8), ipv6::address_at(ip, 24), UDP, message_bytes)
    };
    message[4..6].copy_from_slice(&(message_bytes as u16).to_be_bytes());
    message[6..8].fill(0);
    let checksum = !fold(pseudo_header + sum(message));
    // Zero would say that there is none.
    let checksum = if checksum == 0 { 0xffff } else { checksum };
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests;
