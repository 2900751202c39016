//! Links: the stack's side of the switch's ports. What leaves waits here until its port asks for it, so that a port that reads slowly
//! slows its own flows and no others.

use core::net::IpAddr;
use std::collections::VecDeque;

use super::recent::Recent;
use super::train::Train;
use super::{Role, Stack};
use crate::addr::MacAddr;
use crate::counters::Drop;
use crate::interface::InterfaceId;
use crate::offload::Offload;
use crate::port::{PortConfig, PortId};
use crate::queue::Queue;
use crate::time::{Duration, Instant};
use crate::wire::ipv6;

/// How long a port with a small ring waits for its guest before it sends on regardless.
const BURST_PAUSE: Duration = Duration::from_millis(2);
/// Segments that a flow sends before the next one of its port has its turn.
pub(super) const TURN_SEGMENTS: usize = 16;

/// The stack's side of one port.
pub(super) struct Link {
    pub(super) config: PortConfig,
    pub(super) interface: InterfaceId,
    /// The machine's own MAC address there.
    pub(super) mac: MacAddr,
    /// All but TCP's segments, which are written when they leave.
    queue: Queue,
    /// Flows that have segments to send, in turn.
    pub(super) senders: VecDeque<u32>,
    /// Segments sent in the turn of the first of them.
    pub(super) turn_segments: usize,
    /// What is left of the segment that is being cut.
    pub(super) train: Option<Train>,
    /// Full frames that may still be sent before the guest answers.
    pub(super) credit: u16,
    /// When the credit comes back though the guest is silent.
    pub(super) credit_at: Option<Instant>,
    /// The last segment from here.
    pub(super) recent: Option<Recent>,
    /// The address pair of the last packet from here that was learnt, and the neighbour table's age then.
    pub(super) learnt: Option<(IpAddr, MacAddr, u64)>,
}

impl Link {
    fn new(config: PortConfig, interface: InterfaceId, mac: MacAddr) -> Self {
        let config = PortConfig { large_segments: config.large_segments || config.offloads, ..config };
        Self {
            config,
            interface,
            mac,
            queue: Queue::default(),
            senders: VecDeque::new(),
            turn_segments: 0,
            train: None,
            recent: None,
            credit: config.burst.unwrap_or(u16::MAX),
            credit_at: None,
            learnt: None,
        }
    }

    /// How many whole segments the first sender may send in one go.
    pub(super) fn most_segments(&self) -> usize {
        if self.config.large_segments {
            return usize::MAX;
        }
        let turn = TURN_SEGMENTS - self.turn_segments.min(TURN_SEGMENTS - 1);
        if self.config.burst.is_some() { turn.min(self.credit.into()) } else { turn }
    }

    /// Whether its queue takes so many bytes more.
    pub(super) fn has_queue_room(&self, bytes: usize) -> bool {
        self.queue.has_room(bytes, self.config.queue_bytes)
    }

    /// Whether its MTU is at least what IPv6 needs (RFC 8200 5).
    pub(super) const fn carries_ipv6(&self) -> bool {
        self.config.mtu >= ipv6::MIN_MTU
    }

    /// The first sender has nothing more to say.
    pub(super) fn next_sender(&mut self) {
        self.senders.pop_front();
        self.turn_segments = 0;
    }
}

impl<R: Role> Stack<R> {
    /// Joins a port of the switch to the stack. `config` is the port's.
    pub fn open_port(&mut self, port: PortId, config: PortConfig) {
        self.open_link(port, config, InterfaceId::LAN, self.config.gateway_mac);
    }

    /// Joins a port that is of an interface, where the machine has this MAC address.
    pub(super) fn open_link(
        &mut self,
        port: PortId,
        config: PortConfig,
        interface: InterfaceId,
        mac: MacAddr,
    ) {
        if port.index() >= self.links.len() {
            self.links.resize_with(port.index() + 1, || None);
        }
        self.links[port.index()] = Some(Link::new(config, interface, mac));
    }

    /// Forgets a port: its guests' flows are reset and their addresses forgotten.
    pub fn close_port(&mut self, port: PortId) {
        self.close_flows_of(port);
        if let Some(server) = &mut self.dhcp {
            self.neighbors.of_port(port).for_each(|mac| server.leave(mac));
        }
        self.forget_neighbors_of(port);
        self.names.forget_port(port);
        self.policies.remove(&port);
        self.pausing.remove(&port);
        self.turns.end(port);
        if let Some(link) = self.links.get_mut(port.index()) {
            *link = None;
        }
    }

    /// Drops the frames that wait for a port, counted as stale.
    pub fn discard_waiting(&mut self, port: PortId) {
        let Some(link) = self.links.get_mut(port.index()).and_then(Option::as_mut) else { return };
        while link.queue.pop(&mut self.chunks).is_some() {
            self.drops.count(Drop::Stale);
        }
    }

    pub(super) fn link(&self, port: PortId) -> Option<&Link> {
        self.links.get(port.index())?.as_ref()
    }

    pub(super) fn link_mut(&mut self, port: PortId) -> Option<&mut Link> {
        self.links.get_mut(port.index())?.as_mut()
    }

