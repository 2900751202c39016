//! A bare copy of the bytes, from what the program offers into a buffer as large as a flow's.

use std::hint::black_box;

use super::{CHUNK_BYTES, Pair, Setup};

pub(crate) struct MemoryCopy {
    chunk: Vec<u8>,
    buffer: Vec<u8>,
}

impl MemoryCopy {
    pub(crate) fn new(setup: Setup) -> Self {
        Self { chunk: vec![0x5a; CHUNK_BYTES], buffer: vec![0; setup.buffer_bytes()] }
    }
}

impl Pair for MemoryCopy {
    fn round(&mut self) -> u64 {
        for part in self.buffer.chunks_mut(CHUNK_BYTES) {
            part.copy_from_slice(&black_box(&self.chunk)[..part.len()]);
        }
        black_box(&mut self.buffer).len() as u64
    }

    fn connects(&mut self) -> Result<(), String> {
        Err("a copy has no connections".into())
    }
}
