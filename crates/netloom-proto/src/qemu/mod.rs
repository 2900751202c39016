//! Ethernet frames on a stream of bytes as QEMU's `-netdev stream` and `-netdev socket` write them: before each frame its length, as 32
//! bits in network order. QEMU-Wasm and container2wasm carry the same stream in WebSocket messages, cut anywhere.
//!
//! Owns no socket: bytes in, frames out, and lengths to write.

#[cfg(test)]
mod tests;

/// Bytes of the length before each frame.
pub const PREFIX_BYTES: usize = 4;
/// Largest length that may be a frame's, in bytes: what c2w-net takes, and more than any QEMU sends (69,632, its `NET_BUFSIZE`). Beyond,
/// no length was meant.
pub const MAX_LENGTH: u32 = 128 * 1024;

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A frame, of one byte at the least.
    Frame(&'a [u8]),
    /// A length of 0, without a frame.
    Empty,
    /// A frame longer than the limit, which is skipped.
    TooLong,
}

/// A length of more than [`MAX_LENGTH`]: where the next frame begins is not known any more, and the connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes: these are no frames behind their lengths")]
pub struct FramingLost(pub u32);

/// Takes the bytes of one connection.
#[derive(Debug)]
pub struct Decoder {
    max_frame_bytes: usize,
    prefix: [u8; PREFIX_BYTES],
    /// How much of `prefix` has come.
    prefix_bytes: usize,
    /// The beginning of a frame that is not whole yet.
    cut: Vec<u8>,
    /// Bytes of a skipped frame that are still to come.
    skip: usize,
    lost: bool,
}

impl Decoder {
    /// A decoder that skips frames of more than `max_frame_bytes`.
    #[must_use]
    pub const fn new(max_frame_bytes: usize) -> Self {
        Self {
            max_frame_bytes,
            prefix: [0; PREFIX_BYTES],
            prefix_bytes: 0,
            cut: Vec::new(),
            skip: 0,
            lost: false,
        }
    }

    /// Takes bytes and hands out every frame that they complete. Whole frames are handed out where they lie; only a cut one is copied.
    /// After an error nothing is taken any more.
    ///
    /// # Errors
    /// [`FramingLost`], once; frames before it were handed out.
    pub fn decode(&mut self, mut bytes: &[u8], mut each: impl FnMut(Message<'_>)) -> Result<(), FramingLost> {
        while !bytes.is_empty() && !self.lost {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            if self.prefix_bytes < PREFIX_BYTES {
                let (more, rest) = bytes.split_at((PREFIX_BYTES - self.prefix_bytes).min(bytes.len()));
                self.prefix[self.prefix_bytes..][..more.len()].copy_from_slice(more);
                self.prefix_bytes += more.len();
                bytes = rest;
                if self.prefix_bytes == PREFIX_BYTES {
                    self.begin(&mut each)?;
                }
                continue;
            }
            let missing = u32::from_be_bytes(self.prefix) as usize - self.cut.len();
            if bytes.len() < missing {
                self.cut.extend_from_slice(bytes);
                return Ok(());
            }
            let (more, rest) = bytes.split_at(missing);
            if self.cut.is_empty() {
                each(Message::Frame(more));
            } else {
                self.cut.extend_from_slice(more);
                each(Message::Frame(&core::mem::take(&mut self.cut)));
            }
            self.prefix_bytes = 0;
            bytes = rest;
        }
        Ok(())
    }

    /// Bytes of memory taken for a frame that is not whole yet: at most about twice the limit of a frame.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.cut.capacity()
    }

    /// Judges a length that is whole.
    fn begin(&mut self, each: &mut impl FnMut(Message<'_>)) -> Result<(), FramingLost> {
        let length = u32::from_be_bytes(self.prefix);
        if length > MAX_LENGTH {
            self.lost = true;
            return Err(FramingLost(length));
        }
        let length = length as usize;
        if length == 0 {
            each(Message::Empty);
            self.prefix_bytes = 0;
        } else if length > self.max_frame_bytes {
            each(Message::TooLong);
            self.skip = length;
            self.prefix_bytes = 0;
        }
        Ok(())
    }
}

/// The length to write before a frame of so many bytes, which are more than 0 and at most QEMU's 69,632.
#[must_use]
pub const fn prefix(frame_bytes: usize) -> [u8; PREFIX_BYTES] {
    (frame_bytes as u32).to_be_bytes()
}
