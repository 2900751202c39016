//! Listeners of the relay's that came while it ran: nobody may reach them, as those that were there from the beginning.

use std::net::SocketAddr;
use std::sync::{PoisonError, RwLock};

/// Addresses that the relay listens on beside those that every policy names.
#[derive(Debug, Default)]
pub(crate) struct Added(RwLock<Vec<SocketAddr>>);

impl Added {
    pub(crate) fn insert(&self, address: SocketAddr) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    pub(crate) fn remove(&self, address: SocketAddr) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = all.iter().position(|known| *known == address) {
            all.swap_remove(at);
        }
    }

    /// Those at a port.
    pub(super) fn at_port(&self, port: u16) -> Vec<SocketAddr> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|address| address.port() == port).copied().collect()
    }
}
