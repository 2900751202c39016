//! The wire: what the machine reads from and writes into frames itself.

pub mod checksum;
pub(crate) mod ethernet;
pub(crate) mod ip;
pub(crate) mod ipv4;
pub(crate) mod ipv6;
pub(crate) mod segmentation;
