//! The relay as a whole: binds, starts a thread per LAN, says how to connect, serves until it is told to stop.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::config::{Config, DEFAULT_LAN};
use crate::egress::Egress;
use crate::lan::{self, LanHandle};
use crate::listen::{self, Entrance};

/// How long guests have to answer the closing of their connections.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps the relay from starting, with the fix.
pub fn run(config: &Config) -> anyhow::Result<()> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(config));
    runtime.shutdown_background();
    result
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut listeners = Vec::new();
    for address in &config.listen {
        let listener = listen::bind(*address).map_err(|error| explain_bind(*address, &error))?;
        listeners.push(TcpListener::from_std(listener)?);
    }
    let own = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    let egress = Egress::new(config, own.clone());
    let (stop, stopped) = watch::channel(false);
    let mut threads = Vec::new();
    let mut lans: Vec<LanHandle> = Vec::new();
    for settings in &config.lans {
        let (handle, thread) = lan::spawn(settings.clone(), egress.lan(settings), stopped.clone())
            .with_context(|| format!("cannot start LAN {}", settings.name))?;
        lans.push(handle);
        threads.push(thread);
    }
    drop(stopped);
    announce(config, &own)?;

    let entrance = Arc::new(Entrance::new(config, lans));
    let accepting: Vec<_> =
        listeners.into_iter().map(|listener| tokio::spawn(Arc::clone(&entrance).accept(listener))).collect();
    drop(entrance);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("stopping; a second signal stops at once");
    for task in accepting {
        task.abort();
    }
    egress.log_refusals();
    stop.send_replace(true);
    tokio::select! {
        // Every LAN's thread holds the other end until it has ended.
        () = stop.closed() => {}
        () = tokio::time::sleep(STOP_TIMEOUT * 2) => warn!("a LAN did not end in time"),
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    for thread in threads.into_iter().filter(std::thread::JoinHandle::is_finished) {
        if thread.join().is_err() {
            warn!("a LAN's thread panicked");
        }
    }
    Ok(())
}

/// How long a LAN waits for its clients when it stops.
pub(crate) const fn stop_timeout() -> Duration {
    STOP_TIMEOUT
}

/// Says where the relay listens and what to paste into v86. Programs wait for the lines `listening on …`.
fn announce(config: &Config, own: &[SocketAddr]) -> io::Result<()> {
    let mut text = String::new();
    for address in own {
        text += &format!("listening on ws://{address}/\n");
    }
    let reachable = own.first().map(|address| reachable(*address));
    for (lan, address) in config.lans.iter().zip(std::iter::repeat(reachable).flatten()) {
        let path = if lan.name == DEFAULT_LAN { String::new() } else { format!("lan/{}", lan.name) };
        text += &format!("LAN {}: {}, gateway {}", lan.name, lan.subnet, lan.gateway_address());
        if let Some(ipv6) = lan.ipv6() {
            text += &format!("; {}, gateway {}", ipv6.prefix, ipv6.gateway_address);
        }
        text.push('\n');
        text +=
            &format!("  in v86: net_device: {{ type: \"virtio\", relay_url: \"ws://{address}/{path}\" }}\n");
    }
    let mut out = io::stdout().lock();
    // A closed standard output is no reason not to serve.
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// The address to show for a listener: a listener on every address is reached on this host's loopback at least.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr = if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        address.set_ip(loopback);
    }
    address
}

fn explain_bind(address: SocketAddr, error: &io::Error) -> anyhow::Error {
    let fix = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there: end it, or choose another port with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this host has no such address: choose one of its own with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "that port needs privileges: choose one from 1024 up with --listen"
        }
        _ => "choose another address with --listen",
    };
    anyhow::anyhow!("cannot listen on {address} ({error}): {fix}")
}

/// Every flow takes a descriptor, so take as many as we may.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        warn!("cannot raise the limit of open files: {error}");
    }
}
