//! Segments: what arrives ([`Segment`]) and what is to be sent ([`Transmit`]). The header's layout is RFC 9293 3.1.

use core::fmt;
use core::ops::BitOr;

use super::options::Options;
use super::seq::SeqNumber;

pub(super) const HEADER_BYTES: usize = 20;

/// The control bits of a segment.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);

    /// The flags of a header's byte 13.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// As they stand in byte 13 of a header.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [(Flags, &str); 6] = [
            (Flags::SYN, "S"),
            (Flags::FIN, "F"),
            (Flags::RST, "R"),
            (Flags::PSH, "P"),
            (Flags::URG, "U"),
            (Flags::ACK, "."),
        ];
        LETTERS
            .iter()
            .filter(|(flag, _)| self.contains(*flag))
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// A segment that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The sequence number of the first byte, or of SYN.
    pub seq: SeqNumber,
    /// The next sequence number that the sender expects; counts if ACK is set.
    pub ack: SeqNumber,
    /// The control bits.
    pub flags: Flags,
    /// The window field as it stands in the header, not scaled.
    pub window: u16,
    /// The urgent pointer; counts if URG is set.
    pub urgent: u16,
    /// The options as they stand in the header.
    pub option_bytes: &'a [u8],
    /// The bytes carried.
    pub payload: &'a [u8],
    /// Whether the payload lies where it belongs already.
    pub(super) staged: bool,
}

impl<'a> Segment<'a> {
    /// Reads a segment from a TCP header and its payload. Checks the structure only: the checksum is the caller's.
    ///
    /// `None` if the bytes are fewer than the header says or the header is shorter than 20 bytes.
    #[must_use]
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER_BYTES>()?;
        let header_bytes = usize::from(header[12] >> 4) * 4;
        if header_bytes < HEADER_BYTES {
            return None;
        }
        let (header_and_options, payload) = bytes.split_at_checked(header_bytes)?;
        Some(Self {
            source_port: u16::from_be_bytes([header[0], header[1]]),
            destination_port: u16::from_be_bytes([header[2], header[3]]),
            seq: SeqNumber(u32::from_be_bytes([header[4], header[5], header[6], header[7]])),
            ack: SeqNumber(u32::from_be_bytes([header[8], header[9], header[10], header[11]])),
            flags: Flags::from_bits(header[13]),
            window: u16::from_be_bytes([header[14], header[15]]),
            urgent: u16::from_be_bytes([header[18], header[19]]),
            option_bytes: &header_and_options[HEADER_BYTES..],
            payload,
            staged: false,
        })
    }

    /// The options.
    #[must_use]
    #[inline(always)]
    pub fn options(&self) -> Options {
        Options::parse(self.option_bytes)
    }

    pub(super) fn has(&self, flags: Flags) -> bool {
        self.flags.contains(flags)
    }

    /// Whether it asks for a new connection: a SYN that acknowledges nothing and neither ends nor resets (RFC 9293 3.10.7.2). PSH, URG and
    /// the bits of ECN (RFC 3168 6.1.1) do not matter.
    #[must_use]
    pub fn opens(&self) -> bool {
        let others = Flags::ACK | Flags::RST | Flags::FIN;
        self.has(Flags::SYN) && self.flags.bits() & others.bits() == 0
    }

    /// How many sequence numbers the segment takes: its payload, SYN and FIN.
    #[must_use]
    pub fn sequence_len(&self) -> usize {
        self.payload.len() + usize::from(self.has(Flags::SYN)) + usize::from(self.has(Flags::FIN))
    }
}

/// A segment to send: what its header says, and which bytes of the send buffer it carries. [`Tcb::emit`](super::Tcb::emit) writes it out
/// and adds the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    pub(super) seq: SeqNumber,
    pub(super) ack: SeqNumber,
    pub(super) flags: Flags,
    pub(super) window: u16,
    pub(super) options_len: u8,
    pub(super) payload_len: usize,
}

impl Transmit {
    /// The length of header, options and payload in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.header_len() + self.payload_len
    }

    /// Never: a segment has a header.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// The length of header and options in bytes, 20 to 60.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        HEADER_BYTES + self.options_len as usize
    }

    /// The length of the payload in bytes.
    #[must_use]
    pub const fn payload_len(&self) -> usize {
        self.payload_len
    }

    /// The control bits.
    #[must_use]
    pub const fn flags(&self) -> Flags {
        self.flags
    }

    /// Writes the header, without options, into the first 20 bytes of `out`, which must be at least that long. The checksum field is left
    /// zero.
    pub fn emit_header(&self, source_port: u16, destination_port: u16, out: &mut [u8]) {
        let header = &mut out[..HEADER_BYTES];
        header[0..2].copy_from_slice(&source_port.to_be_bytes());
        header[2..4].copy_from_slice(&destination_port.to_be_bytes());
        header[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        header[8..12].copy_from_slice(&self.ack.0.to_be_bytes());
        header[12] = (self.header_len() / 4) as u8 * 16;
        header[13] = self.flags.bits();
        header[14..16].copy_from_slice(&self.window.to_be_bytes());
        header[16..20].fill(0);
    }
}

/// The RST that answers a segment of no connection (RFC 9293 3.10.7.1). `None` for an RST, which is never answered.
#[must_use]
pub fn reset_for(segment: &Segment<'_>) -> Option<Transmit> {
    if segment.has(Flags::RST) {
        return None;
    }
    let (seq, ack, flags) = if segment.has(Flags::ACK) {
        (segment.ack, SeqNumber(0), Flags::RST)
    } else {
        (SeqNumber(0), segment.seq + segment.sequence_len(), Flags::RST | Flags::ACK)
    };
    Some(Transmit { seq, ack, flags, window: 0, options_len: 0, payload_len: 0 })
}
