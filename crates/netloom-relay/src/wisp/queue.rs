//! What a client sent on a TCP stream and its target has not taken: bytes, and where each packet ends, since credit is counted in packets.

use std::collections::VecDeque;

/// Bytes and packets in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: VecDeque<u8>,
    /// Lengths of the packets that are not wholly taken.
    packets: VecDeque<u32>,
    /// Bytes of the first packet that are taken.
    taken_of_first: u32,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the queue has memory of its own.
    pub(super) fn has_buffer(&self) -> bool {
        self.bytes.capacity() > 0
    }

    /// Gives an empty queue a buffer that another one had.
    pub(super) fn adopt(&mut self, buffer: VecDeque<u8>) {
        self.bytes = buffer;
    }

    /// The buffer of an empty queue.
    pub(super) fn give_up(&mut self) -> VecDeque<u8> {
        self.packets = VecDeque::new();
        std::mem::take(&mut self.bytes)
    }

    /// Appends a packet, of which the first `taken` bytes have left already.
    pub(super) fn push(&mut self, packet: &[u8], taken: usize) {
        if self.packets.is_empty() {
            self.taken_of_first = taken as u32;
        }
        self.packets.push_back(packet.len() as u32);
        self.bytes.extend(&packet[taken..]);
    }

    /// What waits, in two parts.
    pub(super) fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.as_slices()
    }

    /// Takes bytes off the front; tells how many packets that completes.
    pub(super) fn take(&mut self, bytes: usize) -> u32 {
        self.bytes.drain(..bytes);
        let mut left = bytes + self.taken_of_first as usize;
        let mut done = 0;
        while let Some(first) = self.packets.front().filter(|first| **first as usize <= left) {
            left -= *first as usize;
            done += 1;
            self.packets.pop_front();
        }
        self.taken_of_first = left as u32;
        done
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
