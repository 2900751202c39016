//! Certificates as they are written (RFC 5280): what an authority says of itself, and of a server.

use core::time::Duration;

use der::asn1::{
    BitString, GeneralizedTime, Ia5String, ObjectIdentifier, OctetString, UtcTime, Utf8StringRef,
};
use der::{Any, DateTime, Decode as _, Encode as _};
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::SignatureScheme;
use rustls::pki_types::{IpAddr, ServerName};
use rustls::sign::SigningKey;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{AsExtension, Extension};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use crate::UnixSeconds;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
/// Bytes of a common name (RFC 5280, `ub-common-name`).
const MAX_COMMON_NAME: usize = 64;
/// The year from which on times have four digits (RFC 5280 4.1.2.5).
const GENERALIZED_FROM: UnixSeconds = 2_524_608_000;

/// How keys sign certificates.
pub(crate) const SCHEMES: [SignatureScheme; 4] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// Why no certificate could be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("the key is of a kind that does not sign certificates")]
    Key,
    #[error("the random source failed")]
    Random,
    #[error("a field has no encoding: {0}")]
    Encoding(#[from] der::Error),
}

/// What a certificate says, but for what its issuer adds.
pub(crate) struct Statement {
    pub(crate) subject: Name,
    pub(crate) public_key: SubjectPublicKeyInfoOwned,
    pub(crate) from: UnixSeconds,
    pub(crate) until: UnixSeconds,
    pub(crate) extensions: Vec<Extension>,
}

impl Statement {
    /// That a key is an authority's, which issues certificates of servers alone.
    pub(crate) fn of_authority(
        name: &str,
        key: &dyn SigningKey,
        from: UnixSeconds,
        until: UnixSeconds,
    ) -> Result<Self, SignError> {
        let public_key = public_key(key)?;
        let identifier = key_identifier(&public_key)?;
        let digits: String = identifier.as_bytes()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let subject = common_name(&format!("{name} {digits}"))?;
        let mut extensions = Extensions::of(&subject);
        extensions.add(&BasicConstraints { ca: true, path_len_constraint: Some(0) })?;
        extensions.add(&KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?;
        extensions.add(&SubjectKeyIdentifier(identifier))?;
        let extensions = extensions.list;
        Ok(Self { subject, public_key, from, until, extensions })
    }

    /// That a key is a server's.
    pub(crate) fn of_server(
        name: &ServerName<'_>,
        key: &dyn SigningKey,
        issuer: Option<OctetString>,
        from: UnixSeconds,
        until: UnixSeconds,
    ) -> Result<Self, SignError> {
        let text = text(name);
        // Without a subject, the alternative name alone counts and is critical (RFC 5280 4.2.1.6).
        let subject = if text.len() <= MAX_COMMON_NAME { common_name(&text)? } else { Name::default() };
        let public_key = public_key(key)?;
        let alternative = match name {
            ServerName::IpAddress(IpAddr::V4(v4)) => GeneralName::IpAddress(OctetString::new(*v4.as_ref())?),
            ServerName::IpAddress(IpAddr::V6(v6)) => GeneralName::IpAddress(OctetString::new(*v6.as_ref())?),
            _ => GeneralName::DnsName(Ia5String::new(&text)?),
        };
        let mut extensions = Extensions::of(&subject);
        extensions.add(&BasicConstraints { ca: false, path_len_constraint: None })?;
        extensions.add(&KeyUsage(KeyUsages::DigitalSignature.into()))?;
        extensions.add(&ExtendedKeyUsage(vec![SERVER_AUTH]))?;
        extensions.add(&SubjectAltName(vec![alternative]))?;
        extensions.add(&SubjectKeyIdentifier(key_identifier(&public_key)?))?;
        if issuer.is_some() {
            extensions.add(&AuthorityKeyIdentifier { key_identifier: issuer, ..Default::default() })?;
        }
        let extensions = extensions.list;
        Ok(Self { subject, public_key, from, until, extensions })
    }

    /// The certificate, signed by an issuer.
    pub(crate) fn sign(self, issuer: &Name, key: &dyn SigningKey) -> Result<Vec<u8>, SignError> {
        let signer = key.choose_scheme(&SCHEMES).ok_or(SignError::Key)?;
        let algorithm = algorithm(signer.scheme()).ok_or(SignError::Key)?;
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: serial_number()?,
            signature: algorithm.clone(),
            issuer: issuer.clone(),
            validity: Validity { not_before: time(self.from)?, not_after: time(self.until)? },
            subject: self.subject,
            subject_public_key_info: self.public_key,
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions),
        };
        let signature = signer.sign(&tbs.to_der()?).map_err(|_| SignError::Random)?;
        let signature = BitString::from_bytes(&signature)?;
        let certificate = Certificate { tbs_certificate: tbs, signature_algorithm: algorithm, signature };
        Ok(certificate.to_der()?)
    }
}

