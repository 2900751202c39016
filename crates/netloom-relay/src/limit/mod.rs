//! What clients, addresses and tokens may use: connections and how quickly they come, flows, dials that wait, and bytes per second each way.
//!
//! ```text
//! connection ─▶ arrive(address) ─▶ Share ─┬─▶ flow, dial: refused, or waited for
//!                 with_token ───▶         └─▶ upload, download: a Lane each, which says when how much may move
//! ```
//!
//! Nothing is dropped for a rate of bytes: who reads stops to read, who writes stops to write, and the kernels at both ends do the rest. The
//! limits themselves change while all this is in use.

mod forwarded;
mod lane;
mod paced;
mod party;
mod rate;
mod share;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderMap;
use netloom_core::addr::unwrap_embedded_ipv4;
use netloom_core::{IpNet, Ipv6Net};
use tokio::time::Instant;
use tracing::warn;

use crate::config::{LimitSettings, Scope};
pub(crate) use lane::{Lane, reach};
pub(crate) use paced::{Paced, Pacing};
use party::{Bounds, Count, Flux, Party};
use rate::ns_of;
pub(crate) use share::{Held, Places, Refused, Share};

/// What an address may use that is not this host's, where nothing else is said: this host's are those of proxies in front of the relay.
const REMOTE: Scope = Scope {
    connections: Some(1024),
    connections_per_s: Some(200),
    flows: None,
    pending_dials: None,
    upload_bytes_per_s: None,
    download_bytes_per_s: None,
};
/// Connections that may come at once after a silence, as time at their rate.
const CONNECTIONS_BURST: Duration = Duration::from_secs(1);
/// Addresses that are counted each by itself, and tokens; those that come when there are as many share one count.
const MAX_PARTIES: usize = 65_536;
/// Addresses that are remembered before those without connections are looked for.
const MIN_SWEEP: usize = 1024;

/// All limits, and who is under them.
pub(crate) struct Limits {
    client: Arc<Bounds>,
    loopback: Arc<Bounds>,
    remote: Arc<Bounds>,
    tokens: RwLock<Scope>,
    trusted_proxies: RwLock<Vec<IpNet>>,
    broadcast_frames_per_s: AtomicU64,
    by_address: Mutex<Table<IpAddr>>,
    by_token: Mutex<Table<String>>,
}

/// Parties by their name.
struct Table<K> {
    parties: HashMap<K, Arc<Party>>,
    sweep_at: usize,
}

impl<K: Eq + Hash> Table<K> {
    fn new() -> Self {
        Self { parties: HashMap::new(), sweep_at: MIN_SWEEP }
    }

    /// The party of a name, or what those have in common for whom there is no room.
    fn of(&mut self, name: K, others: K, now_ns: u64, new: impl FnOnce() -> Arc<Party>) -> Arc<Party> {
        if let Some(party) = self.parties.get(&name) {
            return Arc::clone(party);
        }
        if self.parties.len() >= self.sweep_at {
            self.parties.retain(|_, party| !party.is_idle(now_ns));
            self.sweep_at = (2 * self.parties.len()).clamp(MIN_SWEEP, MAX_PARTIES);
        }
        let name = if self.parties.len() >= MAX_PARTIES { others } else { name };
        Arc::clone(self.parties.entry(name).or_insert_with(new))
    }
}

impl Limits {
    pub(crate) fn new(settings: &LimitSettings) -> Self {
        let limits = Self {
            client: Arc::default(),
            loopback: Arc::default(),
            remote: Arc::default(),
            tokens: RwLock::default(),
            trusted_proxies: RwLock::default(),
            broadcast_frames_per_s: AtomicU64::new(0),
            by_address: Mutex::new(Table::new()),
            by_token: Mutex::new(Table::new()),
        };
        limits.apply(settings);
        limits
    }

    /// Puts settings in force, for those too who are connected.
    pub(crate) fn apply(&self, settings: &LimitSettings) {
        self.client.set(&settings.client);
        self.loopback.set(&settings.address);
        self.remote.set(&settings.address.or(REMOTE));
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = settings.token;
        *self.trusted_proxies.write().unwrap_or_else(PoisonError::into_inner) =
            settings.trusted_proxies.clone();
        self.broadcast_frames_per_s.store(settings.broadcast_frames_per_s, Ordering::Relaxed);
    }

