//! A bounded set of sequence ranges: what a receiver holds beyond a gap, or what a sender was told so (RFC 2018).

use super::seq::SeqNumber;

/// Most ranges kept: a gap behind every other segment of the largest window. A peer that makes more gaps sends again what does not fit.
const MAX_RANGES: usize = 2048;

/// Disjoint ranges in ascending order, ends exclusive, no two touching.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    ranges: Vec<(SeqNumber, SeqNumber)>,
    bytes: usize,
}

impl Ranges {
    pub(super) const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The sum of all ranges' lengths.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn as_slice(&self) -> &[(SeqNumber, SeqNumber)] {
        &self.ranges
    }

    /// Adds a range, joining it to those it touches. False if the set is full, in which case nothing changes.
    pub(super) fn insert(&mut self, start: SeqNumber, end: SeqNumber) -> bool {
        let first = self.ranges.partition_point(|range| range.1 < start);
        let last = first + self.ranges[first..].partition_point(|range| range.0 <= end);
        if first == last {
            if self.ranges.len() == MAX_RANGES {
                return false;
            }
            self.ranges.insert(first, (start, end));
            self.bytes += end.since(start);
            return true;
        }
        let joined = (start.min(self.ranges[first].0), end.max(self.ranges[last - 1].1));
        self.bytes -= self.ranges[first..last].iter().map(|range| range.1.since(range.0)).sum::<usize>();
        self.bytes += joined.1.since(joined.0);
        self.ranges[first] = joined;
        self.ranges.drain(first + 1..last);
        true
    }

    /// The first part of `start..end` that is not in the set.
    pub(super) fn first_gap(&self, start: SeqNumber, end: SeqNumber) -> Option<(SeqNumber, SeqNumber)> {
        let start = self.containing(start).map_or(start, |range| range.1);
        let next = self.ranges.get(self.ranges.partition_point(|range| range.1 <= start));
        let end = next.map_or(end, |range| range.0.min(end));
        (start < end).then_some((start, end))
    }

    /// Removes everything before `seq`.
    pub(super) fn remove_before(&mut self, seq: SeqNumber) {
        let gone = self.ranges.partition_point(|range| range.1 <= seq);
        self.ranges.drain(..gone);
        if let Some(first) = self.ranges.first_mut() {
            first.0 = first.0.max(seq);
        }
        self.bytes = self.ranges.iter().map(|range| range.1.since(range.0)).sum();
    }

    /// Removes the first range if it begins at `seq`, and returns its length.
    pub(super) fn take_at(&mut self, seq: SeqNumber) -> Option<usize> {
        let &(start, end) = self.ranges.first()?;
        if start != seq {
            return None;
        }
        self.ranges.remove(0);
        self.bytes -= end.since(start);
        Some(end.since(start))
    }

    /// The range that holds `seq`.
    pub(super) fn containing(&self, seq: SeqNumber) -> Option<(SeqNumber, SeqNumber)> {
        let range = *self.ranges.get(self.ranges.partition_point(|range| range.1 <= seq))?;
        (range.0 <= seq).then_some(range)
    }

    /// Gives the memory back that no range needs.
    pub(super) fn release(&mut self) {
        self.ranges.shrink_to_fit();
    }

    pub(super) fn clear(&mut self) {
        self.ranges = Vec::new();
        self.bytes = 0;
    }
}
