//! The switch: forwards frames between ports, as IEEE 802.1D bridges do.
//!
//! It owns the ports, their queues and the table of MAC addresses. The stack is joined by an internal port: frames for its MAC, and
//! group frames, are handed to the caller; frames that it makes are queued by [`Switch::send`] and [`Switch::flood`].
//! Unknown ethertypes pass (IPX, AppleTalk, VLAN tags): the switch looks at nothing but the two addresses.

mod claims;
mod queue;

use std::collections::VecDeque;

use crate::addr::MacAddr;
use crate::counters::{Drop, Drops};
use crate::hash::KeyedHash;
use crate::port::{MAX_FRAME_BYTES, MIN_FRAME_BYTES, PortConfig, PortId};
use crate::time::Instant;
use claims::{Claimed, Claims};
use queue::FrameQueue;

/// Bytes of an Ethernet header.
const HEADER_BYTES: usize = 14;

#[derive(Debug)]
struct Port {
    config: PortConfig,
    queue: FrameQueue,
    /// Whether the outside was told of frames in the queue, or will be by `ready`.
    announced: bool,
    macs: usize,
}

/// What remains for the stack to do with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remainder {
    /// The stack is to see the frame.
    pub(crate) to_stack: bool,
    /// The frame was too big for the port that it was meant for, which has this MTU.
    pub(crate) too_big: Option<u16>,
    /// The port that holds the frame's source MAC is to be asked whether it still does.
    pub(crate) ask: Option<PortId>,
}

#[derive(Debug)]
pub(crate) struct Switch {
    stack_mac: MacAddr,
    ports: Vec<Option<Port>>,
    claims: Claims,
    ready: VecDeque<PortId>,
    pub(crate) drops: Drops,
}

impl Switch {
    pub(crate) fn new(stack_mac: MacAddr, seed: &[u8; 32]) -> Self {
        Self {
            stack_mac,
            ports: Vec::new(),
            claims: Claims::new(KeyedHash::new(seed, 1)),
            ready: VecDeque::new(),
            drops: Drops::default(),
        }
    }

    pub(crate) fn open_port(&mut self, config: PortConfig) -> PortId {
        let port = Port { config, queue: FrameQueue::default(), announced: false, macs: 0 };
        let free = self.ports.iter().position(Option::is_none);
        let index = free.unwrap_or(self.ports.len());
        if free.is_none() {
            self.ports.push(None);
        }
        self.ports[index] = Some(port);
        PortId(index as u32)
    }

    pub(crate) fn close_port(&mut self, port: PortId) {
        if let Some(slot) = self.ports.get_mut(port.0 as usize) {
            *slot = None;
            self.claims.forget_port(port);
            self.ready.retain(|ready| *ready != port);
        }
    }

    pub(crate) fn config(&self, port: PortId) -> Option<&PortConfig> {
        self.ports.get(port.0 as usize)?.as_ref().map(|port| &port.config)
    }

    pub(crate) fn port_of(&self, now: Instant, mac: MacAddr) -> Option<PortId> {
        self.claims.port_of(now, mac)
    }

