//! Clients of TLS 1.2 that do not say by which algorithms servers may sign, as BusyBox's does not.
//!
//! RFC 5246 7.4.1.4.1 then takes them to mean SHA-1, which nobody signs with any more, and rustls refuses them. Such clients do not look at the
//! signature, or know the usual ones. So rustls is shown their first message with ECDSA by P-256 and SHA-256 added, while the hash of the
//! handshake (RFC 5246 7.4.9) is that of the message as it was sent: what was added is taken off on its way there. BusyBox's reads one message of
//! the handshake per record, too.

use std::sync::LazyLock;

use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::ring::ALL_CIPHER_SUITES;
use rustls::{CipherSuiteCommon, SupportedCipherSuite, Tls12CipherSuite};

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEAD: usize = 5;
/// The longest record that is waited for (RFC 5246 6.2.3).
const MAX_RECORD_BYTES: usize = 16_384 + 2048;
const SIGNATURE_ALGORITHMS: u16 = 13;
const SUPPORTED_VERSIONS: u16 = 43;

/// What is added: `signature_algorithms` with ecdsa_secp256r1_sha256, and an extension of private use that no client has by accident.
const ADDED: &[u8] = b"\x00\x0d\x00\x04\x00\x02\x04\x03\xfe\x6e\x00\x10netloom no-sigs!";

/// The first record of a connection, and what follows it.
pub(crate) enum First {
    /// More of it is to come.
    Incomplete,
    /// It is to be shown as it is.
    Usual,
    /// It is to be shown so.
    Completed(Vec<u8>),
}

/// Looks at what a client sent first.
pub(crate) fn look(sent: &[u8]) -> First {
    if sent.first().is_some_and(|&kind| kind != HANDSHAKE) {
        return First::Usual;
    }
    let Some(&[high, low]) = sent.get(3..RECORD_HEAD) else { return First::Incomplete };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_RECORD_BYTES {
        return First::Usual;
    }
    let Some((record, rest)) = sent.split_at_checked(RECORD_HEAD + length) else { return First::Incomplete };
    match completed(&record[RECORD_HEAD..]) {
        Some(message) => {
            let length = (message.len() as u16).to_be_bytes();
            First::Completed([&record[..3], &length, &message, rest].concat())
        }
        None => First::Usual,
    }
}

