//! The switch: ports, their queues, and which MAC address is behind which port (IEEE 802.1D, and the machine's MAC rule).
//!
//! It knows Ethernet alone. The stack is behind it as one more receiver, named by the gateway's MAC address; the switch says which
//! frames are for it, and [`Lan`](crate::Lan) hands them over. Without a stack it is a plain learning bridge.

mod broadcast;
mod macs;

use crate::addr::MacAddr;
use crate::counters::{Drop, Drops};
use crate::hash::Seeded;
use crate::offload::Offload;
use crate::port::{MAX_FRAME_BYTES, MIN_FRAME_BYTES, PortConfig, PortId};
use crate::queue::{Chunks, Queue};
use crate::time::Instant;
use crate::turns::Turns;
use crate::wire::ethernet;
use broadcast::BroadcastLimit;
use macs::{MacTable, Source};

struct Port {
    config: PortConfig,
    queue: Queue,
    macs: usize,
    /// Where the source of the port's last frame stands in the table: most ports have one address.
    recent: u32,
    /// Where the destination of the port's last frame stands in the table.
    recent_to: u32,
    broadcast: Option<BroadcastLimit>,
}

impl Port {
    /// Queues a frame, perhaps under another destination; false if there is no room.
    #[inline]
    fn enqueue(
        &mut self,
        chunks: &mut Chunks,
        frame: &[u8],
        destination: Option<MacAddr>,
        offload: Offload,
    ) -> bool {
        if !self.queue.has_room(frame.len(), self.config.queue_bytes) {
            return false;
        }
        match destination {
            None if offload.is_none() => self.queue.push(chunks, frame),
            None => self.queue.push_offloaded(chunks, frame, offload),
            // Never for a port with offloads.
            Some(address) => {
                if let Some(place) = self.queue.place(chunks, frame.len()) {
                    place.copy_from_slice(frame);
                    place[..6].copy_from_slice(&address.0);
                }
            }
        }
        true
    }
}

/// What is left to do about a frame that the switch took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// Nothing.
    Done,
    /// It is for the stack, perhaps among others.
    ToStack,
    /// It was dropped for being too big for the port that it was for, whose MTU in bytes this is.
    TooBig(u16),
    /// It was dropped because its source belongs to another port. That port must be asked whether it is still there: a frame of
    /// it with that source, within 2 s, keeps the address; silence gives it away.
    Ask {
        /// The port that has the address.
        owner: PortId,
        /// The address.
        mac: MacAddr,
    },
}

/// A switch's part of a machine's seed.
pub(crate) fn switch_seed(seed: [u8; 32]) -> [u8; 16] {
    let mut part = [0; 16];
    for (byte, pair) in part.iter_mut().zip(seed.chunks(2)) {
        *byte = pair[0] ^ pair[1].rotate_left(3);
    }
    part
}

/// A learning bridge. Frames are copied once, into the queue of each port that they are for.
pub struct Switch {
    gateway: MacAddr,
    ports: Vec<Option<Port>>,
    macs: MacTable,
    turns: Turns,
    chunks: Chunks,
    drops: Drops,
    /// The last packet in which nothing was left to do any more.
    completed: Vec<u8>,
}

impl Switch {
    /// A switch without ports. Frames for `gateway` are for the stack, and no port may use that address. `seed` keys its hash table.
    #[must_use]
    pub fn new(gateway: MacAddr, seed: [u8; 16]) -> Self {
        Self {
            gateway,
            ports: Vec::new(),
            macs: MacTable::new(Seeded::new(&seed)),
            turns: Turns::default(),
            chunks: Chunks::default(),
            drops: Drops::default(),
            completed: Vec::new(),
        }
    }

    /// Opens a port, with the lowest number that is free.
    pub fn open_port(&mut self, config: PortConfig) -> PortId {
        let index = self.ports.iter().position(Option::is_none).unwrap_or_else(|| {
            self.ports.push(None);
            self.ports.len() - 1
        });
        let port = PortId(index as u32);
        self.open_port_at(port, config);
        port
    }

    /// Opens a port with this number, whose queue is new.
    pub(crate) fn open_port_at(&mut self, port: PortId, config: PortConfig) {
        if port.index() >= self.ports.len() {
            self.ports.resize_with(port.index() + 1, || None);
        }
        self.ports[port.index()] =
            Some(Port { config, queue: Queue::default(), macs: 0, recent: 0, recent_to: 0, broadcast: None });
    }

    /// Closes a port: its queue is gone, and its MAC addresses are anyone's.
    pub fn close_port(&mut self, port: PortId) {
        if let Some(slot) = self.ports.get_mut(port.index()) {
            *slot = None;
            self.macs.forget(port, None);
            self.macs.hold(port, false);
            self.turns.end(port);
        }
    }

