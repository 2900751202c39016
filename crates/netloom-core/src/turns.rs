//! Whose turn it is to be polled.

use std::collections::VecDeque;

use crate::port::PortId;

/// Whether a port waits to be polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Idle,
    Listed,
    Given,
}

/// The ports that have something to send, in the order in which they said so.
#[derive(Default)]
pub(crate) struct Turns {
    order: VecDeque<PortId>,
    ports: Vec<Turn>,
}

impl Turns {
    /// A port has something to send.
    pub(crate) fn list(&mut self, port: PortId) {
        let index = port.index();
        if index >= self.ports.len() {
            self.ports.resize(index + 1, Turn::Idle);
        }
        if self.ports[index] == Turn::Idle {
            self.ports[index] = Turn::Listed;
            self.order.push_back(port);
        }
    }

    /// A port was drained, or is gone.
    pub(crate) fn end(&mut self, port: PortId) {
        if let Some(turn) = self.ports.get_mut(port.index())
            && std::mem::take(turn) == Turn::Listed
        {
            self.order.retain(|listed| *listed != port);
        }
    }

    /// The next port in turn. It is given once, until it was drained and is listed again.
    pub(crate) fn poll(&mut self) -> Option<PortId> {
        let port = self.order.pop_front()?;
        self.ports[port.index()] = Turn::Given;
        Some(port)
    }
}
