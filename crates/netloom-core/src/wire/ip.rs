//! What IPv4 and IPv6 have in common: the addresses of a packet, the packet that arrived, the header of one that leaves (RFC 791, 8200),
//! and the headers of UDP and ICMP over either (RFC 768, 792, 4443, 8200 8.1).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::checksum::{fold, pseudo_header_v4, pseudo_header_v6, sum};
use crate::wire::{ipv4, ipv6};

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
/// How far packets of ours may go.
pub(crate) const HOP_LIMIT: u8 = 64;

/// Source and destination of a packet: of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Pair {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Pair {
    /// `None` if the addresses are not of one family.
    pub(crate) const fn new(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Self::V4(source, destination)),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Self::V6(source, destination)),
            _ => None,
        }
    }

    pub(crate) const fn source(self) -> IpAddr {
        match self {
            Self::V4(source, _) => IpAddr::V4(source),
            Self::V6(source, _) => IpAddr::V6(source),
        }
    }

    pub(crate) const fn destination(self) -> IpAddr {
        self.reversed().source()
    }

    /// That of the answer.
    pub(crate) const fn reversed(self) -> Self {
        match self {
            Self::V4(source, destination) => Self::V4(destination, source),
            Self::V6(source, destination) => Self::V6(destination, source),
        }
    }

    pub(crate) const fn ethertype(self) -> u16 {
        match self {
            Self::V4(..) => ipv4::ETHERTYPE,
            Self::V6(..) => ipv6::ETHERTYPE,
        }
    }

    /// Length of a header of ours without fragmentation.
    pub(crate) const fn header_bytes(self) -> usize {
        match self {
            Self::V4(..) => ipv4::HEADER_BYTES,
            Self::V6(..) => ipv6::HEADER_BYTES,
        }
    }

    /// The longest payload of a packet.
    pub(crate) const fn max_payload_bytes(self) -> usize {
        match self {
            Self::V4(..) => u16::MAX as usize - ipv4::HEADER_BYTES,
            Self::V6(..) => u16::MAX as usize,
        }
    }

    /// The number of the protocol that carries echo and errors.
    pub(crate) const fn icmp(self) -> u8 {
        match self {
            Self::V4(..) => ICMP,
            Self::V6(..) => ICMPV6,
        }
    }

    /// The sum of the pseudo-header for a transport message of `length` bytes, either way.
    #[inline]
    pub(crate) fn pseudo_header(self, protocol: u8, length: usize) -> u32 {
        match self {
            Self::V4(source, destination) => pseudo_header_v4(source, destination, protocol, length),
            Self::V6(source, destination) => pseudo_header_v6(source, destination, protocol, length),
        }
    }
}

/// A whole packet that arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) pair: Pair,
    pub(crate) protocol: u8,
    pub(crate) hop_limit: u8,
    pub(crate) payload: &'a [u8],
    /// Headers and payload, without what padded the frame.
    pub(crate) bytes: &'a [u8],
}

impl Packet<'_> {
    /// Whether the transport's checksum holds, by the sum of the payload.
    #[inline]
    pub(crate) fn transport_holds(&self, payload_sum: u32) -> bool {
        fold(self.pair.pseudo_header(self.protocol, self.payload.len()) + payload_sum) == 0xffff
    }

    /// Whether the checksum of the ICMP message that it carries holds.
    pub(crate) fn icmp_holds(&self) -> bool {
        fold(icmp_pseudo_header(self.pair, self.payload.len()) + sum(self.payload)) == 0xffff
    }

    /// Whether it is an error about another packet, or may be one: its type cannot be read.
    pub(crate) fn is_error(&self) -> bool {
        match (self.pair, self.payload.first()) {
            (Pair::V4(..), kind) => self.protocol == ICMP && !matches!(kind, Some(0 | 8)),
            (Pair::V6(..), kind) => self.protocol == ICMPV6 && kind.is_none_or(|kind| *kind < 128),
        }
    }
}

/// Which part of its datagram a packet of ours carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// All of it, and no router may change that.
    Atomic,
    /// A fragment.
    Fragment {
        /// In bytes.
        offset: usize,
        more: bool,
    },
}

/// What a packet of ours says besides its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) pair: Pair,
    pub(crate) protocol: u8,
    pub(crate) hop_limit: u8,
    /// Whether a checksum of the header is computed, where there is one.
    pub(crate) checksum: bool,
}

impl Header {
    /// Its length in front of a whole datagram or of a fragment.
    pub(crate) const fn len(&self, part: Part) -> usize {
        match (self.pair, part) {
            (Pair::V6(..), Part::Fragment { .. }) => ipv6::HEADER_BYTES + ipv6::FRAGMENT_BYTES,
            (pair, _) => pair.header_bytes(),
        }
    }

    /// Writes the header for a payload of this length.
    #[inline]
    pub(crate) fn emit(&self, id: u32, part: Part, payload_bytes: usize, out: &mut [u8]) {
        match self.pair {
            Pair::V4(source, destination) => {
                ipv4::emit(self, source, destination, id as u16, part, payload_bytes, out);
            }
            Pair::V6(source, destination) => {
                ipv6::emit(self, source, destination, id, part, payload_bytes, out);
            }
        }
    }
}

/// The header of a UDP message with these ports, with its checksum.
pub(crate) fn udp(pair: Pair, ports: (u16, u16), data: &[u8]) -> [u8; 8] {
    let length = 8 + data.len();
    let mut header = [0; 8];
    for (place, field) in header.chunks_exact_mut(2).zip([ports.0, ports.1, length as u16]) {
        place.copy_from_slice(&field.to_be_bytes());
    }
    let sum = !fold(pair.pseudo_header(UDP, length) + sum(&header) + sum(data));
    // Zero would say that there is no checksum.
    let sum = if sum == 0 { 0xffff } else { sum };
    header[6..8].copy_from_slice(&sum.to_be_bytes());
    header
}

/// The header of an ICMP message, with its checksum; `rest` stands in bytes 4 to 8.
pub(crate) fn icmp(pair: Pair, kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> [u8; 8] {
    let mut header = [kind, code, 0, 0, rest[0], rest[1], rest[2], rest[3]];
    let sum = !fold(icmp_pseudo_header(pair, header.len() + data.len()) + sum(&header) + sum(data));
    header[2..4].copy_from_slice(&sum.to_be_bytes());
    header
}

/// The sum of what an ICMP message's checksum covers besides itself.
fn icmp_pseudo_header(pair: Pair, length: usize) -> u32 {
    match pair {
        Pair::V4(..) => 0,
        Pair::V6(..) => pair.pseudo_header(ICMPV6, length),
    }
}
