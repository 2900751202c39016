//! Who uses an address, learnt from ARP, from neighbour discovery and from packets.

use core::net::{IpAddr, Ipv6Addr};
use std::collections::VecDeque;

use super::{Role, Stack};
use crate::addr::MacAddr;
use crate::flow::Guest;
use crate::interface::InterfaceId;
use crate::port::PortId;
use crate::service::dhcp::Lease;
use crate::sorted::SortedMap;
use crate::time::Instant;

/// Where an address is used: the same one may be another's on another interface.
pub(super) type Place = (InterfaceId, IpAddr);

/// Addresses remembered; a guest that makes up more is not remembered.
const MAX_NEIGHBORS: usize = 8192;
/// IPv6 addresses remembered of one guest, the last ones: privacy extensions use a few at a time (RFC 8981).
const MAX_OF_GUEST: usize = 16;

/// A guest and one of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbor<'a> {
    /// Who uses the address.
    pub guest: Guest,
    /// The address.
    pub address: IpAddr,
    /// The name that the guest leased with.
    pub name: Option<&'a str>,
    /// The greater of two addresses of one guest's is the one that it used last; 0 for a lease that was not used yet.
    pub heard: u64,
}

/// Who uses an address.
#[derive(Clone, Copy)]
struct Known {
    guest: Guest,
    heard: u64,
}

#[derive(Default)]
pub(super) struct Neighbors {
    guests: SortedMap<Place, Known>,
    /// IPv6 addresses of each guest, in the order in which they were learnt.
    v6: SortedMap<(InterfaceId, MacAddr), VecDeque<Ipv6Addr>>,
    /// Grows with every change, so that links can tell whether what they saw last still holds.
    age: u64,
    /// How often a guest went over to another of its addresses.
    heard: u64,
}

impl Neighbors {
    /// A change of leases counts too.
    pub(super) const fn grow(&mut self) {
        self.age += 1;
    }

    /// Grows with every change.
    pub(super) const fn age(&self) -> u64 {
        self.age
    }

    pub(super) fn get(&self, place: Place) -> Option<Guest> {
        self.guests.get(&place).map(|known| known.guest)
    }

    /// An address that a guest uses: the lowest.
    pub(super) fn address_of(&self, guest: Guest) -> Option<IpAddr> {
        self.guests.iter().find(|(_, known)| known.guest == guest).map(|((_, address), _)| *address)
    }

    /// Who is on a port, once for each of their addresses.
    pub(super) fn of_port(&self, port: PortId) -> impl Iterator<Item = MacAddr> {
        self.guests.values().filter(move |known| known.guest.port == port).map(|known| known.guest.mac)
    }

    /// IPv6 addresses that a guest uses, the one that was learnt last at the end.
    pub(super) fn v6_of(&self, interface: InterfaceId, mac: MacAddr) -> impl Iterator<Item = Ipv6Addr> {
        self.v6.get(&(interface, mac)).into_iter().flatten().copied()
    }

    /// Whether anybody uses IPv6.
    pub(super) fn speak_v6(&self) -> bool {
        !self.v6.is_empty()
    }

    /// Those who use IPv6, by port.
    pub(super) fn v6_guests(&self) -> impl Iterator<Item = Guest> + use<> {
        let mut guests = SortedMap::default();
        for (_, known) in self.guests.iter().filter(|((_, address), _)| address.is_ipv6()) {
            guests.insert(known.guest, ());
        }
        guests.into_keys()
    }

    /// Remembers who uses an address, if there is room.
    fn insert(&mut self, place: Place, guest: Guest) {
        let before = self.get(place);
        if before.is_none() && self.guests.len() >= MAX_NEIGHBORS {
            return;
        }
        self.heard += 1;
        self.guests.insert(place, Known { guest, heard: self.heard });
        self.age += 1;
        let (interface, IpAddr::V6(v6)) = place else { return };
        if before.is_some_and(|before| before.mac == guest.mac) {
            return;
        }
        if let Some(before) = before {
            self.disown((interface, before.mac), v6);
        }
        let own = self.v6.get_or_insert_with((interface, guest.mac), VecDeque::new);
        own.push_back(v6);
        if own.len() > MAX_OF_GUEST
            && let Some(oldest) = own.pop_front()
        {
            self.guests.remove(&(interface, IpAddr::V6(oldest)));
        }
    }

    /// A guest uses this one of its addresses again.
    fn hear(&mut self, place: Place) {
        if let Some(known) = self.guests.get_mut(&place) {
            self.heard += 1;
            known.heard = self.heard;
        }
    }

    fn disown(&mut self, owner: (InterfaceId, MacAddr), address: Ipv6Addr) {
        if let Some(own) = self.v6.get_mut(&owner) {
            own.retain(|known| *known != address);
            if own.is_empty() {
                self.v6.remove(&owner);
            }
        }
    }

    fn forget(&mut self, port: PortId) {
        let gone: Vec<(Place, MacAddr)> = self
            .guests
            .iter()
            .filter(|(_, known)| known.guest.port == port)
            .map(|(place, known)| (*place, known.guest.mac))
            .collect();
        for (place, mac) in gone {
            self.guests.remove(&place);
            if let (interface, IpAddr::V6(v6)) = place {
                self.disown((interface, mac), v6);
            }
        }
        self.age += 1;
    }
}

impl<R: Role> Stack<R> {
    /// A guest uses an address. Nobody else's word counts more than the last one's.
    pub(super) fn learn(&mut self, now: Instant, address: IpAddr, guest: Guest) {
        let Some(link) = self.link(guest.port) else { return };
        if link.learnt == Some((address, guest.mac, self.neighbors.age)) {
            return;
        }
        let place = (link.interface, address);
        if self.neighbors.get(place) != Some(guest) {
            if !self.is_on_link(place) || self.is_ours(address) {
                return;
            }
            self.neighbors.insert(place, guest);
            self.resolved(place, guest);
            if !R::IS_HOST && address.is_ipv6() {
                self.begin_advertising(now);
            }
        } else {
            self.neighbors.hear(place);
        }
        let age = self.neighbors.age;
        if let Some(link) = self.link_mut(guest.port) {
            link.learnt = Some((address, guest.mac, age));
        }
    }

    pub(super) fn forget_neighbors_of(&mut self, port: PortId) {
        self.neighbors.forget(port);
    }

    /// The addresses in use, in order, and by whom, as learnt from traffic.
    pub fn neighbors(&self, now: Instant) -> impl Iterator<Item = Neighbor<'_>> {
        self.neighbors.guests.iter().map(move |((_, address), &Known { guest, heard })| {
            let lease = self.dhcp.as_ref().and_then(|server| server.lease_of(now, guest.mac));
            let name = lease.and_then(|lease| lease.name.as_deref());
            Neighbor { guest, address: *address, name, heard }
        })
    }

    /// The leases that guests hold, by address.
    pub fn leases(&self, now: Instant) -> impl Iterator<Item = &Lease> {
        self.dhcp.iter().flat_map(move |server| server.leases(now))
    }

    /// Grows whenever another address is in use, or by another guest, and with every lease.
    #[must_use]
    pub const fn neighbors_age(&self) -> u64 {
        self.neighbors.age
    }

    /// The guest of a LAN that last used an address, learnt from its traffic.
    #[must_use]
    pub fn guest_of(&self, address: IpAddr) -> Option<Guest> {
        self.neighbors.get((InterfaceId::LAN, address))
    }
}
