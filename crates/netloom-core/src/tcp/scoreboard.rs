//! What was sent and is not acknowledged, in pieces of a segment each, and what became of them (RFC 2018 8, RFC 6675 3, RFC 8985 6.1).
//!
//! An acknowledgment costs what it tells anew, however much is under way.

use std::collections::VecDeque;

use super::ranges::Ranges;
use super::seq::SeqNumber;
use crate::time::Instant;

/// Most pieces. With segments of 1460 bytes it is 11 MiB.
const MAX_PIECES: usize = 8192;
/// Most pieces after some were cut in parts.
const MAX_PARTS: usize = 2 * MAX_PIECES;

/// What is known of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    UnderWay,
    /// The peer holds it beyond a gap.
    Sacked,
    /// To be sent again.
    Lost,
}

/// Sequence numbers that left as one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) start: SeqNumber,
    pub(super) end: SeqNumber,
    /// When it left last.
    pub(super) sent_at: Instant,
    pub(super) fate: Fate,
    /// Whether it left more than once.
    pub(super) resent: bool,
}

impl Piece {
    pub(super) const fn len(&self) -> usize {
        self.end.since(self.start)
    }
}

/// Whether a piece that is under way is lost.
pub(super) enum Verdict {
    Lost,
    /// To be judged again at this time.
    Wait(Instant),
    /// It left too late to be told.
    Open,
}

/// The pieces, in the order of their numbers and without gaps.
#[derive(Debug, Default)]
pub(super) struct Scoreboard {
    pieces: VecDeque<Piece>,
    bytes: usize,
    lost_bytes: usize,
    sacked_bytes: usize,
    sacked_pieces: usize,
    resent_pieces: usize,
    /// No piece before this one is lost.
    lost_from: usize,
    /// What the peer said it holds.
    sacked: Ranges,
    /// No piece before this is under way for the first time.
    judged: SeqNumber,
    /// What left again, in the order of time.
    again: VecDeque<(Instant, SeqNumber, SeqNumber)>,
}

impl Scoreboard {
    pub(super) fn is_full(&self) -> bool {
        self.pieces.len() >= MAX_PIECES
    }

    /// All that was sent and is not acknowledged.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes held to be in the network (RFC 6675 4).
    pub(super) const fn pipe(&self) -> usize {
        self.bytes - self.lost_bytes - self.sacked_bytes
    }

    pub(super) const fn sacked_pieces(&self) -> usize {
        self.sacked_pieces
    }

    /// How many segments the peer holds beyond a gap. A piece that left as a larger one counts for as many.
    pub(super) fn sacked_segments(&self, segment_bytes: usize) -> usize {
        self.sacked_pieces.max(self.sacked_bytes / segment_bytes.max(1))
    }

    /// Whether pieces may have been delivered in another order than that of their numbers.
    pub(super) const fn is_in_order(&self) -> bool {
        self.sacked_pieces == 0 && self.resent_pieces == 0
    }

