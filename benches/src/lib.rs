//! Benchmarks that print a ratio to a peer or to a stated limit

pub mod core;
pub mod cors;
pub mod cpu;
pub mod relay;
pub mod table;
pub mod tls;
pub mod wisp;
