//! A certificate, and the connections of those who trust it.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::PATIENCE;

/// A certificate for a name and its key, in files.
pub struct Files {
    name: &'static str,
    pub folder: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

impl Files {
    pub fn new() -> Self {
        Self::of("localhost")
    }

    pub fn of(name: &'static str) -> Self {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("chain.pem"), made.cert.pem()).expect("written");
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).expect("written");
        Self { name, folder, certificate: made.cert.der().clone() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn flag(&self, flag: &str, name: &str) -> String {
        format!("{flag}={}", self.path(name).display())
    }

    /// A browser's connection, which trusts this certificate.
    pub fn connect(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        self.secure(TcpStream::connect(address).expect("it listens"))
    }

    /// The same over a connection.
    pub fn secure(&self, stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(self.name).expect("a name");
        let client = ClientConnection::new(Arc::new(config), name).expect("a client");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        StreamOwned::new(client, stream)
    }
}
