//! INFO, with which version 2 begins: the version and the extensions of an end, each with its metadata.
//!
//! What earlier drafts wrote otherwise and servers still do is read as well: a server whose metadata for passwords is empty reads the
//! layout of draft 5, and one whose key metadata lacks the `required` byte hashes keys by SHA-512.

use super::extension;

/// Longest message of the day that is kept.
const MAX_MOTD_BYTES: usize = 4096;
/// Algorithms, and the challenge of draft 5 behind them.
const OLD_KEY_BYTES: usize = 65;
/// Signatures by Ed25519, the one algorithm.
pub const ED25519: u8 = 1;

/// What a server tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// The latest version that it speaks.
    pub version: (u8, u8),
    /// Whether it opens UDP streams.
    pub udp: bool,
    /// Whether it knows passwords: whether one is required, and whether it reads the layout of draft 5.
    pub password: Option<PasswordOffer>,
    /// Whether it knows keys.
    pub key: Option<KeyChallenge>,
    /// Its text for people.
    pub motd: Option<String>,
    /// Whether it confirms streams.
    pub confirms: bool,
    /// Whether it knows FIN.
    pub half_close: bool,
    /// Whether it heeds credits for its TCP streams.
    pub stream_credit: bool,
}

/// A server's authentication by password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordOffer {
    /// Whether it refuses who gives none.
    pub required: bool,
    /// Whether it wants the layout of draft 5, with a length of the password.
    pub old_layout: bool,
}

/// A server's authentication by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChallenge {
    /// Whether it refuses who gives none.
    pub required: bool,
    /// Bit 0: Ed25519.
    pub algorithms: u8,
    /// What is to be signed.
    pub challenge: Vec<u8>,
    /// Whether the public key is named by its SHA-512, as draft 4 did, rather than by its SHA-256.
    pub sha512: bool,
}

/// A name with its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password {
    /// At most 255 bytes.
    pub user: String,
    /// At most 65,535 bytes.
    pub password: String,
}

/// A signed challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAnswer {
    /// One bit: [`ED25519`].
    pub algorithm: u8,
    /// The hash of the public key, as the challenge wants it.
    pub key_hash: Vec<u8>,
    /// The signature of the challenge.
    pub signature: Vec<u8>,
}

/// What a client tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The latest version that it speaks.
    pub version: (u8, u8),
    /// Whether it opens UDP streams.
    pub udp: bool,
    /// Its password, and whether it is written as in draft 5.
    pub password: Option<(Password, bool)>,
    /// Its answer to the challenge.
    pub key: Option<KeyAnswer>,
    /// Whether it knows the message of the day.
    pub motd: bool,
    /// Whether it heeds confirmations.
    pub confirms: bool,
    /// Whether it knows FIN.
    pub half_close: bool,
    /// How many bytes the server may send on a new TCP stream, if the client bounds them.
    pub stream_credit: Option<u32>,
}

/// The version, and what follows it.
fn split_version(info: &[u8]) -> Option<((u8, u8), &[u8])> {
    let (&[major, minor], rest) = info.split_first_chunk::<2>()?;
    Some(((major, minor), rest))
}

/// Each extension's number and metadata, as far as they are whole.
fn extensions(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    core::iter::from_fn(move || {
        let (&[id, a, b, c, d], after) = rest.split_first_chunk::<5>()?;
        let (metadata, after) = after.split_at_checked(u32::from_le_bytes([a, b, c, d]) as usize)?;
        rest = after;
        Some((id, metadata))
    })
}

fn put_extension(out: &mut Vec<u8>, id: u8, metadata: &[u8]) {
    out.push(id);
    out.extend_from_slice(&(metadata.len() as u32).to_le_bytes());
    out.extend_from_slice(metadata);
}

impl ServerInfo {
    /// What follows the header of a server's INFO; `None` if there is no version.
    #[must_use]
    pub fn parse(info: &[u8]) -> Option<Self> {
        let (version, rest) = split_version(info)?;
        let mut server = Self { version, ..Self::default() };
        for (id, metadata) in extensions(rest) {
            match id {
                extension::UDP => server.udp = true,
                extension::PASSWORD => {
                    let required = metadata.first().is_none_or(|required| *required != 0);
                    server.password = Some(PasswordOffer { required, old_layout: metadata.is_empty() });
                }
                extension::KEY => server.key = KeyChallenge::parse(metadata),
                extension::MOTD => {
                    let text = &metadata[..metadata.len().min(MAX_MOTD_BYTES)];
                    server.motd = Some(String::from_utf8_lossy(text).into_owned());
                }
                extension::STREAM_OPEN_CONFIRMATION => server.confirms = true,
                extension::HALF_CLOSE => server.half_close = true,
                extension::STREAM_CREDIT => server.stream_credit = true,
                _ => {}
            }
        }
        Some(server)
    }

