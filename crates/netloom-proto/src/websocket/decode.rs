//! Messages from bytes as they arrive, cut anywhere. Whole frames are unmasked and handed out where they lie; only a frame that is cut
//! and a message in fragments are copied.

use super::{Opcode, Role, apply_mask};

/// Longest header: 2 bytes, 8 of length, 4 of mask.
const MAX_HEADER_BYTES: usize = 14;
/// Capacity that is kept for the next cut frame.
const KEPT_BYTES: usize = 16 * 1024;

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A binary message; from [`Decoder::streaming`], a piece of one.
    Binary(&'a [u8]),
    /// A text message, which is not looked at.
    Text,
    /// A binary message longer than the limit, which was skipped.
    TooLong,
    /// A ping, to be answered by a pong with this payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The other end closes, with its status code if it gave one. Nothing follows.
    Close(Option<u16>),
}

/// How the other end broke the protocol. The connection is to be closed with status 1002.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A reserved bit is set, though no extension was agreed on.
    #[error("a reserved bit is set")]
    Reserved,
    /// An opcode that RFC 6455 does not define.
    #[error("an unknown opcode")]
    Opcode,
    /// A client must mask, a server must not.
    #[error("a frame is masked that must not be, or not masked that must be")]
    Mask,
    /// A length that is not written in the fewest bytes, or is beyond 2⁶³.
    #[error("a malformed length")]
    Length,
    /// A control frame that is fragmented or longer than 125 bytes.
    #[error("a control frame that is fragmented or too long")]
    Control,
    /// A continuation of nothing, or a new message inside another.
    #[error("fragments out of order")]
    Fragment,
    /// A close with half a status code, or with one that must not be sent.
    #[error("a malformed close")]
    Close,
}

/// Takes bytes from one connection.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    max_message_bytes: usize,
    /// Whether binary messages are handed out in pieces.
    streaming: bool,
    /// The beginning of a frame that is not whole yet.
    cut: Vec<u8>,
    /// Payload bytes of a skipped frame that are still to come.
    skip: u64,
    /// Payload bytes of a frame in pieces that are still to come, and their mask.
    rest: (u64, [u8; 4]),
    fragments: Option<Fragments>,
    done: bool,
}

#[derive(Debug)]
struct Fragments {
    opcode: Opcode,
    bytes: Vec<u8>,
    /// Beyond the limit, or text: the rest is skipped.
    too_long: bool,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    fin: bool,
    opcode: Opcode,
    mask: [u8; 4],
    /// Bytes of the header itself.
    bytes: usize,
    payload_bytes: u64,
}

impl Header {
    /// `None` if the header is not whole yet.
    fn parse(bytes: &[u8], role: Role) -> Result<Option<Self>, ProtocolError> {
        let Some(&[first, second]) = bytes.first_chunk::<2>() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(ProtocolError::Reserved);
        }
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(ProtocolError::Opcode)?;
        let fin = first & 0x80 != 0;
        let masked = second & 0x80 != 0;
        if masked != (role == Role::Server) {
            return Err(ProtocolError::Mask);
        }
        let short = second & 0x7f;
        if opcode.is_control() && (!fin || short > 125) {
            return Err(ProtocolError::Control);
        }
        let (payload_bytes, at) = match short {
            126 => {
                let Some(&length) = bytes[2..].first_chunk::<2>() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(length)), 4)
            }
            127 => {
                let Some(&length) = bytes[2..].first_chunk::<8>() else { return Ok(None) };
                (u64::from_be_bytes(length), 10)
            }
            length => (u64::from(length), 2),
        };
        let least = [0, 126, 0x1_0000][usize::from(short.saturating_sub(125))];
        if payload_bytes < least || payload_bytes > i64::MAX as u64 {
            return Err(ProtocolError::Length);
        }
        let mut header = Self { fin, opcode, mask: [0; 4], bytes: at, payload_bytes };
        if masked {
            let Some(&mask) = bytes[at..].first_chunk::<4>() else { return Ok(None) };
            header.mask = mask;
            header.bytes += 4;
        }
        Ok(Some(header))
    }
}

