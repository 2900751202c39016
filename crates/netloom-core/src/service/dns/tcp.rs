//! DNS over TCP (RFC 7766): messages with a length of two bytes before each, any number on one connection.
//!
//! Owns the bytes of the messages that are not complete yet, one message's worth at most.

/// The longest message with its length.
const MAX_FRAME_BYTES: usize = LENGTH_BYTES + u16::MAX as usize;
const LENGTH_BYTES: usize = 2;

/// Takes messages out of a TCP connection's bytes.
#[derive(Debug, Default)]
pub struct Framer {
    bytes: Vec<u8>,
    /// Bytes at the front that were given out already.
    done: usize,
}

impl Framer {
    /// Takes bytes that have arrived; returns how many. When fewer than given, take messages out with [`Self::poll_message`] first.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        self.bytes.drain(..self.done);
        self.done = 0;
        let taken = bytes.len().min(MAX_FRAME_BYTES - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next complete message, without its length. It may be empty, which no DNS message is.
    pub fn poll_message(&mut self) -> Option<&[u8]> {
        let rest = &self.bytes[self.done..];
        let length: &[u8; LENGTH_BYTES] = rest.first_chunk()?;
        let frame = LENGTH_BYTES + usize::from(u16::from_be_bytes(*length));
        let message = rest.get(LENGTH_BYTES..frame)?;
        self.done += frame;
        Some(message)
    }
}

/// A message with its length, ready to be sent. `None` if it is longer than 65,535 bytes.
#[must_use]
pub fn frame(message: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(message.len()).ok()?;
    let mut frame = Vec::with_capacity(LENGTH_BYTES + message.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    Some(frame)
}
