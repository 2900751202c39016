//! TCP between the wire and the flows: finding the connection of a segment, opening and ending flows, and writing segments as a port
//! asks for them.

use super::commands::LINGER;
use super::errors::quote;
use super::flows::{Body, Flow, Key};
use super::host::MAX_TIME_WAIT;
use super::ip::From;
use super::link::TURN_SEGMENTS;
use super::train::Train;
use super::{Role, Stack};
use crate::counters::Drop;
use crate::flow::{Event, Guest, Protocol, ResetReason};
use crate::offload::{Checksum, Offload};
use crate::port::PortId;
use crate::tcp::{self, Config, Segment, State, Tcb, Transmit, reset_for};
use crate::time::Instant;
use crate::wire::checksum::{fold, sum};
use crate::wire::ethernet::{self, ETHERNET_BYTES};
use crate::wire::ip::{self, HOP_LIMIT, Header, Packet, Pair, Part};

const TCP_HEADER_BYTES: u16 = 20;
/// Where a segment's checksum is.
const CHECKSUM_AT: usize = 16;
/// The least window that keeps a flow alive when the LAN's bound is reached.
const LEAST_WINDOW_BYTES: usize = 4096;

impl<R: Role> Stack<R> {
    pub(super) fn handle_tcp(&mut self, now: Instant, from: From, packet: &Packet<'_>) {
        let Some(mut segment) = Segment::parse(packet.payload) else {
            return self.drops.count(Drop::TcpMalformed);
        };
        let ports = (segment.source_port, segment.destination_port);
        let key = Key { protocol: Protocol::Tcp, pair: packet.pair, ports };
        let slot = self.flows.find(&key);
        if !from.verified {
            let header = &packet.payload[..packet.payload.len() - segment.payload.len()];
            let staged = match slot.and_then(|slot| self.flows.slot(slot)) {
                Some(Flow { body: Body::Tcp(tcb), .. }) => tcb.stage(&mut segment),
                _ => None,
            };
            let payload_sum = staged.unwrap_or_else(|| sum(segment.payload));
            if !packet.transport_holds(sum(header) + payload_sum) {
                return self.drops.count(Drop::TcpMalformed);
            }
        }
        let Some(slot) = slot else {
            return self.handle_unknown(now, from, packet, key, &segment);
        };
        let Some(flow) = self.flows.slot(slot) else { return };
        if !flow.is_of(from.guest) {
            return self.drops.count(Drop::FlowOfAnother);
        }
        let Body::Tcp(tcb) = &mut flow.body else { return };
        if tcb.time_wait_accepts(&segment) {
            self.flows.remove(slot);
            return self.handle_unknown(now, from, packet, key, &segment);
        }
        if let Some(reply) = tcb.handle_segment(now, &segment) {
            self.send_control(from.guest, &key, &reply);
        }
        self.heard_flow = Some(slot);
        self.tend(slot);
    }

    fn handle_unknown(
        &mut self,
        now: Instant,
        from: From,
        packet: &Packet<'_>,
        key: Key,
        segment: &Segment<'_>,
    ) {
        if !segment.opens() {
            self.drops.count(Drop::TcpNoFlow);
            return self.refuse_segment(from.guest, &key, segment);
        }
        if R::IS_HOST {
            if !self.is_ours(key.target().ip()) || !self.open_for_listener(now, from, key, segment) {
                self.drops.count(Drop::TcpNoFlow);
                self.refuse_segment(from.guest, &key, segment);
            }
            return;
        }
        let served = self.serves_stream(&key);
        if !served && !self.config.own_flows && self.config.is_gateway(key.target().ip()) {
            return self.refuse_segment(from.guest, &key, segment);
        }
        if !served && !self.is_allowed(now, from.guest, &key) {
            self.drops.count(Drop::Policy);
            return self.refuse_segment(from.guest, &key, segment);
        }
        if !self.has_room(from.guest, Protocol::Tcp) {
            return;
        }
        let isn = self.flows.isn(now, &key);
        let tcb = Tcb::passive(now, &self.tcp_config(Some(from.guest.port), key.pair), segment, isn);
        let id = self.flows.insert(key, Some(from.guest), Body::Tcp(Box::new(tcb)), true);
        if served {
            return self.open_stream(now, id, from.guest);
        }
        let deadline = now + self.config.limits.dial_timeout;
        if let Some(flow) = self.flows.slot(id.index) {
            flow.deadline = Some(deadline);
            flow.quote = quote(packet).to_vec();
        }
        self.events.push_back(Event::Open {
            id,
            protocol: Protocol::Tcp,
            source: key.guest(),
            destination: key.target(),
            guest: from.guest,
        });
        self.tend(id.index);
    }

