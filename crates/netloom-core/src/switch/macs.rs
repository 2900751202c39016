//! Which port a MAC address belongs to, and claims of other ports to it.

use crate::addr::MacAddr;
use crate::hash::{Map, Seeded};
use crate::port::PortId;
use crate::time::{Duration, Instant};

/// How long the port that has an address may take to answer for it before another port's claim stands.
const CLAIM: Duration = Duration::from_secs(2);
/// How long a silent address is remembered when its port's share of the table is full (IEEE 802.1D 7.9.2).
const AGEING: Duration = Duration::from_secs(300);

/// Another port has used the address: its owner was asked.
#[derive(Clone, Copy)]
struct Claim {
    asked: Instant,
    answered: bool,
}

struct Entry {
    mac: MacAddr,
    owner: PortId,
    seen: Instant,
    claim: Option<Claim>,
}

/// Whether ports can be held. In a page no guest goes away and comes back, and the module is smaller without.
const HOLDS: bool = !cfg!(target_family = "wasm");

/// Addresses by port. Entries keep their places, so that a port can remember where the one that it used last stands.
pub(super) struct MacTable {
    places: Map<MacAddr, u32>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// Ports whose addresses are nobody else's, though they do not answer.
    held: Vec<PortId>,
}

/// What a frame's source address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It is the port's own, and stands at this place.
    Own(u32),
    /// Nobody has it.
    Unknown,
    /// It is another port's, which must be asked.
    Ask(PortId),
    /// It is another port's, which is held, or was asked and has time left or has answered.
    Refused,
    /// It was another port's, which did not answer: it may be learnt anew.
    Given(PortId),
}

impl MacTable {
    pub(super) fn new(hash: Seeded) -> Self {
        Self { places: Map::with_hasher(hash), entries: Vec::new(), free: Vec::new(), held: Vec::new() }
    }

    pub(super) fn owner(&self, mac: MacAddr) -> Option<PortId> {
        self.owner_at(self.place(mac)?, mac)
    }

    /// Every address, its port, and when it was last a frame's source.
    pub(super) fn iter(&self) -> impl Iterator<Item = (MacAddr, PortId, Instant)> {
        self.entries.iter().flatten().map(|entry| (entry.mac, entry.owner, entry.seen))
    }

    /// Where an address stands.
    pub(super) fn place(&self, mac: MacAddr) -> Option<u32> {
        self.places.get(&mac).copied()
    }

    /// The port that has an address, if the address stands at `place`.
    pub(super) fn owner_at(&self, place: u32, mac: MacAddr) -> Option<PortId> {
        let entry = self.entries.get(place as usize)?.as_ref()?;
        (entry.mac == mac).then_some(entry.owner)
    }

    /// The address that stands at `place`, if it is the port's.
    pub(super) fn address_at(&self, place: u32, port: PortId) -> Option<MacAddr> {
        let entry = self.entries.get(place as usize)?.as_ref()?;
        (entry.owner == port).then_some(entry.mac)
    }

    /// Notes a frame of an address that stands at `place`, if it does and is the port's.
    pub(super) fn touch(&mut self, now: Instant, place: u32, mac: MacAddr, port: PortId) -> bool {
        let entry = self.entries.get_mut(place as usize).and_then(Option::as_mut);
        let Some(entry) = entry.filter(|entry| entry.mac == mac && entry.owner == port) else { return false };
        entry.seen = now;
        if let Some(claim) = &mut entry.claim {
            claim.answered = true;
        }
        true
    }

    /// Judges a frame from `port` by its source.
    pub(super) fn judge(&mut self, now: Instant, mac: MacAddr, port: PortId) -> Source {
        let Some(&place) = self.places.get(&mac) else { return Source::Unknown };
        if self.touch(now, place, mac, port) {
            return Source::Own(place);
        }
        let Some(entry) = &mut self.entries[place as usize] else { return Source::Unknown };
        if HOLDS && self.held.contains(&entry.owner) {
            return Source::Refused;
        }
        match entry.claim {
            Some(claim) if now.since(claim.asked) < CLAIM => Source::Refused,
            Some(Claim { answered: false, .. }) => Source::Given(entry.owner),
            _ => {
                entry.claim = Some(Claim { asked: now, answered: false });
                Source::Ask(entry.owner)
            }
        }
    }

    /// Gives an address to a port; returns its place.
    pub(super) fn learn(&mut self, now: Instant, mac: MacAddr, owner: PortId) -> u32 {
        let entry = Some(Entry { mac, owner, seen: now, claim: None });
        if let Some(&place) = self.places.get(&mac) {
            self.entries[place as usize] = entry;
            return place;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            (self.entries.len() - 1) as u32
        });
        self.entries[place as usize] = entry;
        self.places.insert(mac, place);
        place
    }

    /// Holds the addresses of a port, or no longer.
    pub(super) fn hold(&mut self, port: PortId, is_held: bool) {
        if !HOLDS {
            return;
        }
        self.held.retain(|held| *held != port);
        if is_held {
            self.held.push(port);
            // Its silence from now on tells nothing.
            self.entries
                .iter_mut()
                .flatten()
                .filter(|entry| entry.owner == port)
                .for_each(|entry| entry.claim = None);
        }
    }

    /// Forgets addresses of a port: all of them, or those that were silent for long. Returns how many.
    pub(super) fn forget(&mut self, port: PortId, silent_at: Option<Instant>) -> usize {
        let mut count = 0;
        for (place, slot) in (0..).zip(&mut self.entries) {
            let stale = |entry: &Entry| silent_at.is_none_or(|now| now.since(entry.seen) >= AGEING);
            if let Some(entry) = slot.take_if(|entry| entry.owner == port && stale(entry)) {
                self.places.remove(&entry.mac);
                self.free.push(place);
                count += 1;
            }
        }
        count
    }
}
