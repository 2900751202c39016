//! Files that flags and the configuration name, read once.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Largest file of help or certificates, in bytes.
const MAX_FILE_BYTES: usize = 4 << 20;

/// A file of help, read at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpFile {
    /// Its name; `.html` makes it a page.
    pub path: PathBuf,
    /// What it says.
    pub text: Vec<u8>,
}

/// A file of certificates, read at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    /// Its name.
    pub path: PathBuf,
    /// What it holds.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl HelpFile {
    pub(super) fn read(path: PathBuf) -> Result<Self, String> {
        Ok(Self { text: contents(&path)?, path })
    }
}

impl Authorities {
    /// Reads certificates in PEM.
    ///
    /// # Errors
    /// What is wrong with the file, and the fix.
    pub(crate) fn read(path: PathBuf) -> Result<Self, String> {
        let text = contents(&path)?;
        let wrong = || {
            format!(
                "{} holds no certificate in PEM; name a file with -----BEGIN CERTIFICATE-----",
                path.display()
            )
        };
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let mut roots = RootCertStore::empty();
        if certificates.is_empty() || certificates.iter().any(|it| roots.add(it.clone()).is_err()) {
            return Err(wrong());
        }
        Ok(Self { path, certificates })
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let text = std::fs::read(path).map_err(|error| {
        format!("{} cannot be read ({error}); name a file that this user may read", path.display())
    })?;
    if text.len() > MAX_FILE_BYTES {
        return Err(format!(
            "{} is larger than {} MiB; name another file",
            path.display(),
            MAX_FILE_BYTES >> 20
        ));
    }
    Ok(text)
}
