//! Why a target was not reached.

use std::io;

use netloom_core::{Refusal, Rule};
use rustix::io::Errno;

use super::target::BadHost;

/// Why a target was not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// What was given names no host.
    #[error(transparent)]
    BadHost(#[from] BadHost),
    /// The policy forbids it: every address that the target has, the first by this rule.
    #[error("denied: {0}")]
    Denied(Rule),
    /// There is no host of that name, or it has no address.
    #[error("the name has no address")]
    NotFound,
    /// No DNS server answered, or all of them failed.
    #[error("the name could not be resolved: no DNS server answered; see --dns")]
    NoAnswer,
    /// The target refused the connection, or reset it at once.
    #[error("connection refused")]
    Refused,
    /// There is no way to the target.
    #[error("no way to the target: {0}")]
    Unreachable(io::Error),
    /// The proxy that everything goes out by did not connect.
    #[error("the upstream proxy did not connect: {0}")]
    Proxy(String),
    /// The proxy that everything goes out by carries only TCP.
    #[error("the upstream proxy carries only TCP")]
    NoUdp,
    /// The target did not answer in time.
    #[error("the target did not answer")]
    Timeout,
    /// This host cannot open a socket: no descriptor, no memory.
    #[error("no socket: {0}")]
    Socket(io::Error),
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{
            AddrNotAvailable, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown,
            NetworkUnreachable, PermissionDenied, TimedOut,
        };
        match error.kind() {
            ConnectionRefused | ConnectionReset => Self::Refused,
            HostUnreachable | NetworkUnreachable | NetworkDown => Self::Unreachable(error),
            // This host has no address or no port to come from, a firewall of its own, or speaks no IPv6 at all.
            AddrNotAvailable | PermissionDenied => Self::Unreachable(error),
            TimedOut => Self::Timeout,
            _ if error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => Self::Unreachable(error),
            _ => Self::Socket(error),
        }
    }
}

impl From<&DialError> for Refusal {
    /// What a guest is told.
    fn from(error: &DialError) -> Self {
        match error {
            DialError::Denied(_) | DialError::NoUdp => Self::Denied,
            DialError::Unreachable(_)
            | DialError::BadHost(_)
            | DialError::NotFound
            | DialError::NoAnswer
            | DialError::Proxy(_) => Self::Unreachable,
            DialError::Timeout => Self::Timeout,
            // No descriptor: the guest may try again.
            DialError::Refused | DialError::Socket(_) => Self::Refused,
        }
    }
}
