//! Who has limits: one client, all clients of an address, all of a token. What they use of what they may.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::rate::Rate;
use crate::config::Scope;

/// The kind of those that are one connection, or one request of a proxy's.
pub(super) const CLIENT: &str = "client";

/// What a [`Scope`] says, changed while it is in force. 0 is no limit.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    counts: [AtomicU64; 3],
    rates: [AtomicU64; 3],
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Connections,
    Flows,
    Dials,
}

/// What has a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flux {
    Connections,
    Upload,
    Download,
}

impl Bounds {
    pub(super) fn new(scope: &Scope) -> Arc<Self> {
        let bounds = Arc::<Self>::default();
        bounds.set(scope);
        bounds
    }

    pub(super) fn set(&self, scope: &Scope) {
        let counts = [scope.connections, scope.flows, scope.pending_dials];
        let rates = [scope.connections_per_s, scope.upload_bytes_per_s, scope.download_bytes_per_s];
        let places = self.counts.iter().chain(&self.rates);
        for (place, value) in places.zip(counts.into_iter().chain(rates)) {
            place.store(value.unwrap_or(0), Ordering::Relaxed);
        }
    }

    fn most(&self, count: Count) -> u64 {
        self.counts[count as usize].load(Ordering::Relaxed)
    }

    /// The rate per second.
    pub(super) fn per_s(&self, flux: Flux) -> u64 {
        self.rates[flux as usize].load(Ordering::Relaxed)
    }
}

/// Somebody with limits.
#[derive(Debug)]
pub(super) struct Party {
    /// Whose limits these are, as the configuration names them.
    pub(super) kind: &'static str,
    pub(super) bounds: Arc<Bounds>,
    used: [AtomicUsize; 3],
    freed: [Notify; 3],
    rates: [Rate; 3],
    /// Whether it was logged that it met a limit.
    pub(super) logged: AtomicBool,
}

impl Party {
    pub(super) fn new(kind: &'static str, bounds: &Arc<Bounds>) -> Arc<Self> {
        Arc::new(Self {
            kind,
            bounds: Arc::clone(bounds),
            used: Default::default(),
            freed: Default::default(),
            rates: Default::default(),
            logged: AtomicBool::new(false),
        })
    }

    pub(super) fn rate(&self, flux: Flux) -> &Rate {
        &self.rates[flux as usize]
    }

    /// One more, if there may be.
    pub(super) fn take(self: &Arc<Self>, count: Count) -> Option<Permit> {
        let most = match self.bounds.most(count) {
            0 => usize::MAX,
            most => usize::try_from(most).unwrap_or(usize::MAX),
        };
        let used = &self.used[count as usize];
        let taken = used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            Some(used + 1).filter(|used| *used <= most)
        });
        taken.is_ok().then(|| Permit { party: Arc::clone(self), count })
    }

    /// One more, once there may be.
    pub(super) async fn wait(self: &Arc<Self>, count: Count) -> Permit {
        loop {
            // Asked for before the try, so that what is freed between the two is not missed.
            let freed = self.freed[count as usize].notified();
            if let Some(permit) = self.take(count) {
                return permit;
            }
            freed.await;
        }
    }

    /// Whether nobody would notice that it was forgotten.
    pub(super) fn is_idle(self: &Arc<Self>, now_ns: u64) -> bool {
        Arc::strong_count(self) == 1 && self.rates.iter().all(|rate| rate.is_idle(now_ns))
    }
}

/// One of what is counted, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    party: Arc<Party>,
    count: Count,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.party.used[self.count as usize].fetch_sub(1, Ordering::AcqRel);
        self.party.freed[self.count as usize].notify_one();
    }
}
