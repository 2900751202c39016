//! Hash tables whose order and collisions nobody outside can foresee, yet the same seed gives the same table.

use core::hash::BuildHasher;
use std::collections::HashMap;

use siphasher::sip::SipHasher13;

/// A table hashed with the machine's seed.
pub(crate) type Map<K, V> = HashMap<K, V, Seeded>;

/// SipHash-1-3 with a key of the machine's seed.
#[derive(Clone, Debug)]
pub(crate) struct Seeded(SipHasher13);

impl Seeded {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(key))
    }
}

impl BuildHasher for Seeded {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        self.0
    }
}