impl Decoder {
    /// A decoder for what arrives at us in `role`. Longer messages are skipped and told, never held.
    #[must_use]
    pub const fn new(role: Role, max_message_bytes: usize) -> Self {
        Self {
            role,
            max_message_bytes,
            streaming: false,
            cut: Vec::new(),
            skip: 0,
            rest: (0, [0; 4]),
            fragments: None,
            done: false,
        }
    }

    /// A decoder for messages that are a stream of bytes, whose ends mean nothing: they may be of any length, are handed out in pieces as
    /// they arrive, and never held.
    #[must_use]
    pub const fn streaming(role: Role) -> Self {
        let mut decoder = Self::new(role, usize::MAX);
        decoder.streaming = true;
        decoder
    }

    /// Takes bytes and hands out every message that they complete. After a close, and after an error, nothing is taken any more.
    ///
    /// # Errors
    /// [`ProtocolError`], once; messages before it were handed out.
    pub fn decode(
        &mut self,
        bytes: &mut [u8],
        mut each: impl FnMut(Message<'_>),
    ) -> Result<(), ProtocolError> {
        let result = self.decode_all(bytes, &mut each);
        self.done |= result.is_err();
        if self.done {
            self.cut = Vec::new();
            self.fragments = None;
        }
        result
    }

    /// Bytes of memory taken for a frame or a message that is not whole yet: at most about twice the limit of a message.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.cut.capacity() + self.fragments.as_ref().map_or(0, |fragments| fragments.bytes.capacity())
    }

    fn decode_all(
        &mut self,
        mut bytes: &mut [u8],
        each: &mut impl FnMut(Message<'_>),
    ) -> Result<(), ProtocolError> {
        while !self.cut.is_empty() && !bytes.is_empty() && !self.done {
            bytes = self.mend(bytes, each)?;
        }
        loop {
            let skipped = self.skip.min(bytes.len() as u64);
            self.skip -= skipped;
            bytes = &mut bytes[skipped as usize..];
            if self.rest.0 > 0 {
                bytes = self.piece(bytes, each);
            }
            if bytes.is_empty() || self.done {
                return Ok(());
            }
            let Some(header) = Header::parse(bytes, self.role)? else { break };
            if self.is_too_long(header)? {
                bytes = &mut bytes[header.bytes..];
                self.skip_payload(header, each);
                continue;
            }
            if self.is_in_pieces(header) {
                bytes = &mut bytes[header.bytes..];
                self.begin_pieces(header);
                continue;
            }
            let end = header.bytes + header.payload_bytes as usize;
            if bytes.len() < end {
                break;
            }
            let (frame, rest) = bytes.split_at_mut(end);
            self.frame(header, &mut frame[header.bytes..], each)?;
            bytes = rest;
        }
        self.cut.extend_from_slice(bytes);
        Ok(())
    }

    /// Completes the cut frame, as far as the bytes go; gives back the rest.
    fn mend<'a>(
        &mut self,
        bytes: &'a mut [u8],
        each: &mut impl FnMut(Message<'_>),
    ) -> Result<&'a mut [u8], ProtocolError> {
        let header = Header::parse(&self.cut, self.role)?;
        let wanted = match header {
            // One byte at a time, at most as many as a header has.
            None => self.cut.len() + 1,
            Some(header) => header.bytes + header.payload_bytes as usize,
        };
        debug_assert!(header.is_some() || self.cut.len() < MAX_HEADER_BYTES, "a header of 14 bytes is whole");
        let (more, rest) = bytes.split_at_mut((wanted - self.cut.len()).min(bytes.len()));
        self.cut.extend_from_slice(more);
        let Some(header) = Header::parse(&self.cut, self.role)? else { return Ok(rest) };
        if self.is_too_long(header)? {
            self.cut.clear();
            self.skip_payload(header, each);
        } else if self.is_in_pieces(header) {
            self.cut.clear();
            self.begin_pieces(header);
        } else if self.cut.len() as u64 >= header.bytes as u64 + header.payload_bytes {
            let mut frame = core::mem::take(&mut self.cut);
            self.frame(header, &mut frame[header.bytes..], each)?;
            frame.clear();
            if frame.capacity() <= KEPT_BYTES {
                self.cut = frame;
            }
        }
        Ok(rest)
    }

