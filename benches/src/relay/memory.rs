//! Resident memory of the relay, alone and with clients that have all spoken and heard each other.

use std::io::Write;

use anyhow::Result;
use netloom_interop::frame::{BROADCAST, mac};
use netloom_interop::namespace::Namespace;
use netloom_interop::relay::Relay;

use super::wire::{Wire, messages};

const FRAME_BYTES: usize = 1514;

/// Resident bytes of a fresh relay, and once each of `clients` has sent a frame to all others.
///
/// # Errors
/// When the relay does not start or does not take the clients.
pub fn resident_bytes(clients: usize) -> Result<(u64, u64)> {
    let namespace = Namespace::new()?;
    let relay = Relay::start(&namespace, &[])?;
    let idle = relay.resident_bytes()?;
    let wires: Result<Vec<Wire>> = (0..clients).map(|_| Wire::connect(&namespace, relay.address())).collect();
    let mut wires = wires?;
    // The last one first: once it is on the LAN, all are.
    for sender in (0..clients).rev() {
        let frame = messages(BROADCAST, mac(sender as u32), FRAME_BYTES, 1);
        wires[sender].stream.write_all(&frame)?;
        for (_, receiver) in wires.iter_mut().enumerate().filter(|(index, _)| *index != sender) {
            receiver.hear()?;
        }
    }
    Ok((idle, relay.resident_bytes()?))
}
