//! IPv6 headers and extension headers, read and written (RFC 8200 3 and 4, RFC 5095, 6946, 7112), and multicast addresses (RFC 4291 2.7,
//! RFC 2464 7).

use core::net::Ipv6Addr;

use crate::addr::MacAddr;
use crate::counters::Drop;
use crate::wire::ip::{self, ICMPV6, Pair, Part, TCP, UDP};

pub(crate) const ETHERTYPE: u16 = 0x86dd;
pub(crate) const HEADER_BYTES: usize = 40;
/// Length of a fragment header.
pub(crate) const FRAGMENT_BYTES: usize = 8;
/// The least MTU of a link (RFC 8200 5).
pub(crate) const MIN_MTU: u16 = 1280;

pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Where the fixed header says what follows it.
const NEXT_HEADER_AT: usize = 6;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION_OPTIONS: u8 = 60;

/// Parameter problems, by ICMPv6 code (RFC 4443 3.4, RFC 7112 5).
pub(crate) const FIELD: u8 = 0;
const NEXT_HEADER: u8 = 1;
const OPTION: u8 = 2;
pub(crate) const INCOMPLETE_CHAIN: u8 = 3;

/// A packet that arrived, perhaps as a fragment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) hop_limit: u8,
    /// Headers and payload, without what padded the frame.
    pub(crate) bytes: &'a [u8],
}

/// What a packet's extension headers lead to. Places count from the packet's begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A message of an upper layer.
    Upper {
        protocol: u8,
        at: usize,
        /// Whether a fragment header stood before it, though the packet is whole.
        fragment_header: bool,
    },
    /// A fragment of a datagram.
    Fragment {
        /// Where its fragment header stands.
        at: usize,
        /// Where the type of that header stands.
        type_at: usize,
        id: u32,
        /// In bytes.
        offset: usize,
        more: bool,
    },
}

/// Why a packet's extension headers lead nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A header reaches beyond the packet.
    Truncated,
    /// There is nothing behind the headers, or an option asks for silence.
    Silent,
    /// Its sender is to be told (RFC 4443 3.4), unless it was sent to a group.
    Problem { code: u8, pointer: usize },
    /// Its sender is to be told even so.
    ProblemOfGroup { code: u8, pointer: usize },
}

impl<'a> Packet<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Drop> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Drop::Ipv6Malformed)?;
        let length = HEADER_BYTES + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let bytes = bytes.get(..length).ok_or(Drop::Ipv6Malformed)?;
        if header[0] >> 4 != 6 {
            return Err(Drop::Ipv6Malformed);
        }
        Ok(Self {
            source: address_at(bytes, 8),
            destination: address_at(bytes, 24),
            hop_limit: header[7],
            bytes,
        })
    }

    /// Goes through the extension headers.
    pub(crate) fn content(&self) -> Result<Content, Fault> {
        walk(self.bytes, NEXT_HEADER_AT, HEADER_BYTES)
    }

    /// Whether a datagram's first fragment holds all of its headers, as it must (RFC 7112 5).
    pub(crate) fn chain_is_whole(&self, fragment_at: usize) -> bool {
        match walk(self.bytes, fragment_at, fragment_at + FRAGMENT_BYTES) {
            Ok(Content::Upper { protocol, at, .. }) => {
                self.bytes.len() >= at + if protocol == TCP { 20 } else { 8 }
            }
            Err(Fault::Truncated) => false,
            // What else is wrong with it shows when the datagram is whole.
            Ok(Content::Fragment { .. }) | Err(_) => true,
        }
    }

    /// The packet as those above IP see it, with what its headers lead to.
    pub(crate) fn whole(&self, protocol: u8, at: usize) -> ip::Packet<'a> {
        ip::Packet {
            pair: Pair::V6(self.source, self.destination),
            protocol,
            hop_limit: self.hop_limit,
            payload: &self.bytes[at..],
            bytes: self.bytes,
        }
    }

    /// The packet as an error about it must see it; `None` if it is a fragment that may be of an error.
    pub(crate) fn quotable(&self, content: Result<Content, Fault>) -> Option<ip::Packet<'a>> {
        let content = match content {
            Ok(Content::Fragment { at, offset: 1.., .. }) if self.bytes[at] == ICMPV6 => return None,
            Ok(Content::Fragment { at, offset: 0, .. }) => walk(self.bytes, at, at + FRAGMENT_BYTES),
            other => other,
        };
        Some(match content {
            Ok(Content::Upper { protocol, at, .. }) => self.whole(protocol, at),
            Ok(Content::Fragment { .. }) | Err(_) => self.whole(NO_NEXT_HEADER, self.bytes.len()),
        })
    }
}

/// The address at a place, behind which there must be room for it.
pub(crate) fn address_at(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    octets.into()
}

