//! What a filter looks at in a frame. Nothing is taken for granted: what is cut or malformed is not there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netloom_core::MacAddr;

use crate::capture::Direction;

pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(super) const ETHERTYPE_ARP: u16 = 0x0806;
pub(super) const ETHERTYPE_RARP: u16 = 0x8035;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;
pub(super) const PROTOCOL_TCP: u8 = 6;
pub(super) const PROTOCOL_UDP: u8 = 17;
pub(super) const PROTOCOL_SCTP: u8 = 132;
/// Extension headers of IPv6 that one after the other are looked behind.
const MAX_EXTENSIONS: usize = 8;

/// A frame, as far as it could be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) direction: Direction,
    pub(super) length: usize,
    pub(super) macs: Option<(MacAddr, MacAddr)>,
    pub(super) ethertype: Option<u16>,
    /// Source and destination; of ARP those that it is about.
    pub(super) addresses: Option<(IpAddr, IpAddr)>,
    /// Of IPv6, the one that is not an extension header's, and the one that the header names.
    pub(super) protocol: Option<u8>,
    pub(super) next_header: Option<u8>,
    /// Source and destination port of TCP, UDP and SCTP.
    pub(super) ports: Option<(u16, u16)>,
}

impl Packet {
    pub(super) fn of(frame: &[u8], direction: Direction) -> Self {
        let mut packet = Self {
            direction,
            length: frame.len(),
            macs: None,
            ethertype: None,
            addresses: None,
            protocol: None,
            next_header: None,
            ports: None,
        };
        let Some((head, body)) = frame.split_first_chunk::<14>() else { return packet };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *head;
        packet.macs = Some((MacAddr([s0, s1, s2, s3, s4, s5]), MacAddr([d0, d1, d2, d3, d4, d5])));
        let ethertype = u16::from_be_bytes([t0, t1]);
        packet.ethertype = Some(ethertype);
        // Each stops where the frame does.
        let _read = match ethertype {
            ETHERTYPE_IPV4 => packet.read_ipv4(body),
            ETHERTYPE_IPV6 => packet.read_ipv6(body),
            ETHERTYPE_ARP | ETHERTYPE_RARP => packet.read_arp(body),
            _ => None,
        };
        packet
    }

    fn read_ipv4(&mut self, bytes: &[u8]) -> Option<()> {
        let protocol = *bytes.get(9)?;
        (self.protocol, self.next_header) = (Some(protocol), Some(protocol));
        self.addresses = Some((ipv4(bytes, 12)?.into(), ipv4(bytes, 16)?.into()));
        // A later fragment has no ports.
        if u16_at(bytes, 6)? & 0x1fff == 0 {
            self.read_ports(bytes.get(usize::from(bytes[0] & 0x0f) * 4..)?)?;
        }
        Some(())
    }

    fn read_ipv6(&mut self, bytes: &[u8]) -> Option<()> {
        let mut next = *bytes.get(6)?;
        self.next_header = Some(next);
        self.addresses = Some((ipv6(bytes, 8)?.into(), ipv6(bytes, 24)?.into()));
        let mut rest = bytes.get(40..)?;
        for _ in 0..MAX_EXTENSIONS {
            let length = match next {
                // Hop-by-hop options, routing, destination options: in units of 8 bytes beside the first (RFC 8200 4).
                0 | 43 | 60 => 8 + usize::from(*rest.get(1)?) * 8,
                44 => 8,
                51 => 8 + usize::from(*rest.get(1)?) * 4,
                _ => break,
            };
            let is_later_fragment = next == 44 && u16_at(rest, 2)? & 0xfff8 != 0;
            next = *rest.first()?;
            if is_later_fragment {
                self.protocol = Some(next);
                return None;
            }
            rest = rest.get(length..)?;
        }
        self.protocol = Some(next);
        self.read_ports(rest)
    }

    fn read_arp(&mut self, bytes: &[u8]) -> Option<()> {
        // Ethernet and IPv4, with addresses of their lengths.
        if bytes.get(..6)? == [0, 1, 8, 0, 6, 4] {
            self.addresses = Some((ipv4(bytes, 14)?.into(), ipv4(bytes, 24)?.into()));
        }
        Some(())
    }

    fn read_ports(&mut self, bytes: &[u8]) -> Option<()> {
        if matches!(self.protocol?, PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP) {
            self.ports = Some((u16_at(bytes, 0)?, u16_at(bytes, 2)?));
        }
        Some(())
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn ipv4(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(*bytes.get(at..)?.first_chunk::<4>()?))
}

fn ipv6(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    Some(Ipv6Addr::from(*bytes.get(at..)?.first_chunk::<16>()?))
}
