//! Where QEMU connects: a TCP address or a unix socket, and the LAN that it leads to.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{DEFAULT_LAN, parse};

/// Longest path of a unix socket, in bytes (unix(7)).
const MAX_PATH_BYTES: usize = 107;

/// A listener for QEMU's `-netdev stream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QemuListen {
    /// The LAN that guests join there.
    pub lan: String,
    /// Where it listens.
    pub address: QemuAddress,
}

/// Where QEMU connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QemuAddress {
    /// Over TCP; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A unix socket at this path.
    Unix(PathBuf),
}

impl QemuAddress {
    /// The options of QEMU's `-netdev stream` that connect here.
    #[must_use]
    pub fn netdev(&self) -> String {
        match self {
            Self::Tcp(address) => {
                format!("addr.type=inet,addr.host={},addr.port={}", address.ip(), address.port())
            }
            // A comma ends an option unless it is doubled.
            Self::Unix(path) => {
                format!("addr.type=unix,addr.path={}", path.display().to_string().replace(',', ",,"))
            }
        }
    }
}

impl fmt::Display for QemuAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for QemuListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.lan, self.address)
    }
}

pub(super) fn parse(text: &str) -> Result<QemuListen, String> {
    let (lan, written) = match text.split_once('=') {
        Some((lan, rest)) if !lan.starts_with("unix:") => (parse::lan_name(lan)?, rest),
        _ => (DEFAULT_LAN.to_owned(), text),
    };
    let address = match written.strip_prefix("unix:") {
        Some(path) => QemuAddress::Unix(socket_path(path)?),
        None => QemuAddress::Tcp(parse::address(written).ok_or_else(|| {
            format!(
                "`{written}` is not where QEMU can connect; write 127.0.0.1:9999, [::1]:9999, :9999, 9999 or unix:/run/netloom.sock"
            )
        })?),
    };
    Ok(QemuListen { lan, address })
}

/// The path of a unix socket.
pub(super) fn socket_path(path: &str) -> Result<PathBuf, String> {
    match path.len() {
        0 => Err("a unix socket needs a path; write unix:/run/netloom.sock".to_owned()),
        1..=MAX_PATH_BYTES => Ok(path.into()),
        _ => Err(format!("`{path}` is too long for a unix socket: {MAX_PATH_BYTES} bytes at most")),
    }
}
