//! ICMP over either family: echo answered or made a flow, errors heard (RFC 792, 1122 3.2.2, 1191, 4443, 5927, 8201).

use core::net::Ipv4Addr;

use super::flows::{Body, Key};
use super::ip::From;
use super::ndp;
use super::{Role, Stack};
use crate::counters::Drop;
use crate::flow::{Guest, Protocol, ResetReason};
use crate::time::Instant;
use crate::wire::ip::{self, HOP_LIMIT, Header, Packet, Pair};
use crate::wire::{ipv4, ipv6};

/// Types of echo in ICMP and in ICMPv6.
pub(super) const ECHO_REQUEST: (u8, u8) = (8, 128);
const ECHO_REPLY: (u8, u8) = (0, 129);

/// A message to send.
pub(super) struct Icmp<'a> {
    pub(super) kind: u8,
    pub(super) code: u8,
    /// What stands in bytes 4 to 8.
    pub(super) rest: [u8; 4],
    pub(super) data: &'a [u8],
}

/// What an error says about a connection.
enum Heard {
    /// No packet longer than this gets through.
    Mtu(u32),
    Unreachable {
        /// Whether another try is of no use.
        hard: bool,
    },
}

impl<R: Role> Stack<R> {
    pub(super) fn handle_icmp(&mut self, now: Instant, from: From, packet: &Packet<'_>) {
        let message = packet.payload;
        if message.len() < 8 || (!from.verified && !packet.icmp_holds()) {
            return self.drops.count(Drop::IcmpMalformed);
        }
        match (packet.pair, message[0]) {
            (pair, kind) if kind == of_family(pair, ECHO_REQUEST) => self.handle_echo(now, from, packet),
            (pair, kind) if R::IS_HOST && kind == of_family(pair, ECHO_REPLY) => {
                self.deliver_echo_reply(pair.source(), message);
            }
            (Pair::V6(source, destination), kind) if ndp::TYPES.contains(&kind) => {
                self.handle_ndp(now, from, (source, destination), packet);
            }
            _ => self.handle_error(now, packet.pair, message),
        }
    }

    fn handle_echo(&mut self, now: Instant, from: From, packet: &Packet<'_>) {
        let message = packet.payload;
        let rest = [message[4], message[5], message[6], message[7]];
        if R::IS_HOST || from.group || self.is_ours(packet.pair.destination()) || self.config.answer_all_pings
        {
            let pair = match packet.pair {
                pair if from.group => self.pair_to(from.guest.port, pair.source()),
                pair => Some(pair.reversed()),
            };
            if let Some(pair) = pair {
                self.send_echo_reply(from.guest, pair, from.trusted, rest, &message[8..]);
            }
            return;
        }
        let identifier = u16::from_be_bytes([rest[0], rest[1]]);
        let key = Key { protocol: Protocol::Ping, pair: packet.pair, ports: (identifier, 0) };
        let datagram = [&rest[2..], &message[8..]].concat();
        self.handle_datagram(now, from, packet, key, datagram);
    }

