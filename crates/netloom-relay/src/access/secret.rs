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
mod tests {
    use super::*;
    use crate::hex;

    #[test]
    fn tokens_have_their_form_and_differ() {
        let (one, other) = (Secret::generate().expect("random"), Secret::generate().expect("random"));
        assert!(has_form(one.text()) && has_form(other.text()));
        assert_ne!(one, other);
        for text in ["", "nlt_", "nlt_short", &one.text()[1..], &format!("{}=", one.text())] {
            assert!(!has_form(text), "{text}");
        }
    }

    #[test]
    fn the_hash_is_sha_256_of_the_text() {
        let hash = Secret::given("abc").hash();
        // FIPS 180-4, the example of one block.
        assert_eq!(hex::encode(&hash), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Secret::given("nlt_x")), "Secret");
    }
}
