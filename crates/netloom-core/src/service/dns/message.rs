//! DNS messages, read (RFC 1035 section 4.1, RFC 6891): header, question, records. No state.

use core::ops::Range;

use super::name;

pub(super) const HEADER_BYTES: usize = 12;

pub(super) const TYPE_A: u16 = 1;
pub(super) const TYPE_CNAME: u16 = 5;
pub(super) const TYPE_SOA: u16 = 6;
pub(super) const TYPE_PTR: u16 = 12;
pub(super) const TYPE_AAAA: u16 = 28;
pub(super) const TYPE_OPT: u16 = 41;
pub(super) const TYPE_ANY: u16 = 255;
pub(super) const CLASS_IN: u16 = 1;
pub(super) const CLASS_ANY: u16 = 255;

pub(super) const FLAG_QR: u16 = 0x8000;
pub(super) const FLAG_AA: u16 = 0x0400;
pub(super) const FLAG_TC: u16 = 0x0200;
pub(super) const FLAG_RD: u16 = 0x0100;
pub(super) const FLAG_RA: u16 = 0x0080;
pub(super) const FLAG_CD: u16 = 0x0010;
pub(super) const OPCODE: u16 = 0x7800;
pub(super) const FLAG_AD: u16 = 0x0020;

pub(super) fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

pub(super) fn u32_at(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

/// The header of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) id: u16,
    pub(super) flags: u16,
    /// Entries of the question, answer, authority and additional sections.
    pub(super) counts: [u16; 4],
}

impl Header {
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let at = |at| u16_at(message, at);
        Some(Self { id: at(0)?, flags: at(2)?, counts: [at(4)?, at(6)?, at(8)?, at(10)?] })
    }

    pub(super) const fn is_response(self) -> bool {
        self.flags & FLAG_QR != 0
    }
}

/// What a message asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name, without trailing dot, in the case it was written in; bytes outside printable ASCII as `\DDD`. The root is empty.
    pub name: String,
    /// The type of record, by IANA's number.
    pub kind: u16,
    /// The class: 1 for the Internet.
    pub class: u16,
    pub(super) end: usize,
}

/// The question of a query or reply that has exactly one.
#[must_use]
pub fn question(message: &[u8]) -> Option<Question> {
    Header::read(message).filter(|header| header.counts[0] == 1)?;
    let (name, at) = name::read(message, HEADER_BYTES)?;
    Some(Question { name, kind: u16_at(message, at)?, class: u16_at(message, at + 2)?, end: at + 4 })
}

/// One record of a message.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// 1 to 3: answer, authority, additional.
    pub(super) section: usize,
    /// Where the owner's name begins.
    pub(super) start: usize,
    pub(super) kind: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) data: Range<usize>,
}

/// The records after the question section, in order. An error ends the iteration with `None` inside.
pub(super) struct Records<'a> {
    message: &'a [u8],
    counts: [u16; 4],
    section: usize,
    at: usize,
}

impl<'a> Records<'a> {
    pub(super) fn of(message: &'a [u8]) -> Option<Self> {
        let header = Header::read(message)?;
        let mut at = HEADER_BYTES;
        for _ in 0..header.counts[0] {
            at = name::skip(message, at)? + 4;
        }
        Some(Self { message, counts: header.counts, section: 1, at })
    }

    fn read(&mut self) -> Option<Record> {
        let (message, start) = (self.message, self.at);
        let at = name::skip(message, start)?;
        let data = at + 10..at + 10 + usize::from(u16_at(message, at + 8)?);
        message.get(data.clone())?;
        self.at = data.end;
        let ttl = u32_at(message, at + 4)?;
        let (kind, class) = (u16_at(message, at)?, u16_at(message, at + 2)?);
        Some(Record { section: self.section, start, kind, class, ttl, data })
    }
}

impl Iterator for Records<'_> {
    type Item = Option<Record>;

    fn next(&mut self) -> Option<Option<Record>> {
        while self.section < 4 && self.counts[self.section] == 0 {
            self.section += 1;
        }
        let count = self.counts.get_mut(self.section)?;
        *count -= 1;
        let record = self.read();
        if record.is_none() {
            self.section = 4;
        }
        Some(record)
    }
}

/// A message's EDNS options (RFC 6891 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edns {
    /// The largest UDP payload its sender takes, in bytes.
    pub(super) payload_bytes: u16,
    pub(super) version: u8,
    pub(super) extended_rcode: u8,
    pub(super) dnssec_ok: bool,
}

/// The message's EDNS options, `Some(None)` if it has none; `None` if its records do not parse or it has two.
pub(super) fn edns(message: &[u8]) -> Option<Option<Edns>> {
    const DNSSEC_OK: u32 = 0x8000;
    let mut found = None;
    for record in Records::of(message)? {
        let record = record?;
        if record.kind != TYPE_OPT {
            continue;
        }
        if found.is_some() || record.section != 3 || message[record.start] != 0 {
            return None;
        }
        let [extended_rcode, version, ..] = record.ttl.to_be_bytes();
        let dnssec_ok = record.ttl & DNSSEC_OK != 0;
        found = Some(Edns { payload_bytes: record.class, version, extended_rcode, dnssec_ok });
    }
    Some(found)
}
