//! What a Wisp server costs, measured by load from outside: ours, and those of others in the same run.
//!
//! Client and targets are those of [`netloom_interop::wisp`].

pub mod latency;
pub mod load;
pub mod memory;
pub mod proxy;
pub mod server;