    /// Forwards a frame that arrived on `from`; says what is left for the stack.
    pub(crate) fn handle_frame(&mut self, now: Instant, from: PortId, frame: &[u8]) -> Remainder {
        let mut remainder = Remainder::default();
        let Some(config) = self.config(from).copied() else { return remainder };
        let Some(header) = frame.first_chunk::<MIN_FRAME_BYTES>() else {
            self.drops.count(Drop::FrameTooShort);
            return remainder;
        };
        if frame.len() > MAX_FRAME_BYTES {
            self.drops.count(Drop::FrameTooLong);
            return remainder;
        }
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..] = *header;
        let (destination, source) =
            (MacAddr([d0, d1, d2, d3, d4, d5]), MacAddr([s0, s1, s2, s3, s4, s5]));
        if let Err(drop) = self.learn(now, source, from, config.macs, &mut remainder.ask) {
            self.drops.count(drop);
            return remainder;
        }
        if destination == self.stack_mac {
            remainder.to_stack = true;
        } else if destination.is_group() {
            remainder.to_stack = true;
            self.flood_from(Some(from), config.isolated, frame);
        } else if let Some(to) = self.claims.port_of(now, destination) {
            remainder.too_big = self.forward(from, config.isolated, to, frame);
        } else {
            self.flood_from(Some(from), config.isolated, frame);
        }
        remainder
    }

    /// Queues a frame of `len` bytes for `port` and gives it to be filled. `None` if the port is closed, full or its MTU too small, which
    /// is counted.
    pub(crate) fn send(&mut self, port: PortId, len: usize) -> Option<&mut [u8]> {
        let slot = self.ports.get_mut(port.0 as usize)?.as_mut()?;
        if let Err(drop) = slot.admits(len) {
            self.drops.count(drop);
            return None;
        }
        slot.announce(port, &mut self.ready);
        Some(slot.queue.push_with(len))
    }

    /// Sends a frame of the stack to every port.
    pub(crate) fn flood(&mut self, frame: &[u8]) {
        self.flood_from(None, false, frame);
    }

    /// Bytes that may yet be queued for a port.
    pub(crate) fn room(&self, port: PortId) -> usize {
        let port = self.ports.get(port.0 as usize).and_then(Option::as_ref);
        port.map_or(0, |port| port.config.queue_bytes.saturating_sub(port.queue.bytes()))
    }

    /// Bytes that wait for a port to be polled.
    pub(crate) fn queued(&self, port: PortId) -> usize {
        self.ports.get(port.0 as usize).and_then(Option::as_ref).map_or(0, |port| port.queue.bytes())
    }

    pub(crate) fn poll_port(&mut self) -> Option<PortId> {
        self.ready.pop_front()
    }

    pub(crate) fn poll_frame(&mut self, port: PortId) -> Option<&[u8]> {
        let port = self.ports.get_mut(port.0 as usize)?.as_mut()?;
        if port.queue.is_empty() {
            port.announced = false;
        }
        port.queue.pop()
    }

    fn learn(
        &mut self,
        now: Instant,
        source: MacAddr,
        from: PortId,
        limit: usize,
        ask: &mut Option<PortId>,
    ) -> Result<(), Drop> {
        if !source.is_unicast() {
            return Err(Drop::SourceInvalid);
        }
        match self.claims.claim(now, source, from) {
            Claimed::Held => Ok(()),
            Claimed::Refused => Err(Drop::MacClaimed),
            Claimed::Ask(holder) => {
                *ask = Some(holder);
                Err(Drop::MacClaimed)
            }
            Claimed::New if source == self.stack_mac => Err(Drop::MacClaimed),
            Claimed::New => {
                let Some(port) = self.ports.get_mut(from.0 as usize).and_then(Option::as_mut) else {
                    return Err(Drop::SourceInvalid);
                };
                if port.macs >= limit {
                    port.macs = self.claims.age(now, from);
                    if port.macs >= limit {
                        return Err(Drop::MacTableFull);
                    }
                }
                port.macs += 1;
                self.claims.insert(now, source, from);
                Ok(())
            }
        }
    }

    /// Queues a frame for one port; returns the port's MTU if the frame is too big for it.
    fn forward(&mut self, from: PortId, isolated: bool, to: PortId, frame: &[u8]) -> Option<u16> {
        let slot = self.ports.get_mut(to.0 as usize)?.as_mut()?;
        let admitted = if from == to {
            Err(Drop::Hairpin)
        } else if isolated || slot.config.isolated {
            Err(Drop::Isolated)
        } else {
            slot.admits(frame.len())
        };
        match admitted {
            Ok(()) => {
                slot.queue.push(frame);
                slot.announce(to, &mut self.ready);
                None
            }
            Err(drop) => {
                let mtu = slot.config.mtu;
                self.drops.count(drop);
                (drop == Drop::PortMtu).then_some(mtu)
            }
        }
    }

    fn flood_from(&mut self, from: Option<PortId>, isolated: bool, frame: &[u8]) {
        for index in 0..self.ports.len() {
            let to = PortId(index as u32);
            let Some(slot) = self.ports[index].as_mut() else { continue };
            if from == Some(to) {
                continue;
            }
            if isolated || from.is_some() && slot.config.isolated {
                continue;
            }
            match slot.admits(frame.len()) {
                Ok(()) => {
                    slot.queue.push(frame);
                    slot.announce(to, &mut self.ready);
                }
                Err(drop) => self.drops.count(drop),
            }
        }
    }
}

impl Port {
    fn announce(&mut self, id: PortId, ready: &mut VecDeque<PortId>) {
        if !self.announced {
            self.announced = true;
            ready.push_back(id);
        }
    }

    fn admits(&self, len: usize) -> Result<(), Drop> {
        // A VLAN tag lengthens the header by four bytes, not the payload.
        if len > HEADER_BYTES + 4 + usize::from(self.config.mtu) {
            Err(Drop::PortMtu)
        } else if self.queue.bytes() + len > self.config.queue_bytes {
            Err(Drop::QueueFull)
        } else {
            Ok(())
        }
    }
}
