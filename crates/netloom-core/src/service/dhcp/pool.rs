//! The DHCP server's state: who holds which address until when, which addresses are free again, and whose a name is.
//!
//! All tables are bounded by the pool and the fixed leases. Leases outlive their expiry, so that a client that comes back finds its
//! address again (RFC 2131 section 4.3.1), until the address is needed: never-used ones go first, then the longest expired.

use core::net::Ipv4Addr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::addr::MacAddr;
use crate::time::{Duration, Instant};

/// How long an address rests that was declined or found in use.
pub(super) const QUARANTINE: Duration = Duration::from_secs(600);

/// A client's hold on an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Whose it is.
    pub mac: MacAddr,
    /// The client identifier (option 61); empty if the client told none.
    pub client_id: Vec<u8>,
    /// The client's host name, one label in lower case, if it told one that nobody else held.
    pub name: Option<String>,
    /// When the lease ends.
    pub expires: Instant,
    /// Whether the client has accepted the address; before, it is merely kept for the client.
    pub bound: bool,
}

impl Lease {
    /// Whether the address is the client's at `now`, accepted or kept for it.
    #[must_use]
    pub fn is_active(&self, now: Instant) -> bool {
        now < self.expires
    }
}

/// Asks whether somebody other than this MAC uses an address.
pub(super) type InUse<'a> = &'a dyn Fn(Ipv4Addr, MacAddr) -> bool;

pub(super) struct Pool {
    range: core::ops::RangeInclusive<u32>,
    /// Addresses of the range that are not for the pool's clients.
    excluded: BTreeSet<Ipv4Addr>,
    /// The lowest address that was never looked at.
    fresh: u32,
    leases: BTreeMap<Ipv4Addr, Lease>,
    /// Addresses of nobody, with the time from which they may be given out.
    resting: BTreeMap<Ipv4Addr, Instant>,
    /// When each pool address with a lease or at rest comes free.
    by_expiry: BTreeSet<(Instant, Ipv4Addr)>,
    by_mac: BTreeMap<MacAddr, Ipv4Addr>,
    by_client: BTreeMap<Vec<u8>, Ipv4Addr>,
    by_name: BTreeMap<String, Ipv4Addr>,
    /// Clients that have left the LAN, whose names are for whoever asks.
    gone: BTreeSet<MacAddr>,
    /// When the addresses that clients declined come free again.
    declined: VecDeque<Instant>,
}

impl Pool {
    pub(super) fn new(first: Ipv4Addr, last: Ipv4Addr, excluded: BTreeSet<Ipv4Addr>) -> Self {
        Self {
            range: first.to_bits()..=last.to_bits(),
            excluded,
            fresh: first.to_bits(),
            leases: BTreeMap::new(),
            resting: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            by_mac: BTreeMap::new(),
            by_client: BTreeMap::new(),
            by_name: BTreeMap::new(),
            gone: BTreeSet::new(),
            declined: VecDeque::new(),
        }
    }

