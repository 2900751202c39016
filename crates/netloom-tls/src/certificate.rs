//! Certificates as they are written (RFC 5280): what an authority says of itself, and of a server.

use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::SignatureScheme;
use rustls::pki_types::{AlgorithmIdentifier, IpAddr, ServerName, alg_id};
use rustls::sign::SigningKey;

use crate::UnixSeconds;
use crate::der::{
    BIT_STRING, BOOLEAN, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, SET, UTF8_STRING,
    bit_string, constructed, context, element, read_time, time,
};

/// Object identifiers, encoded.
mod oid {
    pub(super) const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    pub(super) const SUBJECT_KEY: &[u8] = &[0x55, 0x1d, 14];
    pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
    pub(super) const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 17];
    pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
    pub(super) const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 35];
    pub(super) const EXTENDED_USAGE: &[u8] = &[0x55, 0x1d, 37];
    pub(super) const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
}

/// Bytes of a common name (RFC 5280, `ub-common-name`).
const MAX_COMMON_NAME: usize = 64;
const TRUE: &[u8] = &[BOOLEAN, 1, 0xff];
/// Bits of `KeyUsage` (RFC 5280 4.2.1.3): what is left out of the last byte, and the byte.
const SIGNS: &[u8] = &[BIT_STRING, 2, 7, 0x80];
const SIGNS_CERTIFICATES: &[u8] = &[BIT_STRING, 2, 1, 0x06];

/// How keys sign certificates.
pub(crate) const SCHEMES: [SignatureScheme; 4] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// What a certificate says, but for what its issuer adds. All of it is encoded.
pub(crate) struct Statement {
    subject: Vec<u8>,
    public_key: Vec<u8>,
    from: UnixSeconds,
    until: UnixSeconds,
    extensions: Vec<u8>,
}

