//! Who sends datagrams to a forward: each peer's place, and which of them was silent longest.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Values by key, in the order of their last use. Of more than there is room for, the one unused longest goes.
pub(super) struct LeastRecent<K, V> {
    entries: HashMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
    uses: u64,
    room: usize,
}

impl<K: Clone + Eq + Hash, V> LeastRecent<K, V> {
    pub(super) fn new(room: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), uses: 0, room }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// A value, which is then the one used last.
    pub(super) fn use_now(&mut self, key: &K) -> Option<&V> {
        let (used, value) = self.entries.get_mut(key)?;
        if *used != self.uses {
            self.order.remove(used);
            self.uses += 1;
            *used = self.uses;
            self.order.insert(self.uses, key.clone());
        }
        Some(value)
    }

    /// Adds a value under a new key; answers the one that has to go for it.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let oldest = if self.entries.len() >= self.room { self.order.pop_first() } else { None };
        self.uses += 1;
        self.order.insert(self.uses, key.clone());
        self.entries.insert(key, (self.uses, value));
        oldest.and_then(|(_, oldest)| self.entries.remove(&oldest)).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (used, value) = self.entries.remove(key)?;
        self.order.remove(&used);
        Some(value)
    }

    /// Takes all values out.
    pub(super) fn drain(&mut self) -> Vec<V> {
        self.order.clear();
        self.entries.drain().map(|(_, (_, value))| value).collect()
    }
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
