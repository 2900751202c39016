//! The names under which guests know addresses: those that this LAN's DNS gave them, kept for as long as they may act on the answer.
//! Only names that a rule of the policy is about are kept.

use core::net::IpAddr;

use crate::addr::MacAddr;
use crate::flow::Guest;
use crate::port::PortId;
use crate::sorted::SortedMap;
use crate::time::{Duration, Instant};

/// How long an answer is acted on at the least: guests keep answers for longer than they should.
const MIN_TTL: Duration = Duration::from_secs(60);
/// How long at the most (RFC 8767 section 4).
const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// Addresses that are kept for the guests of one port.
const ADDRESSES_PER_PORT: usize = 512;
/// Names that are kept for one address of a guest.
const NAMES_PER_ADDRESS: usize = 8;

/// A name, and until when it holds.
struct Name {
    name: String,
    until: Instant,
}

/// What guests were told, by port.
#[derive(Default)]
pub(super) struct Names {
    ports: SortedMap<PortId, SortedMap<(MacAddr, IpAddr), Vec<Name>>>,
}

impl Names {
    /// A guest was told that `name` has `address`.
    pub(super) fn learn(&mut self, now: Instant, guest: Guest, address: IpAddr, name: &str, ttl: Duration) {
        let until = now + ttl.clamp(MIN_TTL, MAX_TTL);
        let known = self.ports.get_or_insert_with(guest.port, SortedMap::default);
        let key = (guest.mac, address);
        if known.len() >= ADDRESSES_PER_PORT && !known.contains_key(&key) {
            known.retain(|_, names| names.iter().any(|name| name.until > now));
        }
        if known.len() >= ADDRESSES_PER_PORT && !known.contains_key(&key) {
            let ends = |names: &[Name]| names.iter().map(|name| name.until).max();
            let first = known.iter().min_by_key(|(_, names)| ends(names)).map(|(key, _)| *key);
            first.and_then(|first| known.remove(&first));
        }
        let names = known.get_or_insert_with(key, Vec::new);
        names.retain(|known| known.until > now && known.name != name);
        if names.len() >= NAMES_PER_ADDRESS {
            names.remove(0);
        }
        names.push(Name { name: name.to_owned(), until });
    }

    /// The names under which a guest knows an address.
    pub(super) fn of(&self, now: Instant, guest: Guest, address: IpAddr) -> impl Iterator<Item = &str> {
        let names = self.ports.get(&guest.port).and_then(|known| known.get(&(guest.mac, address)));
        let names = names.into_iter().flatten().filter(move |name| name.until > now);
        names.map(|name| name.name.as_str())
    }

    /// A port closed.
    pub(super) fn forget_port(&mut self, port: PortId) {
        self.ports.remove(&port);
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
