//! Flows of datagrams: UDP and ping. They are open with their first datagram and end when they are silent.

use std::collections::VecDeque;

use super::errors::{Error, quote};
use super::flows::{Body, Flow, Key};
use super::ip::From;
use super::services::Via;
use super::{Role, Stack, resolve};
use crate::counters::Drop;
use crate::flow::{Event, Guest, Protocol};
use crate::interface::InterfaceId;
use crate::service::{dhcp, dns};
use crate::time::Instant;
use crate::wire::checksum::sum;
use crate::wire::ip::{self, HOP_LIMIT, Header, Packet, Pair};

/// Datagrams and bytes that one flow may hold.
const MAX_DATAGRAMS: usize = 256;
const MAX_BYTES: usize = 1 << 20;
const NTP_PORT: u16 = 123;

impl<R: Role> Stack<R> {
    /// What goes to everyone: only DHCP is for us.
    pub(super) fn handle_broadcast(&mut self, now: Instant, from: From, packet: &Packet<'_>) {
        if let Some((_, to, data)) = self.parse_udp(from, packet)
            && to == dhcp::SERVER_PORT
        {
            self.handle_dhcp(now, from, data);
        }
    }

    /// Ports and data of a UDP message.
    fn parse_udp<'a>(&mut self, from: From, packet: &Packet<'a>) -> Option<(u16, u16, &'a [u8])> {
        let udp = packet.payload;
        let length = udp.get(4..6).map_or(0, |field| usize::from(u16::from_be_bytes([field[0], field[1]])));
        let has_checksum = udp.get(6..8).is_some_and(|field| field != [0, 0]);
        let whole = Packet { payload: udp.get(..length).unwrap_or_default(), ..*packet };
        // Over IPv6 there is none without (RFC 8200 8.1).
        let lacks = !has_checksum && matches!(packet.pair, Pair::V6(..));
        let wrong = !from.verified && (lacks || has_checksum && !whole.transport_holds(sum(whole.payload)));
        if length < 8 || length > udp.len() || wrong {
            self.drops.count(Drop::UdpMalformed);
            return None;
        }
        let port = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
        Some((port(0), port(2), &udp[8..length]))
    }

    pub(super) fn handle_udp(&mut self, now: Instant, from: From, packet: &Packet<'_>) {
        let Some((source_port, port, data)) = self.parse_udp(from, packet) else { return };
        let key = Key { protocol: Protocol::Udp, pair: packet.pair, ports: (source_port, port) };
        if R::IS_HOST {
            return self.deliver_datagram(now, from, packet, &key, data);
        }
        // Answers to what the outside sent may go to any port.
        if self.flows.find(&key).is_some() {
            return self.handle_datagram(now, from, packet, key, data.to_vec());
        }
        let destination = packet.pair.destination();
        let ours = self.is_ours(destination);
        match port {
            dhcp::SERVER_PORT if ours && destination.is_ipv4() && self.dhcp.is_some() => {
                self.handle_dhcp(now, from, data);
            }
            dns::PORT if self.serves_dns(destination) => {
                self.handle_dns(now, from.guest, Via::Datagram(key), data)
            }
            NTP_PORT if self.config.ntp => self.handle_ntp(now, from, &key, data),
            _ if ours && self.config.echo_ports.contains(&port) => self.send_udp(from.guest, &key, data),
            _ if !self.config.own_flows && self.config.is_gateway(destination) => {
                self.send_error(now, from, packet, Error::PortUnreachable);
            }
            _ => self.handle_datagram(now, from, packet, key, data.to_vec()),
        }
    }

    /// A datagram of a flow, new or known.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        from: From,
        packet: &Packet<'_>,
        key: Key,
        data: Vec<u8>,
    ) {
        let known = self.flows.find(&key);
        if known.is_none() {
            if !self.is_allowed(now, from.guest, &key) {
                self.drops.count(Drop::Policy);
                return self.send_error(now, from, packet, Error::Prohibited);
            }
            if !self.has_room(from.guest, key.protocol) {
                return;
            }
        }
        let slot = known.unwrap_or_else(|| {
            let id = self.flows.insert(key, Some(from.guest), Body::Datagrams(VecDeque::new(), 0), false);
            self.events.push_back(Event::Open {
                id,
                protocol: key.protocol,
                source: key.guest(),
                destination: key.target(),
                guest: from.guest,
            });
            id.index
        });
        let idle_at = now + self.config.limits.udp_idle;
        let Some(flow) = self.flows.slot(slot) else { return };
        if !flow.is_of(from.guest) {
            return self.drops.count(Drop::FlowOfAnother);
        }
        if known.is_none() {
            flow.quote = quote(packet).to_vec();
        }
        flow.deadline = Some(idle_at);
        let Body::Datagrams(queue, bytes) = &mut flow.body else { return };
        if queue.len() >= MAX_DATAGRAMS || *bytes + data.len() > MAX_BYTES {
            return self.drops.count(Drop::UdpQueueFull);
        }
        *bytes += data.len();
        flow.fresh_bytes += data.len();
        queue.push_back(data);
        let news = (!std::mem::replace(&mut flow.data_told, true)).then_some(flow.id);
        if let Some(id) = news {
            self.events.push_back(Event::Data { id, bytes: 0 });
        }
        self.flows.arm(slot);
    }

    /// Sends a datagram of a flow to its guest; the largest that a packet carries, or nothing.
    pub(super) fn write_datagram(&mut self, now: Instant, slot: u32, data: &[u8]) -> usize {
        let idle_at = now + self.config.limits.udp_idle;
        let Some(flow) = self.flows.slot(slot) else { return 0 };
        flow.deadline = Some(idle_at);
        if data.len() > room(flow) {
            return 0;
        }
        let key = flow.key;
        let Some(guest) = flow.guest else { return self.hold_datagram(now, &key, data) };
        if key.protocol == Protocol::Ping {
            let Some((sequence, payload)) = data.split_first_chunk::<2>() else { return 0 };
            let [high, low] = key.ports.0.to_be_bytes();
            let rest = [high, low, sequence[0], sequence[1]];
            self.send_echo_reply(guest, key.pair.reversed(), false, rest, payload);
        } else {
            self.send_udp(guest, &key, data);
        }
        data.len()
    }

    /// Answers a UDP datagram of a guest.
    pub(super) fn send_udp(&mut self, guest: Guest, key: &Key, data: &[u8]) {
        let (header, head) = udp_to_guest(key, data);
        self.send_packet(guest, header, &head, data);
    }

    /// A datagram waits until it is known where its guest is, if there is room.
    fn hold_datagram(&mut self, now: Instant, key: &Key, data: &[u8]) -> usize {
        let (header, head) = udp_to_guest(key, data);
        let packet = resolve::Packet::Own { header, message: [&head, data].concat() };
        let place = (InterfaceId::LAN, key.guest().ip());
        if self.resolve_packet(now, place, packet) { data.len() } else { 0 }
    }
}

/// The headers of a datagram to a flow's guest.
fn udp_to_guest(key: &Key, data: &[u8]) -> (Header, [u8; 8]) {
    let pair = key.pair.reversed();
    let head = ip::udp(pair, (key.ports.1, key.ports.0), data);
    (Header { pair, protocol: ip::UDP, hop_limit: HOP_LIMIT, checksum: true }, head)
}

/// The largest datagram that a flow carries to its guest.
pub(super) fn room(flow: &Flow) -> usize {
    let sequence_bytes = if flow.key.protocol == Protocol::Ping { 2 } else { 0 };
    flow.key.pair.max_payload_bytes() - 8 + sequence_bytes
}
