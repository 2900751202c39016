//! The program `netloom`.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use netloom_relay::c2w_net::{self, C2wNet};
use netloom_relay::cli::{self, Cli, Command};
use netloom_relay::config::Config;
use netloom_relay::guest::Outgoing;
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
    match cli.command {
        Command::Relay(args) => match Config::load(&args) {
            Ok(config) if args.check => print!("{}", config.to_toml()),
            Ok(config) => return serve(&config, None),
            Err(error) => return wrong(&error),
        },
        Command::C2wNet(args) => match c2w_net::parse(&args.arguments) {
            Ok(C2wNet::Help) => print!("{}", c2w_net::USAGE),
            Ok(C2wNet::Serve { config, outgoing, warning }) => {
                if let Some(warning) = warning {
                    eprintln!("netloom: {warning}");
                }
                return serve(&config, outgoing);
            }
            Err(error) => return wrong(&error),
        },
    }
    ExitCode::SUCCESS
}

fn wrong(error: &impl Display) -> ExitCode {
    eprintln!("netloom: {error}");
    ExitCode::from(EXIT_USAGE)
}

fn serve(config: &Config, outgoing: Option<Outgoing>) -> ExitCode {
    let filter = config.log.clone().or_else(|| std::env::var("RUST_LOG").ok()).unwrap_or_default();
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).parse_lossy(filter);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    match netloom_relay::relay::run(config, outgoing) {
        Ok(None) => ExitCode::SUCCESS,
        // A program that a signal ended has no code.
        Ok(Some(status)) => {
            status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            eprintln!("netloom: {error:#}");
            ExitCode::FAILURE
        }
    }
}
