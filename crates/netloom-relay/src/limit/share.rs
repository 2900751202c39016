//! What one connection holds of its client's, address's and token's limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::lane::Lane;
use super::party::{Count, Flux, Party, Permit};

/// One connection under its limits, by default none; what it holds is given back when the last clone is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Share {
    /// The client's own first.
    pub(super) parties: Vec<Arc<Party>>,
    pub(super) connections: Vec<Arc<Permit>>,
}

/// One flow or stream, or one dial, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "held for its end")] Vec<Permit>);

/// Why a connection, or a flow, is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// As many are open as may be.
    Connections {
        /// Whose limit it is.
        of: &'static str,
    },
    /// They come too quickly.
    ConnectionsPerS {
        /// Whose limit it is.
        of: &'static str,
        /// Until one may come again.
        wait: Duration,
    },
    /// As many flows are open as may be.
    Flows {
        /// Whose limit it is.
        of: &'static str,
    },
}

impl Refused {
    /// Seconds after which another attempt makes sense.
    pub(crate) const fn retry_after_s(&self) -> u64 {
        match self {
            Self::ConnectionsPerS { wait, .. } => wait.as_secs() + 1,
            Self::Connections { .. } | Self::Flows { .. } => 10,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connections { of } => {
                write!(f, "as many connections are open as limits.{of}.connections allows: close one")
            }
            Self::ConnectionsPerS { of, .. } => {
                write!(f, "connections come faster than limits.{of}.connections_per_s allows: wait a little")
            }
            Self::Flows { of } => {
                write!(f, "as many flows are open as limits.{of}.flows allows: end one")
            }
        }
    }
}

/// The places of a connection among its address's and its token's, given back when dropped.
#[derive(Debug)]
pub(crate) struct Places(#[expect(dead_code, reason = "held for its end")] Vec<Arc<Permit>>);

impl Share {
    /// Takes its places out, for whom it outlives the connection.
    pub(crate) fn take_places(&mut self) -> Places {
        Places(std::mem::take(&mut self.connections))
    }

    /// One more flow.
    ///
    /// # Errors
    /// Whose limit it would exceed.
    pub(crate) fn flow(&self) -> Result<Held, Refused> {
        let permits = self
            .parties
            .iter()
            .map(|party| party.take(Count::Flows).ok_or(Refused::Flows { of: party.kind }));
        permits.collect::<Result<_, _>>().map(Held)
    }

    /// One more dial, once there may be.
    pub(crate) async fn dial(&self) -> Held {
        let mut permits = Vec::with_capacity(self.parties.len());
        for party in &self.parties {
            permits.push(party.wait(Count::Dials).await);
        }
        Held(permits)
    }

    /// Whether it holds nothing and is under no limits.
    pub(crate) fn is_free(&self) -> bool {
        self.parties.is_empty()
    }

    /// What comes from the client.
    pub(crate) fn upload(&self) -> Lane {
        Lane::new(Flux::Upload, &self.parties)
    }

    /// What goes to the client.
    pub(crate) fn download(&self) -> Lane {
        Lane::new(Flux::Download, &self.parties)
    }
}