    /// An error about a packet of ours, if it quotes one.
    fn handle_error(&mut self, now: Instant, pair: Pair, message: &[u8]) {
        let rest = u32::from_be_bytes([message[4], message[5], message[6], message[7]]);
        let heard = match (pair, message[0], message[1]) {
            (Pair::V4(..), 3, 4) => Some(Heard::Mtu(rest & 0xffff)),
            (Pair::V4(..), 3, code) => Some(Heard::Unreachable { hard: matches!(code, 2 | 3) }),
            (Pair::V6(..), 1, code) => Some(Heard::Unreachable { hard: code == 4 }),
            // Less than every link carries is not to be believed (RFC 8201 4).
            (Pair::V6(..), 2, _) => (rest >= u32::from(ipv6::MIN_MTU)).then_some(Heard::Mtu(rest)),
            (Pair::V6(..), 4, 1) => Some(Heard::Unreachable { hard: true }),
            _ => None,
        };
        if R::IS_HOST
            && let Some(quoted) = Quoted::parse(pair, &message[8..])
            && quoted.protocol != ip::TCP
        {
            let refused = match heard {
                Some(Heard::Unreachable { hard }) => Some(hard),
                Some(Heard::Mtu(_)) | None => None,
            };
            return self.hear_of_datagram(&quoted, refused);
        }
        let quoted = Quoted::parse(pair, &message[8..]);
        if let (Some(Heard::Unreachable { hard: true }), Some(key)) =
            (&heard, quoted.as_ref().and_then(Quoted::datagram))
            && let Some(slot) = self.flows.find(&key)
            && self.flows.slot(slot).is_some_and(|flow| flow.opened)
        {
            return self.end_flow(slot, ResetReason::Refused);
        }
        let known = quoted.and_then(Quoted::segment);
        let known = known.and_then(|(key, seq)| Some((self.flows.find(&key)?, seq)));
        let (Some(heard), Some((slot, seq))) = (heard, known) else {
            return self.drops.count(Drop::IcmpIgnored);
        };
        if let Some(Body::Tcp(tcb)) = self.flows.slot(slot).map(|flow| &mut flow.body) {
            match heard {
                Heard::Mtu(mtu) => {
                    let headers = pair.header_bytes() as u32 + 20;
                    let payload = mtu.saturating_sub(headers).min(u32::from(u16::MAX));
                    tcb.handle_mtu(now, seq, payload as u16);
                }
                Heard::Unreachable { hard } => tcb.handle_unreachable(seq, hard),
            }
        }
        self.tend(slot);
    }

    pub(super) fn send_echo_reply(
        &mut self,
        guest: Guest,
        pair: Pair,
        trusted: bool,
        rest: [u8; 4],
        data: &[u8],
    ) {
        let kind = of_family(pair, ECHO_REPLY);
        self.send_icmp(guest, pair, trusted, Icmp { kind, code: 0, rest, data });
    }

    pub(super) fn send_icmp(&mut self, guest: Guest, pair: Pair, trusted: bool, message: Icmp<'_>) {
        let header = Header { pair, protocol: pair.icmp(), hop_limit: HOP_LIMIT, checksum: !trusted };
        let head = ip::icmp(pair, message.kind, message.code, message.rest, message.data);
        self.send_packet(guest, header, &head, message.data);
    }
}

pub(super) const fn of_family(pair: Pair, (v4, v6): (u8, u8)) -> u8 {
    match pair {
        Pair::V4(..) => v4,
        Pair::V6(..) => v6,
    }
}

/// A packet of ours that an error quotes.
pub(super) struct Quoted<'a> {
    /// Its addresses: ours first.
    pub(super) pair: Pair,
    pub(super) protocol: u8,
    /// What stands behind its IP header: eight bytes.
    pub(super) head: &'a [u8; 8],
}

impl<'a> Quoted<'a> {
    /// `pair` is that of the error.
    pub(super) fn parse(pair: Pair, quoted: &'a [u8]) -> Option<Self> {
        let (pair, protocol, at) = match pair {
            Pair::V4(..) => {
                let header = quoted.first_chunk::<{ ipv4::HEADER_BYTES }>()?;
                let address =
                    |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
                (Pair::V4(address(12), address(16)), header[9], usize::from(header[0] & 15) * 4)
            }
            Pair::V6(..) => {
                let header = quoted.first_chunk::<{ ipv6::HEADER_BYTES }>()?;
                let address = |at: usize| ipv6::address_at(header, at);
                // What is ours has no extension headers.
                (Pair::V6(address(8), address(24)), header[6], ipv6::HEADER_BYTES)
            }
        };
        let head = quoted.get(at..).filter(|_| at >= pair.header_bytes())?.first_chunk()?;
        Some(Self { pair, protocol, head })
    }

    pub(super) const fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.head[at], self.head[at + 1]])
    }

    /// The flow, if it is a UDP datagram.
    fn datagram(&self) -> Option<Key> {
        (self.protocol == ip::UDP).then(|| self.key(Protocol::Udp))
    }

    const fn key(&self, protocol: Protocol) -> Key {
        Key { protocol, pair: self.pair.reversed(), ports: (self.word(2), self.word(0)) }
    }

    /// The flow and the sequence number, if it is a TCP segment.
    fn segment(self) -> Option<(Key, u32)> {
        let key = self.key(Protocol::Tcp);
        let seq = u32::from(self.word(4)) << 16 | u32::from(self.word(6));
        (self.protocol == ip::TCP).then_some((key, seq))
    }
}
