//! The flow contract: what every egress and every API sits on.
//!
//! A flow is one conversation of a guest: a TCP connection, the UDP datagrams of one pair of sockets, or the echo requests of one
//! `ping`. The machine announces it with [`Event::Open`]; the outside answers with a command of the same [`Lan`](crate::Lan):
//!
//! ```text
//! events    Open{id, protocol, source, destination, guest}   Data{id, bytes}   Fin{id}   Reset{id, why}   Writable{id}   Established{id}
//! commands  accept(id)   accept_early(id)   refuse(id, why)   take(id, n)   write(id, bytes) -> n   fin(id)   reset(id)
//! ```
//!
//! A TCP connect is answered to the guest (SYN-ACK, RST, ICMP) only when the outside has answered. Bytes stay in the flow's receive
//! buffer, readable with `peek`, until `take` says that the outside has moved them; only then does the window open further.

use core::fmt;
use core::net::SocketAddr;

use crate::addr::MacAddr;
use crate::port::PortId;

/// Names a flow for as long as it lives; never used again for another within 2³² flows of one slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl FlowId {
    /// The id as one number, for boundaries that carry only numbers.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The id that [`Self::to_bits`] gave.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

impl fmt::Debug for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowId({}.{})", self.index, self.generation)
    }
}

macro_rules! host_id {
    ($(#[$doc:meta])+ $name:ident) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            pub(crate) index: u32,
            pub(crate) generation: u32,
        }

        impl $name {
            /// The id as two numbers, for boundaries that carry only numbers.
            #[must_use]
            pub const fn to_parts(self) -> (u32, u32) {
                (self.index, self.generation)
            }

            /// The id that [`Self::to_parts`] gave.
            #[must_use]
            pub const fn from_parts(index: u32, generation: u32) -> Self {
                Self { index, generation }
            }
        }
    };
}

host_id! {
    /// Names a listener of a [`Host`](crate::host::Host) for as long as it is open.
    ListenerId
}

host_id! {
    /// Names a UDP or ping socket of a [`Host`](crate::host::Host) for as long as it is open.
    SocketId
}

/// What a flow carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// A TCP connection: a stream of bytes each way.
    Tcp,
    /// Datagrams between one pair of UDP sockets.
    Udp,
    /// ICMP echo of one identifier to one address. The ports of its addresses are the identifier and 0. Each datagram is the
    /// sequence number (2 bytes, network order) and the payload, from the guest as request, to the guest as reply.
    Ping,
}

/// The guest that a flow belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guest {
    /// Its port on the switch.
    pub port: PortId,
    /// Its MAC address.
    pub mac: MacAddr,
}

/// Why the outside refuses a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The target refused: TCP answers with RST, UDP with ICMP port unreachable.
    Refused,
    /// There is no way to the target: ICMP host unreachable.
    Unreachable,
    /// The target did not answer: silence, so that the guest times out as it would have without us.
    Timeout,
    /// The policy forbids it: TCP answers with RST, all else with ICMP administratively prohibited.
    Denied,
}

/// Why a flow ended other than by both sides' FIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResetReason {
    /// The guest sent RST.
    Reset,
    /// The guest refused the connection that we opened (RST to our SYN, or ICMP port unreachable).
    Refused,
    /// ICMP said that the guest or its port cannot be reached, or its address did not resolve.
    Unreachable,
    /// The guest acknowledged nothing until the retransmission, keepalive or dial time ran out, or a UDP flow was idle.
    Timeout,
    /// The guest's port on the switch closed.
    PortClosed,
}

/// What the machine tells the outside about its flows, from [`Lan::poll_event`](crate::Lan::poll_event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A guest opened a flow. Answer it with `accept`, `accept_early` or `refuse` within the dial timeout.
    Open {
        /// The new flow.
        id: FlowId,
        /// What it carries.
        protocol: Protocol,
        /// The guest's address.
        source: SocketAddr,
        /// The address that the guest dialled.
        destination: SocketAddr,
        /// The guest.
        guest: Guest,
    },
    /// There are bytes to `peek`: `bytes` more than at the last event.
    Data {
        /// The flow.
        id: FlowId,
        /// How many arrived.
        bytes: usize,
    },
    /// The guest will send no more after what has arrived. The other direction goes on.
    Fin {
        /// The flow.
        id: FlowId,
    },
    /// The flow is over and its id is void. Received bytes that were not taken are gone.
    Reset {
        /// The flow.
        id: FlowId,
        /// Why.
        why: ResetReason,
    },
    /// `write` took less than it was given before; now it will take more.
    Writable {
        /// The flow.
        id: FlowId,
    },
    /// A connection that the outside opened with `connect` stands.
    Established {
        /// The flow.
        id: FlowId,
    },
    /// Both sides have sent FIN and all of it was acknowledged, the flow is over and its id is void.
    Closed {
        /// The flow.
        id: FlowId,
    },
}
