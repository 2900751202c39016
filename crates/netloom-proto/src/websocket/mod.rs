//! WebSocket frames and messages (RFC 6455), without extensions. Owns no socket: bytes in, messages out, and headers to write.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use sha1::{Digest as _, Sha1};

pub use decode::{Decoder, Message, ProtocolError};
pub use encode::{put_close, put_frame, put_header};

/// Which end we are. A client masks what it sends, a server does not (section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We answered the upgrade.
    Server,
    /// We asked for it.
    Client,
}

/// What a frame is (section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message under way.
    Continuation = 0,
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The last frame from either end.
    Close = 8,
    /// To be answered by a pong with the same payload.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    /// Close, ping or pong: not fragmented, at most 125 bytes.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// The `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (section 4.2.2).
#[must_use]
pub fn accept_key(key: &str) -> String {
    let digest =
        Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    base64::engine::general_purpose::STANDARD.encode(digest)
}

/// Masks or unmasks in place (section 5.3), eight bytes at a time.
fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        if let Ok(eight) = <&mut [u8; 8]>::try_from(chunk) {
            *eight = (u64::from_ne_bytes(*eight) ^ wide).to_ne_bytes();
        }
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip([a, b, c, d].into_iter().cycle()) {
        *byte ^= mask;
    }
}