    /// Broadcast and multicast frames that a guest's port may send per second; 0 is no limit.
    pub(crate) fn broadcast_frames_per_s(&self) -> u32 {
        u32::try_from(self.broadcast_frames_per_s.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    /// Whether a connection from there is a proxy's, whose requests say who is behind it.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        let address = unwrap_embedded_ipv4(address);
        let proxies = self.trusted_proxies.read().unwrap_or_else(PoisonError::into_inner);
        proxies.iter().any(|net| net.contains(address))
    }

    /// Who makes a request: the other end of the connection, or who a proxy says that it is.
    pub(crate) fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.is_proxy(peer) {
            return peer;
        }
        forwarded::client_of(peer, headers, |address| self.is_proxy(address))
    }

    /// A connection comes from an address.
    ///
    /// # Errors
    /// Why it is one too many.
    pub(crate) fn arrive(&self, address: IpAddr) -> Result<Share, Refused> {
        let party = self.of_address(address);
        self.local().join(party, &address)
    }

    /// A connection that has no address: a unix socket's.
    pub(crate) fn local(&self) -> Share {
        Share { parties: vec![Party::new("client", &self.client)], connections: Vec::new() }
    }

    /// A connection comes from an address to a port of this host that leads to a guest: it is no client of ours, and what its address has goes
    /// for it alone. A proxy's is everybody's, and no unix socket is a stranger's: both have no limits.
    ///
    /// # Errors
    /// Why it is one too many.
    pub(crate) fn visit(&self, address: Option<IpAddr>) -> Result<Share, Refused> {
        match address.filter(|address| !self.is_proxy(*address)) {
            Some(address) => Share::default().join(self.of_address(address), &address),
            None => Ok(Share::default()),
        }
    }

    /// What an address has, or rather its network.
    fn of_address(&self, address: IpAddr) -> Arc<Party> {
        let address = unwrap_embedded_ipv4(address);
        let bounds = if address.is_loopback() { &self.loopback } else { &self.remote };
        let others = if address.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
        let mut table = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        table.of(network_of(address), others, ns_of(Instant::now()), || Party::new("address", bounds))
    }

    /// What a token has: its own limits, and those of all tokens where it has none.
    fn of_token(&self, id: &str, own: &Scope) -> Arc<Party> {
        let scope = own.or(*self.tokens.read().unwrap_or_else(PoisonError::into_inner));
        let mut table = self.by_token.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Party::new("token", &Bounds::new(&scope));
        let party = table.of(id.to_owned(), String::new(), ns_of(Instant::now()), new);
        // Its limits may have changed since it was first seen.
        party.bounds.set(&scope);
        party
    }
}

impl Share {
    /// The connection is one of a token, too. `id` names the token in messages, so it is not the token itself.
    ///
    /// # Errors
    /// Why it is one too many.
    pub(crate) fn with_token(self, limits: &Limits, id: &str, own: &Scope) -> Result<Self, Refused> {
        let party = limits.of_token(id, own);
        self.join(party, &format_args!("token {id}"))
    }

    /// One connection more of a party. That it is refused is logged once until the party has been idle.
    fn join(mut self, party: Arc<Party>, name: &dyn Display) -> Result<Self, Refused> {
        match admit(&party, Instant::now()) {
            Ok(permit) => {
                self.connections.push(Arc::new(permit));
                self.parties.push(party);
                Ok(self)
            }
            Err(refused) => {
                if !party.logged.swap(true, Ordering::Relaxed) {
                    warn!("refused {name}: {refused}");
                }
                Err(refused)
            }
        }
    }
}

/// What an address counts as: itself, or the /64 of an IPv6 one, in which hosts change theirs as they like.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match unwrap_embedded_ipv4(address) {
        IpAddr::V6(v6) => Ipv6Net::new(v6, 64).network().into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn admit(party: &Arc<Party>, now: Instant) -> Result<party::Permit, Refused> {
    let now_ns = ns_of(now);
    let per_s = party.bounds.per_s(Flux::Connections);
    if per_s > 0 {
        let taken = party.rate(Flux::Connections).take(1, per_s, CONNECTIONS_BURST, now_ns);
        taken.map_err(|ready_ns| Refused::ConnectionsPerS {
            of: party.kind,
            wait: Duration::from_nanos(ready_ns.saturating_sub(now_ns)),
        })?;
    }
    party.take(Count::Connections).ok_or(Refused::Connections { of: party.kind })
}