    /// Has a port send so many frames to groups per second at most, broadcast and multicast; what comes on top is dropped and counted. 0 is no
    /// limit.
    pub fn limit_broadcast(&mut self, port: PortId, frames_per_s: u32) {
        if let Some(Some(port)) = self.ports.get_mut(port.index()) {
            port.broadcast = BroadcastLimit::new(frames_per_s);
        }
    }

    /// Drops the frames that wait for a port, counted as stale.
    pub fn discard_waiting(&mut self, port: PortId) {
        let Some(Some(port)) = self.ports.get_mut(port.index()) else { return };
        while port.queue.pop(&mut self.chunks).is_some() {
            self.drops.count(Drop::Stale);
        }
    }

    /// Has the MAC addresses of a port stay its own although nobody answers for them, until it is called with `false` or the port is closed:
    /// its guest is away, and may come back. Frames of others with such a source are dropped, and nobody is asked.
    pub fn hold_macs(&mut self, port: PortId, is_held: bool) {
        self.macs.hold(port, is_held);
    }

    /// Whether any MAC address is behind a port.
    #[must_use]
    pub fn has_macs(&self, port: PortId) -> bool {
        matches!(self.ports.get(port.index()), Some(Some(port)) if port.macs > 0)
    }

    /// The port that a MAC address belongs to.
    #[must_use]
    pub fn port_of(&self, mac: MacAddr) -> Option<PortId> {
        self.macs.owner(mac)
    }

    /// The table: every MAC address, the port that it belongs to, and when it was last a frame's source. In no order.
    pub fn macs(&self) -> impl Iterator<Item = (MacAddr, PortId, Instant)> {
        self.macs.iter()
    }

    /// Drops by reason.
    #[must_use]
    pub const fn drops(&self) -> &Drops {
        &self.drops
    }

    /// Takes a frame from a port, without FCS, and queues it for the ports that it is for.
    pub fn handle_frame(&mut self, now: Instant, from: PortId, frame: &[u8]) -> Forwarding {
        self.handle_offloaded(now, from, frame, Offload::default())
    }

    /// Takes a frame in which something is left to do. It is done for ports that do not do it themselves.
    #[inline]
    pub fn handle_offloaded(
        &mut self,
        now: Instant,
        from: PortId,
        frame: &[u8],
        offload: Offload,
    ) -> Forwarding {
        if let Err((why, ask)) = self.admit(now, from, frame) {
            self.drops.count(why);
            return ask.unwrap_or(Forwarding::Done);
        }
        let to = ethernet::destination(frame);
        if to == self.gateway {
            return Forwarding::ToStack;
        }
        if to.is_group() {
            if !self.admits_broadcast(now, from) {
                self.drops.count(Drop::BroadcastLimit);
                return Forwarding::Done;
            }
            self.flood(from, frame, offload);
            return Forwarding::ToStack;
        }
        match self.destination(from, to) {
            Some(port) if port == from => self.drops.count(Drop::Hairpin),
            Some(port) if self.is_isolated(from) || self.is_isolated(port) => {
                self.drops.count(Drop::Isolated);
            }
            Some(port) => {
                if let Some(mtu) = self.forward(port, frame, None, offload) {
                    return Forwarding::TooBig(mtu);
                }
            }
            None => self.flood(from, frame, offload),
        }
        Forwarding::Done
    }

    /// Checks a frame and learns its source.
    fn admit(&mut self, now: Instant, from: PortId, frame: &[u8]) -> Result<(), (Drop, Option<Forwarding>)> {
        let refuse = |why| Err((why, None));
        if frame.len() < MIN_FRAME_BYTES {
            return refuse(Drop::FrameTooShort);
        }
        if frame.len() > MAX_FRAME_BYTES {
            return refuse(Drop::FrameTooLong);
        }
        let source = ethernet::source(frame);
        let Some(port) = self.ports.get_mut(from.index()).and_then(Option::as_mut) else {
            return refuse(Drop::PortClosed);
        };
        if self.macs.touch(now, port.recent, source, from) {
            return Ok(());
        }
        if !source.is_unicast() {
            return refuse(Drop::SourceInvalid);
        }
        if source == self.gateway {
            return refuse(Drop::MacClaimed);
        }
        let judged = self.macs.judge(now, source, from);
        let before = match judged {
            Source::Own(place) => {
                port.recent = place;
                return Ok(());
            }
            Source::Ask(owner) => {
                return Err((Drop::MacClaimed, Some(Forwarding::Ask { owner, mac: source })));
            }
            Source::Refused => return refuse(Drop::MacClaimed),
            Source::Given(owner) => Some(owner),
            Source::Unknown => None,
        };
        if port.macs >= port.config.macs {
            port.macs -= self.macs.forget(from, Some(now));
            if port.macs >= port.config.macs {
                return refuse(Drop::MacTableFull);
            }
        }
        port.macs += 1;
        port.recent = self.macs.learn(now, source, from);
        if let Some(Some(port)) = before.and_then(|owner| self.ports.get_mut(owner.index())) {
            port.macs -= 1;
        }
        Ok(())
    }

