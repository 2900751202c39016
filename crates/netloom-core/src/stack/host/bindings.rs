//! Who has a local port: listeners and UDP sockets, by the address and interface that they are bound to.

use core::net::{IpAddr, SocketAddr};

use crate::interface::InterfaceId;
use crate::sorted::SortedMap;

/// Why a local address cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Another has the port, on that address or on all.
    #[error("the port is in use")]
    InUse,
    /// The address is not one of the host's.
    #[error("the address is not one of the host's")]
    NotLocal,
    /// All ports of the ephemeral range (49,152 to 65,535, RFC 6335) are in use.
    #[error("no local port is free")]
    NoPort,
}

/// What one is bound to. An unspecified address of either family stands for all of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Binding {
    pub(in crate::stack) local: SocketAddr,
    pub(in crate::stack) interface: Option<InterfaceId>,
}

impl Binding {
    fn clashes(&self, other: &Self) -> bool {
        let apart = |a: IpAddr, b: IpAddr| !a.is_unspecified() && !b.is_unspecified() && a != b;
        let interfaces_apart =
            matches!((self.interface, other.interface), (Some(own), Some(other)) if own != other);
        self.local.port() == other.local.port()
            && !apart(self.local.ip(), other.local.ip())
            && !interfaces_apart
    }

    /// How closely it suits an arrival, if it does.
    fn suits(&self, to: IpAddr, on: InterfaceId) -> Option<u8> {
        let address = self.local.ip();
        let suits =
            (address.is_unspecified() || address == to) && self.interface.is_none_or(|only| only == on);
        suits.then(|| u8::from(!address.is_unspecified()) + 2 * u8::from(self.interface.is_some()))
    }
}

/// A binding, and who has it.
type Bound = (Binding, (u32, u32));

/// Bindings of one protocol by port.
pub(in crate::stack) struct Bindings {
    by_port: SortedMap<u16, Vec<Bound>>,
    next_port: u16,
}

impl Bindings {
    /// Ports are chosen from a place that `first` tells.
    pub(in crate::stack) fn new(first: u16) -> Self {
        Self { by_port: SortedMap::default(), next_port: first }
    }

    /// The binding with a port of its own, where it asked for any.
    pub(in crate::stack) fn choose(&mut self, wanted: Binding) -> Result<Binding, BindError> {
        if wanted.local.port() != 0 {
            return if self.is_free(&wanted) { Ok(wanted) } else { Err(BindError::InUse) };
        }
        for _ in 0..16_384 {
            self.next_port = self.next_port.wrapping_add(1);
            let local = SocketAddr::new(wanted.local.ip(), 49_152 | self.next_port);
            let binding = Binding { local, ..wanted };
            if self.is_free(&binding) {
                return Ok(binding);
            }
        }
        Err(BindError::NoPort)
    }

    fn is_free(&self, wanted: &Binding) -> bool {
        let bound = self.by_port.get(&wanted.local.port());
        bound.is_none_or(|bound| !bound.iter().any(|(binding, _)| binding.clashes(wanted)))
    }

    pub(in crate::stack) fn insert(&mut self, binding: Binding, id: (u32, u32)) {
        self.by_port.get_or_insert_with(binding.local.port(), Vec::new).push((binding, id));
    }

    pub(in crate::stack) fn remove(&mut self, port: u16, id: (u32, u32)) {
        if let Some(bound) = self.by_port.get_mut(&port) {
            bound.retain(|(_, known)| *known != id);
            if bound.is_empty() {
                self.by_port.remove(&port);
            }
        }
    }

    /// The one that an arrival is for: the most closely bound.
    pub(in crate::stack) fn find(&self, port: u16, to: IpAddr, on: InterfaceId) -> Option<(u32, u32)> {
        let bound = self.by_port.get(&port)?.iter();
        let suiting = bound.filter_map(|(binding, id)| Some((binding.suits(to, on)?, *id)));
        suiting.max_by_key(|(closely, _)| *closely).map(|(_, id)| id)
    }

    /// All that an arrival to a group is for.
    pub(in crate::stack) fn all(&self, port: u16, to: IpAddr, on: InterfaceId) -> Vec<(u32, u32)> {
        let bound = self.by_port.get(&port).into_iter().flatten();
        bound.filter(|(binding, _)| binding.suits(to, on).is_some()).map(|(_, id)| *id).collect()
    }
}