/// The answer with each message of the handshake in a record of its own.
pub(crate) fn apart(records: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len() + 64);
    let mut rest = records;
    while let Some((head, after)) = rest.split_at_checked(RECORD_HEAD) {
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        let Some((mut content, after)) = after.split_at_checked(length) else { break };
        while head[0] == HANDSHAKE
            && let [_, a, b, c, ..] = content
            && let Some((message, others)) =
                content.split_at_checked(4 + u32::from_be_bytes([0, *a, *b, *c]) as usize)
        {
            out.extend_from_slice(&head[..3]);
            out.extend_from_slice(&(message.len() as u16).to_be_bytes());
            out.extend_from_slice(message);
            content = others;
        }
        if !content.is_empty() {
            out.extend_from_slice(&head[..3]);
            out.extend_from_slice(&(content.len() as u16).to_be_bytes());
            out.extend_from_slice(content);
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

/// The message with what it lacks; `None` if it lacks nothing.
fn completed(message: &[u8]) -> Option<Vec<u8>> {
    let at = extensions_at(message)?;
    let mut rest = &message[at + 2..];
    while let [kind_high, kind_low, high, low, after @ ..] = rest {
        let kind = u16::from_be_bytes([*kind_high, *kind_low]);
        if kind == SIGNATURE_ALGORITHMS || kind == SUPPORTED_VERSIONS {
            return None;
        }
        rest = after.get(usize::from(u16::from_be_bytes([*high, *low]))..)?;
    }
    resized(&[message, ADDED].concat(), at)
}

/// The message as its client sent it; `None` if nothing was added.
fn original(message: &[u8]) -> Option<Vec<u8>> {
    let at = extensions_at(message)?;
    resized(message.strip_suffix(ADDED)?, at)
}

/// A message with the lengths that it has.
fn resized(message: &[u8], extensions_at: usize) -> Option<Vec<u8>> {
    let mut message = message.to_vec();
    let length = u32::try_from(message.len() - 4).ok()?.to_be_bytes();
    message[1..4].copy_from_slice(&length[1..]);
    let extensions = u16::try_from(message.len().checked_sub(extensions_at + 2)?).ok()?;
    message[extensions_at..extensions_at + 2].copy_from_slice(&extensions.to_be_bytes());
    Some(message)
}

/// Where a client's first message has the length of its extensions, which end it (RFC 5246 7.4.1.2).
fn extensions_at(message: &[u8]) -> Option<usize> {
    let &[CLIENT_HELLO, a, b, c, ..] = message else { return None };
    if u32::from_be_bytes([0, a, b, c]) as usize != message.len() - 4 {
        return None;
    }
    // Version and random, then session, suites and compressions with their lengths.
    let session = 4 + 2 + 32;
    let suites = session + 1 + usize::from(*message.get(session)?);
    let compressions =
        suites + 2 + usize::from(u16::from_be_bytes([*message.get(suites)?, *message.get(suites + 1)?]));
    let extensions = compressions + 1 + usize::from(*message.get(compressions)?);
    let length = usize::from(u16::from_be_bytes([*message.get(extensions)?, *message.get(extensions + 1)?]));
    (extensions + 2 + length == message.len()).then_some(extensions)
}

/// Has a provider's suites of TLS 1.2 hash such messages as they were sent.
pub(crate) fn hash_as_sent(provider: &mut CryptoProvider) {
    for suite in &mut provider.cipher_suites {
        let name = suite.suite();
        if let Some(own) = SUITES.iter().find(|own| own.common.suite == name) {
            *suite = SupportedCipherSuite::Tls12(own);
        }
    }
}

/// rustls' suites of TLS 1.2, each with a hash of ours.
static SUITES: LazyLock<Vec<Tls12CipherSuite>> = LazyLock::new(|| {
    let suites = of_tls12().zip(HASHES.iter());
    suites
        .map(|(suite, hash)| Tls12CipherSuite {
            common: CipherSuiteCommon {
                suite: suite.common.suite,
                hash_provider: hash,
                confidentiality_limit: suite.common.confidentiality_limit,
            },
            prf_provider: suite.prf_provider,
            kx: suite.kx,
            sign: suite.sign,
            aead_alg: suite.aead_alg,
        })
        .collect()
});

static HASHES: LazyLock<Vec<AsSent>> =
    LazyLock::new(|| of_tls12().map(|suite| AsSent(suite.common.hash_provider)).collect());

fn of_tls12() -> impl Iterator<Item = &'static Tls12CipherSuite> {
    ALL_CIPHER_SUITES.iter().filter_map(|suite| match suite {
        SupportedCipherSuite::Tls12(suite) => Some(*suite),
        SupportedCipherSuite::Tls13(_) => None,
    })
}

/// A hash of messages as they were sent.
struct AsSent(&'static dyn Hash);

impl Hash for AsSent {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Sent(self.0.start()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        self.0.hash(data)
    }

    fn output_len(&self) -> usize {
        self.0.output_len()
    }

    fn algorithm(&self) -> HashAlgorithm {
        self.0.algorithm()
    }
}

/// Is given one message at once.
struct Sent(Box<dyn Context>);

impl Context for Sent {
    fn fork_finish(&self) -> Output {
        self.0.fork_finish()
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(Self(self.0.fork()))
    }

    fn finish(self: Box<Self>) -> Output {
        self.0.finish()
    }

    fn update(&mut self, data: &[u8]) {
        match original(data) {
            Some(message) => self.0.update(&message),
            None => self.0.update(data),
        }
    }
}

#[cfg(test)]
#[path = "plain_hello_tests.rs"]
mod tests;
