//! Resident memory of the relay with clients that do nothing.

use anyhow::Result;
use netloom_interop::namespace::Namespace;
use netloom_interop::relay::Relay;

use super::wire::Wire;

/// Resident bytes of a fresh relay, and with `clients` connected.
///
/// # Errors
/// When the relay does not start or does not take the clients.
pub fn resident_bytes(clients: usize) -> Result<(u64, u64)> {
    let namespace = Namespace::new()?;
    let relay = Relay::start(&namespace, &[])?;
    let idle = relay.resident_bytes()?;
    let wires: Result<Vec<Wire>> = (0..clients).map(|_| Wire::connect(&namespace, relay.address())).collect();
    let _connected = wires?;
    Ok((idle, relay.resident_bytes()?))
}
