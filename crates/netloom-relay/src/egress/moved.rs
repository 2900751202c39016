//! How much a flow has moved.

use std::cell::Cell;

/// Payload that a flow has moved, in bytes: in from the guest as the other side took it, out to the guest as the machine did.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
}

impl Moved {
    /// The other side took something of the guest's.
    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_in.update(|count| count + bytes as u64);
    }

    /// The machine took something for the guest.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_out.update(|count| count + bytes as u64);
    }

    /// In and out.
    pub(crate) const fn counts(&self) -> (u64, u64) {
        (self.bytes_in.get(), self.bytes_out.get())
    }
}
