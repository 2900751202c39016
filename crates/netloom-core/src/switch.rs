//! The switch: ports, their queues, and which MAC address is behind which port (IEEE 802.1D, and the machine's MAC rule).
//!
//! It knows Ethernet alone. The stack is behind it as one more receiver, named by the gateway's MAC address.

use std::collections::{BTreeMap, VecDeque};

use crate::addr::MacAddr;
use crate::counters::{Drop, Drops};
use crate::hash::{Map, Seeded};
use crate::port::{MAX_FRAME_BYTES, MIN_FRAME_BYTES, PortConfig, PortId};
use crate::time::{Duration, Instant};

/// How long a MAC address belongs to a port that was heard with it, against a claim from another port.
const CLAIM: Duration = Duration::from_secs(2);
/// How long a silent MAC address is remembered when the table is full.
const AGEING: Duration = Duration::from_secs(300);

/// Whether a port waits to be polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Idle,
    Listed,
    Given,
}

pub(crate) struct Port {
    pub(crate) config: PortConfig,
    queue: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    turn: Turn,
    macs: usize,
    /// Flows that have segments to send, in turn.
    pub(crate) senders: VecDeque<u32>,
    /// Segments sent in the turn of the first of them.
    pub(crate) turn_segments: usize,
    /// Full frames that the stack may still send before the guest answers.
    pub(crate) credit: u16,
    /// When the credit comes back though the guest is silent.
    pub(crate) credit_at: Option<Instant>,
}

/// What a frame is for, besides other ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Done with.
    Done,
    /// For the stack as well.
    Stack,
    /// Too big for the port that it was for.
    TooBig(u16),
}

pub(crate) struct Switch {
    gateway: MacAddr,
    ports: BTreeMap<u32, Port>,
    macs: Map<MacAddr, (PortId, Instant)>,
    turns: VecDeque<PortId>,
}

impl Switch {
    pub(crate) fn new(gateway: MacAddr, hash: Seeded) -> Self {
        Self { gateway, ports: BTreeMap::new(), macs: Map::with_hasher(hash), turns: VecDeque::new() }
    }

    pub(crate) fn open(&mut self, config: PortConfig) -> PortId {
        let number = (0..).find(|n| !self.ports.contains_key(n)).unwrap_or_default();
        let port = Port {
            config,
            queue: VecDeque::new(),
            queued_bytes: 0,
            turn: Turn::Idle,
            macs: 0,
            senders: VecDeque::new(),
            turn_segments: 0,
            credit: config.burst.unwrap_or(u16::MAX),
            credit_at: None,
        };
        self.ports.insert(number, port);
        PortId(number)
    }

    pub(crate) fn close(&mut self, port: PortId) {
        self.ports.remove(&port.0);
        self.macs.retain(|_, (owner, _)| *owner != port);
        self.turns.retain(|turn| *turn != port);
    }

    pub(crate) fn port(&self, port: PortId) -> Option<&Port> {
        self.ports.get(&port.0)
    }

    pub(crate) fn port_mut(&mut self, port: PortId) -> Option<&mut Port> {
        self.ports.get_mut(&port.0)
    }

    pub(crate) fn ports(&self) -> impl Iterator<Item = PortId> {
        self.ports.keys().map(|n| PortId(*n))
    }

    pub(crate) fn port_of(&self, mac: MacAddr) -> Option<PortId> {
        self.macs.get(&mac).map(|(port, _)| *port)
    }

    /// Takes a frame from a port, hands it to the ports it is for, and says whether it is for the stack.
    pub(crate) fn handle(&mut self, now: Instant, from: PortId, frame: &[u8], drops: &mut Drops) -> Verdict {
        let Some(port) = self.ports.get_mut(&from.0) else { return Verdict::Done };
        port.credit = port.config.burst.unwrap_or(u16::MAX);
        port.credit_at = None;
        if !port.senders.is_empty() {
            self.list(from);
        }
        if let Err(why) = self.admit(now, from, frame) {
            drops.count(why);
            return Verdict::Done;
        }
        let Some(to) = frame.first_chunk::<6>().map(|octets| MacAddr(*octets)) else { return Verdict::Done };
        if to == self.gateway {
            return Verdict::Stack;
        }
        if to.is_group() {
            self.flood(from, frame, drops);
            return Verdict::Stack;
        }
        match self.port_of(to) {
            Some(port) if port == from => drops.count(Drop::Hairpin),
            Some(port) => {
                if self.is_isolated(from) || self.is_isolated(port) {
                    drops.count(Drop::Isolated);
                } else if let Some(mtu) = self.forward(port, frame, drops) {
                    return Verdict::TooBig(mtu);
                }
            }
            None => self.flood(from, frame, drops),
        }
        Verdict::Done
    }

