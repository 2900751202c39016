//! The program `netloom`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use netloom_relay::cli::{self, Cli, Command};
use netloom_relay::config::Config;
use tracing_subscriber::EnvFilter;

/// Exit code for bad arguments and configuration.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error)
            if error.use_stderr()
                && error.kind() != clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            eprintln!("{}", cli::one_line(&error));
            return ExitCode::from(EXIT_USAGE);
        }
        Err(error) => error.exit(),
    };
    let Command::Relay(args) = cli.command;
    let config = match Config::load(&args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("netloom: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if args.check {
        print!("{}", config.to_toml());
        return ExitCode::SUCCESS;
    }
    let filter = config.log.clone().or_else(|| std::env::var("RUST_LOG").ok()).unwrap_or_default();
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).parse_lossy(filter);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    match netloom_relay::relay::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netloom: {error:#}");
            ExitCode::FAILURE
        }
    }
}
