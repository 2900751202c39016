//! `netloom token`: who may use a relay.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is done with tokens. A running relay that uses the file follows at once.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and print it: only its hash is kept
    Create(CreateArgs),
    /// List the tokens
    List(ListArgs),
    /// Revoke a token: its clients are disconnected
    Revoke(RevokeArgs),
}

/// The file that a command is about.
#[derive(Args, Clone, Debug)]
pub struct TokensFile {
    /// The tokens file, which `netloom relay --tokens` uses
    #[arg(long, value_name = "FILE")]
    pub tokens: PathBuf,
}

/// Flags of `netloom token create`.
#[derive(Args, Clone, Debug)]
pub struct CreateArgs {
    /// A name for it, which logs show
    pub name: String,
    /// The tokens file; made if it is not there
    #[command(flatten)]
    pub file: TokensFile,
    /// LAN that its clients may join, the first being the one that they get where they name none; without, all. Repeatable
    #[arg(long, value_name = "NAME")]
    pub lan: Vec<String>,
    /// What its clients may reach beside what all do, written as for `netloom relay --allow`. Repeatable
    #[arg(long, value_name = "RULE")]
    pub allow: Vec<String>,
    /// What its clients may not reach; wins over --allow. Repeatable
    #[arg(long, value_name = "RULE")]
    pub deny: Vec<String>,
    /// Its clients reach nothing but what its --allow names
    #[arg(long)]
    pub allow_only: bool,
    /// What its clients may use together: connections, connections_per_s, flows, pending_dials, upload_bytes_per_s or
    /// download_bytes_per_s; 0 lifts a limit. Repeatable
    #[arg(long, value_name = "KEY=NUMBER")]
    pub limit: Vec<String>,
}

/// Flags of `netloom token list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// The tokens file
    #[command(flatten)]
    pub file: TokensFile,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Flags of `netloom token revoke`.
#[derive(Args, Clone, Debug)]
pub struct RevokeArgs {
    /// The token's name
    pub name: String,
    /// The tokens file
    #[command(flatten)]
    pub file: TokensFile,
}
