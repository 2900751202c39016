//! Ends the TLS of guests where their page or relay is: a [`Terminator`] shows each guest a certificate for the name that it asked for,
//! signed by an [`Authority`] of its own, which guests trust once they have installed its certificate.
//!
//! ```text
//! guest ── TLS records ──▶ Connection ── plaintext ──▶ an HTTP server
//! ```
//!
//! Sans-IO: bytes come in and go out by calls, and the time is an argument. Keys and nonces come from what ring draws on, which is the
//! operating system's source, and in a WebAssembly module the one that the module registers with `getrandom`. TLS 1.3 (RFC 8446) and 1.2
//! (RFC 5246 with ECDHE and AEAD alone), by rustls; certificates as of RFC 5280.
//!
//! The key of an authority signs for any name. Who holds it can read and change what those send who trust it: it is made for guests, and
//! must not be trusted by anybody else.

mod authority;
mod certificate;
mod connection;
mod der;
mod leaves;
mod plain_hello;
mod terminator;

pub use authority::{Authority, GenerateError, ImportError};
pub use connection::{Connection, State, TlsError};
pub use terminator::{OpenError, Terminator};

/// Seconds since 1970, in UTC and without leap seconds.
pub type UnixSeconds = u64;
