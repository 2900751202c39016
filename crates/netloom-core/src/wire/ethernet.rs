//! Ethernet headers, read and written (IEEE 802.3).

use crate::addr::MacAddr;

pub(crate) const ETHERNET_BYTES: usize = 14;

/// Whom a frame is for. It must be at least as long as a header.
#[inline]
pub(crate) fn destination(frame: &[u8]) -> MacAddr {
    mac_at(frame, 0)
}

/// Whom a frame is from. It must be at least as long as a header.
#[inline]
pub(crate) fn source(frame: &[u8]) -> MacAddr {
    mac_at(frame, 6)
}

/// The address at an offset, behind which there must be room for it.
#[inline]
pub(crate) fn mac_at(bytes: &[u8], at: usize) -> MacAddr {
    let bytes = &bytes[at..at + 6];
    MacAddr([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]])
}

/// Writes a header.
#[inline]
pub(crate) fn emit(to: MacAddr, from: MacAddr, ethertype: u16, out: &mut [u8]) {
    out[..6].copy_from_slice(&to.0);
    out[6..12].copy_from_slice(&from.0);
    out[12..14].copy_from_slice(&ethertype.to_be_bytes());
}
