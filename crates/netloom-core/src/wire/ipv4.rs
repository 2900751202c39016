//! IPv4 headers, read and written (RFC 791, 1122).

use core::net::Ipv4Addr;

use crate::counters::Drop;
use crate::wire::checksum::{fold, sum};
use crate::wire::ip::{self, Pair, Part};

pub(crate) const ETHERTYPE: u16 = 0x0800;
pub(crate) const HEADER_BYTES: usize = 20;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;

/// A packet that arrived, perhaps as a fragment.
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

    /// What those above IP see of it.
    pub(crate) const fn whole(&self) -> ip::Packet<'a> {
        ip::Packet {
            pair: Pair::V4(self.source, self.destination),
            protocol: self.protocol,
            hop_limit: self.ttl,
            payload: self.payload,
            bytes: self.bytes,
        }
    }
}

/// Writes a header.
#[inline]
pub(super) fn emit(
    header: &ip::Header,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    id: u16,
    part: Part,
    payload_bytes: usize,
    out: &mut [u8],
) {
    let fragment = match part {
        Part::Whole => 0,
        Part::Atomic => DONT_FRAGMENT,
        Part::Fragment { offset, more } => (offset / 8) as u16 | if more { MORE_FRAGMENTS } else { 0 },
    };
    out[0] = 0x45;
    out[1] = 0;
    out[2..4].copy_from_slice(&((HEADER_BYTES + payload_bytes) as u16).to_be_bytes());
    out[4..6].copy_from_slice(&id.to_be_bytes());
    out[6..8].copy_from_slice(&fragment.to_be_bytes());
    out[8] = header.hop_limit;
    out[9] = header.protocol;
    out[10..12].fill(0);
    out[12..16].copy_from_slice(&source.octets());
    out[16..20].copy_from_slice(&destination.octets());
    if header.checksum {
        let sum = !fold(sum(&out[..HEADER_BYTES]));
        out[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}
