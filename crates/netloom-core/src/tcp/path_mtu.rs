//! The largest payload that the path carries: told by ICMP (RFC 1191, RFC 8201), or found out where nobody tells (RFC 2923 2.1, RFC 4821).

use super::scoreboard::Piece;
use super::seq::SeqNumber;
use super::tcb::Tcb;
use crate::time::{Duration, Instant};

/// Payloads that get through where larger ones vanish without a word, in descending order: those of Ethernet, of IPv6's least MTU
/// (RFC 8200 5) and of IPv4's (RFC 9293 3.7.1).
const LESSER_PAYLOADS: [usize; 3] = [1460, 1220, 536];
/// Time-outs of the same data that show such a path (RFC 2923 2.1, RFC 4821 7.7).
const TIMEOUTS: u32 = 2;
/// How long a smaller path MTU is believed in (RFC 1191 6.3).
const LOWERED_FOR: Duration = Duration::from_secs(600);

/// Payloads that were larger before the path showed that it does not carry them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lowered {
    since: Instant,
    before: usize,
}

impl Tcb {
    /// Sends smaller segments from now on.
    pub(super) fn lower_payload(&mut self, now: Instant, payload: usize) {
        let before = self.lowered.map_or(self.max_payload, |lowered| lowered.before);
        self.lowered = Some(Lowered { since: now, before });
        self.set_payload(payload);
        // What is larger did not get through.
        self.board.lose(|piece| piece.len() > payload);
    }

    /// Tries larger segments again after a while.
    pub(super) fn raise_payload(&mut self, now: Instant) {
        if let Some(Lowered { before, .. }) =
            self.lowered.take_if(|lowered| now.since(lowered.since) >= LOWERED_FOR)
        {
            self.set_payload(before);
        }
    }

    /// Large segments may have been lost because all were.
    pub(super) fn forget_lowered_payload(&mut self) {
        if let Some(Lowered { before, .. }) = self.lowered.take() {
            self.set_payload(before);
        }
    }

    /// The timer has expired: if it does so again and again for a large segment, a router may drop what is large and say nothing.
    pub(super) fn suspect_black_hole(&mut self, now: Instant) {
        let sent = self.board.first().map_or(0, Piece::len).min(self.max_payload);
        let least = usize::from(self.config.default_mss);
        let lesser = LESSER_PAYLOADS.into_iter().find(|payload| (least..sent).contains(payload));
        if let (true, Some(payload)) = (self.rtt.backoffs() >= TIMEOUTS, lesser) {
            self.lower_payload(now, payload);
        }
    }

    fn set_payload(&mut self, payload: usize) {
        self.max_payload = payload;
        self.congestion.set_mss(self.full_segment());
    }

    /// ICMP says of a segment of ours that only payloads of up to `mtu_payload` bytes get through.
    pub fn handle_mtu(&mut self, now: Instant, seq: u32, mtu_payload: u16) {
        let mtu_payload = usize::from(mtu_payload);
        if mtu_payload < self.max_payload && self.is_under_way(SeqNumber(seq)) {
            // A forged message must not make packets of a few bytes (RFC 1191 5).
            let least = usize::from(self.config.default_mss).min(self.max_payload);
            self.lower_payload(now, mtu_payload.max(least));
        }
    }
}
