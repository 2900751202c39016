//! How much leaves while losses are repaired: in proportion to what arrives (proportional rate reduction, RFC 6937).

#[derive(Clone, Copy, Debug)]
pub(super) struct Prr {
    /// Bytes that were sent and not acknowledged when it began (RecoverFS).
    flight: usize,
    delivered: usize,
    out: usize,
}

impl Prr {
    pub(super) fn new(flight: usize) -> Self {
        Self { flight: flight.max(1), delivered: 0, out: 0 }
    }

    /// So many bytes leave.
    pub(super) const fn sent(&mut self, bytes: usize) {
        self.out += bytes;
    }

    /// The window after an acknowledgment that tells of `delivered` bytes, with `pipe` under way. `safe` says whether it moved on without
    /// telling of more losses.
    pub(super) fn acknowledged(
        &mut self,
        delivered: usize,
        pipe: usize,
        ssthresh: usize,
        mss: usize,
        safe: bool,
    ) -> usize {
        self.delivered += delivered;
        let unanswered = self.delivered.saturating_sub(self.out);
        let more = if pipe > ssthresh {
            let share = self.delivered as u64 * ssthresh as u64;
            (share.div_ceil(self.flight as u64) as usize).saturating_sub(self.out)
        } else {
            // Slow start's pace while all goes well, and never more than arrives otherwise.
            let most = if safe { unanswered.max(delivered) + mss } else { unanswered };
            most.min(ssthresh - pipe)
        };
        // What is missing is sent again at once.
        let more = if self.out == 0 { more.max(mss) } else { more };
        pipe + more
    }
}
