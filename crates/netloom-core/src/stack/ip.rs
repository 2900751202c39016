//! Packets of either family: what the stack does with a frame that is for it, and how its own packets leave (RFC 791, 1122, 8200).

use super::arp;
use super::errors::Error;
use super::{Role, Stack};
use crate::counters::Drop;
use crate::flow::{Guest, Protocol};
use crate::offload::Offload;
use crate::port::PortId;
use crate::switch::Forwarding;
use crate::time::Instant;
use crate::wire::ethernet::{self, ETHERNET_BYTES};
use crate::wire::ip::{self, Header, Packet, Part};
use crate::wire::segmentation::Layout;
use crate::wire::{ipv4, ipv6};

/// A packet's way in: who sent it, and whether to a group.
#[derive(Clone, Copy)]
pub(super) struct From {
    pub(super) guest: Guest,
    pub(super) group: bool,
    /// By a port that crosses no wire, either way.
    pub(super) trusted: bool,
    /// Nobody need verify its transport's checksum; that of IP's header must hold unless the port is trusted.
    pub(super) verified: bool,
}

impl<R: Role> Stack<R> {
    /// Takes a frame that arrived on a port and is for the stack, perhaps among others. Bad frames are counted, never an error.
    pub fn handle_frame(&mut self, now: Instant, port: PortId, frame: &[u8]) {
        self.handle_checked(now, port, frame, false);
    }

    /// The same with a frame that is to be cut. A larger segment is taken as it is.
    #[cold]
    fn handle_uncut(&mut self, now: Instant, port: PortId, frame: &[u8], offload: Offload) {
        if Layout::of(frame).is_some_and(|layout| layout.protocol == ip::TCP) {
            return self.handle_checked(now, port, frame, offload.checksum.is_trusted());
        }
        let mut datagram = std::mem::take(&mut self.datagram);
        let whole =
            offload.complete(frame, &mut datagram, |frame| self.handle_checked(now, port, frame, true));
        self.datagram = datagram;
        self.drops.count_unless(whole, Drop::OffloadMalformed);
    }

    /// `verified` says that the transport's checksum need not be: nobody has computed one, or somebody has verified it.
    #[inline(always)]
    fn handle_checked(&mut self, now: Instant, port: PortId, frame: &[u8], verified: bool) {
        if self.handle_recent(now, port, frame, verified) {
            return;
        }
        let (Some(header), Some(link)) = (frame.first_chunk::<ETHERNET_BYTES>(), self.link(port)) else {
            return;
        };
        let guest = Guest { port, mac: ethernet::source(frame) };
        let trusted = link.config.trusted;
        let group = ethernet::destination(frame).is_group();
        let from = From { guest, group, trusted, verified: trusted || verified };
        let bytes = &frame[ETHERNET_BYTES..];
        match u16::from_be_bytes([header[12], header[13]]) {
            arp::ETHERTYPE => self.handle_arp(now, port, frame),
            ipv4::ETHERTYPE => self.handle_ipv4(now, from, bytes),
            ipv6::ETHERTYPE => self.handle_ipv6(now, from, bytes),
            _ => {}
        }
        if let Some(slot) = self.heard_flow.take() {
            self.remember(port, frame, slot);
        }
        if !R::IS_HOST {
            self.serve_streams(now);
        }
    }

    /// Does what a switch has left to do about a frame that it took.
    #[inline]
    pub(crate) fn handle_forwarded(
        &mut self,
        now: Instant,
        port: PortId,
        frame: &[u8],
        offload: Offload,
        left: Forwarding,
    ) {
        match left {
            Forwarding::Done => {}
            Forwarding::ToStack if Offload::ANYWHERE && offload.segment_bytes > 0 => {
                self.handle_uncut(now, port, frame, offload);
            }
            Forwarding::ToStack => self.handle_checked(now, port, frame, offload.checksum.is_trusted()),
            Forwarding::TooBig(mtu) => self.report_too_big(now, port, frame, mtu),
            Forwarding::Ask { owner, mac } => self.ask(Guest { port: owner, mac }, owner),
        }
    }

    /// A whole packet that is for us, or for the outside.
    pub(super) fn dispatch(&mut self, now: Instant, from: From, packet: &Packet<'_>) {
        match packet.protocol {
            ip::TCP => self.handle_tcp(now, from, packet),
            ip::UDP => self.handle_udp(now, from, packet),
            protocol if protocol == packet.pair.icmp() => self.handle_icmp(now, from, packet),
            // IPv6 names what it does not know by its place among the headers, and does not come here with it.
            _ => {
                self.drops.count(Drop::Ipv4Protocol);
                self.send_error(now, from, packet, Error::ProtocolUnreachable);
            }
        }
    }

    /// Whether a guest may have one flow more; counted if not.
    pub(super) fn has_room(&mut self, guest: Guest, protocol: Protocol) -> bool {
        let (flows, pending) = self.flows.count(guest.mac);
        // A flow in TIME-WAIT gives way: what it protects from is rarer than a guest that makes many short connections.
        if flows >= self.config.limits.flows_per_guest && !self.flows.forget_detached(guest.mac) {
            self.drops.count(Drop::FlowLimit);
            return false;
        }
        if protocol == Protocol::Tcp && pending >= self.config.limits.pending_dials_per_guest {
            self.drops.count(Drop::PendingDials);
            return false;
        }
        true
    }

    /// Sends a packet of a transport's header and its data to a guest, in fragments if its port's MTU asks for it.
    pub(super) fn send_packet(&mut self, guest: Guest, header: Header, head: &[u8], data: &[u8]) {
        let Some(link) = self.link(guest.port) else { return };
        let (mtu, own) = (usize::from(link.config.mtu), link.mac);
        let length = head.len() + data.len();
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        let whole = length + header.len(Part::Whole) <= mtu;
        let step = (mtu.saturating_sub(header.len(Part::Fragment { offset: 0, more: true })) / 8 * 8).max(8);
        let mut offset = 0;
        loop {
            let end = if whole { length } else { (offset + step).min(length) };
            let part = if whole { Part::Whole } else { Part::Fragment { offset, more: end < length } };
            let front = ETHERNET_BYTES + header.len(part);
            if let Some(frame) = self.place(guest.port, front + end - offset) {
                ethernet::emit(guest.mac, own, header.pair.ethertype(), frame);
                header.emit(id, part, end - offset, &mut frame[ETHERNET_BYTES..]);
                let of_head = end.min(head.len()).saturating_sub(offset);
                let (front, back) = frame[front..].split_at_mut(of_head);
                front.copy_from_slice(&head[head.len().min(offset)..][..of_head]);
                let from = (offset + of_head).saturating_sub(head.len());
                back.copy_from_slice(&data[from..][..back.len()]);
            }
            offset = end;
            if offset >= length {
                return;
            }
        }
    }
}
