//! The core benchmark's parts: rates of two stacks that take turns, here and in WebAssembly; instructions; memory.

pub mod instructions;
pub mod memory;
pub mod rate;
pub mod wasm;
