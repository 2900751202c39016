//! Two stacks joined in memory on one core: one bulk flow beside idle ones.

pub mod machines;
pub mod smoltcp;

/// What a run of either stack is made of.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Largest IPv4 packet, in bytes.
    pub mtu: u16,
    /// Whether checksums are computed and verified.
    pub checksums: bool,
    /// Established flows that carry nothing.
    pub idle_flows: usize,
}

/// Receive and send buffer of the bulk flow: what stays in the cache of a small core.
pub const BUFFER_BYTES: usize = 256 * 1024;

/// Bytes that the sending program offers at once.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// How far the virtual clock goes on between two rounds, in microseconds.
pub const ROUND_US: u64 = 10;

/// Two stacks with their flows open.
pub trait Pair {
    /// Moves data for one round: the sender fills its buffer, frames cross both ways, the receiver reads. Returns the bytes received.
    fn round(&mut self) -> u64;
}
