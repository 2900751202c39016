//! Who uses an address, learnt from ARP, from neighbour discovery and from packets.

use core::net::{IpAddr, Ipv6Addr};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Stack;
use crate::addr::MacAddr;
use crate::flow::Guest;
use crate::port::PortId;
use crate::time::Instant;

/// Addresses remembered; a guest that makes up more is not remembered.
const MAX_NEIGHBORS: usize = 8192;
/// IPv6 addresses remembered of one guest, the last ones: privacy extensions use a few at a time (RFC 8981).
const MAX_OF_GUEST: usize = 16;

#[derive(Default)]
pub(super) struct Neighbors {
    guests: BTreeMap<IpAddr, Guest>,
    /// IPv6 addresses of each guest, in the order in which they were learnt.
    v6: BTreeMap<MacAddr, VecDeque<Ipv6Addr>>,
    /// Grows with every change, so that links can tell whether what they saw last still holds.
    age: u64,
}

impl Neighbors {
    /// Grows with every change.
    pub(super) const fn age(&self) -> u64 {
        self.age
    }

    pub(super) fn get(&self, address: IpAddr) -> Option<Guest> {
        self.guests.get(&address).copied()
    }

    /// An address that a guest uses: the lowest.
    pub(super) fn address_of(&self, guest: Guest) -> Option<IpAddr> {
        self.guests.iter().find(|(_, known)| **known == guest).map(|(address, _)| *address)
    }

    /// IPv6 addresses that a guest uses, the one that was learnt last at the end.
    pub(super) fn v6_of(&self, mac: MacAddr) -> impl Iterator<Item = Ipv6Addr> {
        self.v6.get(&mac).into_iter().flatten().copied()
    }

    /// Whether anybody uses IPv6.
    pub(super) fn speak_v6(&self) -> bool {
        !self.v6.is_empty()
    }

    /// Those who use IPv6, by port.
    pub(super) fn v6_guests(&self) -> BTreeSet<Guest> {
        self.guests.iter().filter(|(address, _)| address.is_ipv6()).map(|(_, guest)| *guest).collect()
    }

    /// Remembers who uses an address, if there is room.
    fn insert(&mut self, address: IpAddr, guest: Guest) {
        let before = self.get(address);
        if before.is_none() && self.guests.len() >= MAX_NEIGHBORS {
            return;
        }
        self.guests.insert(address, guest);
        self.age += 1;
        let IpAddr::V6(v6) = address else { return };
        if before.is_some_and(|before| before.mac == guest.mac) {
            return;
        }
        if let Some(before) = before {
            self.disown(before.mac, v6);
        }
        let own = self.v6.entry(guest.mac).or_default();
        own.push_back(v6);
        if own.len() > MAX_OF_GUEST
            && let Some(oldest) = own.pop_front()
        {
            self.guests.remove(&IpAddr::V6(oldest));
        }
    }

    fn disown(&mut self, mac: MacAddr, address: Ipv6Addr) {
        if let Some(own) = self.v6.get_mut(&mac) {
            own.retain(|known| *known != address);
            if own.is_empty() {
                self.v6.remove(&mac);
            }
        }
    }

    fn forget(&mut self, port: PortId) {
        let gone: Vec<(IpAddr, MacAddr)> = self
            .guests
            .iter()
            .filter(|(_, guest)| guest.port == port)
            .map(|(address, guest)| (*address, guest.mac))
            .collect();
        for (address, mac) in gone {
            self.guests.remove(&address);
            if let IpAddr::V6(v6) = address {
                self.disown(mac, v6);
            }
        }
        self.age += 1;
    }
}

impl Stack {
    /// A guest uses an address. Nobody else's word counts more than the last one's.
    pub(super) fn learn(&mut self, now: Instant, address: IpAddr, guest: Guest) {
        let Some(link) = self.link(guest.port) else { return };
        if link.learnt == Some((address, guest.mac, self.neighbors.age)) {
            return;
        }
        if self.neighbors.get(address) != Some(guest) {
            if !self.config.is_on_lan(address) || self.config.is_ours(address) {
                return;
            }
            self.neighbors.insert(address, guest);
            self.resolved(address, guest);
            if address.is_ipv6() {
                self.begin_advertising(now);
            }
        }
        let age = self.neighbors.age;
        if let Some(link) = self.link_mut(guest.port) {
            link.learnt = Some((address, guest.mac, age));
        }
    }

    pub(super) fn forget_neighbors_of(&mut self, port: PortId) {
        self.neighbors.forget(port);
    }

    /// The guest that last used an address, learnt from its traffic.
    #[must_use]
    pub fn guest_of(&self, address: IpAddr) -> Option<Guest> {
        self.neighbors.get(address)
    }
}