    fn refuse_segment(&mut self, guest: Guest, key: &Key, segment: &Segment<'_>) {
        if let Some(reset) = reset_for(segment) {
            self.send_control(guest, key, &reset);
        }
    }

    /// A connection's configuration. Until it is known which port it is on, the LAN's MTU stands for the port's; no segment outgrows the port's own.
    pub(super) fn tcp_config(&self, port: Option<PortId>, pair: Pair) -> Config {
        let mtu = port.and_then(|port| self.link(port)).map_or(self.config.mtu, |link| link.config.mtu);
        let headers = pair.header_bytes() as u16 + TCP_HEADER_BYTES;
        let mss = |mtu: u16| mtu.saturating_sub(headers).max(28);
        Config {
            max_payload: mss(mtu),
            default_mss: match pair {
                Pair::V4(..) => 536,
                Pair::V6(..) => 1220,
            },
            advertised_mss: mss(mtu.min(self.config.mtu)),
            receive_buffer_bytes: self.config.limits.receive_buffer_bytes,
            send_buffer_bytes: self.config.limits.send_buffer_bytes,
            nagle: self.config.nagle,
            timestamps: self.config.timestamps,
            congestion: self.config.congestion,
            rto_min: self.config.rto_min,
            keepalive: Some(super::KEEPALIVE),
            ..Config::default()
        }
    }

    /// Sends a segment without payload that stands outside a flow's turn.
    pub(super) fn send_control(&mut self, guest: Guest, key: &Key, transmit: &Transmit) {
        let mut message = vec![0; transmit.header_len()];
        transmit.emit_header(key.ports.1, key.ports.0, &mut message);
        let sum = sum(&message);
        put_checksum(key, sum, &mut message);
        self.send_packet(guest, segment_header(key, true), &message, &[]);
    }

    /// After anything happened to a flow: tells its events, bounds its window, lists it for sending, notes its deadline, or forgets it.
    pub(super) fn tend(&mut self, slot: u32) {
        let bound = self.config.limits.lan_buffer_bytes;
        let total = self.flows.buffered_bytes;
        let Some(flow) = self.flows.slot(slot) else { return };
        let Body::Tcp(tcb) = &mut flow.body else {
            self.flows.arm(slot);
            return;
        };
        let (mut over, mut closed, mut stands, mut lost) = (false, false, false, false);
        let told = flow.listener.is_none() && !flow.discards;
        let listener = flow.listener;
        let events = if flow.served { &mut self.stream_events } else { &mut self.events };
        while let Some(event) = tcb.poll_event() {
            let id = flow.id;
            match event {
                tcp::Event::Established if R::IS_HOST && flow.listener.is_some() => stands = true,
                tcp::Event::Data(_) if flow.discards => {
                    tcb.discard();
                    // A reset before would cost the peer what was written.
                    lost = tcb.state() == State::FinWait2;
                }
                tcp::Event::Data(_) | tcp::Event::Fin | tcp::Event::Writable if !told => {}
                tcp::Event::Data(bytes) => {
                    flow.fresh_bytes += bytes;
                    if !std::mem::replace(&mut flow.data_told, true) {
                        events.push_back(Event::Data { id, bytes: 0 });
                    }
                }
                tcp::Event::Established if R::IS_HOST || flow.opened => {
                    events.push_back(Event::Established { id });
                }
                tcp::Event::Established => {}
                tcp::Event::Fin => events.push_back(Event::Fin { id }),
                tcp::Event::Writable => events.push_back(Event::Writable { id }),
                tcp::Event::Reset(why) => {
                    if !R::IS_HOST || flow.listener.is_none() {
                        events.push_back(Event::Reset { id, why });
                    }
                    over = true;
                }
                tcp::Event::Closed => {
                    events.push_back(Event::Closed { id });
                    closed = true;
                }
            }
        }
        if lost {
            return self.reset_closed(slot);
        }
        if over || tcb.is_closed() {
            self.flows.remove(slot);
            return;
        }
        let offered = tcb.buffered_bytes();
        let others = total - flow.buffered_bytes;
        flow.buffered_bytes = offered;
        bound_buffers(tcb, others, bound);
        let wants = !flow.listed && tcb.wants_transmit();
        let (guest, id) = (flow.guest, flow.id);
        if let (true, Some(guest)) = (wants, guest) {
            flow.listed = true;
            self.list_sender(guest.port, slot);
        }
        if closed {
            self.flows.detach(slot);
            if let (true, Some(guest)) = (R::IS_HOST, guest) {
                self.flows.bound_detached(guest.mac, MAX_TIME_WAIT);
            }
        }
        if let (true, Some(listener)) = (R::IS_HOST && stands, listener) {
            self.established_for(listener, id);
        }
        self.flows.buffered_bytes = others + offered;
        self.flows.arm(slot);
    }

