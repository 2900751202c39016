//! A ring of bytes that takes memory when it has bytes to hold, grows by doubling to a limit, and gives the memory back on request.

use crate::wire::checksum;

const MIN_CAPACITY_BYTES: usize = 2048;

/// A queue of bytes. Bytes may also be put behind its end, to be joined to it once the gap is filled.
#[derive(Debug, Default)]
pub(super) struct Ring {
    bytes: Box<[u8]>,
    head: usize,
    len: usize,
}

impl Ring {
    /// Bytes queued.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory taken.
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Appends bytes; the ring grows to at most `limit`, or as far as these bytes need.
    pub(super) fn push(&mut self, bytes: &[u8], limit: usize) {
        self.put(0, bytes, limit);
        self.len += bytes.len();
    }

    /// Puts bytes `gap` bytes behind the end. [`Self::join`] makes them part of the queue.
    pub(super) fn put(&mut self, gap: usize, bytes: &[u8], limit: usize) {
        let end = self.len + gap + bytes.len();
        if end > self.bytes.len() {
            self.grow(end, limit);
        }
        let [front, back] = self.places(gap, bytes.len());
        let (first, second) = bytes.split_at(front.len());
        front.copy_from_slice(first);
        back.copy_from_slice(second);
    }

    /// Like [`Self::put`] right behind the end; returns the Internet checksum's sum of the bytes. They must fit the memory taken.
    #[inline(always)]
    pub(super) fn put_summed(&mut self, bytes: &[u8]) -> u32 {
        let [front, back] = self.places(0, bytes.len());
        let (first, second) = bytes.split_at(front.len());
        copy_summed([first, second], [front, back])
    }

    /// The memory `gap` bytes behind the end.
    #[inline(always)]
    fn places(&mut self, gap: usize, length: usize) -> [&mut [u8]; 2] {
        let start = self.index(self.len + gap);
        let first = length.min(self.bytes.len() - start);
        let (wrapped, front) = self.bytes.split_at_mut(start);
        [&mut front[..first], &mut wrapped[..length - first]]
    }

    /// Makes `n` bytes behind the end, put there before, part of the queue.
    pub(super) fn join(&mut self, n: usize) {
        debug_assert!(self.len + n <= self.bytes.len());
        self.len += n;
    }

    /// Drops the oldest `n` bytes, at most all.
    pub(super) fn consume(&mut self, n: usize) {
        let n = n.min(self.len);
        self.head = self.index(n);
        self.len -= n;
    }

    /// Starts over at the front of the memory, which is the part that caches hold. The ring must be empty, with nothing behind its end.
    pub(super) const fn rewind(&mut self) {
        debug_assert!(self.len == 0);
        self.head = 0;
    }

    /// Gives all memory back. The ring must be empty, with nothing behind its end.
    pub(super) fn release(&mut self) {
        debug_assert!(self.len == 0);
        *self = Self::default();
    }

    /// The queued bytes in order, in two parts.
    pub(super) fn as_slices(&self) -> [&[u8]; 2] {
        self.pieces(0, self.len)
    }

    /// Copies queued bytes from `offset` on into `out`, which must not reach beyond the end.
    pub(super) fn copy_to(&self, offset: usize, out: &mut [u8]) {
        let [first, second] = self.pieces(offset, out.len());
        let (front, back) = out.split_at_mut(first.len());
        front.copy_from_slice(first);
        back.copy_from_slice(second);
    }

    /// Like [`Self::copy_to`]; returns the Internet checksum's sum of the bytes.
    #[inline(always)]
    pub(super) fn copy_summed(&self, offset: usize, out: &mut [u8]) -> u32 {
        let [first, second] = self.pieces(offset, out.len());
        let (front, back) = out.split_at_mut(first.len());
        copy_summed([first, second], [front, back])
    }

    /// The queued bytes from `offset` on, in two parts.
    #[inline(always)]
    fn pieces(&self, offset: usize, length: usize) -> [&[u8]; 2] {
        debug_assert!(offset + length <= self.len);
        let start = self.index(offset);
        match self.bytes.get(start..start + length) {
            Some(bytes) => [bytes, &[]],
            None => [&self.bytes[start..], &self.bytes[..start + length - self.bytes.len()]],
        }
    }

    #[inline(always)]
    const fn index(&self, offset: usize) -> usize {
        let index = self.head + offset;
        if index >= self.bytes.len() { index - self.bytes.len() } else { index }
    }

    #[cold]
    fn grow(&mut self, needed: usize, limit: usize) {
        let capacity = needed.max(MIN_CAPACITY_BYTES).next_power_of_two().min(limit.max(needed));
        let mut bytes = vec![0; capacity].into_boxed_slice();
        // All of the old memory, since bytes may lie behind the end.
        let (second, first) = self.bytes.split_at(self.head);
        bytes[..first.len()].copy_from_slice(first);
        bytes[first.len()..self.bytes.len()].copy_from_slice(second);
        self.bytes = bytes;
        self.head = 0;
    }
}

/// Copies two pieces to places as long; returns the sum of both as one message.
#[inline(always)]
fn copy_summed([first, second]: [&[u8]; 2], [front, back]: [&mut [u8]; 2]) -> u32 {
    let sum = checksum::copy(first, front);
    if second.is_empty() {
        return sum;
    }
    let rest = checksum::copy(second, back);
    // Behind an odd byte, what stood in the high halves of words stands in the low ones (RFC 1071 2B).
    sum + if first.len().is_multiple_of(2) { rest } else { u32::from((rest as u16).swap_bytes()) }
}