/// Extensions of a certificate, in the order in which they were added.
struct Extensions<'a> {
    subject: &'a Name,
    list: Vec<Extension>,
}

impl<'a> Extensions<'a> {
    const fn of(subject: &'a Name) -> Self {
        Self { subject, list: Vec::new() }
    }

    fn add(&mut self, extension: &impl AsExtension) -> Result<(), der::Error> {
        let extension = extension.to_extension(self.subject, &self.list)?;
        self.list.push(extension);
        Ok(())
    }
}

/// A server's name, as certificates have it.
pub(crate) fn text(server: &ServerName<'_>) -> String {
    match server {
        ServerName::IpAddress(IpAddr::V4(v4)) => core::net::Ipv4Addr::from(*v4.as_ref()).to_string(),
        ServerName::IpAddress(IpAddr::V6(v6)) => core::net::Ipv6Addr::from(*v6.as_ref()).to_string(),
        ServerName::DnsName(name) => name.as_ref().to_ascii_lowercase(),
        _ => String::new(),
    }
}

/// The public half of a key.
pub(crate) fn public_key(key: &dyn SigningKey) -> Result<SubjectPublicKeyInfoOwned, SignError> {
    let der = key.public_key().ok_or(SignError::Key)?;
    Ok(SubjectPublicKeyInfoOwned::from_der(&der)?)
}

/// The identifier of a key: 160 bits of the hash of its bits (RFC 7093 2, method 1).
fn key_identifier(public_key: &SubjectPublicKeyInfoOwned) -> Result<OctetString, der::Error> {
    let hash = digest::digest(&digest::SHA256, public_key.subject_public_key.raw_bytes());
    OctetString::new(&hash.as_ref()[..20])
}

fn common_name(name: &str) -> Result<Name, der::Error> {
    let value = Any::from(Utf8StringRef::new(name)?);
    let part = AttributeTypeAndValue { oid: COMMON_NAME, value };
    Ok(RdnSequence(vec![RelativeDistinguishedName::try_from(vec![part])?]))
}

fn algorithm(scheme: SignatureScheme) -> Option<AlgorithmIdentifierOwned> {
    let (oid, parameters) = match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => ("1.2.840.10045.4.3.2", None),
        SignatureScheme::ECDSA_NISTP384_SHA384 => ("1.2.840.10045.4.3.3", None),
        SignatureScheme::ED25519 => ("1.3.101.112", None),
        SignatureScheme::RSA_PKCS1_SHA256 => ("1.2.840.113549.1.1.11", Some(Any::null())),
        _ => return None,
    };
    Some(AlgorithmIdentifierOwned { oid: ObjectIdentifier::new(oid).ok()?, parameters })
}

/// 127 random bits: positive, and never 0 (RFC 5280 4.1.2.2).
fn serial_number() -> Result<SerialNumber, SignError> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SignError::Random)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::new(&bytes)?)
}

fn time(seconds: UnixSeconds) -> Result<Time, der::Error> {
    let since = Duration::from_secs(seconds);
    if seconds < GENERALIZED_FROM {
        return Ok(Time::UtcTime(UtcTime::from_unix_duration(since)?));
    }
    Ok(Time::GeneralTime(GeneralizedTime::from_date_time(DateTime::from_unix_duration(since)?)))
}
