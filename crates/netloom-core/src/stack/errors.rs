//! Errors told: what is wrong with a guest's packet (RFC 792, 1122 3.2.2, 1191, 1812 4.3.2; RFC 4443 2.4 and 3, 8201).

use super::icmp::Icmp;
use super::ip::From;
use super::{Role, Stack};
use crate::counters::Drop;
use crate::flow::Guest;
use crate::port::PortId;
use crate::time::{Duration, Instant};
use crate::wire::ethernet::{self, ETHERNET_BYTES};
use crate::wire::ip::{Packet, Pair};
use crate::wire::{ipv4, ipv6};

/// Bytes of an IPv4 packet that an error quotes behind its header (RFC 792; more would be allowed).
const QUOTED_BYTES: usize = 8;
/// Bytes of an IPv6 packet that an error quotes: as much as the least MTU leaves beside the headers.
const QUOTED_V6_BYTES: usize = ipv6::MIN_MTU as usize - ipv6::HEADER_BYTES - 8;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    NoRoute,
    /// Forbidden by the policy.
    Prohibited,
    /// From an address that is for the link alone, to one that is not on it.
    BeyondScope,
    HostUnreachable,
    ProtocolUnreachable,
    PortUnreachable,
    /// For a port of this MTU.
    TooBig(u16),
    HopLimit,
    ReassemblyTime,
    /// A field that stands this far from the packet's begin.
    Parameter {
        code: u8,
        pointer: usize,
    },
}

impl Error {
    /// Type, code, and what stands in bytes 4 to 8.
    const fn words(self, pair: Pair) -> (u8, u8, u32) {
        match pair {
            Pair::V4(..) => match self {
                Self::NoRoute | Self::BeyondScope => (3, 0, 0),
                Self::HostUnreachable => (3, 1, 0),
                Self::ProtocolUnreachable => (3, 2, 0),
                Self::PortUnreachable => (3, 3, 0),
                Self::TooBig(mtu) => (3, 4, mtu as u32),
                Self::Prohibited => (3, 13, 0),
                Self::HopLimit => (11, 0, 0),
                Self::ReassemblyTime => (11, 1, 0),
                Self::Parameter { pointer, .. } => (12, 0, (pointer as u32) << 24),
            },
            Pair::V6(..) => match self {
                Self::NoRoute => (1, 0, 0),
                Self::Prohibited => (1, 1, 0),
                Self::BeyondScope => (1, 2, 0),
                Self::HostUnreachable => (1, 3, 0),
                Self::PortUnreachable => (1, 4, 0),
                Self::TooBig(mtu) => (2, 0, mtu as u32),
                Self::HopLimit => (3, 0, 0),
                Self::ReassemblyTime => (3, 1, 0),
                Self::ProtocolUnreachable => (4, 1, 0),
                Self::Parameter { code, pointer } => (4, code, pointer as u32),
            },
        }
    }
}

/// How many errors may still be sent (RFC 1812 4.3.2.8, RFC 4443 2.4 f).
#[derive(Default)]
pub(super) struct Budget {
    since: Instant,
    sent: u32,
}

const ERRORS_PER_SECOND: u32 = 200;

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        if now.since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, sent: 0 };
        }
        self.sent += 1;
        self.sent <= ERRORS_PER_SECOND
    }
}

impl<R: Role> Stack<R> {
    /// Tells the sender of a packet what is wrong with it, unless nobody may be told: it went to a group, or is an error itself.
    pub(super) fn send_error(&mut self, now: Instant, from: From, packet: &Packet<'_>, error: Error) {
        let source = packet.pair.source();
        if from.group || packet.is_error() || source.is_unspecified() || source.is_multicast() {
            return;
        }
        let pair = if self.is_ours(packet.pair.destination()) {
            Some(packet.pair.reversed())
        } else {
            self.pair_to(from.guest.port, source)
        };
        if let Some(pair) = pair {
            self.send_quote(now, from.guest, pair, error, quote(packet));
        }
    }

    /// Sends an error that quotes what stands in `quoted`.
    pub(super) fn send_quote(&mut self, now: Instant, guest: Guest, pair: Pair, error: Error, quoted: &[u8]) {
        if !self.icmp_errors.take(now) {
            return self.drops.count(Drop::IcmpRateLimited);
        }
        let (kind, code, rest) = error.words(pair);
        let message = Icmp { kind, code, rest: rest.to_be_bytes(), data: quoted };
        self.send_icmp(guest, pair, false, message);
    }

    /// A guest's packet that may not be fragmented was too big for another guest's port: that guest's router would say so.
    pub fn report_too_big(&mut self, now: Instant, port: PortId, frame: &[u8], mtu: u16) {
        if let (Some(header), Some(bytes)) =
            (frame.first_chunk::<ETHERNET_BYTES>(), frame.get(ETHERNET_BYTES..))
        {
            let guest = Guest { port, mac: ethernet::source(frame) };
            if matches!(header[12..], [0x08, 0x00] | [0x86, 0xdd]) {
                self.send_error_about(now, guest, bytes, Error::TooBig(mtu));
            }
        }
    }

    /// Forgets datagrams whose fragments did not all come, and tells who sent the first one of each.
    pub(super) fn give_up_fragments(&mut self, now: Instant) {
        for late in self.reassembly.handle_timeout(now, &mut self.drops) {
            self.send_error_about(now, late.guest, &late.packet, Error::ReassemblyTime);
        }
    }

    /// Tells a guest what is wrong with a packet of its that did not come to us whole, or not for us.
    pub(super) fn send_error_about(&mut self, now: Instant, guest: Guest, bytes: &[u8], error: Error) {
        let packet = match bytes.first().map(|first| first >> 4) {
            Some(4) => {
                let told = |packet: &ipv4::Packet<'_>| {
                    packet.offset == 0 && (packet.dont_fragment || !matches!(error, Error::TooBig(_)))
                };
                ipv4::Packet::parse(bytes, true).ok().filter(told).map(|packet| packet.whole())
            }
            Some(6) => ipv6::Packet::parse(bytes).ok().and_then(|packet| packet.quotable(packet.content())),
            _ => None,
        };
        if let Some(packet) = packet {
            let from = From {
                guest,
                group: packet.pair.destination().is_multicast(),
                trusted: false,
                verified: false,
            };
            self.send_error(now, from, &packet, error);
        }
    }
}

/// What an error quotes of a packet.
pub(super) fn quote<'a>(packet: &Packet<'a>) -> &'a [u8] {
    let most = match packet.pair {
        Pair::V4(..) => packet.bytes.len() - packet.payload.len() + QUOTED_BYTES,
        Pair::V6(..) => QUOTED_V6_BYTES,
    };
    &packet.bytes[..most.min(packet.bytes.len())]
}
