//! Two stacks joined in memory on one core, ours and the peer's: what the core benchmark times, native and in WebAssembly.

mod copy;
#[cfg(target_arch = "wasm32")]
mod exports;
pub mod machines;
pub mod smoltcp;

/// What a run of either stack is made of.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Largest IPv4 packet, in bytes.
    pub mtu: u16,
    /// Whether checksums are computed and verified.
    pub checksums: bool,
    /// Whether segments carry timestamps (RFC 7323). The peer's never do.
    pub timestamps: bool,
    /// Whether frames may carry segments larger than the MTU. The peer's never do.
    pub large_segments: bool,
    /// Flows that carry bytes.
    pub busy_flows: usize,
    /// Established flows that carry nothing.
    pub idle_flows: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mtu: 1500,
            checksums: true,
            timestamps: true,
            large_segments: false,
            busy_flows: 1,
            idle_flows: 0,
        }
    }
}

impl Setup {
    /// Receive and send buffer of a busy flow: what stays in the cache of a small core, shared by few flows.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        (256 * 1024 / self.busy_flows.max(1)).max(16 * 1024)
    }
}

/// Bytes that the sending program offers at once.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// How far the virtual clock goes on between two rounds, in microseconds.
pub const ROUND_US: u64 = 10;

/// Connections that [`Pair::connects`] opens at once.
pub const CONNECTS: usize = 16;

/// Two stacks with their flows open.
pub trait Pair {
    /// Moves data for one round: the sender fills its buffers, frames cross both ways, the receiver reads. Returns the bytes received.
    fn round(&mut self) -> u64;

    /// Opens [`CONNECTS`] connections and resets them.
    ///
    /// # Errors
    /// A sentence if they did not open or end.
    fn connects(&mut self) -> Result<(), String>;
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// Two of our machines.
    Ours,
    /// Two interfaces of smoltcp.
    Smoltcp,
    /// No stack: the bytes are copied once, into a buffer as large as a flow's.
    Copy,
}

/// A pair with its flows open.
///
/// # Errors
/// A sentence if the flows did not open.
pub fn pair(stack: Stack, setup: Setup) -> Result<Box<dyn Pair>, String> {
    Ok(match stack {
        Stack::Ours => Box::new(machines::MachinePair::new(setup)?),
        Stack::Smoltcp => Box::new(smoltcp::SmoltcpPair::new(setup)?),
        Stack::Copy => Box::new(copy::MemoryCopy::new(setup)),
    })
}
