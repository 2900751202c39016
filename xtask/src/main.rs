//! What people and CI run: `cargo xtask VERB`. Every verb sets up what it needs.

mod cpio;
mod guest;
mod needs;
mod process;

use std::path::{Path, PathBuf};

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

fn main() -> anyhow::Result<()> {
    guest::make()
}
