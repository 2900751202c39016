//! The stack's parts that are pure or own little: IPv4 packets, fragments, ICMP errors.

pub(crate) mod ipv4;
pub(crate) mod reassembly;
