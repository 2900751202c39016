//! DNS messages, written: a reply to a query, record by record. No state.

use core::net::IpAddr;

use super::message::{
    CLASS_IN, Edns, FLAG_CD, FLAG_QR, FLAG_RA, FLAG_RD, HEADER_BYTES, Header, OPCODE, TYPE_A, TYPE_AAAA,
    TYPE_OPT, TYPE_PTR, TYPE_SOA, question,
};
use super::name;

/// A pointer to the question's name.
pub(super) const QUESTION_NAME: [u8; 2] = [0xc0, HEADER_BYTES as u8];

/// The UDP payload that we tell in our own answers: what crosses an Ethernet unfragmented (DNS flag day 2020).
const OWN_PAYLOAD_BYTES: u16 = 1232;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rcode {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    BadVers = 16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Answer = 1,
    Authority = 2,
    Additional = 3,
}

/// A reply under construction. Records go in by section, in the order of [`Section`].
pub(super) struct Reply {
    bytes: Vec<u8>,
    counts: [u16; 4],
}

impl Reply {
    /// A reply to `query`, with its question, as written, if that is one and readable. `None` without a header.
    pub(super) fn to(query: &[u8], rcode: Rcode, flags: u16) -> Option<Self> {
        let header = Header::read(query)?;
        let flags =
            FLAG_QR | FLAG_RA | flags | header.flags & (OPCODE | FLAG_RD | FLAG_CD) | rcode as u16 & 15;
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..2].copy_from_slice(&header.id.to_be_bytes());
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        let mut counts = [0; 4];
        if let Some(question) = question(query).and_then(|q| query.get(HEADER_BYTES..q.end)) {
            bytes.extend_from_slice(question);
            counts[0] = 1;
        }
        Some(Self { bytes, counts })
    }

    /// Adds a record whose owner is given in wire format.
    pub(super) fn record(
        &mut self,
        section: Section,
        owner: &[u8],
        kind: u16,
        class: u16,
        ttl: u32,
        data: &[u8],
    ) {
        let Ok(length) = u16::try_from(data.len()) else { return };
        let Some(count) = self.counts[section as usize].checked_add(1) else { return };
        // Past a message's 65,535 bytes a record is left out.
        if self.bytes.len() + owner.len() + 10 + data.len() > usize::from(u16::MAX) {
            return;
        }
        self.counts[section as usize] = count;
        self.bytes.extend_from_slice(owner);
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&class.to_be_bytes());
        self.bytes.extend_from_slice(&ttl.to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(data);
    }

    /// An address of the question's name.
    pub(super) fn address(&mut self, address: IpAddr, ttl: u32) {
        match address {
            IpAddr::V4(v4) => {
                self.record(Section::Answer, &QUESTION_NAME, TYPE_A, CLASS_IN, ttl, &v4.octets())
            }
            IpAddr::V6(v6) => {
                self.record(Section::Answer, &QUESTION_NAME, TYPE_AAAA, CLASS_IN, ttl, &v6.octets())
            }
        }
    }

    /// The name that the question's address belongs to.
    pub(super) fn pointer(&mut self, target: &str, ttl: u32) {
        let mut data = Vec::new();
        if name::write(target, &mut data).is_some() {
            self.record(Section::Answer, &QUESTION_NAME, TYPE_PTR, CLASS_IN, ttl, &data);
        }
    }

    /// The zone's SOA, so that a name's absence is remembered for `ttl` seconds (RFC 2308 section 3).
    pub(super) fn absence(&mut self, zone: &str, ttl: u32) {
        const REFRESH_S: u32 = 3600;
        const RETRY_S: u32 = 600;
        const EXPIRE_S: u32 = 86_400;
        let (mut owner, mut data) = (Vec::new(), Vec::new());
        if name::write(zone, &mut owner).is_none() {
            return;
        }
        data.extend_from_slice(&owner);
        data.extend_from_slice(b"\x0ahostmaster");
        data.extend_from_slice(&owner);
        for number in [1, REFRESH_S, RETRY_S, EXPIRE_S, ttl] {
            data.extend_from_slice(&number.to_be_bytes());
        }
        self.record(Section::Authority, &owner, TYPE_SOA, CLASS_IN, ttl, &data);
    }

    /// Our EDNS options, in answer to the query's.
    pub(super) fn edns(&mut self, query: Edns, rcode: Rcode) {
        self.opt(Edns {
            payload_bytes: OWN_PAYLOAD_BYTES,
            version: 0,
            extended_rcode: (rcode as u16 >> 4) as u8,
            dnssec_ok: query.dnssec_ok,
        });
    }

    pub(super) fn opt(&mut self, edns: Edns) {
        let do_bit = if edns.dnssec_ok { 0x80 } else { 0 };
        let ttl = u32::from_be_bytes([edns.extended_rcode, edns.version, do_bit, 0]);
        self.record(Section::Additional, &[0], TYPE_OPT, edns.payload_bytes, ttl, &[]);
    }

    /// Takes the flags of another message, its identifier and question staying.
    pub(super) fn set_flags(&mut self, flags: u16) {
        self.bytes[2..4].copy_from_slice(&flags.to_be_bytes());
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        for (at, count) in [4, 6, 8, 10].into_iter().zip(self.counts) {
            self.bytes[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
        self.bytes
    }
}
