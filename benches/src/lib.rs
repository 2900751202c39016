//! Benchmarks that print a ratio to a peer or to a stated limit