impl Statement {
    /// That a key is an authority's, which issues certificates of servers alone; `None` for a key that has no public half.
    pub(crate) fn of_authority(
        name: &str,
        key: &dyn SigningKey,
        from: UnixSeconds,
        until: UnixSeconds,
    ) -> Option<Self> {
        let public_key = public_key(key)?;
        let identifier = key_identifier(&public_key)?;
        let digits: String = identifier[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let extensions = [
            // An authority, and none below it.
            extension(oid::BASIC_CONSTRAINTS, true, &element(SEQUENCE, &[TRUE, &[INTEGER, 1, 0]])),
            extension(oid::KEY_USAGE, true, SIGNS_CERTIFICATES),
            extension(oid::SUBJECT_KEY, false, &element(OCTET_STRING, &[&identifier])),
        ]
        .concat();
        Some(Self { subject: common_name(&format!("{name} {digits}")), public_key, from, until, extensions })
    }

    /// That a key is a server's. `issuer` identifies the key of who says so.
    pub(crate) fn of_server(
        name: &ServerName<'_>,
        key: &dyn SigningKey,
        issuer: Option<&[u8]>,
        from: UnixSeconds,
        until: UnixSeconds,
    ) -> Option<Self> {
        let public_key = public_key(key)?;
        let text = text(name);
        let alternative = match name {
            ServerName::IpAddress(IpAddr::V4(v4)) => element(context(7), &[v4.as_ref()]),
            ServerName::IpAddress(IpAddr::V6(v6)) => element(context(7), &[v6.as_ref()]),
            _ => element(context(2), &[text.as_bytes()]),
        };
        // Without a subject, the alternative name alone counts and is critical (RFC 5280 4.2.1.6).
        let named = text.len() <= MAX_COMMON_NAME;
        let usage = element(SEQUENCE, &[&element(OBJECT_IDENTIFIER, &[oid::SERVER_AUTH])]);
        let mut extensions = vec![
            extension(oid::BASIC_CONSTRAINTS, true, &element(SEQUENCE, &[])),
            extension(oid::KEY_USAGE, true, SIGNS),
            extension(oid::EXTENDED_USAGE, false, &usage),
            extension(oid::ALTERNATIVE_NAME, !named, &element(SEQUENCE, &[&alternative])),
        ];
        if let Some(issuer) = issuer {
            let key = element(SEQUENCE, &[&element(context(0), &[issuer])]);
            extensions.push(extension(oid::AUTHORITY_KEY, false, &key));
        }
        let subject = if named { common_name(&text) } else { element(SEQUENCE, &[]) };
        Some(Self { subject, public_key, from, until, extensions: extensions.concat() })
    }

    /// The name of whom it is about, encoded.
    pub(crate) fn subject(&self) -> Vec<u8> {
        self.subject.clone()
    }

    /// The certificate, signed by an issuer of this name; `None` if the key does not sign, or the random source fails.
    pub(crate) fn sign(&self, issuer: &[u8], key: &dyn SigningKey) -> Option<Vec<u8>> {
        let signer = key.choose_scheme(&SCHEMES)?;
        let algorithm = element(SEQUENCE, &[&algorithm(signer.scheme())?]);
        let statement = element(
            SEQUENCE,
            &[
                // Version 3.
                &element(constructed(0), &[&[INTEGER, 1, 2]]),
                &element(INTEGER, &[&serial_number()?]),
                &algorithm,
                issuer,
                &element(SEQUENCE, &[&time(self.from), &time(self.until)]),
                &self.subject,
                &self.public_key,
                &element(constructed(3), &[&element(SEQUENCE, &[&self.extensions])]),
            ],
        );
        let signature = signer.sign(&statement).ok()?;
        Some(element(SEQUENCE, &[&statement, &algorithm, &bit_string(&signature)]))
    }
}

/// What of an authority's certificate counts here.
#[derive(Debug)]
pub(crate) struct Read {
    /// Its name, encoded.
    pub(crate) subject: Vec<u8>,
    /// Its key, encoded.
    pub(crate) public_key: Vec<u8>,
    pub(crate) until: UnixSeconds,
    /// Whether it is one of an authority.
    pub(crate) is_authority: bool,
    /// How its key is identified, where it says so.
    pub(crate) identifier: Option<Vec<u8>>,
}

/// Reads a certificate; `None` if it is damaged.
pub(crate) fn read(certificate: &[u8]) -> Option<Read> {
    let mut parts = Reader(certificate).tagged(SEQUENCE)?.parts().tagged(SEQUENCE)?.parts();
    parts.tagged(constructed(0));
    parts.tagged(INTEGER)?;
    let (_algorithm, _issuer) = (parts.tagged(SEQUENCE)?, parts.tagged(SEQUENCE)?);
    let validity = parts.tagged(SEQUENCE)?;
    let (subject, public_key) = (parts.tagged(SEQUENCE)?, parts.tagged(SEQUENCE)?);
    let mut read = Read {
        subject: subject.whole.to_vec(),
        public_key: public_key.whole.to_vec(),
        until: read_time(&validity.parts().nth(1)?)?,
        is_authority: false,
        identifier: None,
    };
    let Some(extensions) = parts.find(|part| part.tag == constructed(3)) else { return Some(read) };
    for extension in extensions.parts().tagged(SEQUENCE)?.parts() {
        let mut parts = extension.parts();
        let oid = parts.tagged(OBJECT_IDENTIFIER)?;
        parts.tagged(BOOLEAN);
        let value = parts.tagged(OCTET_STRING)?;
        match oid.content {
            oid::BASIC_CONSTRAINTS => {
                read.is_authority = value.parts().tagged(SEQUENCE)?.content.starts_with(TRUE)
            }
            oid::SUBJECT_KEY => read.identifier = Some(value.parts().tagged(OCTET_STRING)?.content.to_vec()),
            _ => {}
        }
    }
    Some(read)
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

/// The public half of a key, encoded.
pub(crate) fn public_key(key: &dyn SigningKey) -> Option<Vec<u8>> {
    key.public_key().map(|key| key.to_vec())
}

/// The identifier of a key: 160 bits of the hash of its bits (RFC 7093 2, method 1).
fn key_identifier(public_key: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Reader(public_key).tagged(SEQUENCE)?.parts();
    parts.tagged(SEQUENCE)?;
    // The first byte tells of unused bits.
    let bits = parts.tagged(BIT_STRING)?.content.get(1..)?;
    Some(digest::digest(&digest::SHA256, bits).as_ref()[..20].to_vec())
}

fn common_name(name: &str) -> Vec<u8> {
    let value = element(UTF8_STRING, &[name.as_bytes()]);
    let part = element(SEQUENCE, &[&element(OBJECT_IDENTIFIER, &[oid::COMMON_NAME]), &value]);
    element(SEQUENCE, &[&element(SET, &[&part])])
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { TRUE } else { &[] };
    element(SEQUENCE, &[&element(OBJECT_IDENTIFIER, &[oid]), critical, &element(OCTET_STRING, &[value])])
}

const fn algorithm(scheme: SignatureScheme) -> Option<AlgorithmIdentifier> {
    Some(match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => alg_id::ECDSA_SHA256,
        SignatureScheme::ECDSA_NISTP384_SHA384 => alg_id::ECDSA_SHA384,
        SignatureScheme::ED25519 => alg_id::ED25519,
        SignatureScheme::RSA_PKCS1_SHA256 => alg_id::RSA_PKCS1_SHA256,
        _ => return None,
    })
}

/// 126 random bits: positive, and of one length (RFC 5280 4.1.2.2).
fn serial_number() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Some(bytes)
}