/// Goes through the headers from the one at `at` on, whose type stands at `type_at`. Each is 8 bytes or longer, so it ends.
fn walk(bytes: &[u8], mut type_at: usize, mut at: usize) -> Result<Content, Fault> {
    let mut fragment_header = false;
    loop {
        let kind = *bytes.get(type_at).ok_or(Fault::Truncated)?;
        let end = match kind {
            TCP | UDP | ICMPV6 => return Ok(Content::Upper { protocol: kind, at, fragment_header }),
            HOP_BY_HOP if type_at != NEXT_HEADER_AT => {
                return Err(Fault::Problem { code: NEXT_HEADER, pointer: type_at });
            }
            HOP_BY_HOP | DESTINATION_OPTIONS => {
                let end = end_of(bytes, at)?;
                check_options(&bytes[..end], at + 2)?;
                end
            }
            ROUTING => {
                let end = end_of(bytes, at)?;
                // With no segment left it has done its work; no type of it is acted on, type 0 least of all (RFC 5095).
                if bytes[at + 3] != 0 {
                    return Err(Fault::Problem { code: FIELD, pointer: at + 2 });
                }
                end
            }
            FRAGMENT => {
                let header = bytes.get(at..at + FRAGMENT_BYTES).ok_or(Fault::Truncated)?;
                let field = u16::from_be_bytes([header[2], header[3]]);
                let (offset, more) = (usize::from(field & !7), field & 1 != 0);
                let id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                if offset > 0 || more {
                    return Ok(Content::Fragment { at, type_at, id, offset, more });
                }
                fragment_header = true;
                at + FRAGMENT_BYTES
            }
            NO_NEXT_HEADER => return Err(Fault::Silent),
            _ => return Err(Fault::Problem { code: NEXT_HEADER, pointer: type_at }),
        };
        (type_at, at) = (at, end);
    }
}

/// Where a header ends that tells its length in units of 8 bytes beyond the first.
fn end_of(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    let units = *bytes.get(at + 1).ok_or(Fault::Truncated)?;
    let end = at + 8 * (1 + usize::from(units));
    if end <= bytes.len() { Ok(end) } else { Err(Fault::Truncated) }
}

/// Checks the options of a header that ends with `bytes`: none is acted on, and most may be passed over (RFC 8200 4.2).
fn check_options(bytes: &[u8], mut at: usize) -> Result<(), Fault> {
    const PAD1: u8 = 0;
    while let Some(kind) = bytes.get(at) {
        if *kind == PAD1 {
            at += 1;
            continue;
        }
        let length = *bytes.get(at + 1).ok_or(Fault::Truncated)?;
        match kind >> 6 {
            0 => {}
            1 => return Err(Fault::Silent),
            2 => return Err(Fault::ProblemOfGroup { code: OPTION, pointer: at }),
            _ => return Err(Fault::Problem { code: OPTION, pointer: at }),
        }
        at += 2 + usize::from(length);
        if at > bytes.len() {
            return Err(Fault::Truncated);
        }
    }
    Ok(())
}

/// The packet that was sent in fragments: the first one's headers, up to and with its fragment header, before the payload of all
/// (RFC 8200 4.5). `None` if it is longer than a packet.
pub(crate) fn reassembled(head: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let Ok(Content::Fragment { at, type_at, .. }) = walk(head, NEXT_HEADER_AT, HEADER_BYTES) else {
        return None;
    };
    let mut packet = [&head[..at], payload].concat();
    packet[type_at] = head[at];
    let length = u16::try_from(packet.len() - HEADER_BYTES).ok()?;
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    Some(packet)
}

/// Writes a header, with a fragment header behind it in front of a fragment.
#[inline]
pub(super) fn emit(
    header: &ip::Header,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    id: u32,
    part: Part,
    payload_bytes: usize,
    out: &mut [u8],
) {
    let (next, extra) = match part {
        Part::Whole | Part::Atomic => (header.protocol, 0),
        Part::Fragment { .. } => (FRAGMENT, FRAGMENT_BYTES),
    };
    out[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    out[4..6].copy_from_slice(&((payload_bytes + extra) as u16).to_be_bytes());
    out[6] = next;
    out[7] = header.hop_limit;
    out[8..24].copy_from_slice(&source.octets());
    out[24..40].copy_from_slice(&destination.octets());
    if let Part::Fragment { offset, more } = part {
        let field = offset as u16 | u16::from(more);
        out[40..42].copy_from_slice(&[header.protocol, 0]);
        out[42..44].copy_from_slice(&field.to_be_bytes());
        out[44..48].copy_from_slice(&id.to_be_bytes());
    }
}

/// The group that those listen to who use an address that ends like this one.
pub(crate) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    const GROUP: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
    Ipv6Addr::from_bits(GROUP | address.to_bits() & 0x00ff_ffff)
}

/// The MAC address of a group.
pub(crate) fn group_mac(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests;