    /// Checks a frame and learns its source.
    fn admit(&mut self, now: Instant, from: PortId, frame: &[u8]) -> Result<(), Drop> {
        if frame.len() < MIN_FRAME_BYTES {
            return Err(Drop::FrameTooShort);
        }
        if frame.len() > MAX_FRAME_BYTES {
            return Err(Drop::FrameTooLong);
        }
        let source = MacAddr([frame[6], frame[7], frame[8], frame[9], frame[10], frame[11]]);
        if !source.is_unicast() {
            return Err(Drop::SourceInvalid);
        }
        if source == self.gateway {
            return Err(Drop::MacClaimed);
        }
        if let Some((owner, seen)) = self.macs.get_mut(&source) {
            if *owner == from {
                *seen = now;
                return Ok(());
            }
            if now.since(*seen) < CLAIM {
                return Err(Drop::MacClaimed);
            }
        }
        if self.is_full(from) {
            self.age(now, from);
            if self.is_full(from) {
                return Err(Drop::MacTableFull);
            }
        }
        if let Some((owner, _)) = self.macs.insert(source, (from, now))
            && let Some(port) = self.ports.get_mut(&owner.0)
        {
            port.macs = port.macs.saturating_sub(1);
        }
        if let Some(port) = self.ports.get_mut(&from.0) {
            port.macs += 1;
        }
        Ok(())
    }

    fn is_full(&self, port: PortId) -> bool {
        self.port(port).is_none_or(|port| port.macs >= port.config.macs)
    }

    fn age(&mut self, now: Instant, port: PortId) {
        let before = self.macs.len();
        self.macs.retain(|_, (owner, seen)| *owner != port || now.since(*seen) < AGEING);
        let gone = before - self.macs.len();
        if let Some(port) = self.ports.get_mut(&port.0) {
            port.macs = port.macs.saturating_sub(gone);
        }
    }

    fn is_isolated(&self, port: PortId) -> bool {
        self.port(port).is_some_and(|port| port.config.isolated)
    }

    fn flood(&mut self, from: PortId, frame: &[u8], drops: &mut Drops) {
        if self.is_isolated(from) {
            if self.ports.len() > 1 {
                drops.count(Drop::Isolated);
            }
            return;
        }
        let to: Vec<PortId> = self.ports().filter(|port| *port != from && !self.is_isolated(*port)).collect();
        for port in to {
            self.forward(port, frame, drops);
        }
    }

    /// Puts a guest's frame on another port; the MTU if the frame is too big for it.
    fn forward(&mut self, to: PortId, frame: &[u8], drops: &mut Drops) -> Option<u16> {
        let port = self.ports.get(&to.0)?;
        let tag = if matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8])) { 4 } else { 0 };
        if frame.len() > MIN_FRAME_BYTES + tag + usize::from(port.config.mtu) {
            drops.count(Drop::PortMtu);
            return Some(port.config.mtu);
        }
        self.push(to, frame.to_vec(), drops);
        None
    }

    /// Queues a frame for a port.
    pub(crate) fn push(&mut self, to: PortId, frame: Vec<u8>, drops: &mut Drops) {
        let Some(port) = self.ports.get_mut(&to.0) else { return };
        if !port.queue.is_empty() && port.queued_bytes + frame.len() > port.config.queue_bytes {
            drops.count(Drop::QueueFull);
            return;
        }
        port.queued_bytes += frame.len();
        port.queue.push_back(frame);
        self.list(to);
    }

    /// Queues a frame of the stack for every port.
    pub(crate) fn push_everywhere(&mut self, frame: &[u8], drops: &mut Drops) {
        let ports: Vec<PortId> = self.ports().collect();
        for port in ports {
            self.push(port, frame.to_vec(), drops);
        }
    }

    pub(crate) fn pop(&mut self, port: PortId) -> Option<Vec<u8>> {
        let port = self.ports.get_mut(&port.0)?;
        let frame = port.queue.pop_front()?;
        port.queued_bytes -= frame.len();
        Some(frame)
    }

    /// A port has something to send.
    pub(crate) fn list(&mut self, id: PortId) {
        if let Some(port) = self.ports.get_mut(&id.0).filter(|port| port.turn == Turn::Idle) {
            port.turn = Turn::Listed;
            self.turns.push_back(id);
        }
    }

    /// A port was drained.
    pub(crate) fn drained(&mut self, id: PortId) {
        if let Some(port) = self.ports.get_mut(&id.0) {
            port.turn = Turn::Idle;
        }
    }

    pub(crate) fn poll_port(&mut self) -> Option<PortId> {
        while let Some(id) = self.turns.pop_front() {
            if let Some(port) = self.ports.get_mut(&id.0).filter(|port| port.turn == Turn::Listed) {
                port.turn = Turn::Given;
                return Some(id);
            }
        }
        None
    }
}
