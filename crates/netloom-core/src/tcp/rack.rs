//! Loss detection by time: what left well before something that has arrived is lost (RACK, RFC 8985 6).

use super::scoreboard::{Piece, Scoreboard, Verdict};
use super::seq::SeqNumber;
use crate::time::{Duration, Instant};

/// Segments delivered out of order that show a loss, on a path that has never reordered (RFC 8985 6.2).
const DUPLICATES: usize = 3;
/// Recoveries for which the reordering window stays wide after it proved too narrow (RFC 8985 6.2).
const PERSISTENCE: u32 = 16;
/// How long a least round-trip time counts (RFC 8985 6.2: a windowed minimum).
const LEAST_FOR: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(super) struct Rack {
    /// Of what was delivered, the piece that left last.
    sent_at: Instant,
    end: SeqNumber,
    rtt: Duration,
    least_rtt: Option<(Duration, Instant)>,
    /// The highest number delivered.
    highest: SeqNumber,
    reordering: bool,
    /// Quarters of the least round-trip time that the path may reorder by.
    quarters: u32,
    persistence: u32,
    /// While earlier than this is acknowledged, a duplicate tells nothing new.
    round_end: Option<SeqNumber>,
}

impl Rack {
    pub(super) const fn new(start: SeqNumber) -> Self {
        Self {
            sent_at: Instant::ZERO,
            end: start,
            rtt: Duration::ZERO,
            least_rtt: None,
            highest: start,
            reordering: false,
            quarters: 1,
            persistence: 0,
            round_end: None,
        }
    }

    /// A piece was delivered. `echoed` is how long ago the segment that was answered left, if timestamps tell.
    pub(super) fn delivered(&mut self, now: Instant, piece: &Piece, echoed: Option<Duration>) {
        let rtt = now.since(piece.sent_at);
        if piece.resent {
            // The answer may be to an earlier copy. Timestamps are in milliseconds.
            let earlier = echoed.is_some_and(|age| age > rtt + Duration::from_millis(1));
            if earlier || self.least_rtt.is_some_and(|(least, _)| rtt < least) {
                return;
            }
        } else {
            if self.least_rtt.is_none_or(|(least, at)| rtt <= least || now.since(at) > LEAST_FOR) {
                self.least_rtt = Some((rtt, now));
            }
            self.reordering |= piece.end < self.highest;
        }
        self.highest = self.highest.max(piece.end);
        if (self.sent_at, self.end) <= (piece.sent_at, piece.end) {
            (self.sent_at, self.end, self.rtt) = (piece.sent_at, piece.end, rtt);
        }
    }

    /// The peer got something twice: what was sent again was not lost, so the path reorders by more than we allow.
    pub(super) fn duplicated(&mut self, snd_una: SeqNumber, snd_nxt: SeqNumber) {
        if self.round_end.is_none_or(|end| snd_una >= end) {
            self.round_end = Some(snd_nxt);
            self.quarters += 1;
            self.persistence = PERSISTENCE;
        }
    }

    /// Losses were repaired.
    pub(super) const fn recovered(&mut self) {
        self.persistence = self.persistence.saturating_sub(1);
        if self.persistence == 0 {
            self.quarters = 1;
        }
    }

    /// By how much the path may reorder.
    fn window(&self, sacked_segments: usize, recovering: bool, smoothed_rtt: Duration) -> Duration {
        if !self.reordering && (recovering || sacked_segments >= DUPLICATES) {
            return Duration::ZERO;
        }
        let least = self.least_rtt.map_or(Duration::ZERO, |(least, _)| least);
        (least / 4).saturating_mul(self.quarters).min(smoothed_rtt)
    }

    /// Marks what is lost; returns how many bytes that are, and when to look again.
    pub(super) fn detect(
        &self,
        now: Instant,
        board: &mut Scoreboard,
        recovering: bool,
        smoothed_rtt: Duration,
        segment_bytes: usize,
    ) -> (usize, Option<Instant>) {
        if board.is_in_order() {
            return (0, None);
        }
        let patience = self.rtt + self.window(board.sacked_segments(segment_bytes), recovering, smoothed_rtt);
        board.lose_overdue(|piece| {
            let due = piece.sent_at + patience;
            if (piece.sent_at, piece.end) >= (self.sent_at, self.end) {
                Verdict::Open
            } else if due > now {
                Verdict::Wait(due)
            } else {
                Verdict::Lost
            }
        })
    }

    /// Whether a piece is lost when the retransmission timer has expired (RFC 8985 6.3).
    pub(super) fn is_overdue(&self, now: Instant, piece: &Piece, smoothed_rtt: Duration) -> bool {
        piece.sent_at + self.rtt + self.window(0, false, smoothed_rtt) <= now
    }
}
