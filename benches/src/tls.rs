//! The relay with TLS of its own, without, and behind programs that end TLS for it.
//!
//! ```text
//! ours     load ─ stunnel ═ netloom
//! nginx    load ─ stunnel ═ nginx ─ netloom
//! stunnel  load ─ stunnel ═ stunnel ─ netloom
//! plain    load ─ netloom
//! ```
//!
//! The load is the same plain one in all of them; a stunnel on its processor speaks TLS for it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use netloom_interop::namespace::Namespace;
use netloom_interop::process::Process;
use netloom_interop::relay::Relay;
use rustix::process::Signal;

use crate::cpu;
use crate::relay::place::{Placed, Placement};

const PATIENCE: Duration = Duration::from_secs(10);
/// What browsers ask for first on processors with AES; stunnel would begin with ChaCha20.
const SUITE: &str = "TLS_AES_128_GCM_SHA256";
/// Ports of a namespace that is this benchmark's alone.
const FRONT_PORT: u16 = 8443;
const CLIENT_PORT: u16 = 8080;

/// Who ends TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ender {
    /// The relay.
    Ours,
    /// Nobody: it is not there.
    Plain,
    /// nginx as docs/operate.md has it, with one worker.
    Nginx,
    /// stunnel.
    Stunnel,
}

impl Ender {
    /// All, ours first.
    pub const ALL: [Self; 4] = [Self::Ours, Self::Plain, Self::Nginx, Self::Stunnel];

    /// What it is called in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "netloom",
            Self::Plain => "no TLS",
            Self::Nginx => "nginx in front",
            Self::Stunnel => "stunnel in front",
        }
    }
}

/// A relay and what is in front of it. Fields are dropped in order: what uses a thing before the thing.
#[derive(Debug)]
pub struct Secured {
    client: Option<Process>,
    front: Option<Process>,
    relay: Relay,
    /// Where the load is to go, in the clear.
    pub address: SocketAddr,
    /// Where all of it runs.
    pub namespace: Namespace,
    _folder: tempfile::TempDir,
}

impl Secured {
    /// Starts all of it.
    ///
    /// # Errors
    /// When a program is missing or does not start.
    pub fn start(ender: Ender) -> Result<Self> {
        let (folder, namespace) = (tempfile::tempdir()?, Namespace::new()?);
        certificate(folder.path())?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (chain, key) = (path("chain.pem"), path("key.pem"));
        let tls = ["--tls-cert", &chain, "--tls-key", &key];
        let common = ["--allow", "127.0.0.0/8", "--log", "error", "--mtu", "65535", "--control", "off"];
        let own: &[&str] = if ender == Ender::Ours { &tls } else { &[] };
        let relay = Relay::start(&namespace, &[&common[..], own].concat())?;
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (front_address, relay_address) = (at(FRONT_PORT), relay.address());
        let front = match ender {
            Ender::Ours | Ender::Plain => None,
            Ender::Nginx => Some(nginx(&namespace, folder.path(), front_address, relay_address)?),
            Ender::Stunnel => {
                let settings = format!("cert = {chain}\nkey = {key}\n");
                Some(stunnel(&namespace, folder.path(), "server", &settings, front_address, relay_address)?)
            }
        };
        let (client, address) = match ender {
            Ender::Plain => (None, relay_address),
            Ender::Ours | Ender::Nginx | Ender::Stunnel => {
                let to = if ender == Ender::Ours { relay_address } else { front_address };
                let trust = format!("CAfile = {chain}\nverifyPeer = yes");
                let settings = format!("client = yes\n{trust}\nciphersuites = {SUITE}\n");
                let client = stunnel(&namespace, folder.path(), "client", &settings, at(CLIENT_PORT), to)?;
                (Some(client), at(CLIENT_PORT))
            }
        };
        let started = Self { client, front, relay, address, namespace, _folder: folder };
        let begin = Instant::now();
        for address in [front_address, address] {
            let is_used = address != front_address || started.front.is_some();
            while is_used && started.namespace.connect(address, PATIENCE)?.is_err() {
                ensure!(begin.elapsed() < PATIENCE, "{} does not listen on {address}", ender.name());
            }
        }
        Ok(started)
    }

    /// Processes that serve: the relay, what is in front of it, and the workers of that.
    fn servers(&self) -> Result<Vec<u32>> {
        let mut all: Vec<_> = self.front.iter().map(Process::pid).collect();
        for pid in all.clone() {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        all.push(self.relay.pid());
        Ok(all)
    }

    /// Puts the servers on one processor, the load on another, and its stunnel with it.
    ///
    /// # Errors
    /// When one has ended.
    pub fn place(&self) -> Result<Placed> {
        if let Some(client) = &self.client {
            // The same processor that the load is put on below.
            drop(Placed::place_all(&[client.pid()], Placement::Together)?);
        }
        Placed::place_all(&self.servers()?, Placement::Apart)
    }

    /// Processor time that the servers have used.
    ///
    /// # Errors
    /// When one has ended.
    pub fn processor_time(&self) -> Result<Duration> {
        let each: std::io::Result<Vec<_>> = self.servers()?.into_iter().map(cpu::used_by).collect();
        Ok(each?.into_iter().sum())
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        // nginx ends its workers when it is asked to, and not when it is killed.
        if let Some(Err(error)) = self.front.as_mut().map(|front| front.stop(Signal::TERM)) {
            eprintln!("what ends TLS stays behind: {error:#}");
        }
    }
}

/// A certificate for this host and its key, as the relay, nginx and stunnel read them.
fn certificate(folder: &Path) -> Result<()> {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "chain.pem"])
        .current_dir(folder)
        .output()?;
    ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

fn nginx(namespace: &Namespace, folder: &Path, listen: SocketAddr, relay: SocketAddr) -> Result<Process> {
    let shown = folder.display();
    let configuration = format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {shown}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
        access_log off;\nproxy_temp_path {shown}/proxy;\nclient_body_temp_path {shown}/body;\nserver {{\n\
        listen {listen} ssl;\nssl_certificate {shown}/chain.pem;\nssl_certificate_key {shown}/key.pem;\n\
        location / {{\nproxy_pass http://{relay};\nproxy_http_version 1.1;\nproxy_set_header Host $host;\n\
        proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection \"upgrade\";\nproxy_buffering off;\n}}\n}}\n}}\n"
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, configuration)?;
    Process::start(namespace.command("nginx").args(["-e", "stderr", "-c"]).arg(path))
}

fn stunnel(
    namespace: &Namespace,
    folder: &Path,
    name: &str,
    settings: &str,
    listen: SocketAddr,
    to: SocketAddr,
) -> Result<Process> {
    let path = folder.join(format!("{name}.conf"));
    let socket = "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n";
    let service = format!("[{name}]\n{settings}accept = {listen}\nconnect = {to}\n");
    fs::write(&path, format!("foreground = yes\npid =\ndebug = err\n{socket}{service}"))?;
    Process::start(namespace.command("stunnel").arg(path))
}
