//! A token's text: `nlt_` and 256 random bits in base64url, and the hash by which it is known.

use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use crate::random;

/// What every token begins with, so that people and scanners of secrets know one.
const PREFIX: &str = "nlt_";
/// Characters behind the prefix.
const ENCODED_LENGTH: usize = 43;

/// SHA-256 of a token's text.
pub(crate) type Hash = [u8; 32];

/// A token's text, which no log shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A new one.
    pub(crate) fn generate() -> io::Result<Self> {
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random::bytes::<32>()?))))
    }

    /// What somebody gave as one.
    pub(crate) fn given(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> Hash {
        let mut hash = Hash::default();
        hash.copy_from_slice(digest(&SHA256, self.0.as_bytes()).as_ref());
        hash
    }
}

/// Whether a text has the form of a token, so that it is none of a target's own secrets.
pub(crate) fn has_form(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == ENCODED_LENGTH
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
