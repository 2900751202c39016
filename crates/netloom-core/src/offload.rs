//! Offloads: what a network interface leaves undone in a frame, for whoever carries it on to do, if it is needed at all.
//!
//! These are the offloads of virtio-net and Linux's TAP (virtio 1.3 section 5.1.6): a transport checksum that is not computed yet, and a
//! packet larger than the wire that stands for several. Between two ports that have them, and between such a port and the machine,
//! frames pass as they are; for other ports the machine does what is left.

use crate::wire::segmentation::{Cut, Layout};

/// What is left to do in a frame. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// How its transport checksum stands.
    pub checksum: Checksum,
    /// Payload bytes of each TCP segment or UDP datagram that the frame stands for, the last of which may have fewer; 0 if it
    /// is one packet.
    pub segment_bytes: u16,
}

/// How a frame's transport checksum stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// As the sender wrote it; who relies on it verifies it.
    #[default]
    Written,
    /// As the sender wrote it, and already verified.
    Verified,
    /// Not computed: its field holds the sum of the pseudo-header alone.
    Partial {
        /// Where in the frame the bytes begin that it covers, in bytes; they reach to the frame's end.
        start: u16,
        /// Where its field is, in bytes from there.
        offset: u16,
    },
}

impl Checksum {
    /// Whether nobody need verify it.
    pub(crate) const fn is_trusted(self) -> bool {
        !matches!(self, Self::Written)
    }
}

impl Offload {
    /// Whether there are offloads at all. No page has an interface with them, and its module is smaller without.
    pub(crate) const ANYWHERE: bool = !cfg!(target_family = "wasm");

    /// Whether nothing need be known of it: it is as its sender wrote it.
    #[inline]
    pub(crate) const fn is_none(self) -> bool {
        !Self::ANYWHERE || self.segment_bytes == 0 && matches!(self.checksum, Checksum::Written)
    }

    /// Whether nothing is left to do.
    #[inline]
    pub(crate) const fn is_complete(self) -> bool {
        !Self::ANYWHERE || self.segment_bytes == 0 && !matches!(self.checksum, Checksum::Partial { .. })
    }

    /// Does what is left: hands out each packet that the frame stands for, complete. False if the frame is not what it is said to be.
    pub(crate) fn complete(self, frame: &[u8], scratch: &mut Vec<u8>, mut each: impl FnMut(&[u8])) -> bool {
        if self.segment_bytes > 0 {
            let Some(mut cut) = Cut::new(frame, self.segment_bytes.into()) else { return false };
            while cut.next(frame, scratch) {
                each(scratch);
            }
            return true;
        }
        scratch.clear();
        scratch.extend_from_slice(frame);
        let Checksum::Partial { start, offset } = self.checksum else {
            each(scratch);
            return true;
        };
        if !fill(scratch, start.into(), offset.into()) {
            return false;
        }
        each(scratch);
        true
    }

    /// The longest payload of a frame's packets, behind the Ethernet header of `front` bytes.
    #[inline]
    pub(crate) fn longest_packet(self, frame: &[u8], front: usize) -> usize {
        let whole = frame.len().saturating_sub(front);
        if !Self::ANYWHERE || self.segment_bytes == 0 {
            return whole;
        }
        let head = Layout::of(frame).map_or(0, |layout| layout.head_bytes).saturating_sub(front);
        whole.min(head + usize::from(self.segment_bytes))
    }
}

/// Computes a checksum whose field holds the sum of the pseudo-header.
fn fill(frame: &mut [u8], start: usize, offset: usize) -> bool {
    use crate::wire::checksum::{fold, sum};
    let Some(covered) = frame.get_mut(start..) else { return false };
    let checksum = !fold(sum(covered));
    let Some(field) = covered.get_mut(offset..).and_then(<[u8]>::first_chunk_mut) else { return false };
    // In UDP zero would say that there is none; to all else it is the same number.
    *field = if checksum == 0 { [0xff; 2] } else { checksum.to_be_bytes() };
    true
}

#[cfg(test)]
#[path = "offload_tests.rs"]
mod tests;
