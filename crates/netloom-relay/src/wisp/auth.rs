//! Who may use the server: names with passwords, and keys that sign a challenge (Wisp 2, draft 6; what drafts 4 and 5 wrote is read too).

use std::io;

use netloom_proto::wisp::info::{ED25519, PasswordOffer};
use netloom_proto::wisp::{ClientInfo, KeyAnswer, KeyChallenge, Password, Reason};
use ring::{digest, hmac, signature};

use crate::config::{PublicKey, WispSettings};
use crate::random;

/// Length of a challenge.
const CHALLENGE_BYTES: usize = 64;

/// What a client can authenticate by.
pub(super) struct Auth {
    users: Vec<(String, String)>,
    keys: Vec<Key>,
    /// For comparing passwords in a time that tells nothing of them.
    comparison: hmac::Key,
}

struct Key {
    public: PublicKey,
    sha256: digest::Digest,
    /// Of drafts before the fifth.
    sha512: digest::Digest,
}

impl Auth {
    pub(super) fn new(settings: &WispSettings) -> io::Result<Self> {
        let key = |public: &PublicKey| Key {
            public: *public,
            sha256: digest::digest(&digest::SHA256, &public.0),
            sha512: digest::digest(&digest::SHA512, &public.0),
        };
        Ok(Self {
            users: settings.users.clone(),
            keys: settings.keys.iter().map(key).collect(),
            comparison: hmac::Key::new(hmac::HMAC_SHA256, &random::bytes::<32>()?),
        })
    }

    /// What a new client is asked for.
    ///
    /// # Errors
    /// The kernel has no randomness for a challenge.
    pub(super) fn offer(&self) -> io::Result<(Option<PasswordOffer>, Option<KeyChallenge>)> {
        let has = (!self.users.is_empty(), !self.keys.is_empty());
        let password = has.0.then_some(PasswordOffer { required: !has.1, old_layout: false });
        let key = match has.1 {
            true => Some(KeyChallenge {
                required: !has.0,
                algorithms: ED25519,
                challenge: random::bytes::<CHALLENGE_BYTES>()?.to_vec(),
                sha512: false,
            }),
            false => None,
        };
        Ok((password, key))
    }

    /// Whether a client that says this of itself may come in. `old_password` is its password if it wrote it as draft 5 did.
    ///
    /// # Errors
    /// What it is told.
    pub(super) fn judge(
        &self,
        client: &ClientInfo,
        old_password: Option<&Password>,
        challenge: Option<&KeyChallenge>,
    ) -> Result<(), Reason> {
        if self.users.is_empty() && self.keys.is_empty() {
            return Ok(());
        }
        let password = client.password.as_ref().map(|(password, _)| password);
        if let (Some(answer), Some(challenge)) = (&client.key, challenge) {
            return match self.is_signed(answer, &challenge.challenge) {
                true => Ok(()),
                false => Err(Reason::BAD_SIGNATURE),
            };
        }
        match [password, old_password].into_iter().flatten().any(|password| self.knows(password)) {
            true => Ok(()),
            false if password.or(old_password).is_some() => Err(Reason::BAD_PASSWORD),
            false => Err(Reason::AUTHENTICATION_REQUIRED),
        }
    }

    fn knows(&self, given: &Password) -> bool {
        let tag = hmac::sign(&self.comparison, given.password.as_bytes());
        let is = |(name, password): &(String, String)| {
            let same = hmac::verify(&self.comparison, password.as_bytes(), tag.as_ref()).is_ok();
            *name == given.user && same
        };
        self.users.iter().filter(|user| is(user)).count() > 0
    }

    fn is_signed(&self, answer: &KeyAnswer, challenge: &[u8]) -> bool {
        let named =
            |key: &&Key| [key.sha256.as_ref(), key.sha512.as_ref()].contains(&answer.key_hash.as_slice());
        let signed = |key: &Key| {
            signature::UnparsedPublicKey::new(&signature::ED25519, key.public.0)
                .verify(challenge, &answer.signature)
                .is_ok()
        };
        answer.algorithm == ED25519 && self.keys.iter().find(named).is_some_and(signed)
    }
}
