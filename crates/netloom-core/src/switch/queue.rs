//! A port's queue: frames back to back in one allocation, oldest first, bounded in bytes.

use std::collections::VecDeque;

/// Memory above which an empty queue gives its allocation back.
const KEEP_BYTES: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct FrameQueue {
    data: Vec<u8>,
    /// Where the oldest frame begins.
    head: usize,
    lengths: VecDeque<u32>,
}

impl FrameQueue {
    /// Bytes of the frames that wait.
    pub(super) fn bytes(&self) -> usize {
        self.data.len() - self.head
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    pub(super) fn push(&mut self, frame: &[u8]) {
        self.compact();
        self.data.extend_from_slice(frame);
        self.lengths.push_back(frame.len() as u32);
    }

    /// A new frame of `len` bytes for the caller to fill.
    pub(super) fn push_with(&mut self, len: usize) -> &mut [u8] {
        self.compact();
        let start = self.data.len();
        self.data.resize(start + len, 0);
        self.lengths.push_back(len as u32);
        &mut self.data[start..]
    }

    /// The oldest frame, which is no longer queued; its bytes stay in place until the next push.
    pub(super) fn pop(&mut self) -> Option<&[u8]> {
        let Some(len) = self.lengths.pop_front() else {
            self.release();
            return None;
        };
        let start = self.head;
        self.head += len as usize;
        Some(&self.data[start..self.head])
    }

    fn release(&mut self) {
        self.data.clear();
        self.head = 0;
        if self.data.capacity() > KEEP_BYTES {
            self.data = Vec::new();
            self.lengths = VecDeque::new();
        }
    }

    /// Moves the waiting frames to the front once what was sent is as long as what waits, so that each byte moves at most once.
    fn compact(&mut self) {
        if self.lengths.is_empty() {
            self.data.clear();
            self.head = 0;
        } else if self.head > self.data.len() / 2 {
            self.data.copy_within(self.head.., 0);
            self.data.truncate(self.data.len() - self.head);
            self.head = 0;
        }
    }
}
