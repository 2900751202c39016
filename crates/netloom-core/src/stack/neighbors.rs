//! Who uses an address, learnt from ARP and from packets.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use super::Stack;
use crate::addr::MacAddr;
use crate::flow::Guest;
use crate::port::PortId;

/// Addresses remembered; a guest that makes up more is not remembered.
const MAX_NEIGHBORS: usize = 8192;

#[derive(Default)]
pub(super) struct Neighbors {
    guests: BTreeMap<Ipv4Addr, Guest>,
    /// Grows with every change, so that links can tell whether what they saw last still holds.
    age: u64,
}

impl Neighbors {
    pub(super) fn get(&self, address: Ipv4Addr) -> Option<Guest> {
        self.guests.get(&address).copied()
    }

    /// An address that a guest uses: the lowest.
    pub(super) fn address_of(&self, guest: Guest) -> Option<Ipv4Addr> {
        self.guests.iter().find(|(_, known)| **known == guest).map(|(address, _)| *address)
    }
}

impl Stack {
    /// A guest uses an address. Nobody else's word counts more than the last one's.
    pub(super) fn learn(&mut self, address: Ipv4Addr, guest: Guest) {
        let Some(link) = self.link(guest.port) else { return };
        if link.learnt == Some((address, guest.mac, self.neighbors.age)) {
            return;
        }
        if self.neighbors.get(address) != Some(guest) {
            if !self.config.subnet.contains(address)
                || self.is_ours(address)
                || (self.neighbors.guests.len() >= MAX_NEIGHBORS
                    && !self.neighbors.guests.contains_key(&address))
            {
                return;
            }
            self.neighbors.guests.insert(address, guest);
            self.neighbors.age += 1;
            self.resolved(address, guest);
        }
        let age = self.neighbors.age;
        if let Some(link) = self.link_mut(guest.port) {
            link.learnt = Some((address, guest.mac, age));
        }
    }

    pub(super) fn forget_neighbors_of(&mut self, port: PortId) {
        self.neighbors.guests.retain(|_, guest| guest.port != port);
        self.neighbors.age += 1;
    }

    /// The guest that last used an address, learnt from its traffic.
    #[must_use]
    pub fn guest_of(&self, address: core::net::IpAddr) -> Option<Guest> {
        match address {
            core::net::IpAddr::V4(address) => self.neighbors.get(address),
            core::net::IpAddr::V6(_) => None,
        }
    }

    /// Asks a guest whether it is still there, as far as one of its addresses is known.
    pub fn ask(&mut self, port: PortId, mac: MacAddr) {
        if let Some(address) = self.neighbors.address_of(Guest { port, mac }) {
            let probe = self.arp_probe(mac, address);
            self.push(port, &probe);
        }
    }
}
