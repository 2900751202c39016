//! Which port a MAC address belongs to, and who may take it over.
//!
//! A MAC belongs to the port that uses it. The claim ends when the port closes or after [`AGEING`] of silence. When another port uses
//! the MAC, the old port is asked; if it stays silent for [`TAKEOVER`], the claim moves.

use std::collections::HashMap;

use crate::addr::MacAddr;
use crate::hash::KeyedHash;
use crate::port::PortId;
use crate::time::{Duration, Instant};

/// A claim not used for this long is forgotten (IEEE 802.1D's ageing time).
pub(super) const AGEING: Duration = Duration::from_secs(300);
/// How long the holder of a claim has to show that it is alive.
const TAKEOVER: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
struct Claim {
    port: PortId,
    last_seen: Instant,
    contender: Option<(PortId, Instant)>,
}

/// What a claim's check says of a frame's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    /// The port holds the MAC.
    Held,
    /// The port holds it from now on: it had none, or took it over from a silent port.
    New,
    /// Another port holds it.
    Refused,
    /// Another port holds it and is to be asked whether it is alive.
    Ask(PortId),
}

#[derive(Debug)]
pub(super) struct Claims {
    table: HashMap<MacAddr, Claim, KeyedHash>,
}

impl Claims {
    pub(super) fn new(hash: KeyedHash) -> Self {
        Self { table: HashMap::with_hasher(hash) }
    }

    pub(super) fn port_of(&self, now: Instant, mac: MacAddr) -> Option<PortId> {
        self.table.get(&mac).filter(|claim| now.since(claim.last_seen) < AGEING).map(|claim| claim.port)
    }

    /// `port` sends as `mac`.
    pub(super) fn claim(&mut self, now: Instant, mac: MacAddr, port: PortId) -> Claimed {
        let Some(claim) = self.table.get_mut(&mac) else {
            return Claimed::New;
        };
        if claim.port == port {
            claim.last_seen = now;
            return Claimed::Held;
        }
        if now.since(claim.last_seen) >= AGEING {
            self.table.remove(&mac);
            return Claimed::New;
        }
        match claim.contender {
            Some((contender, since)) if contender == port && claim.last_seen <= since => {
                if now.since(since) < TAKEOVER {
                    return Claimed::Refused;
                }
                self.table.remove(&mac);
                Claimed::New
            }
            Some((_, since)) if now.since(since) < TAKEOVER => Claimed::Refused,
            _ => {
                claim.contender = Some((port, now));
                Claimed::Ask(claim.port)
            }
        }
    }

    pub(super) fn insert(&mut self, now: Instant, mac: MacAddr, port: PortId) {
        self.table.insert(mac, Claim { port, last_seen: now, contender: None });
    }

    /// Forgets a port's claims that were not used for [`AGEING`]; returns how many it keeps.
    pub(super) fn age(&mut self, now: Instant, port: PortId) -> usize {
        let mut kept = 0;
        self.table.retain(|_, claim| {
            let live = now.since(claim.last_seen) < AGEING;
            kept += usize::from(claim.port == port && live);
            live
        });
        kept
    }

    pub(super) fn forget_port(&mut self, port: PortId) {
        self.table.retain(|_, claim| claim.port != port);
    }
}
