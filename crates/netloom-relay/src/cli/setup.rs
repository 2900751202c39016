//! Flags of what is done before a relay runs.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::RelayArgs;

/// Flags of `netloom init`.
#[derive(Args, Clone, Debug)]
pub struct InitArgs {
    /// The file to write
    #[arg(default_value = "netloom.toml", value_name = "FILE")]
    pub file: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
    /// What the file is to say, by the flags of `netloom relay`.
    #[command(flatten)]
    pub relay: Box<RelayArgs>,
}

/// Flags of `netloom check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The file to check
    #[arg(default_value = "netloom.toml", value_name = "FILE")]
    pub file: PathBuf,
}

/// Flags of `netloom completions`.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArgs {
    /// The shell that completes
    pub shell: Shell,
}
