//! How much a flow has moved.

use std::cell::Cell;

/// Payload that a flow has moved, in bytes: from the guest as the other side took it, to the guest as the machine did.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    from_guest: Cell<u64>,
    to_guest: Cell<u64>,
}

impl Moved {
    pub(crate) fn from_guest(&self, bytes: usize) {
        self.from_guest.update(|count| count + bytes as u64);
    }

    pub(crate) fn to_guest(&self, bytes: usize) {
        self.to_guest.update(|count| count + bytes as u64);
    }

    /// From the guest, and to it.
    pub(crate) const fn counts(&self) -> (u64, u64) {
        (self.from_guest.get(), self.to_guest.get())
    }
}