    pub(super) fn flow_timeout(&mut self, now: Instant, slot: u32) {
        let Some(flow) = self.flows.slot(slot) else { return };
        if flow.deadline.is_some_and(|at| at <= now) {
            if !R::IS_HOST && flow.served {
                let id = flow.id;
                return self.drop_stream(id);
            }
            match &flow.body {
                Body::Tcp(tcb) if flow.discards => {
                    if tcb.state() == State::FinWait2 {
                        return self.end_closed(slot);
                    }
                    // What was written is not all acknowledged yet; that has a limit of its own.
                    flow.deadline = Some(now + LINGER);
                }
                _ => return self.end_flow(slot, ResetReason::Timeout),
            }
        }
        if let Body::Tcp(tcb) = &mut flow.body {
            tcb.handle_timeout(now);
        }
        self.tend(slot);
    }

    /// Ends a flow from our side, with an event and nothing on the wire.
    pub(super) fn end_flow(&mut self, slot: u32, why: ResetReason) {
        if let Some(flow) = self.flows.remove(slot).filter(|flow| !flow.detached && flow.listener.is_none()) {
            if flow.served {
                self.streams.remove(&flow.id);
                return;
            }
            self.events.push_back(Event::Reset { id: flow.id, why });
        }
    }

    /// A flow that its owner has closed, and its peer does not.
    fn end_closed(&mut self, slot: u32) {
        if let Some(flow) = self.flows.remove(slot) {
            self.events.push_back(Event::Closed { id: flow.id });
        }
    }

    /// The peer of a flow that its owner has closed goes on sending: it is told that nobody reads (RFC 1122 4.2.2.13).
    fn reset_closed(&mut self, slot: u32) {
        let Some(flow) = self.flows.slot(slot) else { return };
        let (key, guest) = (flow.key, flow.guest);
        let Body::Tcp(tcb) = &mut flow.body else { return };
        if let (Some(reset), Some(guest)) = (tcb.abort(), guest) {
            self.send_control(guest, &key, &reset);
        }
        self.end_closed(slot);
    }

    pub(super) fn close_flows_of(&mut self, port: PortId) {
        for slot in self.flows.of_port(port) {
            self.end_flow(slot, ResetReason::PortClosed);
        }
    }

    /// The guest of a port is reached again after a time when it was not: its flows do not wait for timers that were backed off meanwhile.
    pub fn path_restored(&mut self, now: Instant, port: PortId) {
        for slot in self.flows.of_port(port) {
            if let Some(Flow { body: Body::Tcp(tcb), .. }) = self.flows.slot(slot) {
                tcb.path_restored(now);
            }
            self.tend(slot);
        }
    }

    /// The guest is found that a flow connects to.
    pub(super) fn flow_reaches(&mut self, slot: u32, guest: Guest) {
        self.flows.set_guest(slot, guest);
        if let Some(flow) = self.flows.slot(slot)
            && matches!(flow.body, Body::Tcp(_))
        {
            flow.listed = true;
            self.list_sender(guest.port, slot);
        }
    }

