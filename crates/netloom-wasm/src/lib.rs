//! The machine as a WebAssembly module: one instance is one [`Host`](netloom_core::Host), or with the feature `lan` one
//! [`Lan`](netloom_core::Lan).
//!
//! It imports nothing. Time, 32 bytes of seed and frames come in as arguments; everything is a number, or bytes in the linear memory:
//!
//! ```text
//! arena   bytes that the caller writes before a call, and reads after calls that say so
//! words   numbers that a call leaves for the caller, valid until the next call
//! ```
//!
//! What a call points at (a frame, received bytes) is a view, valid until the next call; it moves when the memory grows. Ids of flows,
//! listeners and sockets are two numbers, index and generation. A void id is harmless everywhere. Times are microseconds since an origin
//! of the caller's choice. The other side of this boundary is `packages/netloom/src/engine`.

#[macro_use]
mod boundary;
pub mod events;
pub mod frames;
#[cfg(not(feature = "lan"))]
pub mod host;
#[cfg(feature = "lan")]
pub mod lan;
pub mod lifecycle;
pub mod stats;
pub mod streams;
