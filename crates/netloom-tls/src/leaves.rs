//! Certificates of servers as guests ask for them: made once, kept for a while, bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SigningKey};

use crate::certificate::text;
use crate::{Authority, UnixSeconds};

/// Names whose certificates are kept; the one made first makes room.
const MAX_LEAVES: usize = 512;
/// For how long one is shown before it is made anew.
const SHOWN_SECONDS: UnixSeconds = 30 * 86_400;

/// The certificates of an authority's servers, all of one key.
pub(crate) struct Leaves {
    authority: Authority,
    key: Arc<dyn SigningKey>,
    made: Mutex<BTreeMap<String, Leaf>>,
}

struct Leaf {
    certified: Arc<CertifiedKey>,
    at: UnixSeconds,
    number: u64,
}

impl Leaves {
    pub(crate) const fn new(authority: Authority, key: Arc<dyn SigningKey>) -> Self {
        Self { authority, key, made: Mutex::new(BTreeMap::new()) }
    }

    /// The certificate for a name; `None` if the random source failed.
    pub(crate) fn of(&self, server: &ServerName<'_>, now: UnixSeconds) -> Option<Arc<CertifiedKey>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let name = text(server);
        if let Some(leaf) = made.get(&name)
            && now.abs_diff(leaf.at) < SHOWN_SECONDS
        {
            return Some(leaf.certified.clone());
        }
        let certified = Arc::new(self.authority.issue(server, &self.key, now)?);
        let number = made.values().map(|leaf| leaf.number + 1).max().unwrap_or_default();
        if made.len() >= MAX_LEAVES && !made.contains_key(&name) {
            let first = made.iter().min_by_key(|(_, leaf)| leaf.number).map(|(name, _)| name.clone());
            first.map(|first| made.remove(&first));
        }
        made.insert(name, Leaf { certified: certified.clone(), at: now, number });
        Some(certified)
    }
}

impl core::fmt::Debug for Leaves {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Leaves").field("authority", &self.authority).finish_non_exhaustive()
    }
}
