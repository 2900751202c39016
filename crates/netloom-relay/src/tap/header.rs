//! What stands before each frame of a TAP with offloads: `struct virtio_net_hdr` (virtio 1.3 section 5.1.6), in the host's byte order
//! as Linux has it unless it is told otherwise.

use netloom_core::{Checksum, Offload};

/// Its length.
pub(crate) const HEADER_BYTES: usize = 10;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const TCP: u8 = 6;
const UDP: u8 = 17;
const UDP_HEADER_BYTES: usize = 8;

/// What is left to do in the frame behind a header.
pub(crate) fn parse(header: &[u8; HEADER_BYTES]) -> Offload {
    let field = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let checksum = match header[0] {
        flags if flags & NEEDS_CSUM != 0 => Checksum::Partial { start: field(6), offset: field(8) },
        flags if flags & DATA_VALID != 0 => Checksum::Verified,
        _ => Checksum::Written,
    };
    Offload { checksum, segment_bytes: if header[1] == GSO_NONE { 0 } else { field(4) } }
}

/// The header of a frame.
pub(crate) fn emit(frame: &[u8], offload: Offload) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut put = |at: usize, field: u16| header[at..at + 2].copy_from_slice(&field.to_ne_bytes());
    let mut flags = 0;
    match offload.checksum {
        Checksum::Written => {}
        Checksum::Verified => flags = DATA_VALID,
        Checksum::Partial { start, offset } => {
            flags = NEEDS_CSUM;
            put(6, start);
            put(8, offset);
        }
    }
    let mut kind = GSO_NONE;
    if offload.segment_bytes > 0
        && let Some((gso, head_bytes)) = segmentation(frame)
    {
        kind = gso;
        put(2, head_bytes);
        put(4, offload.segment_bytes);
    }
    header[..2].copy_from_slice(&[flags, kind]);
    header
}

/// How a larger segment is to be cut, and the length of its headers.
fn segmentation(frame: &[u8]) -> Option<(u8, u16)> {
    let tag = if matches!(frame.get(12..14)?, [0x81, 0x00] | [0x88, 0xa8]) { 4 } else { 0 };
    let ip = frame.get(14 + tag..)?;
    let (protocol, ip_bytes, of_tcp) = match ip.first()? >> 4 {
        4 => (*ip.get(9)?, usize::from(ip.first()? & 15) * 4, GSO_TCPV4),
        6 => (*ip.get(6)?, 40, GSO_TCPV6),
        _ => return None,
    };
    let (kind, transport_bytes) = match protocol {
        TCP => (of_tcp, usize::from(ip.get(ip_bytes + 12)? >> 4) * 4),
        UDP => (GSO_UDP_L4, UDP_HEADER_BYTES),
        _ => return None,
    };
    Some((kind, u16::try_from(14 + tag + ip_bytes + transport_bytes).ok()?))
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
