//! The DHCP server against clients written out byte by byte, and its answers read by a parser of its own.

mod addresses;
mod client;
mod exchange;
mod fuzz;
mod names;
mod options;