    /// Addresses that are not for the pool's clients from now on. Those that were come into the pool.
    pub(super) fn set_excluded(&mut self, excluded: BTreeSet<Ipv4Addr>) {
        self.excluded = excluded;
        self.fresh = *self.range.start();
        let leased = self.leases.values().map(|lease| (lease.expires, lease.address));
        let resting = self.resting.iter().map(|(address, until)| (*until, *address));
        self.by_expiry = leased.chain(resting).filter(|(_, address)| self.is_pooled(*address)).collect();
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    pub(super) fn lease_at(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.leases.get(&address)
    }

    pub(super) fn lease_of(&self, mac: MacAddr) -> Option<&Lease> {
        self.leases.get(self.by_mac.get(&mac)?)
    }

    /// The lease of the client of this identifier, whatever MAC address it had.
    pub(super) fn lease_of_client(&self, client_id: &[u8]) -> Option<&Lease> {
        self.leases.get(self.by_client.get(client_id)?)
    }

    /// The active lease that holds a name.
    pub(super) fn holder(&self, now: Instant, name: &str) -> Option<&Lease> {
        self.leases.get(self.by_name.get(name)?).filter(|lease| lease.is_active(now))
    }

    pub(super) fn is_pooled(&self, address: Ipv4Addr) -> bool {
        self.range.contains(&address.to_bits()) && !self.excluded.contains(&address)
    }

    /// Whether the pool may give `address` to `mac`.
    pub(super) fn is_free_for(
        &self,
        now: Instant,
        address: Ipv4Addr,
        mac: MacAddr,
        in_use: InUse<'_>,
    ) -> bool {
        self.is_pooled(address)
            && self.leases.get(&address).is_none_or(|lease| lease.mac == mac || !lease.is_active(now))
            && self.resting.get(&address).is_none_or(|until| *until <= now)
            && !in_use(address, mac)
    }

    /// An address that nobody holds: the lowest never leased, else the one that has been free the longest.
    pub(super) fn allocate(&mut self, now: Instant, mac: MacAddr, in_use: InUse<'_>) -> Option<Ipv4Addr> {
        while self.range.contains(&self.fresh) {
            let address = Ipv4Addr::from_bits(self.fresh);
            let known = self.leases.contains_key(&address) || self.resting.contains_key(&address);
            if self.is_pooled(address) && !known {
                if !in_use(address, mac) {
                    return Some(address);
                }
                self.rest(address, now + QUARANTINE);
            }
            let Some(next) = self.fresh.checked_add(1) else { break };
            self.fresh = next;
        }
        loop {
            let (free_from, address) = *self.by_expiry.first()?;
            if free_from > now {
                return None;
            }
            if !in_use(address, mac) {
                return Some(address);
            }
            self.rest(address, now + QUARANTINE);
        }
    }

    /// A client has left the LAN. Its lease goes on, and its name is its own until another asks for it.
    pub(super) fn leave(&mut self, mac: MacAddr) {
        if self.by_mac.contains_key(&mac) {
            self.gone.insert(mac);
        }
    }

    /// Takes a name from a client that has left the LAN.
    fn reclaim(&mut self, now: Instant, name: &str) {
        let holder = self.holder(now, name).filter(|lease| self.gone.contains(&lease.mac));
        if let Some(address) = holder.map(|lease| lease.address) {
            self.by_name.remove(name);
            if let Some(lease) = self.leases.get_mut(&address) {
                lease.name = None;
            }
        }
    }

    /// Gives `lease.address` to `lease.mac`, which leaves any other address it had. A name that another holds is not taken.
    pub(super) fn assign(&mut self, now: Instant, mut lease: Lease) -> &Lease {
        let address = lease.address;
        if let Some(previous) = self.by_mac.get(&lease.mac).copied().filter(|previous| *previous != address) {
            self.rest(previous, now);
        }
        self.forget(address);
        self.gone.remove(&lease.mac);
        if let Some(name) = &lease.name {
            self.reclaim(now, name);
        }
        lease.name = lease.name.filter(|name| self.holder(now, name).is_none());
        if let Some(name) = &lease.name {
            self.by_name.insert(name.clone(), address);
        }
        if !lease.client_id.is_empty() {
            self.by_client.insert(lease.client_id.clone(), address);
        }
        self.by_mac.insert(lease.mac, address);
        if self.is_pooled(address) {
            self.by_expiry.insert((lease.expires, address));
        }
        self.leases.entry(address).or_insert(lease)
    }

    /// The client gives its address back; it stays the client's for as long as nobody else needs it.
    pub(super) fn release(&mut self, now: Instant, address: Ipv4Addr, mac: MacAddr) {
        let Some(lease) = self.leases.get_mut(&address).filter(|lease| lease.mac == mac) else { return };
        let was_pooled = self.by_expiry.remove(&(lease.expires, address));
        lease.expires = lease.expires.min(now);
        lease.bound = false;
        if was_pooled {
            self.by_expiry.insert((lease.expires, address));
        }
    }

    /// The client found its address in use: nobody gets it for a while. So that clients cannot take the whole pool out of service
    /// this way, at most a quarter of it rests at a time.
    pub(super) fn decline(&mut self, now: Instant, address: Ipv4Addr, mac: MacAddr) {
        if self.leases.get(&address).is_none_or(|lease| lease.mac != mac) || !self.is_pooled(address) {
            return;
        }
        while self.declined.front().is_some_and(|until| *until <= now) {
            self.declined.pop_front();
        }
        let size = u64::from(*self.range.end()).saturating_sub(u64::from(*self.range.start())) + 1;
        let until = if (self.declined.len() as u64) < (size / 4).max(1) {
            self.declined.push_back(now + QUARANTINE);
            now + QUARANTINE
        } else {
            now
        };
        self.rest(address, until);
    }

    /// Makes an address nobody's; the pool gives it out again from `until`.
    fn rest(&mut self, address: Ipv4Addr, until: Instant) {
        self.forget(address);
        if self.is_pooled(address) {
            self.resting.insert(address, until);
            self.by_expiry.insert((until, address));
        }
    }

    /// Removes what is known about an address from every table.
    fn forget(&mut self, address: Ipv4Addr) {
        if let Some(until) = self.resting.remove(&address) {
            self.by_expiry.remove(&(until, address));
        }
        let Some(lease) = self.leases.remove(&address) else { return };
        self.by_expiry.remove(&(lease.expires, address));
        self.by_mac.remove(&lease.mac);
        self.gone.remove(&lease.mac);
        if self.by_client.get(&lease.client_id) == Some(&address) {
            self.by_client.remove(&lease.client_id);
        }
        if let Some(name) = lease.name.filter(|name| self.by_name.get(name) == Some(&address)) {
            self.by_name.remove(&name);
        }
    }
}
