//! What connections of guests have in common: the authority, the suites, sessions that may be resumed.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert, StoresServerSessions};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, ServerConfig};

use crate::authority::generate_key;
use crate::certificate::text;
use crate::leaves::Leaves;
use crate::plain_hello;
use crate::{Authority, Connection, GenerateError, UnixSeconds};

/// Sessions that may be resumed: those made first are forgotten.
const MAX_SESSIONS: usize = 256;
const CHACHA20: [CipherSuite; 3] = [
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// Why a connection could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The host has no certificate.
    #[error("neither a host name nor an IP address: {0}")]
    Host(String),
    /// The library does not take it.
    #[error("TLS could not begin: {0}")]
    Tls(rustls::Error),
}

/// Ends TLS by certificates of an authority.
#[derive(Debug)]
pub struct Terminator {
    provider: Arc<CryptoProvider>,
    sessions: Arc<Sessions>,
    leaves: Arc<Leaves>,
    clock: Arc<Clock>,
}

impl Terminator {
    /// One that shows certificates of `authority`.
    ///
    /// # Errors
    ///
    /// [`GenerateError::Random`]: servers' certificates have a key of their own.
    pub fn new(authority: Authority) -> Result<Self, GenerateError> {
        let (key, _) = generate_key().ok_or(GenerateError::Random)?;
        let mut provider = default_provider();
        // ChaCha20 is five times as fast as AES where that has no instructions of its own: in WebAssembly.
        if cfg!(target_arch = "wasm32") {
            provider.cipher_suites.sort_by_key(|suite| !CHACHA20.contains(&suite.suite()));
        }
        plain_hello::hash_as_sent(&mut provider);
        Ok(Self {
            provider: Arc::new(provider),
            sessions: Arc::default(),
            leaves: Arc::new(Leaves::new(authority, key)),
            clock: Arc::default(),
        })
    }

    /// Takes a connection of a guest to `host`, a name or an address, for which the certificate is if the guest names no server (RFC 6066 3).
    ///
    /// # Errors
    ///
    /// [`OpenError`]
    pub fn open(&self, host: &str, now: UnixSeconds) -> Result<Connection, OpenError> {
        let dialled = ServerName::try_from(host.to_owned()).map_err(|_| OpenError::Host(host.to_owned()))?;
        self.clock.set(now);
        let named = Arc::default();
        let resolver = Resolver {
            leaves: self.leaves.clone(),
            clock: self.clock.clone(),
            dialled,
            named: Arc::clone(&named),
        };
        let mut config = ServerConfig::builder_with_details(self.provider.clone(), self.clock.clone())
            .with_safe_default_protocol_versions()
            .map_err(OpenError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.ignore_client_order = true;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = self.sessions.clone();
        Connection::new(config, self.clock.clone(), named).map_err(OpenError::Tls)
    }
}

/// The time of the latest call.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn set(&self, now: UnixSeconds) {
        self.0.store(now, Ordering::Relaxed);
    }

    fn now(&self) -> UnixSeconds {
        self.0.load(Ordering::Relaxed)
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.now())))
    }
}

/// Finds the certificate for whom a guest asks.
#[derive(Debug)]
struct Resolver {
    leaves: Arc<Leaves>,
    clock: Arc<Clock>,
    dialled: ServerName<'static>,
    named: Arc<OnceLock<String>>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = self.clock.now();
        let Some(Ok(named)) = hello.server_name().map(ServerName::try_from) else {
            return self.leaves.of(&self.dialled, now);
        };
        // A second hello names the same server (RFC 8446 4.1.2).
        let _ = self.named.set(text(&named));
        self.leaves.of(&named, now)
    }
}

/// Sessions that guests may resume.
#[derive(Debug, Default)]
struct Sessions(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    order: VecDeque<Vec<u8>>,
}

impl Sessions {
    fn with<T>(&self, call: impl FnOnce(&mut Kept) -> T) -> T {
        call(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.with(|kept| {
            if kept.values.insert(key.clone(), value).is_none() {
                kept.order.push_back(key);
            }
            while kept.order.len() > MAX_SESSIONS {
                kept.order.pop_front().map(|first| kept.values.remove(&first));
            }
        });
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.with(|kept| kept.values.get(key).cloned())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.with(|kept| kept.values.remove(key))
    }

    fn can_cache(&self) -> bool {
        true
    }
}
