//! Packets from guests: what the stack does with a frame that is for it (RFC 791, 1122).

use super::flows::Key;
use super::{Lan, arp};
use crate::addr::MacAddr;
use crate::counters::Drop;
use crate::flow::{Guest, Protocol};
use crate::policy::Verdict;
use crate::port::PortId;
use crate::stack::ipv4::{self, ETHERNET_BYTES, HEADER_BYTES, Header, Packet};
use crate::time::Instant;

pub(super) const ETHERTYPE: u16 = 0x0800;

/// A packet's way in: who sent it, and whether to everyone.
#[derive(Clone, Copy)]
pub(super) struct From {
    pub(super) guest: Guest,
    pub(super) broadcast: bool,
    pub(super) trusted: bool,
}

impl Lan {
    pub(super) fn handle_in_stack(&mut self, now: Instant, port: PortId, frame: &[u8]) {
        match u16::from_be_bytes([frame[12], frame[13]]) {
            arp::ETHERTYPE => self.handle_arp(port, frame),
            ETHERTYPE => {
                let guest = Guest { port, mac: source_of(frame) };
                let from = From { guest, broadcast: frame[0] & 1 != 0, trusted: self.is_trusted(port) };
                self.handle_ipv4(now, from, &frame[ETHERNET_BYTES..]);
            }
            _ => {}
        }
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
        if count.flows >= self.config.limits.flows_per_guest {
            self.drops.count(Drop::FlowLimit);
            return false;
        }
        if protocol == Protocol::Tcp && count.pending >= self.config.limits.pending_dials_per_guest {
            self.drops.count(Drop::PendingDials);
            return false;
        }
        true
    }

    /// Sends a packet to a guest, in fragments if its port's MTU asks for it.
    pub(super) fn send_ipv4(&mut self, guest: Guest, mut header: Header, payload: &[u8]) {
        let Some(port) = self.switch.port(guest.port) else { return };
        let most = usize::from(port.config.mtu) - HEADER_BYTES;
        self.next_id = self.next_id.wrapping_add(1);
        header.id = self.next_id;
        let step = if payload.len() <= most { payload.len().max(1) } else { most / 8 * 8 };
        let mut offset = 0;
        loop {
            let end = (offset + step).min(payload.len());
            let more = if end < payload.len() { 0x2000 } else { 0 };
            header.fragment = more | (offset / 8) as u16;
            let mut frame = vec![0; ETHERNET_BYTES + HEADER_BYTES + end - offset];
            ipv4::ethernet(guest.mac, self.config.gateway_mac, ETHERTYPE, &mut frame);
            header.emit(end - offset, &mut frame[ETHERNET_BYTES..]);
            frame[ETHERNET_BYTES + HEADER_BYTES..].copy_from_slice(&payload[offset..end]);
            self.switch.push(guest.port, frame, &mut self.drops);
            offset = end;
            if offset >= payload.len() {
                return;
            }
        }
    }
}

/// The source of a frame that is at least as long as a header.
fn source_of(frame: &[u8]) -> MacAddr {
    MacAddr([frame[6], frame[7], frame[8], frame[9], frame[10], frame[11]])
}
