//! The relay as a whole: binds, starts a thread per LAN, says how to connect, serves until it is told to stop.

mod announce;
mod bind;
mod reload;
mod start;

use std::cell::RefCell;
use std::collections::HashMap;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::cli::RelayArgs;
use crate::config::{Config, ConfigError};
use crate::guest::Outgoing;
use bind::Bound;
pub use reload::SetLogFilter;
use start::Running;

/// How long guests have to answer the closing of their connections.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Where a configuration is read again from, and who keeps the log.
pub struct Source {
    /// The command line, which names the file.
    pub args: RelayArgs,
    /// Has the log kept by another filter.
    pub set_log_filter: SetLogFilter,
}

/// Serves until SIGTERM or SIGINT, or until a guest has ended that we connect to; answers how its program did, if we ran one. SIGHUP has
/// the configuration read again from `source`.
///
/// # Errors
/// What keeps the relay from starting, with the fix.
pub fn run(
    config: Config,
    source: Option<Source>,
    outgoing: Option<Outgoing>,
) -> anyhow::Result<Option<ExitStatus>> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(config, source, outgoing));
    runtime.shutdown_background();
    result
}

async fn serve(
    mut config: Config,
    source: Option<Source>,
    outgoing: Option<Outgoing>,
) -> anyhow::Result<Option<ExitStatus>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = source.is_some().then(|| signal(SignalKind::hangup())).transpose()?;
    let bound = Bound::bind(&config)?;
    let addresses = bound.addresses.clone();
    let mut running = Running::start(&config, bound)?;
    // The output of a program that we run is its own.
    if outgoing.is_none() {
        announce::announce(&config, &addresses)?;
    }
    let lan = running.lans.first().map(|lan| lan.handle.clone());
    let served = async move {
        match outgoing.zip(lan) {
            Some((guest, lan)) => guest.serve(&lan).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(served);
    let outcome = loop {
        tokio::select! {
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            outcome = &mut served => break outcome?,
            () = hung_up(&mut hangup) => if let Some(source) = &source {
                match reload(&mut running, &mut config, source).await {
                    Ok(lines) => lines.iter().for_each(|line| info!("reload: {line}")),
                    Err(error) => error!("reload: {error}; all stays as it is"),
                }
            },
            Some(request) = running.reloads.recv() => {
                let reloaded = match &source {
                    Some(source) => reload(&mut running, &mut config, source).await,
                    None => Ok(vec!["there is no file to read again".to_owned()]),
                };
                // Nobody waits any more if it cannot be sent.
                drop(request.send(reloaded.map_err(|error| error.to_string())));
            }
        }
    };
    info!("stopping; a second signal stops at once");
    running.refuse_clients().await;
    let entrance = Arc::clone(&running.entrance);
    let grace = Duration::from_secs(config.drain_timeout_s.into());
    let emptied = timeout(grace, entrance.emptied());
    tokio::pin!(emptied);
    loop {
        tokio::select! {
            _ = &mut emptied => break,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // It is told that the relay stops.
            Some(request) = running.reloads.recv() => drop(request),
        }
    }
    running.egress.log_refusals();
    running.stop().await;
    tokio::select! {
        () = running.stopped() => {}
        () = sleep(STOP_TIMEOUT * 2) => warn!("a LAN or the Wisp server did not end in time"),
        _ = terminate.recv() => return Ok(outcome),
        _ = interrupt.recv() => return Ok(outcome),
    }
    running.close().await;
    if running.has_panicked() {
        warn!("a thread panicked");
    }
    Ok(outcome)
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

/// Reads the configuration again and applies it; tells what changed and what was kept.
async fn reload(
    running: &mut Running,
    config: &mut Config,
    source: &Source,
) -> Result<Vec<String>, ConfigError> {
    let new = Config::load(&source.args)?;
    Ok(reload::apply(running, config, new, &source.set_log_filter).await)
}

/// Waits until all clients of a thread have answered the close and left, for as long as they have; tells whether they did.
pub(crate) async fn all_left<K, V>(clients: &RefCell<HashMap<K, V>>, emptied: &Notify) -> bool {
    let all_left = async {
        while !clients.borrow().is_empty() {
            emptied.notified().await;
        }
    };
    timeout(STOP_TIMEOUT, all_left).await.is_ok()
}

/// Every flow takes a descriptor, so take as many as we may.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        warn!("cannot raise the limit of open files: {error}");
    }
}
