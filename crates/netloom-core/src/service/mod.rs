//! The services that a LAN offers from inside the machine: pure functions from a message to its answer.

pub mod dhcp;
pub mod dns;
