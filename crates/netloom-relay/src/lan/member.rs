//! Who is at a port of a LAN, and what passed there.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use netloom_core::PortId;
use tokio::time::Instant;

/// The last number given to a member of any LAN.
static LAST: AtomicU64 = AtomicU64::new(0);

/// What is behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Raw frames over WebSocket.
    WebSocket,
    /// QEMU's framing over WebSocket.
    QemuWebSocket,
    /// QEMU itself.
    Qemu,
    /// A TAP interface.
    Tap,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::WebSocket => "websocket",
            Self::QemuWebSocket => "qemu-websocket",
            Self::Qemu => "qemu",
            Self::Tap => "tap",
        })
    }
}

/// Whoever is at a port.
pub(crate) struct Member {
    /// Its number, of which no other member of this relay has the same.
    pub(crate) id: u64,
    port: Cell<PortId>,
    /// Where it comes from, for people.
    pub(crate) peer: String,
    pub(crate) kind: Kind,
    joined: Cell<Instant>,
    pub(crate) traffic: Traffic,
}

impl Member {
    pub(crate) fn new(port: PortId, peer: String, kind: Kind) -> Self {
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self {
            id,
            port: Cell::new(port),
            peer,
            kind,
            joined: Cell::new(Instant::now()),
            traffic: Traffic::default(),
        }
    }

    pub(crate) const fn port(&self) -> PortId {
        self.port.get()
    }

    /// Since when it is on the LAN, breaks of its connection included.
    pub(crate) const fn joined(&self) -> Instant {
        self.joined.get()
    }

    /// It has come back to a port that it had since `joined`.
    pub(super) fn resume(&self, port: PortId, joined: Instant) {
        self.port.set(port);
        self.joined.set(joined);
    }
}

/// Frames that passed, and their bytes without FCS: in from the guest, out to it.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) frames_in: Cell<u64>,
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) frames_out: Cell<u64>,
    pub(crate) bytes_out: Cell<u64>,
}

impl Traffic {
    /// A frame came in.
    pub(crate) fn received(&self, bytes: usize) {
        self.frames_in.update(|count| count + 1);
        self.bytes_in.update(|count| count + bytes as u64);
    }

    /// A frame went out.
    pub(crate) fn sent(&self, bytes: usize) {
        self.frames_out.update(|count| count + 1);
        self.bytes_out.update(|count| count + bytes as u64);
    }

    /// Counts what another has counted too.
    pub(crate) fn add(&self, other: &Self) {
        self.frames_in.update(|count| count + other.frames_in.get());
        self.bytes_in.update(|count| count + other.bytes_in.get());
        self.frames_out.update(|count| count + other.frames_out.get());
        self.bytes_out.update(|count| count + other.bytes_out.get());
    }
}
