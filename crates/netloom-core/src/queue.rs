//! What a port's frames wait in, and whose turn it is to be polled.

use std::collections::VecDeque;

use crate::port::PortId;

/// Buffers of frames that have left, kept to be filled again.
#[derive(Default)]
pub(crate) struct Spare(Vec<Vec<u8>>);

const MAX_SPARE: usize = 64;

impl Spare {
    /// A copy of a frame.
    pub(crate) fn copy(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut buffer = self.0.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(frame);
        buffer
    }

    /// A buffer of this length, with anything in it.
    pub(crate) fn buffer(&mut self, length: usize) -> Vec<u8> {
        let mut buffer = self.0.pop().unwrap_or_default();
        buffer.resize(length, 0);
        buffer
    }

    pub(crate) fn put(&mut self, buffer: Vec<u8>) {
        if self.0.len() < MAX_SPARE && buffer.capacity() > 0 {
            self.0.push(buffer);
        }
    }
}

/// Frames in order, bounded by their bytes.
#[derive(Default)]
pub(crate) struct FrameQueue {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl FrameQueue {
    /// Whether a frame of this length may be queued; the first always may.
    pub(crate) fn has_room(&self, frame_bytes: usize, limit_bytes: usize) -> bool {
        self.frames.is_empty() || self.bytes + frame_bytes <= limit_bytes
    }

    pub(crate) fn push(&mut self, frame: Vec<u8>) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }
}

/// Whether a port waits to be polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Idle,
    Listed,
    Given,
}

/// The ports that have something to send, in the order in which they said so.
#[derive(Default)]
pub(crate) struct Turns {
    order: VecDeque<PortId>,
    ports: Vec<Turn>,
}

impl Turns {
    /// A port has something to send.
    pub(crate) fn list(&mut self, port: PortId) {
        let index = port.index();
        if index >= self.ports.len() {
            self.ports.resize(index + 1, Turn::Idle);
        }
        if self.ports[index] == Turn::Idle {
            self.ports[index] = Turn::Listed;
            self.order.push_back(port);
        }
    }

    /// A port was drained, or is gone.
    pub(crate) fn end(&mut self, port: PortId) {
        if let Some(turn) = self.ports.get_mut(port.index())
            && std::mem::take(turn) == Turn::Listed
        {
            self.order.retain(|listed| *listed != port);
        }
    }

    /// The next port in turn. It is given once, until it was drained and is listed again.
    pub(crate) fn poll(&mut self) -> Option<PortId> {
        let port = self.order.pop_front()?;
        self.ports[port.index()] = Turn::Given;
        Some(port)
    }
}
