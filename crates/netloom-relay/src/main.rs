//! The program `netloom`.
fn main() {}
