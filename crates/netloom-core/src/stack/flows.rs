//! The flow table: flows by slot and by address, their deadlines, and what guests have of them.

use core::cmp::Reverse;
use core::hash::{BuildHasher, Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use std::collections::{BinaryHeap, VecDeque};

use crate::addr::MacAddr;
use crate::flow::{FlowId, Guest, ListenerId, Protocol};
use crate::hash::{Map, Seeded};
use crate::tcp::Tcb;
use crate::time::Instant;
use crate::wire::ip::Pair;

/// What names a flow on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) protocol: Protocol,
    /// The guest's address and the target's.
    pub(super) pair: Pair,
    /// The guest's port and the target's.
    pub(super) ports: (u16, u16),
}

impl Key {
    pub(super) const fn guest(&self) -> SocketAddr {
        SocketAddr::new(self.pair.source(), self.ports.0)
    }

    pub(super) const fn target(&self) -> SocketAddr {
        SocketAddr::new(self.pair.destination(), self.ports.1)
    }
}

impl Hash for Key {
    /// In few words, and the same ones on every machine.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let join = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        match self.pair {
            Pair::V4(guest, target) => state.write_u64(join(guest.to_bits(), target.to_bits())),
            Pair::V6(guest, target) => {
                for bits in [guest.to_bits(), target.to_bits()] {
                    state.write_u64((bits >> 64) as u64);
                    state.write_u64(bits as u64);
                }
            }
        }
        let ports = u32::from(self.ports.0) << 16 | u32::from(self.ports.1);
        state.write_u64(join(self.protocol as u32, ports));
    }
}

/// What a flow carries.
pub(super) enum Body {
    Tcp(Box<Tcb>),
    /// Datagrams that were not taken, and their bytes.
    Datagrams(VecDeque<Vec<u8>>, usize),
}

pub(super) struct Flow {
    pub(super) id: FlowId,
    pub(super) key: Key,
    /// `None` until it is found who uses the address that we connect to.
    pub(super) guest: Option<Guest>,
    pub(super) body: Body,
    /// Whether the outside has not answered yet.
    pub(super) pending: bool,
    /// Whether the outside is done with it: only TIME-WAIT is left.
    pub(super) detached: bool,
    /// Whether the outside opened it.
    pub(super) opened: bool,
    /// Whether the machine answers it itself.
    pub(super) served: bool,
    /// The listener that it waits at to be accepted.
    pub(super) listener: Option<ListenerId>,
    /// Whether nobody wants what still arrives.
    pub(super) discards: bool,
    /// When a dial, or a silent UDP flow, is given up.
    pub(super) deadline: Option<Instant>,
    /// What opened it, as ICMP errors quote it.
    pub(super) quote: Vec<u8>,
    pub(super) fresh_bytes: usize,
    pub(super) data_told: bool,
    /// Whether it stands among its port's senders.
    pub(super) listed: bool,
    /// Bytes that it holds or was offered, as counted against the LAN's bound.
    pub(super) buffered_bytes: usize,
    armed: Option<Instant>,
}

impl Flow {
    /// Whether it is a guest's. A guest that has moved to another port, which the switch has judged, takes its flows along.
    pub(super) fn is_of(&mut self, guest: Guest) -> bool {
        match &mut self.guest {
            Some(known) if *known == guest => true,
            Some(known) if known.mac == guest.mac => {
                *known = guest;
                self.listed = false;
                true
            }
            _ => false,
        }
    }
}

#[derive(Default)]
struct Slot {
    generation: u32,
    flow: Option<Flow>,
}

/// What a guest has.
#[derive(Default)]
struct Account {
    flows: usize,
    /// Those of them that the outside opened.
    opened: usize,
    pending: usize,
    /// Its detached flows, about in the order in which they end. Some may be gone.
    detached: VecDeque<FlowId>,
}

pub(super) struct Flows {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_key: Map<Key, u32>,
    accounts: Map<MacAddr, Account>,
    /// The slot of the flow that was found last.
    recent: u32,
    timers: BinaryHeap<Reverse<(Instant, u32)>>,
    pub(super) buffered_bytes: usize,
    secret: Seeded,
    next_port: u16,
}