    /// The port that an address is behind. A port's frame mostly goes where its last one went.
    fn destination(&mut self, from: PortId, to: MacAddr) -> Option<PortId> {
        let port = self.ports.get_mut(from.index())?.as_mut()?;
        let known = self.macs.owner_at(port.recent_to, to);
        known.or_else(|| {
            port.recent_to = self.macs.place(to)?;
            self.macs.owner_at(port.recent_to, to)
        })
    }

    fn admits_broadcast(&mut self, now: Instant, from: PortId) -> bool {
        let port = self.ports.get_mut(from.index()).and_then(Option::as_mut);
        port.and_then(|port| port.broadcast.as_mut()).is_none_or(|limit| limit.admit(now))
    }

    fn is_isolated(&self, port: PortId) -> bool {
        matches!(self.ports.get(port.index()), Some(Some(port)) if port.config.isolated)
    }

    fn flood(&mut self, from: PortId, frame: &[u8], offload: Offload) {
        if self.is_isolated(from) {
            if self.ports.iter().flatten().count() > 1 {
                self.drops.count(Drop::Isolated);
            }
            return;
        }
        let multicast = ethernet::destination(frame).is_ip_multicast();
        for index in 0..self.ports.len() {
            let to = PortId(index as u32);
            if to != from && !self.is_isolated(to) {
                let alone = if multicast { self.unicast_for(to) } else { None };
                self.forward(to, frame, alone, offload);
            }
        }
    }

    /// The one address behind a port, if multicast goes to it alone.
    fn unicast_for(&self, port: PortId) -> Option<MacAddr> {
        let Port { config, macs, recent, .. } = self.ports.get(port.index())?.as_ref()?;
        if config.multicast_to_unicast && !config.offloads && *macs == 1 {
            self.macs.address_at(*recent, port)
        } else {
            None
        }
    }

    /// Queues a frame for a port, perhaps under another destination; the port's MTU if it is too big for it.
    fn forward(
        &mut self,
        to: PortId,
        frame: &[u8],
        destination: Option<MacAddr>,
        offload: Offload,
    ) -> Option<u16> {
        let port = self.ports.get_mut(to.index())?.as_mut()?;
        let tag = if matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8])) { 4 } else { 0 };
        let front = MIN_FRAME_BYTES + tag;
        if offload.longest_packet(frame, front) > usize::from(port.config.mtu) {
            self.drops.count(Drop::PortMtu);
            return Some(port.config.mtu);
        }
        if !offload.is_complete() && !port.config.offloads {
            let whole = offload.complete(frame, &mut self.completed, |frame| {
                let queued = port.enqueue(&mut self.chunks, frame, destination, Offload::default());
                self.drops.count_unless(queued, Drop::QueueFull);
            });
            self.drops.count_unless(whole, Drop::OffloadMalformed);
        } else {
            let left = if port.config.offloads { offload } else { Offload::default() };
            let queued = port.enqueue(&mut self.chunks, frame, destination, left);
            self.drops.count_unless(queued, Drop::QueueFull);
        }
        self.turns.list(to);
        None
    }

    /// A port that has frames. It is given once, until [`Self::poll_frame`] gave `None` for it and it has frames again.
    #[must_use]
    pub fn poll_port(&mut self) -> Option<PortId> {
        self.turns.poll()
    }

    /// The next frame for a port, which is then done with.
    #[must_use]
    pub fn poll_frame(&mut self, id: PortId) -> Option<&[u8]> {
        let port = self.ports.get_mut(id.index()).and_then(Option::as_mut);
        let frame = port.and_then(|port| port.queue.pop(&mut self.chunks));
        if frame.is_none() {
            self.turns.end(id);
        }
        frame
    }

    /// The same with what is left to do in it, for a port that does it.
    #[must_use]
    pub fn poll_offloaded(&mut self, id: PortId) -> Option<(&[u8], Offload)> {
        let port = self.ports.get_mut(id.index()).and_then(Option::as_mut);
        let frame = port.and_then(|port| port.queue.pop_offloaded(&mut self.chunks));
        if frame.is_none() {
            self.turns.end(id);
        }
        frame
    }
}
