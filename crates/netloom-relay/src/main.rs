//! The program `netloom`.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use netloom_relay::access;
use netloom_relay::c2w_net::{self, C2wNet};
use netloom_relay::cli::{self, Cli, Command, RelayArgs};
use netloom_relay::config::Config;
use netloom_relay::guest::Outgoing;
use netloom_relay::relay::{SetLogFilter, Source};
use netloom_relay::setup;
use netloom_relay::verbs::{self, Failure};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, reload};

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
            Ok(config) => return serve(config, Some(*args), None),
            Err(error) => return wrong(&error),
        },
        Command::C2wNet(args) => match c2w_net::parse(&args.arguments) {
            Ok(C2wNet::Help) => print!("{}", c2w_net::USAGE),
            Ok(C2wNet::Serve { config, outgoing, warning }) => {
                if let Some(warning) = warning {
                    eprintln!("netloom: {warning}");
                }
                return serve(*config, None, outgoing);
            }
            Err(error) => return wrong(&error),
        },
        Command::Init(args) => match setup::init(&args.file, &args.relay, args.force) {
            Ok(()) => {
                let file = args.file.display();
                println!(
                    "wrote {file}: edit it, then run `netloom check {file}` and `netloom relay --config {file}`"
                );
            }
            Err(error) => return wrong(&error),
        },
        Command::Check(args) => {
            match Config::load(&RelayArgs { config: Some(args.file), ..RelayArgs::default() }) {
                Ok(config) => print!("{}", setup::explain(&config)),
                Err(error) => return wrong(&error),
            }
        }
        Command::Completions(args) => {
            clap_complete::generate(args.shell, &mut Cli::command(), "netloom", &mut std::io::stdout());
        }
        Command::Token(command) => match access::command::run(&command) {
            Ok(said) => print!("{said}"),
            Err(error) => {
                eprintln!("netloom: {error:#}");
                return ExitCode::FAILURE;
            }
        },
        Command::Control(command) => match verbs::run(&command) {
            Ok(said) => print!("{said}"),
            Err(error @ Failure::Usage(_)) => return wrong(&error),
            Err(error) => {
                eprintln!("netloom: {error}");
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

fn wrong(error: &impl Display) -> ExitCode {
    eprintln!("netloom: {error}");
    ExitCode::from(EXIT_USAGE)
}

fn serve(config: Config, args: Option<RelayArgs>, outgoing: Option<Outgoing>) -> ExitCode {
    let (filter, log) = reload::Layer::new(filter(config.log.as_deref()));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    // The layer is there for as long as the program is.
    let set_log_filter: SetLogFilter = Box::new(move |text| drop(log.reload(self::filter(text))));
    let source = args.map(|args| Source { args, set_log_filter });
    match netloom_relay::relay::run(config, source, outgoing) {
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

/// What to log: as configured, else as the environment says.
fn filter(configured: Option<&str>) -> EnvFilter {
    let text = configured.map(str::to_owned).or_else(|| std::env::var("RUST_LOG").ok()).unwrap_or_default();
    EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).parse_lossy(text)
}
