//! TLS by rustls, of the listeners and of what connects: versions 1.2 and 1.3, with the suites that rustls holds to be safe.

mod socket;
#[cfg(test)]
mod socket_tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{Authorities, Tls};
pub(crate) use socket::TlsSocket;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What may be spoken inside (RFC 7301, RFC 9113 section 3.2).
pub(crate) const HTTP_2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The certificate's.
    #[error("{0}")]
    Certificate(String),
    /// The key's.
    #[error("{0}")]
    Key(String),
}

/// Reads certificate and key.
pub(crate) fn server_config(tls: &Tls) -> Result<ServerConfig, TlsError> {
    let wrong = |path: &Path, why: &dyn std::fmt::Display, what: &str| {
        format!("{} holds no {what} ({why}); name a PEM file", path.display())
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&tls.certificate).and_then(Iterator::collect);
    let chain =
        chain.map_err(|error| TlsError::Certificate(wrong(&tls.certificate, &error, "certificate")))?;
    if chain.is_empty() {
        return Err(TlsError::Certificate(wrong(&tls.certificate, &"nothing of the kind", "certificate")));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| TlsError::Key(wrong(&tls.key, &error, "private key")))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| {
            TlsError::Key(format!("this key is not the certificate's ({error}); name the one of it"))
        })?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()];
    Ok(config)
}

/// What trusts the public authorities, and those of a file.
///
/// # Errors
/// If this build's TLS cannot be set up.
pub(crate) fn client_config(own: Option<&Authorities>) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let own = own.into_iter().flat_map(|file| &file.certificates);
    roots.add_parsable_certificates(own.cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Takes a connection through its handshake.
pub(crate) async fn accept(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await?
}

/// Whether a connection begins as TLS does, with a handshake record, and not as a request in the clear.
pub(crate) async fn is_expected_by(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let peeked = tokio::time::timeout(HANDSHAKE_TIMEOUT, stream.peek(&mut first)).await??;
    Ok(peeked == 0 || !first[0].is_ascii_alphabetic())
}
