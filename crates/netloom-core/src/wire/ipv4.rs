//! IPv4 headers, read and written, and the headers of ICMP and UDP (RFC 791, 792, 768, 1122).

use core::net::Ipv4Addr;

use crate::counters::Drop;
use crate::wire::checksum::{fold, pseudo_header_v4, sum};

pub(crate) const HEADER_BYTES: usize = 20;
/// Flags as they stand in a header beside the fragment's offset.
pub(crate) const DONT_FRAGMENT: u16 = 0x4000;
pub(crate) const MORE_FRAGMENTS: u16 = 0x2000;
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const TTL: u8 = 64;

/// A packet that arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    pub(crate) id: u16,
    pub(crate) dont_fragment: bool,
    pub(crate) more_fragments: bool,
    /// In bytes.
    pub(crate) offset: usize,
    pub(crate) payload: &'a [u8],
    /// Header and payload, without what padded the frame.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet; `verify` says whether its checksum must hold.
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8], verify: bool) -> Result<Self, Drop> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Drop::Ipv4Malformed)?;
        let header_bytes = usize::from(header[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[0] >> 4 != 4 || header_bytes < HEADER_BYTES || total < header_bytes || total > bytes.len() {
            return Err(Drop::Ipv4Malformed);
        }
        let bytes = &bytes[..total];
        if verify && fold(sum(&bytes[..header_bytes])) != 0xffff {
            return Err(Drop::Ipv4Malformed);
        }
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        Ok(Self {
            source: Ipv4Addr::new(header[12], header[13], header[14], header[15]),
            destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]),
            protocol: header[9],
            ttl: header[8],
            id: u16::from_be_bytes([header[4], header[5]]),
            dont_fragment: fragment & DONT_FRAGMENT != 0,
            more_fragments: fragment & MORE_FRAGMENTS != 0,
            offset: usize::from(fragment & 0x1fff) * 8,
            payload: &bytes[header_bytes..],
            bytes,
        })
    }

    /// Whether the transport's checksum holds, by the sum of the payload.
    #[inline]
    pub(crate) fn transport_holds(&self, payload_sum: u32) -> bool {
        let pseudo = pseudo_header_v4(self.source, self.destination, self.protocol, self.payload.len());
        fold(pseudo + payload_sum) == 0xffff
    }
}

/// What a packet of ours says besides its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) protocol: u8,
    /// Whether the checksum is computed.
    pub(crate) checksum: bool,
}

impl Header {
    /// Writes the header for a payload of this length; `fragment` is flags and offset as they stand in it.
    pub(crate) fn emit(&self, id: u16, fragment: u16, payload_bytes: usize, out: &mut [u8]) {
        out[0] = 0x45;
        out[1] = 0;
        out[2..4].copy_from_slice(&((HEADER_BYTES + payload_bytes) as u16).to_be_bytes());
        out[4..6].copy_from_slice(&id.to_be_bytes());
        out[6..8].copy_from_slice(&fragment.to_be_bytes());
        out[8] = TTL;
        out[9] = self.protocol;
        out[10..12].fill(0);
        out[12..16].copy_from_slice(&self.source.octets());
        out[16..20].copy_from_slice(&self.destination.octets());
        if self.checksum {
            let sum = !fold(sum(&out[..HEADER_BYTES]));
            out[10..12].copy_from_slice(&sum.to_be_bytes());
        }
    }
}

/// The header of a UDP message, with its checksum.
pub(crate) fn udp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), data: &[u8]) -> [u8; 8] {
    let length = 8 + data.len();
    let mut header = [0; 8];
    for (place, field) in header.chunks_exact_mut(2).zip([from.1, to.1, length as u16]) {
        place.copy_from_slice(&field.to_be_bytes());
    }
    let sum = !fold(pseudo_header_v4(from.0, to.0, UDP, length) + sum(&header) + sum(data));
    // Zero would say that there is no checksum.
    let sum = if sum == 0 { 0xffff } else { sum };
    header[6..8].copy_from_slice(&sum.to_be_bytes());
    header
}

/// The header of an ICMP message, with its checksum; `rest` stands in bytes 4 to 8.
pub(crate) fn icmp(kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> [u8; 8] {
    let mut header = [kind, code, 0, 0, rest[0], rest[1], rest[2], rest[3]];
    let sum = !fold(sum(&header) + sum(data));
    header[2..4].copy_from_slice(&sum.to_be_bytes());
    header
}
