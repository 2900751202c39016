//! Connections of the host's own: opening them.

use core::net::{IpAddr, SocketAddr};

use super::bindings::BindError;
use crate::flow::{FlowId, Guest, Protocol};
use crate::stack::commands::StreamOptions;
use crate::stack::flows::{Body, Key};
use crate::stack::{Role, Stack};
use crate::tcp::Tcb;
use crate::time::Instant;
use crate::wire::ip::Pair;

/// Connections in TIME-WAIT with one neighbour; beyond, the oldest give way.
pub(in crate::stack) const MAX_TIME_WAIT: usize = 1024;

/// Why a connection could not be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No route leads to the target, or the host has no address of its family there.
    #[error("no route leads to the target")]
    NoRoute,
    /// The local address or port cannot be had.
    #[error(transparent)]
    Local(#[from] BindError),
}

impl<R: Role> Stack<R> {
    /// Opens a connection. An unspecified local address and port 0 are chosen.
    pub(crate) fn open_connection(
        &mut self,
        now: Instant,
        local: SocketAddr,
        target: SocketAddr,
        options: StreamOptions,
    ) -> Result<FlowId, OpenError> {
        let to = target.ip();
        let one =
            !to.is_unspecified() && !to.is_multicast() && !matches!(to, IpAddr::V4(v4) if v4.is_broadcast());
        let way = self.way(to, None).filter(|_| one && target.port() != 0).ok_or(OpenError::NoRoute)?;
        let source = if local.ip().is_unspecified() {
            self.source_to(&way, to).ok_or(OpenError::NoRoute)?
        } else if self.is_ours(local.ip()) {
            local.ip()
        } else {
            return Err(BindError::NotLocal.into());
        };
        let pair = Pair::new(to, source).ok_or(OpenError::NoRoute)?;
        let key = self.local_key(way.guest, pair, (local.port(), target.port()))?;
        let config = options.apply(self.tcp_config(way.guest.map(|guest| guest.port), pair));
        let isn = self.flows.isn(now, &key);
        let tcb = Tcb::active(now, &config, isn);
        let id = self.flows.insert(key, way.guest, Body::Tcp(Box::new(tcb)), false);
        match way.guest {
            Some(_) => self.tend(id.index),
            None => self.resolve(now, (way.interface, way.hop), id),
        }
        Ok(id)
    }

    /// The key of a new connection: with this local port, or a free one. One that is in TIME-WAIT gives way when none is.
    fn local_key(
        &mut self,
        guest: Option<Guest>,
        pair: Pair,
        (local_port, port): (u16, u16),
    ) -> Result<Key, BindError> {
        if local_port == 0 {
            let free = self.flows.free_key(Protocol::Tcp, pair, port);
            let reused = || self.flows.reuse_key(guest?.mac, pair, port);
            return free.or_else(reused).ok_or(BindError::NoPort);
        }
        let key = Key { protocol: Protocol::Tcp, pair, ports: (port, local_port) };
        match self.flows.find(&key) {
            None => Ok(key),
            Some(slot) if self.flows.slot(slot).is_some_and(|flow| flow.detached) => {
                self.flows.remove(slot);
                Ok(key)
            }
            Some(_) => Err(BindError::InUse),
        }
    }
}
