//! IPv6 on a LAN: packets at the stack, neighbour discovery and router advertisements, and guests that use it.

mod guest;
mod names;
mod neighbors;
mod packets;
mod worlds;
