//! Keyed hashing: tables that a remote party can fill must not be steerable by it, and must be the same for the same seed.

use core::hash::{BuildHasher, Hasher};
use siphasher::sip::SipHasher13;

/// Makes SipHash-1-3 hashers with a secret key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyedHash {
    key: (u64, u64),
}

impl KeyedHash {
    /// A key for one purpose, out of the machine's seed.
    pub(crate) fn new(seed: &[u8; 32], purpose: u64) -> Self {
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|i| seed[at + i]));
        let derive = |label: u64| {
            let mut hasher = SipHasher13::new_with_keys(word(0), word(8));
            hasher.write_u64(word(16));
            hasher.write_u64(word(24));
            hasher.write_u64(purpose);
            hasher.write_u64(label);
            hasher.finish()
        };
        Self { key: (derive(0), derive(1)) }
    }
}

impl BuildHasher for KeyedHash {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key.0, self.key.1)
    }
}
