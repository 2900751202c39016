//! What a Wisp server costs, measured by load from outside: ours, and those of others in the same run.
//!
//! Owns the whole path but the server: a [`client`] that keeps to the specification of Wisp 1.2 (wisp.md of this project's docs names what
//! is ours beyond it), and the [`target`]s that streams lead to. Neither does anything per byte, so that the server is what is measured.

pub mod client;
pub mod integrity;
pub mod latency;
pub mod load;
pub mod memory;
pub mod proxy;
pub mod server;
pub mod slow;
pub mod target;
pub mod wire;
