//! Frames that wait for a port, packed into chunks of memory: small frames cost neither an allocation nor more bytes than they have.

use std::collections::VecDeque;

use crate::offload::{Checksum, Offload};

/// Capacity of a chunk. A longer frame has a chunk of its own.
const CHUNK_BYTES: usize = 64 * 1024;
/// Empty chunks that are kept.
const MAX_SPARE: usize = 16;
/// Length of what stands before each frame: its length, big-endian.
const HEADER_BYTES: usize = 4;
/// Set in a length: what is left to do in the frame stands between it and the frame.
const OFFLOADED: u32 = 1 << 31;
/// Length of that: the segments' size, and where the checksum is, or that it was verified.
const OFFLOAD_BYTES: usize = 6;
/// In place of where a checksum begins: it is written, or verified. No checksum covers an Ethernet header.
const WRITTEN: u16 = 0;
const VERIFIED: u16 = 1;

/// Empty chunks, shared by queues.
#[derive(Default)]
pub(crate) struct Chunks(Vec<Vec<u8>>);

impl Chunks {
    /// An empty chunk with room for this many bytes.
    fn take(&mut self, bytes: usize) -> Vec<u8> {
        let mut chunk = self.0.pop().unwrap_or_default();
        chunk.clear();
        chunk.reserve_exact(bytes.max(CHUNK_BYTES));
        chunk
    }

    fn put(&mut self, chunk: Vec<u8>) {
        if self.0.len() < MAX_SPARE {
            self.0.push(chunk);
        }
    }
}

/// Frames in order, bounded by their bytes.
#[derive(Default)]
pub(crate) struct Queue {
    chunks: VecDeque<Vec<u8>>,
    /// Where the next frame's header is in the first chunk.
    head: usize,
    /// Bytes of frames.
    bytes: usize,
}

impl Queue {
    /// Whether a frame of this length may be queued; the first always may.
    pub(crate) fn has_room(&self, frame_bytes: usize, limit_bytes: usize) -> bool {
        self.is_empty() || self.bytes + frame_bytes <= limit_bytes
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(crate) fn push(&mut self, chunks: &mut Chunks, frame: &[u8]) {
        if let Some(chunk) = self.begin(chunks, frame.len()) {
            chunk.extend_from_slice(frame);
        }
    }

    /// Appends a frame in which something is left to do.
    pub(crate) fn push_offloaded(&mut self, chunks: &mut Chunks, frame: &[u8], offload: Offload) {
        let Some(chunk) = self.begin_with(chunks, frame.len(), OFFLOAD_BYTES, OFFLOADED) else { return };
        let (start, offset) = match offload.checksum {
            Checksum::Written => (WRITTEN, 0),
            Checksum::Verified => (VERIFIED, 0),
            Checksum::Partial { start, offset } => (start, offset),
        };
        for field in [offload.segment_bytes, start, offset] {
            chunk.extend_from_slice(&field.to_be_bytes());
        }
        chunk.extend_from_slice(frame);
    }

    /// Appends a frame of zeros, to be written in place.
    pub(crate) fn place(&mut self, chunks: &mut Chunks, length: usize) -> Option<&mut [u8]> {
        let chunk = self.begin(chunks, length)?;
        let at = chunk.len();
        chunk.resize(at + length, 0);
        Some(&mut chunk[at..])
    }

    /// Begins a frame: its bytes are to be appended to the chunk, which there always is.
    #[inline]
    fn begin(&mut self, chunks: &mut Chunks, length: usize) -> Option<&mut Vec<u8>> {
        self.begin_with(chunks, length, 0, 0)
    }

    /// The same for a frame behind `more` bytes, with `marks` in its length.
    #[inline]
    fn begin_with(
        &mut self,
        chunks: &mut Chunks,
        length: usize,
        more: usize,
        marks: u32,
    ) -> Option<&mut Vec<u8>> {
        let bytes = HEADER_BYTES + more + length;
        let fits = |chunk: &Vec<u8>| chunk.capacity() - chunk.len() >= bytes;
        if !self.chunks.back().is_some_and(fits) {
            self.chunks.push_back(chunks.take(bytes));
        }
        let chunk = self.chunks.back_mut()?;
        chunk.extend_from_slice(&(length as u32 | marks).to_be_bytes());
        self.bytes += length;
        Some(chunk)
    }

    /// The next frame, which is then out of the queue. The chunk that it lies in is given back by a later call, or by [`Self::release`].
    pub(crate) fn pop(&mut self, chunks: &mut Chunks) -> Option<&[u8]> {
        self.release(chunks);
        let rest = &self.chunks.front()?[self.head..];
        let (header, rest) = rest.split_first_chunk::<HEADER_BYTES>()?;
        let frame = rest.get(..u32::from_be_bytes(*header) as usize)?;
        self.head += HEADER_BYTES + frame.len();
        self.bytes -= frame.len();
        Some(frame)
    }

    /// The same with what is left to do in it.
    pub(crate) fn pop_offloaded(&mut self, chunks: &mut Chunks) -> Option<(&[u8], Offload)> {
        self.release(chunks);
        let rest = &self.chunks.front()?[self.head..];
        let (header, mut rest) = rest.split_first_chunk::<HEADER_BYTES>()?;
        let header = u32::from_be_bytes(*header);
        let mut offload = Offload::default();
        self.head += HEADER_BYTES;
        if header & OFFLOADED != 0 {
            let (fields, behind) = rest.split_first_chunk::<OFFLOAD_BYTES>()?;
            let field = |at: usize| u16::from_be_bytes([fields[at], fields[at + 1]]);
            let checksum = match field(2) {
                WRITTEN => Checksum::Written,
                VERIFIED => Checksum::Verified,
                start => Checksum::Partial { start, offset: field(4) },
            };
            offload = Offload { checksum, segment_bytes: field(0) };
            rest = behind;
            self.head += OFFLOAD_BYTES;
        }
        let frame = rest.get(..(header & !OFFLOADED) as usize)?;
        self.head += frame.len();
        self.bytes -= frame.len();
        Some((frame, offload))
    }

    /// Gives the chunk back that all frames have left.
    #[inline(always)]
    pub(crate) fn release(&mut self, chunks: &mut Chunks) {
        if self.chunks.front().is_some_and(|chunk| chunk.len() == self.head)
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.head = 0;
            chunks.put(chunk);
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