    /// Writes the next segment of a port's flows; false if there is none.
    pub(super) fn next_segment(&mut self, now: Instant, id: PortId) -> bool {
        if self.next_of_train(id) {
            return true;
        }
        let bound_bytes = self.config.limits.lan_buffer_bytes;
        loop {
            let Some(link) = self.links.get_mut(id.index()).and_then(Option::as_mut) else { return false };
            let Some(&slot) = link.senders.front() else { return false };
            if link.credit == 0 {
                self.pause(now, id);
                return false;
            }
            let total = self.flows.buffered_bytes;
            let flow = self.flows.slot(slot).filter(|flow| flow.guest.is_some_and(|guest| guest.port == id));
            let Some(Flow {
                id: flow_id,
                body: Body::Tcp(tcb),
                guest: Some(guest),
                key,
                buffered_bytes,
                listed,
                ..
            }) = flow
            else {
                link.next_sender();
                continue;
            };
            let (flow_id, guest, key, before) = (*flow_id, *guest, *key, *buffered_bytes);
            bound_buffers(tcb, total - before, bound_bytes);
            let front = ETHERNET_BYTES + key.pair.header_bytes();
            let headers = key.pair.header_bytes() + usize::from(TCP_HEADER_BYTES);
            let most = usize::from(link.config.mtu).saturating_sub(headers);
            let whole = tcb.poll_transmit_large(now, most, link.most_segments());
            *buffered_bytes = tcb.buffered_bytes();
            let after = *buffered_bytes;
            let Some(whole) = whole else {
                *listed = false;
                link.next_sender();
                self.flows.buffered_bytes = total - before + after;
                self.tend(slot);
                continue;
            };
            let part_bytes = tcb.segment_bytes(most);
            let segments = whole.payload_len().div_ceil(part_bytes).max(1);
            let cut = segments > 1 && !link.config.large_segments;
            let transmit = if cut { whole.first_part(part_bytes) } else { whole };
            let length = transmit.len();
            let takes = usize::from(if link.config.large_segments { u16::MAX } else { link.config.mtu });
            if key.pair.header_bytes() + length > takes {
                // Too small for IP at all, or for IPv6, and for the options besides.
                self.drops.count(Drop::PortMtu);
                self.flows.buffered_bytes = total - before + after;
                self.flows.arm(slot);
                continue;
            }
            self.next_id = self.next_id.wrapping_add(1);
            let header = segment_header(&key, !link.config.trusted);
            let frame = &mut self.segment;
            frame.resize(front + length, 0);
            ethernet::emit(guest.mac, link.mac, key.pair.ethertype(), frame);
            header.emit(self.next_id, Part::Atomic, length, &mut frame[ETHERNET_BYTES..]);
            let message = &mut frame[front..];
            if Offload::ANYWHERE && link.config.offloads {
                tcb.emit(&transmit, key.ports.1, key.ports.0, message);
                let pseudo_header = fold(key.pair.pseudo_header(ip::TCP, length));
                message[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&pseudo_header.to_be_bytes());
                self.segment_offload = Offload {
                    checksum: Checksum::Partial { start: front as u16, offset: CHECKSUM_AT as u16 },
                    segment_bytes: if segments > 1 { part_bytes as u16 } else { 0 },
                };
            } else if link.config.trusted {
                tcb.emit(&transmit, key.ports.1, key.ports.0, message);
            } else {
                let sum = tcb.emit_summed(&transmit, key.ports.1, key.ports.0, message);
                put_checksum(&key, sum, message);
            }
            if cut {
                link.train = Train::new(flow_id, guest, &whole, part_bytes, frame, !link.config.trusted);
            }
            if link.config.burst.is_some() && whole.payload_len() > 0 {
                link.credit -= segments as u16;
            }
            link.turn_segments += segments;
            if link.turn_segments >= TURN_SEGMENTS {
                link.turn_segments = 0;
                link.senders.rotate_left(1);
            }
            self.flows.buffered_bytes = total - before + after;
            self.flows.arm(slot);
            return true;
        }
    }
}

/// The IP header of a segment of ours.
const fn segment_header(key: &Key, checksum: bool) -> Header {
    Header { pair: key.pair.reversed(), protocol: ip::TCP, hop_limit: HOP_LIMIT, checksum }
}

/// Completes a segment of ours whose sum, with the checksum field zero, is `sum`.
fn put_checksum(key: &Key, sum: u32, message: &mut [u8]) {
    let checksum = !fold(key.pair.pseudo_header(ip::TCP, message.len()) + sum);
    message[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// Keeps what a flow holds and is offered within its share of what the LAN may still hold.
fn bound_buffers(tcb: &mut Tcb, others_bytes: usize, bound_bytes: usize) {
    let spare = bound_bytes.saturating_sub(others_bytes);
    tcb.set_buffer_limit((spare / 8).max(LEAST_WINDOW_BYTES));
}