impl Flows {
    pub(super) fn new(hash: Seeded, secret: Seeded) -> Self {
        let next_port = secret.hash_one(0_u64) as u16;
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: Map::with_hasher(hash.clone()),
            accounts: Map::with_hasher(hash),
            recent: 0,
            timers: BinaryHeap::new(),
            buffered_bytes: 0,
            secret,
            next_port,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn find(&mut self, key: &Key) -> Option<u32> {
        // Segments come in trains.
        if self.slot(self.recent).is_some_and(|flow| flow.key == *key) {
            return Some(self.recent);
        }
        let slot = self.by_key.get(key).copied()?;
        self.recent = slot;
        Some(slot)
    }

    /// How many flows a guest has opened, and how many of them the outside has not answered.
    pub(super) fn count(&self, mac: MacAddr) -> (usize, usize) {
        self.accounts.get(&mac).map_or((0, 0), |account| (account.flows - account.opened, account.pending))
    }

    /// How many flows the outside has opened to a guest.
    pub(super) fn opened(&self, mac: MacAddr) -> usize {
        self.accounts.get(&mac).map_or(0, |account| account.opened)
    }

    pub(super) fn slot(&mut self, slot: u32) -> Option<&mut Flow> {
        flow_at(&mut self.slots, slot)
    }

    /// The flows that the outside may use.
    pub(super) fn ids(&self) -> impl Iterator<Item = FlowId> {
        let flows = self.slots.iter().filter_map(|slot| slot.flow.as_ref());
        flows.filter(|flow| !flow.detached && !flow.served).map(|flow| flow.id)
    }

    /// The flow of an id, if the outside may still use it.
    pub(super) fn get(&self, id: FlowId) -> Option<&Flow> {
        let slot = self.slots.get(id.index as usize).filter(|slot| slot.generation == id.generation)?;
        slot.flow.as_ref().filter(|flow| !flow.detached)
    }

    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        let slot = self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)?;
        slot.flow.as_mut().filter(|flow| !flow.detached)
    }

    pub(super) fn insert(&mut self, key: Key, guest: Option<Guest>, body: Body, pending: bool) -> FlowId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        let id = FlowId { index, generation: slot.generation };
        slot.flow = Some(Flow {
            id,
            key,
            guest,
            body,
            pending,
            detached: false,
            opened: false,
            served: false,
            listener: None,
            discards: false,
            deadline: None,
            quote: Vec::new(),
            fresh_bytes: 0,
            data_told: false,
            listed: false,
            buffered_bytes: 0,
            armed: None,
        });
        self.by_key.insert(key, index);
        if let Some(guest) = guest {
            let account = self.accounts.entry(guest.mac).or_default();
            account.flows += 1;
            account.pending += usize::from(pending);
        }
        id
    }

    /// A flow that the outside opens.
    pub(super) fn insert_opened(&mut self, key: Key, guest: Option<Guest>, body: Body) -> FlowId {
        let id = self.insert(key, guest, body, false);
        if let Some(flow) = flow_at(&mut self.slots, id.index) {
            flow.opened = true;
        }
        if let Some(account) = guest.and_then(|guest| self.accounts.get_mut(&guest.mac)) {
            account.opened += 1;
        }
        id
    }

    /// The guest of a flow became known.
    pub(super) fn set_guest(&mut self, slot: u32, guest: Guest) {
        let Some(flow) = flow_at(&mut self.slots, slot) else { return };
        if flow.guest.replace(guest).is_none() {
            let account = self.accounts.entry(guest.mac).or_default();
            account.flows += 1;
            account.opened += usize::from(flow.opened);
        }
    }

    /// The outside has answered.
    pub(super) fn answered(&mut self, slot: u32) {
        let Some(flow) = flow_at(&mut self.slots, slot) else { return };
        if std::mem::take(&mut flow.pending)
            && let Some(account) = flow.guest.and_then(|guest| self.accounts.get_mut(&guest.mac))
        {
            account.pending -= 1;
        }
    }

    /// The outside is done with a flow.
    pub(super) fn detach(&mut self, slot: u32) {
        let Some(flow) = flow_at(&mut self.slots, slot) else { return };
        let (Some(guest), false) = (flow.guest, std::mem::replace(&mut flow.detached, true)) else { return };
        let (id, slots) = (flow.id, &self.slots);
        let Account { flows, detached, .. } = self.accounts.entry(guest.mac).or_default();
        detached.push_back(id);
        if detached.len() > 2 * *flows {
            detached.retain(|id| slots[id.index as usize].generation == id.generation);
        }
    }

    /// Forgets detached flows of a guest, those that end first, until so many are left.
    pub(super) fn bound_detached(&mut self, mac: MacAddr, most: usize) {
        while self.accounts.get(&mac).is_some_and(|account| account.detached.len() > most) {
            self.forget_detached(mac);
        }
    }

    /// Forgets the detached flow of a guest that ends first; false if there is none.
    pub(super) fn forget_detached(&mut self, mac: MacAddr) -> bool {
        while let Some(id) = self.accounts.get_mut(&mac).and_then(|account| account.detached.pop_front()) {
            if self.slots[id.index as usize].generation == id.generation {
                self.remove(id.index);
                return true;
            }
        }
        false
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<Flow> {
        self.answered(slot);
        let place = self.slots.get_mut(slot as usize)?;
        let flow = place.flow.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        self.by_key.remove(&flow.key);
        self.buffered_bytes -= flow.buffered_bytes;
        if let Some(guest) = flow.guest
            && let Some(account) = self.accounts.get_mut(&guest.mac)
        {
            account.flows -= 1;
            account.opened -= usize::from(flow.opened);
            if account.flows == 0 {
                self.accounts.remove(&guest.mac);
            }
        }
        Some(flow)
    }

    pub(super) fn of_port(&self, port: crate::port::PortId) -> Vec<u32> {
        let flows = self.slots.iter().filter_map(|slot| slot.flow.as_ref());
        flows
            .filter(|flow| flow.guest.is_some_and(|guest| guest.port == port))
            .map(|flow| flow.id.index)
            .collect()
    }

    /// Flows from an address of the machine's.
    pub(super) fn of_target(&self, own: IpAddr) -> Vec<u32> {
        let flows = self.slots.iter().filter_map(|slot| slot.flow.as_ref());
        flows.filter(|flow| flow.key.target().ip() == own).map(|flow| flow.id.index).collect()
    }

    /// Takes note of when a flow wants to be woken. An earlier note stays: it wakes for nothing, and is made anew then.
    pub(super) fn arm(&mut self, slot: u32) {
        let Some(flow) = flow_at(&mut self.slots, slot) else { return };
        let tcp = match &flow.body {
            Body::Tcp(tcb) => tcb.timeout_bound(),
            Body::Datagrams(..) => None,
        };
        let Some(next) = tcp.into_iter().chain(flow.deadline).min() else { return };
        if flow.armed.is_none_or(|at| next < at) {
            flow.armed = Some(next);
            self.timers.push(Reverse((next, slot)));
        }
    }

    /// A flow whose deadline has passed.
    pub(super) fn due(&mut self, now: Instant) -> Option<u32> {
        loop {
            let Reverse((at, slot)) = *self.timers.peek().filter(|Reverse((at, _))| *at <= now)?;
            self.timers.pop();
            if let Some(flow) = self.slot(slot).filter(|flow| flow.armed == Some(at)) {
                flow.armed = None;
                return Some(slot);
            }
        }
    }

    pub(super) fn poll_timeout(&mut self) -> Option<(Instant, &'static str)> {
        loop {
            let Reverse((at, slot)) = *self.timers.peek()?;
            if let Some(flow) = self.slot(slot).filter(|flow| flow.armed == Some(at)) {
                let why = match &flow.body {
                    Body::Tcp(tcb) => tcb.poll_timeout().map_or("dial", |(_, why)| why),
                    Body::Datagrams(..) => "idle flow",
                };
                return Some((at, why));
            }
            self.timers.pop();
        }
    }

    /// An initial sequence number that an attacker cannot guess and that moves on with time (RFC 6528).
    pub(super) fn isn(&self, now: Instant, key: &Key) -> u32 {
        (self.secret.hash_one(key) as u32).wrapping_add((now.as_us() / 4) as u32)
    }

    /// The key of a detached flow to a guest's port, which gives way.
    pub(super) fn reuse_key(&mut self, mac: MacAddr, pair: Pair, guest_port: u16) -> Option<Key> {
        let mut detached = self.accounts.get(&mac)?.detached.iter().copied();
        let of_pair = |id: &FlowId| {
            let slot = self.slots.get(id.index as usize).filter(|slot| slot.generation == id.generation);
            let flow = slot.and_then(|slot| slot.flow.as_ref());
            flow.is_some_and(|flow| flow.key.pair == pair && flow.key.ports.0 == guest_port)
        };
        let id = detached.find(of_pair)?;
        self.remove(id.index).map(|flow| flow.key)
    }

    /// A free local port toward a guest, from the range of RFC 6335.
    pub(super) fn free_key(&mut self, protocol: Protocol, pair: Pair, guest_port: u16) -> Option<Key> {
        for _ in 0..16_384 {
            self.next_port = self.next_port.wrapping_add(1);
            let port = 49_152 | self.next_port;
            let key = Key { protocol, pair, ports: (guest_port, port) };
            if !self.by_key.contains_key(&key) {
                return Some(key);
            }
        }
        None
    }
}

/// The flow of a slot, borrowed apart from the rest of the table.
fn flow_at(slots: &mut [Slot], slot: u32) -> Option<&mut Flow> {
    slots.get_mut(slot as usize)?.flow.as_mut()
}
