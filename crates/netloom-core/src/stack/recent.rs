//! Segments in trains: one that differs from the last of its port in nothing that was judged then goes to its connection at once.
//!
//! What is remembered is all of the frame up to the ports but lengths, IPv4 identification and checksum, so a frame that is the same in
//! them would take the same way: to the same flow of the same guest. What the way depends on beside the frame is compared too.

use super::flows::{Body, Flow};
use super::link::Link;
use super::{Role, Stack};
use crate::counters::Drop;
use crate::flow::{FlowId, Guest};
use crate::port::PortId;
use crate::tcp::{Flags, Segment};
use crate::time::Instant;
use crate::wire::checksum::{fold, sum};
use crate::wire::ethernet::{ETHERNET_BYTES, source};
use crate::wire::ip::TCP;
use crate::wire::{ipv4, ipv6};

const PORTS_BYTES: usize = 4;
const MAX_HEAD_BYTES: usize = ETHERNET_BYTES + ipv6::HEADER_BYTES + PORTS_BYTES;

/// The last segment of a port, and where it went.
pub(super) struct Recent {
    flow: FlowId,
    guest: Guest,
    /// The neighbours' age then.
    age: u64,
    head: [u8; MAX_HEAD_BYTES],
    ipv4: bool,
    /// What the IPv4 header comes to without length, identification and checksum.
    ip_sum: u32,
    /// What the pseudo-header comes to without the length.
    pseudo_sum: u32,
}

impl Recent {
    /// `None` for a frame whose TCP header does not stand right behind an IP header without options.
    fn new(frame: &[u8], flow: &Flow, guest: Guest, age: u64) -> Option<Self> {
        let (ipv4, ip_bytes) = match (frame.get(12..15)?, frame.get(20)?, frame.get(23)?) {
            ([0x08, 0x00, 0x45], _, &TCP) => (true, ipv4::HEADER_BYTES),
            ([0x86, 0xdd, 0x60..=0x6f], &TCP, _) => (false, ipv6::HEADER_BYTES),
            _ => return None,
        };
        let length = ETHERNET_BYTES + ip_bytes + PORTS_BYTES;
        let mut head = [0; MAX_HEAD_BYTES];
        head[..length].copy_from_slice(frame.get(..length)?);
        let ip = &mut head[ETHERNET_BYTES..];
        let mut ip_sum = 0;
        if ipv4 {
            ip[2..6].fill(0);
            ip[10..12].fill(0);
            ip_sum = sum(&ip[..ip_bytes]);
        } else {
            ip[4..6].fill(0);
        }
        let pseudo_sum = flow.key.pair.pseudo_header(TCP, 0);
        Some(Self { flow: flow.id, guest, age, head, ipv4, ip_sum, pseudo_sum })
    }

    /// The TCP message of a frame that differs in nothing else. `verify` says whether the checksum of an IPv4 header must hold.
    #[inline]
    fn message<'a>(&self, frame: &'a [u8], verify: bool) -> Option<&'a [u8]> {
        const IPV4: usize = ETHERNET_BYTES + ipv4::HEADER_BYTES;
        const IPV6: usize = ETHERNET_BYTES + ipv6::HEADER_BYTES;
        let same = |from: usize, to: usize| frame[from..to] == self.head[from..to];
        if !self.ipv4 {
            let whole = frame.len() >= IPV6 + PORTS_BYTES;
            if !whole || !same(0, 18) || !same(20, IPV6 + PORTS_BYTES) {
                return None;
            }
            let length = usize::from(u16::from_be_bytes([frame[18], frame[19]]));
            return frame.get(IPV6..IPV6 + length);
        }
        let whole = frame.len() >= IPV4 + PORTS_BYTES;
        if !whole || !same(0, 16) || !same(20, 24) || !same(26, IPV4 + PORTS_BYTES) {
            return None;
        }
        let at = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let varying = u32::from(at(16)) + u32::from(at(18)) + u32::from(at(24));
        if verify && fold(self.ip_sum + varying) != 0xffff {
            return None;
        }
        frame.get(IPV4..ETHERNET_BYTES + usize::from(at(16)))
    }
}

impl<R: Role> Stack<R> {
    /// Takes a frame that follows the last one of its port; false if it must be judged.
    #[inline]
    pub(super) fn handle_recent(&mut self, now: Instant, port: PortId, frame: &[u8], verified: bool) -> bool {
        let Some(Some(Link { config, recent: Some(recent), .. })) = self.links.get(port.index()) else {
            return false;
        };
        let trusted = config.trusted;
        if recent.age != self.neighbors.age() {
            return false;
        }
        let Some(message) = recent.message(frame, !trusted) else { return false };
        let Some(mut segment) = Segment::parse(message) else { return false };
        let rare = Flags::SYN.bits() | Flags::RST.bits() | Flags::URG.bits();
        if segment.flags.bits() & rare != 0 {
            return false;
        }
        let guest = recent.guest;
        let flow = self.flows.slot(recent.flow.index);
        let flow = flow.filter(|flow| flow.id == recent.flow && flow.guest == Some(guest));
        let Some(Flow { body: Body::Tcp(tcb), key, .. }) = flow else { return false };
        if !trusted && !verified {
            let header = &message[..message.len() - segment.payload.len()];
            let payload_sum = tcb.stage(&mut segment).unwrap_or_else(|| sum(segment.payload));
            let total = recent.pseudo_sum + message.len() as u32 + sum(header) + payload_sum;
            if fold(total) != 0xffff {
                self.drops.count(Drop::TcpMalformed);
                return true;
            }
        }
        let (slot, key) = (recent.flow.index, *key);
        if let Some(reply) = tcb.handle_segment(now, &segment) {
            self.send_control(guest, &key, &reply);
        }
        self.tend(slot);
        true
    }

    /// Remembers where a frame went: to this flow, unless the machine answers it itself.
    pub(super) fn remember(&mut self, port: PortId, frame: &[u8], slot: u32) {
        let guest = Guest { port, mac: source(frame) };
        let age = self.neighbors.age();
        let flow = self.flows.slot(slot).filter(|flow| flow.guest == Some(guest) && !flow.served);
        let recent = flow.and_then(|flow| Recent::new(frame, flow, guest, age));
        if let Some(link) = self.link_mut(port) {
            link.recent = recent;
        }
    }
}
