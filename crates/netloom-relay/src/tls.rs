//! TLS of the listeners: what is encrypted outside is a connection of this host's loopback inside, so that all behind it is served as any
//! other connection.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::config::Tls;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

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
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| {
            TlsError::Key(format!("this key is not the certificate's ({error}); name the one of it"))
        })
}

/// Decrypts a connection: gives the end of a connection that carries what is inside, and the work of carrying it.
pub(crate) async fn terminate(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<(TcpStream, Carrier)> {
    let outer = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
    let (inner, served) = pair().await?;
    Ok((served, Carrier { outer, inner }))
}

/// The two ends of what is encrypted.
pub(crate) struct Carrier {
    outer: TlsStream<TcpStream>,
    inner: TcpStream,
}

impl Carrier {
    /// Carries until both ends are done, or one has failed.
    pub(crate) async fn run(mut self) {
        if let Err(error) = tokio::io::copy_bidirectional(&mut self.outer, &mut self.inner).await {
            debug!("TLS: {error}");
        }
    }
}

/// Both ends of a connection within this host.
async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let one = TcpStream::connect(listener.local_addr()?).await?;
    let own = one.local_addr()?;
    loop {
        let (other, peer) = listener.accept().await?;
        // Whoever else found the port is turned away.
        if peer == own {
            one.set_nodelay(true)?;
            other.set_nodelay(true)?;
            return Ok((one, other));
        }
    }
}
