//! The relay as a whole: binds, starts a thread per LAN, says how to connect, serves until it is told to stop.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::config::{Config, DEFAULT_LAN, Forward, QemuAddress, QemuListen};
use crate::egress::Egress;
use crate::forward;
use crate::guest::Outgoing;
use crate::lan::{self, LanHandle};
use crate::listen::{self, Entrance, QemuListener};
use crate::tls;
use crate::wisp;

/// How long guests have to answer the closing of their connections.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT, or until a guest has ended that we connect to; answers how its program did, if we ran one.
///
/// # Errors
/// What keeps the relay from starting, with the fix.
pub fn run(config: &Config, outgoing: Option<Outgoing>) -> anyhow::Result<Option<ExitStatus>> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(config, outgoing));
    runtime.shutdown_background();
    result
}

async fn serve(config: &Config, outgoing: Option<Outgoing>) -> anyhow::Result<Option<ExitStatus>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut listeners = Vec::new();
    for address in &config.listen {
        let listener = listen::bind(*address).map_err(|error| explain_bind(address, "--listen", &error))?;
        listeners.push(TcpListener::from_std(listener)?);
    }
    let bound = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    let mut qemu_listeners = Vec::new();
    let mut qemu_bound = Vec::new();
    for listen in &config.qemu_listen {
        let listener = QemuListener::bind(listen)
            .map_err(|error| explain_bind(&listen.address, "--qemu-listen", &error))?;
        qemu_bound.push(listener.bound()?);
        qemu_listeners.push(listener);
    }
    let mut forwards = Vec::new();
    let mut forwards_bound = Vec::new();
    for lan in &config.lans {
        let mut listeners = Vec::new();
        for forward in &lan.forwards {
            let listener = forward::Listener::bind(forward)
                .map_err(|error| explain_bind(&forward.listen, "--forward", &error))?;
            forwards_bound.push((lan.name.as_str(), listener.bound()?));
            listeners.push(listener);
        }
        forwards.push(listeners);
    }
    let own = own(&bound, &qemu_bound, &forwards_bound);
    let egress = Egress::new(config, own.clone());
    let (stop, stopped) = watch::channel(false);
    let mut threads = Vec::new();
    let mut lans: Vec<LanHandle> = Vec::new();
    for (settings, forwards) in config.lans.iter().zip(forwards) {
        let (handle, thread) = lan::spawn(settings.clone(), egress.lan(settings), forwards, stopped.clone())
            .with_context(|| format!("cannot start LAN {}", settings.name))?;
        lans.push(handle);
        threads.push(thread);
    }
    let wisp = match &config.wisp {
        Some(settings) => {
            let (handle, workers) =
                wisp::spawn(settings, &egress.streams(), &stopped).context("cannot start the Wisp server")?;
            threads.extend(workers);
            Some(handle)
        }
        None => None,
    };
    let tls = config.tls.as_ref().map(tls::server_config).transpose()?;
    let tls = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
    drop(stopped);
    // The output of a program that we run is its own.
    if outgoing.is_none() {
        announce(config, &bound, &qemu_bound, &forwards_bound)?;
    }
    let lan = lans.first().cloned();

    let entrance = Arc::new(Entrance::new(config, lans, wisp, tls, &egress.streams())?);
    let mut accepting: Vec<_> =
        listeners.into_iter().map(|listener| tokio::spawn(Arc::clone(&entrance).accept(listener))).collect();
    accepting.extend(
        qemu_listeners.into_iter().map(|listener| tokio::spawn(Arc::clone(&entrance).accept_qemu(listener))),
    );
    drop(entrance);
    let served = async {
        match outgoing.zip(lan) {
            Some((guest, lan)) => guest.serve(&lan).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        outcome = served => outcome?,
    };
    info!("stopping; a second signal stops at once");
    for task in accepting {
        task.abort();
    }
    egress.log_refusals();
    stop.send_replace(true);
    tokio::select! {
        // Every LAN's thread holds the other end until it has ended.
        () = stop.closed() => {}
        () = tokio::time::sleep(STOP_TIMEOUT * 2) => warn!("a LAN or the Wisp server did not end in time"),
        _ = terminate.recv() => return Ok(outcome),
        _ = interrupt.recv() => return Ok(outcome),
    }
    for thread in threads.into_iter().filter(std::thread::JoinHandle::is_finished) {
        if thread.join().is_err() {
            warn!("a thread panicked");
        }
    }
    Ok(outcome)
}

/// How long a LAN waits for its clients when it stops.
pub(crate) const fn stop_timeout() -> Duration {
    STOP_TIMEOUT
}

/// Says where the relay listens and what to paste into v86. Programs wait for the lines `listening on …`.
fn announce(
    config: &Config,
    bound: &[SocketAddr],
    qemu: &[QemuListen],
    forwards: &[(&str, Forward)],
) -> io::Result<()> {
    let mut text = String::new();
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    for address in bound {
        text += &format!("listening on {scheme}://{address}/\n");
    }
    for listen in qemu {
        let address = match &listen.address {
            QemuAddress::Tcp(address) => QemuAddress::Tcp(reachable(*address)),
            unix @ QemuAddress::Unix(_) => unix.clone(),
        };
        text += &format!("listening on {} for QEMU, LAN {}\n", listen.address, listen.lan);
        text += &format!("  in QEMU: -netdev stream,id=n0,server=off,{}\n", address.netdev());
    }
    for (lan, forward) in forwards {
        text += &format!(
            "forwarding {} to port {} of guest {}, LAN {lan}\n",
            forward.listen, forward.port, forward.guest
        );
    }
    let reachable = bound.first().map(|address| reachable(*address));
    for (lan, address) in config.lans.iter().filter_map(|lan| Some((lan, reachable?))) {
        let path = if lan.name == DEFAULT_LAN { String::new() } else { format!("lan/{}", lan.name) };
        text += &format!("LAN {}: {}, gateway {}", lan.name, lan.subnet, lan.gateway_address());
        if let Some(ipv6) = lan.ipv6() {
            text += &format!("; {}, gateway {}", ipv6.prefix, ipv6.gateway_address);
        }
        text.push('\n');
        text += &format!(
            "  in v86: net_device: {{ type: \"virtio\", relay_url: \"{scheme}://{address}/{path}\" }}\n"
        );
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

/// The addresses of ours that no guest may reach.
fn own(bound: &[SocketAddr], qemu: &[QemuListen], forwards: &[(&str, Forward)]) -> Vec<SocketAddr> {
    let qemu = qemu.iter().filter_map(|listen| match listen.address {
        QemuAddress::Tcp(address) => Some(address),
        QemuAddress::Unix(_) => None,
    });
    bound.iter().copied().chain(qemu).chain(forwards.iter().map(|(_, forward)| forward.listen)).collect()
}

fn explain_bind(address: &impl Display, flag: &str, error: &io::Error) -> anyhow::Error {
    let fix = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there, or a file is there: end it, or choose another address"
        }
        io::ErrorKind::AddrNotAvailable => "this host has no such address: choose one of its own",
        io::ErrorKind::PermissionDenied => {
            "that needs privileges: choose a port from 1024 up, or a folder of your own,"
        }
        _ => "choose another address",
    };
    anyhow::anyhow!("cannot listen on {address} ({error}): {fix} with {flag}")
}

/// Every flow takes a descriptor, so take as many as we may.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        warn!("cannot raise the limit of open files: {error}");
    }
}
