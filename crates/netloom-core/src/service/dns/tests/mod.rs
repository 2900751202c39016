//! The DNS server against messages written out byte by byte, and its answers read by a reader of their own.

mod framing;
mod fuzz;
mod upstream;
mod wire;
mod zone;