    /// A guest was heard on a port, whoever the frame is for: its NIC has room for another burst.
    pub fn heard(&mut self, port: PortId) {
        let Some(link) = self.links.get_mut(port.index()).and_then(Option::as_mut) else { return };
        if let Some(burst) = link.config.burst {
            link.credit = burst;
            if link.credit_at.take().is_some() {
                self.pausing.remove(&port);
            }
            if !link.senders.is_empty() {
                self.turns.list(port);
            }
        }
    }

    /// The guest of a port has not answered: sends on regardless.
    pub(super) fn end_pauses(&mut self, now: Instant) {
        let over: Vec<PortId> =
            self.pausing.iter().filter(|(_, at)| **at <= now).map(|(port, _)| *port).collect();
        for port in over {
            self.heard(port);
        }
    }

    /// Begins to wait for the guest of a port.
    pub(super) fn pause(&mut self, now: Instant, port: PortId) {
        let Some(link) = self.link_mut(port) else { return };
        let at = *link.credit_at.get_or_insert(now + BURST_PAUSE);
        self.pausing.insert(port, at);
    }

    /// A flow has segments for its port.
    pub(super) fn list_sender(&mut self, port: PortId, slot: u32) {
        if let Some(link) = self.link_mut(port) {
            link.senders.push_back(slot);
            self.turns.list(port);
        }
    }

    /// Queues a frame for a port, to be written in place; counted if there is no room.
    pub(super) fn place(&mut self, port: PortId, length: usize) -> Option<&mut [u8]> {
        let link = self.links.get_mut(port.index())?.as_mut()?;
        if !link.has_queue_room(length) {
            self.drops.count(Drop::QueueFull);
            return None;
        }
        self.turns.list(port);
        link.queue.place(&mut self.chunks, length)
    }

    /// Queues a frame for a port; counted if there is no room.
    pub(super) fn push(&mut self, port: PortId, frame: &[u8]) {
        if let Some(place) = self.place(port, frame.len()) {
            place.copy_from_slice(frame);
        }
    }

    /// The ports of an interface.
    pub(super) fn ports_of(&self, interface: InterfaceId) -> impl Iterator<Item = PortId> {
        let links = self.links.iter().enumerate();
        links.filter_map(move |(index, link)| {
            link.as_ref().filter(|link| link.interface == interface).map(|_| PortId(index as u32))
        })
    }

    /// Queues a frame for every port of an interface.
    pub(super) fn push_everywhere(&mut self, interface: InterfaceId, frame: &[u8]) {
        for index in 0..self.links.len() {
            if self.links[index].as_ref().is_some_and(|link| link.interface == interface) {
                self.push(PortId(index as u32), frame);
            }
        }
    }

    /// Queues an IPv6 multicast frame for every port of an interface; to those that want it so, as a copy for each of those who use IPv6 behind it.
    pub(super) fn push_to_group(&mut self, interface: InterfaceId, frame: &[u8]) {
        let mut guests = self.neighbors.v6_guests().peekable();
        for index in 0..self.links.len() {
            let port = PortId(index as u32);
            let carries = |link: &&Link| link.interface == interface && link.carries_ipv6();
            let Some(link) = self.link(port).filter(carries) else { continue };
            let alone = link.config.multicast_to_unicast;
            if !alone || guests.peek().is_none_or(|guest| guest.port != port) {
                self.push(port, frame);
            }
            while let Some(guest) = guests.next_if(|guest| guest.port == port) {
                if alone && let Some(place) = self.place(port, frame.len()) {
                    place.copy_from_slice(frame);
                    place[..6].copy_from_slice(&guest.mac.0);
                }
            }
        }
    }

    /// A port that has frames. It is given once, until [`Self::poll_frame`] gave `None` for it and it has frames again.
    #[must_use]
    pub fn poll_port(&mut self) -> Option<PortId> {
        self.turns.poll()
    }

    /// The next frame for a port, which is then done with.
    ///
    /// As frames leave, flows that waited for room produce more: a port that reads slowly slows its flows.
    #[must_use]
    pub fn poll_frame(&mut self, now: Instant, port: PortId) -> Option<&[u8]> {
        match self.next_source(now, port)? {
            Source::Flow => Some(&self.segment),
            Source::Queue => self.links.get_mut(port.index())?.as_mut()?.queue.pop(&mut self.chunks),
        }
    }

    /// The same with what is left to do in it, for a port that does it.
    #[must_use]
    pub fn poll_offloaded(&mut self, now: Instant, port: PortId) -> Option<(&[u8], Offload)> {
        match self.next_source(now, port)? {
            Source::Flow => Some((&self.segment, self.segment_offload)),
            Source::Queue => {
                self.links.get_mut(port.index())?.as_mut()?.queue.pop_offloaded(&mut self.chunks)
            }
        }
    }

    #[inline(always)]
    fn next_source(&mut self, now: Instant, port: PortId) -> Option<Source> {
        let link = self.links.get_mut(port.index())?.as_mut()?;
        link.queue.release(&mut self.chunks);
        if !link.queue.is_empty() {
            return Some(Source::Queue);
        }
        if self.next_segment(now, port) {
            return Some(Source::Flow);
        }
        self.turns.end(port);
        None
    }
}

/// Where a port's next frame is.
enum Source {
    Queue,
    /// Just written, as [`Stack::segment`].
    Flow,
}
