//! A certificate authority: its key, its certificate, and both as text.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SigningKey};

use crate::UnixSeconds;
use crate::certificate::{Read, SCHEMES, Statement, public_key, read};

/// Bytes of a name, beside its digits (RFC 5280, `ub-common-name`).
const MAX_NAME: usize = 64 - " 01234567".len();
const DAY: UnixSeconds = 86_400;
/// For how long an authority is one. Guests are not asked again meanwhile.
const AUTHORITY_DAYS: UnixSeconds = 3650;
/// Days before it was made from which on a certificate holds: the clock of a guest that was restored from a saved state stands where it was
/// saved. With [`LEAF_DAYS`], fewer than the 825 that Apple's clients bear in a server's certificate.
const EARLIER_DAYS: UnixSeconds = 365;
/// For how long a server's certificate holds.
const LEAF_DAYS: UnixSeconds = 365;

/// Why an authority could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The random source gave nothing.
    #[error("no key could be made: the random source failed")]
    Random,
    /// The name is not one of 1 to 55 bytes.
    #[error("the name of an authority has 1 to 55 bytes")]
    Name,
}

/// Why what was exported, or comes from elsewhere, is not an authority here.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no `CERTIFICATE` section.
    #[error("there is no certificate in it: expected a section \"-----BEGIN CERTIFICATE-----\"")]
    NoCertificate,
    /// There is no section with a private key.
    #[error("there is no private key in it: expected a section \"-----BEGIN PRIVATE KEY-----\"")]
    NoKey,
    /// The certificate is not one of X.509.
    #[error("its certificate is damaged")]
    Certificate,
    /// The key is of no kind that signs here.
    #[error("its private key is not ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits")]
    Key,
    /// The key is another certificate's.
    #[error("its private key is not that of its certificate")]
    Mismatch,
    /// The certificate is a server's or a client's.
    #[error("its certificate is not one of an authority")]
    NotAuthority,
    /// The certificate holds no more.
    #[error("its certificate has expired: make a new authority, which guests must be given anew")]
    Expired,
}

/// A certificate authority.
#[derive(Clone)]
pub struct Authority {
    key: Arc<dyn SigningKey>,
    key_pem: String,
    certificate: CertificateDer<'static>,
    about: Arc<Read>,
}

impl core::fmt::Debug for Authority {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Authority").field("about", &self.about).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes one with a key of its own (ECDSA P-256), that holds from a year before `now` for ten years. Its name is `name` and eight digits
    /// that are its key's: guests that know several of one name would try the wrong one.
    ///
    /// # Errors
    ///
    /// [`GenerateError`]
    pub fn generate(name: &str, now: UnixSeconds) -> Result<Self, GenerateError> {
        if !(1..=MAX_NAME).contains(&name.len()) {
            return Err(GenerateError::Name);
        }
        let (key, pkcs8) = generate_key().ok_or(GenerateError::Random)?;
        let until = now + AUTHORITY_DAYS * DAY;
        let certificate = Statement::of_authority(name, &*key, earlier(now), until)
            .and_then(|statement| statement.sign(&statement.subject(), &*key))
            .ok_or(GenerateError::Random)?;
        Self::new(key, pem("PRIVATE KEY", &pkcs8), certificate.into()).map_err(|_| GenerateError::Random)
    }

    /// Reads what [`to_pem`](Self::to_pem) wrote, or an authority from elsewhere: its certificate and its key, in any order.
    ///
    /// # Errors
    ///
    /// [`ImportError`]
    pub fn from_pem(pem: &str, now: UnixSeconds) -> Result<Self, ImportError> {
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| ImportError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| ImportError::NoKey)?;
        let label = match &key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        let key_pem = self::pem(label, key.secret_der());
        let signing = any_supported_type(&key).map_err(|_| ImportError::Key)?;
        let authority = Self::new(signing, key_pem, certificate)?;
        if authority.about.until <= now {
            return Err(ImportError::Expired);
        }
        Ok(authority)
    }

    fn new(
        key: Arc<dyn SigningKey>,
        key_pem: String,
        certificate: CertificateDer<'static>,
    ) -> Result<Self, ImportError> {
        let about = read(&certificate).ok_or(ImportError::Certificate)?;
        if key.choose_scheme(&SCHEMES).is_none() {
            return Err(ImportError::Key);
        }
        if public_key(&*key).ok_or(ImportError::Key)? != about.public_key {
            return Err(ImportError::Mismatch);
        }
        if !about.is_authority {
            return Err(ImportError::NotAuthority);
        }
        Ok(Self { key, key_pem, certificate, about: Arc::new(about) })
    }

    /// The certificate and the private key, as PEM (RFC 7468). Who has this text can sign for any name.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.certificate_pem() + &self.key_pem
    }

    /// The certificate alone, as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// The certificate alone, as DER.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// A certificate for a server of a name, with the server's key; `None` if the random source fails.
    pub(crate) fn issue(
        &self,
        server: &ServerName<'_>,
        key: &Arc<dyn SigningKey>,
        now: UnixSeconds,
    ) -> Option<CertifiedKey> {
        let until = now + LEAF_DAYS * DAY;
        let issuer = self.about.identifier.as_deref();
        let statement = Statement::of_server(server, &**key, issuer, earlier(now), until)?;
        let leaf = statement.sign(&self.about.subject, &*self.key)?;
        // The root as well: some guests look for it there when they say whom they do not trust.
        Some(CertifiedKey::new(vec![leaf.into(), self.certificate.clone()], key.clone()))
    }
}

const fn earlier(now: UnixSeconds) -> UnixSeconds {
    now.saturating_sub(EARLIER_DAYS * DAY)
}

/// A new key (ECDSA P-256), and its PKCS #8 form.
pub(crate) fn generate_key() -> Option<(Arc<dyn SigningKey>, Vec<u8>)> {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).ok()?;
    let pkcs8 = document.as_ref().to_vec();
    let key = any_supported_type(&PrivatePkcs8KeyDer::from(pkcs8.clone()).into()).ok()?;
    Some((key, pkcs8))
}

/// Bytes as text (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(der);
    let mut lines = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        lines.extend(line.iter().map(|&byte| char::from(byte)));
        lines.push('\n');
    }
    lines + &format!("-----END {label}-----\n")
}
