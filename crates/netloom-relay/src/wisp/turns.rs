//! Whose turn it is to write to the WebSocket: streams that have something, those that had little before those that had much.

use std::collections::VecDeque;

/// What a stream had when it was last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Little: an answer, a keystroke.
    Small,
    /// More than fits a small turn.
    Bulk,
}

/// Streams that wait for their turn, each at most once.
#[derive(Debug)]
pub(super) struct Turns<T> {
    small: VecDeque<T>,
    bulk: VecDeque<T>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { small: VecDeque::new(), bulk: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.bulk.is_empty()
    }

    pub(super) fn push(&mut self, stream: T, share: Share) {
        match share {
            Share::Small => self.small.push_back(stream),
            Share::Bulk => self.bulk.push_back(stream),
        }
    }

    /// The next stream; of those that had much only with `bulk`.
    pub(super) fn pop(&mut self, bulk: bool) -> Option<T> {
        self.small.pop_front().or_else(|| if bulk { self.bulk.pop_front() } else { None })
    }

    pub(super) fn clear(&mut self) {
        self.small.clear();
        self.bulk.clear();
    }
}
