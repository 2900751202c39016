//! Address resolution: flows that must reach a guest wait here until it is known who uses its address (RFC 826, RFC 4861 7.2).
//!
//! Nobody else asks: the machine answers guests, and learns where they are from what they send.

use core::net::IpAddr;

use super::arp::{arp_probe, arp_request};
use super::errors::Error;
use super::icmp::Quoted;
use super::ndp::solicitation;
use super::neighbors::Place;
use super::{Role, Stack};
use crate::counters::Drop;
use crate::flow::{FlowId, Guest, ResetReason};
use crate::port::PortId;
use crate::time::{Duration, Instant};
use crate::wire::ip::Header;

const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(1);

/// Packets that wait for one answer, and their bytes (RFC 1122 2.3.2.2 asks for one at least).
const MAX_PACKETS: usize = 256;
const MAX_BYTES: usize = 1 << 20;

/// A question that was not answered yet.
pub(super) struct Question {
    pub(super) again: Instant,
    tries: u32,
    /// Flows that wait for the answer.
    flows: Vec<FlowId>,
    /// Packets that do, and their bytes.
    packets: Vec<Packet>,
    bytes: usize,
}

/// A packet that is to leave.
pub(super) enum Packet {
    /// One of ours: its header, and what stands behind it.
    Own { header: Header, message: Vec<u8> },
    /// Somebody else's, whole, and where it came from.
    Forwarded { from: Guest, packet: Vec<u8> },
}

impl Packet {
    fn bytes(&self) -> usize {
        match self {
            Self::Own { message: bytes, .. } | Self::Forwarded { packet: bytes, .. } => bytes.len(),
        }
    }
}

impl<R: Role> Stack<R> {
    /// Asks who uses an address, for a flow that must reach it.
    pub(super) fn resolve(&mut self, now: Instant, place: Place, id: FlowId) {
        self.question(now, place).flows.push(id);
    }

    /// Asks who uses an address, for a packet that must reach it; false if too much waits already.
    pub(super) fn resolve_packet(&mut self, now: Instant, place: Place, packet: Packet) -> bool {
        let question = self.question(now, place);
        let bytes = question.bytes + packet.bytes();
        let room = question.packets.is_empty() || question.packets.len() < MAX_PACKETS && bytes <= MAX_BYTES;
        if room {
            question.bytes = bytes;
            question.packets.push(packet);
        }
        room
    }

    fn question(&mut self, now: Instant, place: Place) -> &mut Question {
        if !self.resolving.contains_key(&place) {
            self.ask_all(place);
        }
        let new =
            || Question { again: now + AGAIN, tries: 1, flows: Vec::new(), packets: Vec::new(), bytes: 0 };
        self.resolving.get_or_insert_with(place, new)
    }

    fn ask_all(&mut self, place: Place) {
        match (place, self.asker(place)) {
            ((interface, IpAddr::V4(address)), Some((mac, IpAddr::V4(own)))) => {
                self.push_everywhere(interface, &arp_request((mac, own), address));
            }
            ((interface, IpAddr::V6(address)), Some((mac, IpAddr::V6(own)))) => {
                self.push_to_group(interface, &solicitation((mac, own), address));
            }
            _ => {}
        }
    }

    /// Asks a guest whether it is still there, as far as one of its addresses is known. The question leaves by the port `by`: the guest's, or
    /// one that the guest may have come back on.
    pub fn ask(&mut self, guest: Guest, by: PortId) {
        let Some((own, interface)) = self.link(by).map(|link| (link.mac, link.interface)) else { return };
        let mac = guest.mac;
        let probe = match self.neighbors.address_of(guest) {
            Some(IpAddr::V4(v4)) => arp_probe(own, mac, v4),
            Some(IpAddr::V6(v6)) => {
                let Some((_, IpAddr::V6(asker))) = self.asker((interface, v6.into())) else { return };
                let mut solicitation = solicitation((own, asker), v6);
                solicitation[..6].copy_from_slice(&mac.0);
                solicitation
            }
            None => return,
        };
        self.push(by, &probe);
    }

    pub(super) fn ask_again(&mut self, now: Instant) {
        let due: Vec<Place> =
            self.resolving.iter().filter(|(_, q)| q.again <= now).map(|(place, _)| *place).collect();
        for place in due {
            let Some(question) = self.resolving.get_mut(&place) else { continue };
            if question.tries < TRIES {
                question.tries += 1;
                question.again = now + AGAIN;
                self.ask_all(place);
                continue;
            }
            let Some(question) = self.resolving.remove(&place) else { continue };
            for packet in question.packets {
                self.drops.count(Drop::NeighborUnresolved);
                self.tell_lost(now, &packet);
            }
            for id in question.flows {
                // The outside may have ended the flow meanwhile, and its place may be another's.
                if self.flows.get(id).is_some() {
                    self.drops.count(Drop::NeighborUnresolved);
                    self.end_flow(id.index, ResetReason::Unreachable);
                }
            }
        }
    }

    /// Nobody takes a packet: its sender is told.
    fn tell_lost(&mut self, now: Instant, packet: &Packet) {
        match packet {
            Packet::Own { header, message } => {
                if let Some(head) = message.first_chunk() {
                    let quoted = Quoted { pair: header.pair, protocol: header.protocol, head };
                    self.tell_undelivered(&quoted, false);
                }
            }
            Packet::Forwarded { from, packet } => {
                self.send_error_about(now, *from, packet, Error::HostUnreachable);
            }
        }
    }

    pub(super) fn resolved(&mut self, place: Place, guest: Guest) {
        let Some(question) = self.resolving.remove(&place) else { return };
        for packet in question.packets {
            match packet {
                Packet::Own { header, message } => self.send_packet(guest, header, &message, &[]),
                Packet::Forwarded { packet, .. } => self.send_forwarded(guest, &packet),
            }
        }
        for id in question.flows {
            if self.flows.get(id).is_some() {
                self.flow_reaches(id.index, guest);
            }
        }
    }
}
