//! What an operator does before a relay runs: [`init()`] writes a configuration, [`explain()`] says what one means.

mod explain;
mod init;
#[cfg(test)]
mod tests;

pub use explain::explain;
pub use init::{InitError, init};
