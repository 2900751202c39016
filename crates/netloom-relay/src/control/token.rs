//! The control token: what it may be, and comparing it in constant time.

use ring::digest::{SHA256, digest};

/// A control token, by its hash.
pub(super) struct Token([u8; 32]);

impl Token {
    pub(super) fn of(text: &str) -> Self {
        Self(hash(text))
    }

    /// Whether somebody gave this token. Takes as long for every text of a length.
    pub(super) fn is(&self, given: &str) -> bool {
        let differing = self.0.iter().zip(hash(given)).fold(0, |all, (own, given)| all | (own ^ given));
        std::hint::black_box(differing) == 0
    }
}

fn hash(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}
