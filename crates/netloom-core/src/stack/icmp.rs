//! ICMP: echo answered or made a flow, errors told and heard (RFC 792, 1122 3.2.2, 1191, 5927).

use core::net::Ipv4Addr;

use super::Stack;
use super::flows::{Body, Key};
use super::ip::From;
use crate::counters::Drop;
use crate::flow::{Guest, Protocol};
use crate::port::PortId;
use crate::time::{Duration, Instant};
use crate::wire::checksum::{fold, sum};
use crate::wire::ethernet::{self, ETHERNET_BYTES};
use crate::wire::ipv4::{self, HEADER_BYTES, Header, Packet};

pub(super) const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
/// Bytes of the packet that an error quotes behind its header (RFC 792; more would be allowed).
const QUOTED_BYTES: usize = 8;

/// A message to send.
pub(super) struct Icmp<'a> {
    pub(super) kind: u8,
    pub(super) code: u8,
    /// What stands in bytes 4 to 8.
    pub(super) rest: [u8; 4],
    pub(super) data: &'a [u8],
}

/// How many errors may still be sent (RFC 1812 4.3.2.8).
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

impl Stack {
    pub(super) fn handle_icmp(&mut self, now: Instant, from: From, packet: &Packet<'_>) {
        let message = packet.payload;
        if message.len() < 8 || (!from.trusted && fold(sum(message)) != 0xffff) {
            return self.drops.count(Drop::IcmpMalformed);
        }
        let rest = [message[4], message[5], message[6], message[7]];
        match message[0] {
            ECHO_REQUEST if self.is_ours(packet.destination) || self.config.answer_all_pings => {
                let reply = Icmp { kind: ECHO_REPLY, code: 0, rest, data: &message[8..] };
                self.send_icmp(from.guest, packet.destination, packet.source, from.trusted, reply);
            }
            ECHO_REQUEST => {
                let key = Key {
                    protocol: Protocol::Ping,
                    guest: (packet.source, u16::from_be_bytes([rest[0], rest[1]])),
                    target: (packet.destination, 0),
                };
                let datagram = [&rest[2..], &message[8..]].concat();
                self.handle_datagram(now, from, packet, key, datagram);
            }
            UNREACHABLE => self.handle_unreachable(now, message),
            _ => self.drops.count(Drop::IcmpIgnored),
        }
    }

    /// An error about a packet of ours, if it quotes one.
    fn handle_unreachable(&mut self, now: Instant, message: &[u8]) {
        let quoted = &message[8..];
        let header = quoted.first().map_or(0, |byte| usize::from(byte & 15) * 4);
        let ports = quoted.get(header..header + 8);
        let (Some(ports), true) = (ports, header >= HEADER_BYTES && quoted.get(9) == Some(&ipv4::TCP)) else {
            return self.drops.count(Drop::IcmpIgnored);
        };
        let address = |at: usize| Ipv4Addr::new(quoted[at], quoted[at + 1], quoted[at + 2], quoted[at + 3]);
        let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
        let seq = u32::from_be_bytes([ports[4], ports[5], ports[6], ports[7]]);
        let key =
            Key { protocol: Protocol::Tcp, guest: (address(16), port(2)), target: (address(12), port(0)) };
        let Some(slot) = self.flows.find(&key) else { return self.drops.count(Drop::IcmpIgnored) };
        if let Some(Body::Tcp(tcb)) = self.flows.slot(slot).map(|flow| &mut flow.body) {
            match message[1] {
                4 => {
                    let mtu = u16::from_be_bytes([message[6], message[7]]);
                    tcb.handle_mtu(now, seq, mtu.saturating_sub(40));
                }
                code => tcb.handle_unreachable(seq, matches!(code, 2 | 3)),
            }
        }
        self.tend(slot);
    }

    /// Tells the sender of a packet what is wrong with it.
    pub(super) fn send_error(
        &mut self,
        now: Instant,
        from: From,
        packet: &Packet<'_>,
        kind: u8,
        code: u8,
        rest: [u8; 4],
    ) {
        let about_error = packet.protocol == ipv4::ICMP && !matches!(packet.payload.first(), Some(0 | 8));
        if about_error || packet.offset > 0 || from.broadcast {
            return;
        }
        self.send_quote(now, from.guest, packet.source, kind, code, rest, &quote(packet));
    }

    /// Sends an error that quotes what stands in `quoted`.
    #[expect(clippy::too_many_arguments, reason = "each is a field of the message")]
    pub(super) fn send_quote(
        &mut self,
        now: Instant,
        guest: Guest,
        to: Ipv4Addr,
        kind: u8,
        code: u8,
        rest: [u8; 4],
        quoted: &[u8],
    ) {
        if !self.icmp_errors.take(now) {
            return self.drops.count(Drop::IcmpRateLimited);
        }
        let message = Icmp { kind, code, rest, data: quoted };
        self.send_icmp(guest, self.config.gateway_address, to, false, message);
    }

    pub(super) fn send_icmp(
        &mut self,
        guest: Guest,
        source: Ipv4Addr,
        to: Ipv4Addr,
        trusted: bool,
        message: Icmp<'_>,
    ) {
        let header = Header { source, destination: to, protocol: ipv4::ICMP, checksum: !trusted };
        let head = ipv4::icmp(message.kind, message.code, message.rest, message.data);
        self.send_ipv4(guest, header, &head, message.data);
    }

    /// A guest's packet with DF was too big for another guest's port: that guest's router would say so.
    pub fn report_too_big(&mut self, now: Instant, port: PortId, frame: &[u8], mtu: u16) {
        if frame.get(12..ETHERNET_BYTES) != Some(&[0x08, 0x00]) {
            return;
        }
        let Ok(packet) = Packet::parse(&frame[ETHERNET_BYTES..], true) else { return };
        if packet.dont_fragment {
            let from = From {
                guest: Guest { port, mac: ethernet::source(frame) },
                broadcast: false,
                trusted: false,
            };
            let [high, low] = mtu.to_be_bytes();
            self.send_error(now, from, &packet, UNREACHABLE, 4, [0, 0, high, low]);
        }
    }
}

/// What an error quotes of a packet.
pub(super) fn quote(packet: &Packet<'_>) -> Vec<u8> {
    let header = packet.bytes.len().saturating_sub(packet.payload.len()).max(HEADER_BYTES);
    packet.bytes[..(header + QUOTED_BYTES).min(packet.bytes.len())].to_vec()
}
