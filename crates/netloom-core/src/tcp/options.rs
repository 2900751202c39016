//! TCP options: maximum segment size (RFC 9293 3.7.1), window scale and timestamps (RFC 7323 2, 3) and selective acknowledgment
//! (RFC 2018).

use super::seq::SeqNumber;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// The option of timestamps as nearly everyone sends it: aligned, and alone (RFC 7323 appendix A).
const TIMESTAMPS_ALIGNED: [u8; 4] = [NO_OPERATION, NO_OPERATION, TIMESTAMPS, 10];
/// Its length.
pub(super) const TIMESTAMPS_BYTES: usize = 12;

/// RFC 7323 2.3: a larger shift count is used as this.
pub(super) const MAX_WINDOW_SCALE: u8 = 14;

/// The options of one segment. Options of other kinds are ignored when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The largest payload that the sender of this segment takes, in bytes. Only on SYN.
    pub mss: Option<u16>,
    /// The shift of the sender's later window fields, 0 to 14. Only on SYN.
    pub window_scale: Option<u8>,
    /// Whether the sender of this segment understands selective acknowledgments. Only on SYN.
    pub sack_permitted: bool,
    /// When the segment left, and what is echoed.
    pub timestamps: Option<Timestamps>,
    /// What the sender of this segment holds beyond its acknowledgment number. The first block may instead tell of data that arrived twice
    /// (RFC 2883).
    pub sack: SackBlocks,
}

/// Timestamps of a segment, in units of the senders' own choice (RFC 7323 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: when the segment left.
    pub value: u32,
    /// TSecr: the peer's value that is echoed; counts if ACK is set.
    pub echo: u32,
}

impl Timestamps {
    fn read(bytes: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Self { value: u32::from_be_bytes([a, b, c, d]), echo: u32::from_be_bytes([e, f, g, h]) }
    }
}

/// Up to four ranges of sequence numbers, the last one exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    count: u8,
    blocks: [(SeqNumber, SeqNumber); 4],
}

impl SackBlocks {
    /// Adds a range; a fifth one is left out.
    pub fn push(&mut self, start: SeqNumber, end: SeqNumber) {
        if let Some(block) = self.blocks.get_mut(usize::from(self.count)) {
            *block = (start, end);
            self.count += 1;
        }
    }

    /// The ranges, in the order in which they stood in the option.
    #[must_use]
    pub fn as_slice(&self) -> &[(SeqNumber, SeqNumber)] {
        &self.blocks[..usize::from(self.count)]
    }
}

impl Options {
    /// Reads the options of a header. A malformed length ends the reading: what stood before it counts (RFC 9293 3.1, MUST-7).
    #[must_use]
    #[inline(always)]
    pub fn parse(bytes: &[u8]) -> Self {
        if let Some((&TIMESTAMPS_ALIGNED, values)) = bytes.split_first_chunk()
            && let Ok(values) = values.try_into()
        {
            return Self { timestamps: Some(Timestamps::read(values)), ..Self::default() };
        }
        Self::parse_any(bytes)
    }

    fn parse_any(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        if let Some((&TIMESTAMPS_ALIGNED, rest)) = bytes.split_first_chunk()
            && let Some((&values, rest)) = rest.split_first_chunk()
        {
            options.timestamps = Some(Timestamps::read(values));
            bytes = rest;
        }
        loop {
            match *bytes {
                [NO_OPERATION, ref rest @ ..] => bytes = rest,
                [kind, length, ..] if kind != END && length >= 2 => {
                    let Some((option, rest)) = bytes.split_at_checked(usize::from(length)) else {
                        return options;
                    };
                    options.read(kind, &option[2..]);
                    bytes = rest;
                }
                _ => return options,
            }
        }
    }

    fn read(&mut self, kind: u8, data: &[u8]) {
        match (kind, data) {
            (MSS, &[high, low]) => self.mss = Some(u16::from_be_bytes([high, low])),
            (WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift.min(MAX_WINDOW_SCALE)),
            (SACK_PERMITTED, []) => self.sack_permitted = true,
            (TIMESTAMPS, values) => {
                if let Ok(values) = values.try_into() {
                    self.timestamps = Some(Timestamps::read(values));
                }
            }
            (SACK, blocks) if blocks.len().is_multiple_of(8) => {
                for block in blocks.chunks_exact(8) {
                    let at = |i: usize| {
                        SeqNumber(u32::from_be_bytes([block[i], block[i + 1], block[i + 2], block[i + 3]]))
                    };
                    self.sack.push(at(0), at(4));
                }
            }
            _ => {}
        }
    }

    /// The length of these options in a header, a multiple of 4.
    #[must_use]
    pub fn len(&self) -> usize {
        let sack_bytes = match self.sack.count {
            0 => 0,
            count => 4 + 8 * usize::from(count),
        };
        4 * usize::from(self.mss.is_some())
            + 4 * usize::from(self.window_scale.is_some())
            + 4 * usize::from(self.sack_permitted)
            + TIMESTAMPS_BYTES * usize::from(self.timestamps.is_some())
            + sack_bytes
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the options, each aligned to 4 bytes, into the first [`Self::len`] bytes of `out`, which must be at least that long.
    pub(super) fn emit(&self, out: &mut [u8]) {
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        if let Some(mss) = self.mss {
            let [high, low] = mss.to_be_bytes();
            put(&[MSS, 4, high, low]);
        }
        if let Some(shift) = self.window_scale {
            put(&[NO_OPERATION, WINDOW_SCALE, 3, shift]);
        }
        if self.sack_permitted {
            put(&[NO_OPERATION, NO_OPERATION, SACK_PERMITTED, 2]);
        }
        if let Some(Timestamps { value, echo }) = self.timestamps {
            put(&TIMESTAMPS_ALIGNED);
            put(&value.to_be_bytes());
            put(&echo.to_be_bytes());
        }
        if self.sack.count > 0 {
            put(&[NO_OPERATION, NO_OPERATION, SACK, 2 + 8 * self.sack.count]);
            for (start, end) in self.sack.as_slice() {
                put(&start.0.to_be_bytes());
                put(&end.0.to_be_bytes());
            }
        }
    }
}
