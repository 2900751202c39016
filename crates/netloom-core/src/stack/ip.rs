//! Packets from guests: what the stack does with a frame that is for it (RFC 791, 1122).

use super::flows::Key;
use super::{Stack, arp};
use crate::counters::Drop;
use crate::flow::{Guest, Protocol};
use crate::policy::Verdict;
use crate::port::PortId;
use crate::time::Instant;
use crate::wire::ethernet::{self, ETHERNET_BYTES};
use crate::wire::ipv4::{self, HEADER_BYTES, Header, Packet};

pub(super) const ETHERTYPE: u16 = 0x0800;

/// A packet's way in: who sent it, and whether to everyone.
#[derive(Clone, Copy)]
pub(super) struct From {
    pub(super) guest: Guest,
    pub(super) broadcast: bool,
    pub(super) trusted: bool,
}

impl Stack {
    /// Takes a frame that arrived on a port and is for the stack, perhaps among others. Bad frames are counted, never an error.
    pub fn handle_frame(&mut self, now: Instant, port: PortId, frame: &[u8]) {
        let (Some(header), Some(link)) = (frame.first_chunk::<ETHERNET_BYTES>(), self.link(port)) else {
            return;
        };
        let trusted = link.config.trusted;
        match u16::from_be_bytes([header[12], header[13]]) {
            arp::ETHERTYPE => self.handle_arp(port, frame),
            ETHERTYPE => {
                let guest = Guest { port, mac: ethernet::source(frame) };
                let from = From { guest, broadcast: ethernet::destination(frame).is_group(), trusted };
                self.handle_ipv4(now, from, &frame[ETHERNET_BYTES..]);
            }
            _ => {}
        }
        self.serve_streams(now);
    }

    fn handle_ipv4(&mut self, now: Instant, from: From, bytes: &[u8]) {
        let packet = match Packet::parse(bytes, !from.trusted) {
            Ok(packet) => packet,
            Err(why) => return self.drops.count(why),
        };
        let (source, destination) = (packet.source, packet.destination);
        let invalid = source.is_multicast()
            || source.is_broadcast()
            || source.is_loopback()
            || source == self.config.subnet.broadcast()
            || self.is_ours(source);
        let to_everyone = destination.is_broadcast()
            || destination.is_multicast()
            || destination == self.config.subnet.broadcast();
        if from.broadcast || to_everyone {
            // A client without a lease has no address of its own; nothing else of what goes to everyone is for us.
            if !invalid && packet.protocol == ipv4::UDP && packet.offset == 0 && !packet.more_fragments {
                self.handle_broadcast(now, from, &packet);
            }
            return;
        }
        if invalid || source.is_unspecified() {
            return self.drops.count(Drop::Ipv4Source);
        }
        if !self.config.subnet.contains(source) {
            return self.drops.count(Drop::Ipv4NotForUs);
        }
        self.learn(source, from.guest);
        let ours = self.is_ours(destination);
        if packet.ttl == 0 || (packet.ttl == 1 && !ours) {
            self.drops.count(Drop::Ipv4Ttl);
            return self.send_error(now, from, &packet, 11, 0, [0; 4]);
        }
        if !ours && self.config.subnet.contains(destination) {
            return self.drops.count(Drop::Ipv4NotForUs);
        }
        if !ours && !self.config.gateway {
            self.drops.count(Drop::Policy);
            return self.send_error(now, from, &packet, 3, 0, [0; 4]);
        }
        if packet.more_fragments || packet.offset > 0 {
            let Some(payload) = self.reassembly.handle(now, &packet, &mut self.drops) else { return };
            let whole = Packet { payload: &payload, more_fragments: false, offset: 0, ..packet };
            return self.dispatch(now, from, &whole);
        }
        self.dispatch(now, from, &packet);
    }

    fn dispatch(&mut self, now: Instant, from: From, packet: &Packet<'_>) {
        match packet.protocol {
            ipv4::TCP => self.handle_tcp(now, from, packet),
            ipv4::UDP => self.handle_udp(now, from, packet),
            ipv4::ICMP => self.handle_icmp(now, from, packet),
            _ => {
                self.drops.count(Drop::Ipv4Protocol);
                self.send_error(now, from, packet, 3, 2, [0; 4]);
            }
        }
    }

    /// Whether the policy lets a flow go; virtual addresses are ours to give.
    pub(super) fn is_allowed(&self, key: &Key) -> bool {
        let verdict = || self.config.policy.check(None, key.target.0.into(), key.target.1, key.protocol);
        self.is_ours(key.target.0) || verdict() == Verdict::Allow
    }

    /// Whether a guest may have one flow more; counted if not.
    pub(super) fn has_room(&mut self, guest: Guest, protocol: Protocol) -> bool {
        let count = self.flows.count(guest.mac);
        // A flow in TIME-WAIT gives way: what it protects from is rarer than a guest that makes many short connections.
        if count.flows >= self.config.limits.flows_per_guest && !self.flows.forget_detached(guest.mac) {
            self.drops.count(Drop::FlowLimit);
            return false;
        }
        if protocol == Protocol::Tcp && count.pending >= self.config.limits.pending_dials_per_guest {
            self.drops.count(Drop::PendingDials);
            return false;
        }
        true
    }

    /// Sends a packet of a transport's header and its data to a guest, in fragments if its port's MTU asks for it.
    pub(super) fn send_ipv4(&mut self, guest: Guest, header: Header, head: &[u8], data: &[u8]) {
        let Some(link) = self.link(guest.port) else { return };
        let most = usize::from(link.config.mtu) - HEADER_BYTES;
        let length = head.len() + data.len();
        self.next_id = self.next_id.wrapping_add(1);
        let (id, gateway) = (self.next_id, self.config.gateway_mac);
        let step = if length <= most { length.max(1) } else { most / 8 * 8 };
        let mut offset = 0;
        loop {
            let end = (offset + step).min(length);
            let more = if end < length { ipv4::MORE_FRAGMENTS } else { 0 };
            if let Some(frame) = self.place(guest.port, ETHERNET_BYTES + HEADER_BYTES + end - offset) {
                ethernet::emit(guest.mac, gateway, ETHERTYPE, frame);
                header.emit(id, more | (offset / 8) as u16, end - offset, &mut frame[ETHERNET_BYTES..]);
                // The first fragment holds the whole of the transport's header: no MTU is that small.
                let (front, back) =
                    frame[ETHERNET_BYTES + HEADER_BYTES..].split_at_mut(head.len().saturating_sub(offset));
                front.copy_from_slice(&head[head.len() - front.len()..]);
                let from = (offset + front.len()) - head.len();
                back.copy_from_slice(&data[from..end - head.len()]);
            }
            offset = end;
            if offset >= length {
                return;
            }
        }
    }
}