    /// Whether a frame's payload is skipped: text, and what makes its message too long.
    fn is_too_long(&self, header: Header) -> Result<bool, ProtocolError> {
        let held = match (&self.fragments, header.opcode) {
            (_, opcode) if opcode.is_control() => return Ok(false),
            (Some(fragments), Opcode::Continuation) if fragments.too_long => return Ok(true),
            (Some(fragments), Opcode::Continuation) => fragments.bytes.len(),
            (None, Opcode::Text) => return Ok(true),
            (None, Opcode::Binary) => 0,
            _ => return Err(ProtocolError::Fragment),
        };
        Ok(header.payload_bytes > (self.max_message_bytes - held.min(self.max_message_bytes)) as u64)
    }

    const fn is_in_pieces(&self, header: Header) -> bool {
        self.streaming && !header.opcode.is_control()
    }

    fn begin_pieces(&mut self, header: Header) {
        self.rest = (header.payload_bytes, header.mask);
        self.fragments =
            (!header.fin).then_some(Fragments { opcode: Opcode::Binary, bytes: Vec::new(), too_long: false });
    }

    /// Hands out what has come of a payload in pieces; gives back what follows it.
    fn piece<'a>(&mut self, bytes: &'a mut [u8], each: &mut impl FnMut(Message<'_>)) -> &'a mut [u8] {
        let (left, mask) = &mut self.rest;
        let length = (*left).min(bytes.len() as u64) as usize;
        let (piece, rest) = bytes.split_at_mut(length);
        if self.role == Role::Server {
            apply_mask(piece, *mask);
        }
        *left -= length as u64;
        mask.rotate_left(length % 4);
        if !piece.is_empty() {
            each(Message::Binary(piece));
        }
        rest
    }

    /// Tells of a message that is skipped when its last frame is.
    fn skip_payload(&mut self, header: Header, each: &mut impl FnMut(Message<'_>)) {
        self.skip = header.payload_bytes;
        let opcode = self.fragments.take().map_or(header.opcode, |fragments| fragments.opcode);
        if !header.fin {
            self.fragments = Some(Fragments { opcode, bytes: Vec::new(), too_long: true });
        } else if opcode == Opcode::Text {
            each(Message::Text);
        } else {
            each(Message::TooLong);
        }
    }

    fn frame(
        &mut self,
        header: Header,
        payload: &mut [u8],
        each: &mut impl FnMut(Message<'_>),
    ) -> Result<(), ProtocolError> {
        if self.role == Role::Server {
            apply_mask(payload, header.mask);
        }
        match header.opcode {
            Opcode::Ping => each(Message::Ping(payload)),
            Opcode::Pong => each(Message::Pong(payload)),
            Opcode::Close => {
                let code = close_code(payload)?;
                self.done = true;
                each(Message::Close(code));
            }
            Opcode::Binary if header.fin => each(Message::Binary(payload)),
            opcode => {
                let fragments =
                    self.fragments.get_or_insert(Fragments { opcode, bytes: Vec::new(), too_long: false });
                fragments.bytes.extend_from_slice(payload);
                if header.fin {
                    let whole = self.fragments.take();
                    each(Message::Binary(whole.as_ref().map_or(&[], |fragments| &fragments.bytes)));
                }
            }
        }
        Ok(())
    }
}

/// The status code of a close, which may be left out (sections 5.5.1 and 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, ProtocolError> {
    let Some(&code) = payload.first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(ProtocolError::Close) };
    };
    match u16::from_be_bytes(code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Some(code)),
        _ => Err(ProtocolError::Close),
    }
}