    pub(super) fn first(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    pub(super) fn last(&self) -> Option<&Piece> {
        self.pieces.back()
    }

    /// What is to be sent again first: a lost piece and those right behind it that are lost too, up to `most` bytes if the first is not
    /// longer.
    pub(super) fn first_lost(&self, most: usize) -> Option<(SeqNumber, SeqNumber)> {
        if self.lost_bytes == 0 {
            return None;
        }
        let mut pieces = self.pieces.range(self.lost_from..).skip_while(|piece| piece.fate != Fate::Lost);
        let first = pieces.next()?;
        let joined =
            pieces.take_while(|piece| piece.fate == Fate::Lost && piece.end.since(first.start) <= most);
        Some((first.start, joined.last().map_or(first.end, |piece| piece.end)))
    }

    /// A segment leaves for the first time, behind all others.
    pub(super) fn sent(&mut self, now: Instant, start: SeqNumber, end: SeqNumber) {
        if self.pieces.is_empty() {
            self.judged = start;
        }
        self.bytes += end.since(start);
        self.pieces.push_back(Piece { start, end, sent_at: now, fate: Fate::UnderWay, resent: false });
    }

    /// What lies in `start..end` leaves again, as one segment: a part of a piece, or lost pieces in a row.
    pub(super) fn sent_again(&mut self, now: Instant, start: SeqNumber, end: SeqNumber) {
        let at = self.pieces.partition_point(|piece| piece.end <= start);
        let at = if self.split(at, start) { at + 1 } else { at };
        let behind = at + self.pieces.range(at..).take_while(|piece| piece.end < end).count();
        self.split(behind, end);
        let mut joined_end = None;
        for piece in self.pieces.drain(at + 1..(behind + 1).min(self.pieces.len())) {
            self.resent_pieces -= usize::from(piece.resent);
            joined_end = Some(piece.end);
        }
        let Some(piece) = self.pieces.get_mut(at) else { return };
        piece.end = joined_end.unwrap_or(piece.end);
        self.resent_pieces += usize::from(!piece.resent);
        (piece.sent_at, piece.resent) = (now, true);
        if self.again.len() >= MAX_PARTS {
            self.again.pop_front();
        }
        self.again.push_back((now, piece.start, piece.end));
        if piece.fate == Fate::Lost {
            piece.fate = Fate::UnderWay;
            self.lost_bytes -= piece.len();
            // Lost pieces leave in order, but for the one that probes the tail.
            if !self.pieces.range(self.lost_from.min(at)..at).any(|piece| piece.fate == Fate::Lost) {
                self.lost_from = at + 1;
            }
        }
    }

    /// The peer has all before `ack`. Calls `delivered` with each piece of which that was not known; returns their bytes.
    pub(super) fn acknowledge(&mut self, ack: SeqNumber, mut delivered: impl FnMut(&Piece)) -> usize {
        let mut bytes = 0;
        if !self.sacked.is_empty() {
            self.sacked.remove_before(ack);
        }
        if self.resent_pieces == 0 && !self.again.is_empty() {
            self.again.clear();
        }
        while let Some(first) = self.pieces.front_mut() {
            let gone = ack.min(first.end).since(first.start);
            if gone == 0 {
                break;
            }
            self.bytes -= gone;
            match first.fate {
                Fate::UnderWay => bytes += gone,
                Fate::Lost => {
                    bytes += gone;
                    self.lost_bytes -= gone;
                }
                Fate::Sacked => self.sacked_bytes -= gone,
            }
            if first.end > ack {
                if first.fate != Fate::Sacked {
                    delivered(&Piece { end: ack, ..*first });
                }
                first.start = ack;
                break;
            }
            if first.fate == Fate::Sacked {
                self.sacked_pieces -= 1;
            } else {
                delivered(first);
            }
            self.resent_pieces -= usize::from(first.resent);
            self.pieces.pop_front();
            self.lost_from = self.lost_from.saturating_sub(1);
        }
        bytes
    }

    /// The peer has what lies in `start..end`. Calls `delivered` with each piece of which that was not known; returns their bytes.
    pub(super) fn sack(
        &mut self,
        start: SeqNumber,
        end: SeqNumber,
        mut delivered: impl FnMut(&Piece),
    ) -> usize {
        let (mut from, mut bytes) = (start, 0);
        while let Some((start, end)) = self.sacked.first_gap(from, end) {
            bytes += self.sack_anew(start, end, &mut delivered);
            from = end;
        }
        // A full set forgets nothing: what does not fit is looked at again.
        self.sacked.insert(start, end);
        bytes
    }

    fn sack_anew(&mut self, start: SeqNumber, end: SeqNumber, delivered: &mut impl FnMut(&Piece)) -> usize {
        let mut at = self.pieces.partition_point(|piece| piece.end <= start);
        at += usize::from(
            self.pieces.get(at).is_some_and(|piece| piece.start < start) && self.split(at, start),
        );
        let mut bytes = 0;
        while let Some(piece) =
            self.pieces.get(at).copied().filter(|piece| piece.start >= start && piece.start < end)
        {
            if piece.end > end {
                self.split(at, end);
            }
            let piece = &mut self.pieces[at];
            if piece.fate != Fate::Sacked && piece.end <= end {
                if piece.fate == Fate::Lost {
                    self.lost_bytes -= piece.len();
                }
                piece.fate = Fate::Sacked;
                self.sacked_bytes += piece.len();
                self.sacked_pieces += 1;
                bytes += piece.len();
                delivered(piece);
            }
            at += 1;
        }
        bytes
    }

    /// Marks what is overdue by `judge`, to which a piece that left later must never seem to be so earlier; returns the bytes, and when the
    /// last of what must wait is due.
    pub(super) fn lose_overdue(&mut self, judge: impl Fn(&Piece) -> Verdict) -> (usize, Option<Instant>) {
        let (first, when) = self.lose_unrepeated(&judge);
        let (again, when_again) = self.lose_repeated(&judge);
        (first + again, when.max(when_again))
    }

    /// Of what left once: pieces do so in the order of their numbers.
    fn lose_unrepeated(&mut self, judge: impl Fn(&Piece) -> Verdict) -> (usize, Option<Instant>) {
        let (mut bytes, mut when) = (0, None);
        let mut at = self.pieces.partition_point(|piece| piece.end <= self.judged);
        while let Some(piece) = self.pieces.get(at).copied() {
            if piece.fate == Fate::UnderWay && !piece.resent {
                match judge(&piece) {
                    Verdict::Lost => bytes += self.mark_lost(at),
                    Verdict::Wait(due) => when = when.max(Some(due)),
                    Verdict::Open => break,
                }
            }
            at += 1;
            if when.is_none() {
                self.judged = piece.end;
            }
        }
        (bytes, when)
    }

    /// Of what left more than once.
    fn lose_repeated(&mut self, judge: impl Fn(&Piece) -> Verdict) -> (usize, Option<Instant>) {
        let (mut bytes, mut when) = (0, None);
        let mut queued = 0;
        while let Some((sent_at, start, end)) = self.again.get(queued).copied() {
            let mut at = self.pieces.partition_point(|piece| piece.end <= start);
            let mut waits = false;
            while let Some(piece) = self.pieces.get(at).copied().filter(|piece| piece.start < end) {
                if piece.fate == Fate::UnderWay && piece.sent_at == sent_at && piece.resent {
                    match judge(&piece) {
                        Verdict::Lost => bytes += self.mark_lost(at),
                        Verdict::Wait(due) => {
                            when = when.max(Some(due));
                            waits = true;
                        }
                        Verdict::Open => return (bytes, when),
                    }
                }
                at += 1;
            }
            if waits || queued > 0 {
                queued += 1;
            } else {
                self.again.pop_front();
            }
        }
        (bytes, when)
    }

    /// Holds each piece under way of which `is_lost` says so to be lost; returns their bytes.
    pub(super) fn lose(&mut self, is_lost: impl Fn(&Piece) -> bool) -> usize {
        let mut bytes = 0;
        for at in 0..self.pieces.len() {
            if self.pieces[at].fate == Fate::UnderWay && is_lost(&self.pieces[at]) {
                bytes += self.mark_lost(at);
            }
        }
        bytes
    }

    /// A piece under way is lost; returns its bytes.
    fn mark_lost(&mut self, at: usize) -> usize {
        let piece = &mut self.pieces[at];
        piece.fate = Fate::Lost;
        let bytes = piece.len();
        self.lost_bytes += bytes;
        self.lost_from = self.lost_from.min(at);
        bytes
    }

    /// Holds the first segment of so many bytes to be lost; returns its bytes, or 0 if it was known to be.
    pub(super) fn lose_first(&mut self, mss: usize) -> usize {
        let Some(&Piece { start, fate: Fate::UnderWay, .. }) = self.first() else { return 0 };
        self.split(0, start + mss);
        self.mark_lost(0)
    }

    /// Nothing is lost after all: what seemed so is only late.
    pub(super) fn find_again(&mut self) {
        self.put_under_way(Fate::Lost);
        self.lost_bytes = 0;
    }

    /// The peer no longer holds what it said it does (RFC 2018 8).
    pub(super) fn forget_sacks(&mut self) {
        self.put_under_way(Fate::Sacked);
        (self.sacked_bytes, self.sacked_pieces) = (0, 0);
        self.sacked.clear();
    }

    /// All pieces of this fate are under way again, and to be judged anew.
    fn put_under_way(&mut self, fate: Fate) {
        let pieces = self.pieces.iter_mut().filter(|piece| piece.fate == fate);
        pieces.for_each(|piece| piece.fate = Fate::UnderWay);
        if let Some(first) = self.pieces.front() {
            self.judged = first.start;
        }
    }

    /// Gives the memory back that no piece needs.
    pub(super) fn release(&mut self) {
        self.pieces.shrink_to_fit();
        self.again.shrink_to_fit();
        self.sacked.release();
    }

    /// Makes two of the piece at an index if a number lies inside it; false if it does not, or there are too many pieces.
    fn split(&mut self, at: usize, seq: SeqNumber) -> bool {
        let has_room = self.pieces.len() < MAX_PARTS;
        let Some(piece) =
            self.pieces.get_mut(at).filter(|piece| piece.start < seq && seq < piece.end && has_room)
        else {
            return false;
        };
        let rest = Piece { start: seq, ..*piece };
        piece.end = seq;
        self.resent_pieces += usize::from(rest.resent);
        self.sacked_pieces += usize::from(rest.fate == Fate::Sacked);
        self.pieces.insert(at + 1, rest);
        true
    }
}