    /// Appends what follows the header of a server's INFO.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.version.0, self.version.1]);
        if self.udp {
            put_extension(out, extension::UDP, &[]);
        }
        if let Some(PasswordOffer { required, old_layout }) = self.password {
            let required = [u8::from(required)];
            put_extension(out, extension::PASSWORD, if old_layout { &[] } else { &required });
        }
        if let Some(key) = &self.key {
            let mut metadata = if key.sha512 { Vec::new() } else { vec![u8::from(key.required)] };
            metadata.push(key.algorithms);
            metadata.extend_from_slice(&key.challenge);
            put_extension(out, extension::KEY, &metadata);
        }
        if let Some(motd) = &self.motd {
            put_extension(out, extension::MOTD, motd.as_bytes());
        }
        for (id, has) in [
            (extension::STREAM_OPEN_CONFIRMATION, self.confirms),
            (extension::HALF_CLOSE, self.half_close),
            (extension::STREAM_CREDIT, self.stream_credit),
        ] {
            if has {
                put_extension(out, id, &[]);
            }
        }
    }
}

impl KeyChallenge {
    fn parse(metadata: &[u8]) -> Option<Self> {
        let sha512 = metadata.len() == OLD_KEY_BYTES;
        let (required, rest) = if sha512 { (&1, metadata) } else { metadata.split_first()? };
        let (algorithms, challenge) = rest.split_first()?;
        Some(Self {
            required: *required != 0,
            algorithms: *algorithms,
            challenge: challenge.to_vec(),
            sha512,
        })
    }
}

impl ClientInfo {
    /// What follows the header of a client's INFO; `None` if there is no version. The layout of draft 5 is read where `old_layout` says
    /// that the server asked for it.
    #[must_use]
    pub fn parse(info: &[u8], old_layout: bool) -> Option<Self> {
        let (version, rest) = split_version(info)?;
        let mut client = Self { version, ..Self::default() };
        for (id, metadata) in extensions(rest) {
            match id {
                extension::UDP => client.udp = true,
                extension::PASSWORD => {
                    client.password =
                        Password::parse(metadata, old_layout).map(|password| (password, old_layout));
                }
                extension::KEY => client.key = KeyAnswer::parse(metadata),
                extension::MOTD => client.motd = true,
                extension::STREAM_OPEN_CONFIRMATION => client.confirms = true,
                extension::HALF_CLOSE => client.half_close = true,
                extension::STREAM_CREDIT => {
                    client.stream_credit = metadata.first_chunk().map(|credit| u32::from_le_bytes(*credit));
                }
                _ => {}
            }
        }
        Some(client)
    }

    /// Appends what follows the header of a client's INFO.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.version.0, self.version.1]);
        if self.udp {
            put_extension(out, extension::UDP, &[]);
        }
        if let Some((Password { user, password }, old_layout)) = &self.password {
            let mut metadata = vec![user.len() as u8];
            if *old_layout {
                metadata.extend_from_slice(&(password.len() as u16).to_le_bytes());
            }
            metadata.extend_from_slice(user.as_bytes());
            metadata.extend_from_slice(password.as_bytes());
            put_extension(out, extension::PASSWORD, &metadata);
        }
        if let Some(key) = &self.key {
            let metadata = [&[key.algorithm], &key.key_hash[..], &key.signature].concat();
            put_extension(out, extension::KEY, &metadata);
        }
        for (id, has) in [
            (extension::MOTD, self.motd),
            (extension::STREAM_OPEN_CONFIRMATION, self.confirms),
            (extension::HALF_CLOSE, self.half_close),
        ] {
            if has {
                put_extension(out, id, &[]);
            }
        }
        if let Some(credit) = self.stream_credit {
            put_extension(out, extension::STREAM_CREDIT, &credit.to_le_bytes());
        }
    }
}

impl Password {
    /// A password whose lengths can be written.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Option<Self> {
        let fits = user.len() <= 0xff && password.len() <= 0xffff;
        fits.then(|| Self { user: user.to_owned(), password: password.to_owned() })
    }

    fn parse(metadata: &[u8], old_layout: bool) -> Option<Self> {
        let (user_bytes, rest) = metadata.split_first()?;
        let rest = if old_layout { rest.get(2..)? } else { rest };
        let (user, password) = rest.split_at_checked(usize::from(*user_bytes))?;
        Some(Self {
            user: core::str::from_utf8(user).ok()?.to_owned(),
            password: core::str::from_utf8(password).ok()?.to_owned(),
        })
    }
}

impl KeyAnswer {
    fn parse(metadata: &[u8]) -> Option<Self> {
        const SHA256_BYTES: usize = 32;
        // Of draft 4.
        const SHA512_BYTES: usize = 64;
        const SIGNATURE_BYTES: usize = 64;
        let (algorithm, rest) = metadata.split_first()?;
        let is_old = rest.len() == SHA512_BYTES + SIGNATURE_BYTES;
        let (key_hash, signature) =
            rest.split_at_checked(if is_old { SHA512_BYTES } else { SHA256_BYTES })?;
        Some(Self { algorithm: *algorithm, key_hash: key_hash.to_vec(), signature: signature.to_vec() })
    }
}
