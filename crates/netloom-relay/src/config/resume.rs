//! For whom the port of a lost connection is kept: `off`, `address` or `any`.

use std::fmt;

/// Longest time that something is waited for, in seconds: after an hour a guest's connections have ended by themselves.
const MAX_S: i64 = 3600;

/// Whether a connection that shows neither the cookie nor the token of a lost one may have its port by its guest's MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeByMac {
    /// Never.
    Off,
    /// If it comes from the same address, an IPv6 one from the same /64.
    Address,
    /// From wherever it comes.
    Any,
}

impl fmt::Display for ResumeByMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Address => "address",
            Self::Any => "any",
        })
    }
}

pub(super) fn by_mac(text: &str) -> Result<ResumeByMac, String> {
    [ResumeByMac::Off, ResumeByMac::Address, ResumeByMac::Any]
        .into_iter()
        .find(|by_mac| by_mac.to_string() == text)
        .ok_or_else(|| format!("`{text}` says not who may; write off, address or any"))
}

pub(super) fn seconds(seconds: i64) -> Result<u32, String> {
    let error = || format!("{seconds} is out of range; write seconds from 0 to {MAX_S}, 0 for none");
    u32::try_from(seconds).ok().filter(|_| seconds <= MAX_S).ok_or_else(error)
}
