//! Segments larger than the wire: new data that the connection sends in one go, to be cut into segments of its size by whoever carries it
//! on, as TCP segmentation offload does.

use super::recovery::Recovery;
use super::segment::{Flags, Transmit};
use super::seq::SeqNumber;
use super::tcb::Tcb;
use super::transmit::Next;

/// Most payload of one: with the longest headers, those of IPv6 and TCP with options, it fits the largest frame.
const MAX_LARGE_BYTES: usize = 65_535 - 40 - 60;

impl Tcb {
    /// Copies what a part of a larger segment carries to `out`, and returns the Internet checksum's sum of it, or 0 unless `summed`.
    /// `None` if the peer claims to have it already, or the connection is over.
    pub fn emit_part(&self, seq: SeqNumber, summed: bool, out: &mut [u8]) -> Option<u32> {
        let start = self.data_start();
        if seq < start || seq + out.len() > self.data_end() {
            return None;
        }
        if summed {
            return Some(self.send.copy_summed(seq.since(start), out));
        }
        self.send.copy_to(seq.since(start), out);
        Some(0)
    }

    /// Lets a whole segment of new data grow by those that may follow it at once, to at most `max_segments`.
    pub(super) fn enlarge(&self, next: Next, max_payload: usize, max_segments: usize) -> Next {
        let payload = self.segment_bytes(max_payload);
        let new = next.seq == self.snd_max && matches!(self.recovery, Recovery::None);
        if max_segments < 2 || next.length < payload || next.fin || !new {
            return next;
        }
        // FIN leaves with the last bytes.
        let waiting = self.data_end().since(next.seq) - usize::from(self.fin_queued);
        let window = (self.snd_una + self.snd_wnd).since(next.seq);
        let room = self.congestion.cwnd().saturating_sub(self.pipe());
        let most = waiting.min(window).min(room).min(MAX_LARGE_BYTES);
        let segments = (most / payload).clamp(1, max_segments);
        Next { length: segments * payload, ..next }
    }
}

impl Transmit {
    /// The first part of a larger segment. What marks an end is left to the last.
    #[must_use]
    pub fn first_part(&self, payload_len: usize) -> Self {
        let ends = Flags::FIN.bits() | Flags::PSH.bits();
        Self { payload_len, flags: Flags::from_bits(self.flags.bits() & !ends), ..*self }
    }

    /// The sequence number of the first byte.
    #[must_use]
    pub const fn seq(&self) -> SeqNumber {
        self.seq
    }
}
