//! TLS of a page's guests as a WebAssembly module: one instance is one authority with its connections.
//!
//! It imports nothing. Time, 32 bytes of seed and records come in as arguments; everything is a number, or bytes in the linear memory:
//!
//! ```text
//! arena   bytes that the caller writes before a call
//! view    bytes that a call leaves for the caller, valid until the next call: `left` and `left_bytes` tell where
//! ```
//!
//! Times are seconds since 1970. A connection is a number; a void one is harmless everywhere. The other side of this boundary is
//! `packages/netloom/src/tls`.

#[macro_use]
mod boundary;
pub mod authority;
pub mod connections;
mod entropy;
pub mod lifecycle;
