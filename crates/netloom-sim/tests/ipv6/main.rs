//! IPv6 on a LAN: packets at the stack, neighbour discovery and router advertisements, and guests that use it.

#![expect(clippy::expect_used, reason = "what fails here fails a test")]

mod guest;
mod names;
mod neighbors;
mod packets;
mod worlds;
