//! Network namespaces made by `ip netns`, named after the process that made them.
//!
//! Owns each namespace, and with it every interface inside: deleting the namespace deletes them. Nothing is ever made
//! in the namespace of the test itself.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const PREFIX: &str = "netloom-";
const RUN: &str = "/run/netns";

/// A network namespace, deleted on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    etc: Option<PathBuf>,
}

impl Namespace {
    /// Makes a namespace with `lo` up, IP forwarding off and a name that no other process uses. IPv6 addresses are used as
    /// soon as they are there, without asking first whether somebody else has them.
    ///
    /// # Errors
    /// When the caller is not root, or `ip` is missing or fails.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        require_root()?;
        SWEEP.call_once(sweep);
        let name = format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name, etc: None };
        namespace.ip(&["link", "set", "lo", "up"])?;
        namespace.sysctl("net/ipv4/ip_forward", "0")?;
        namespace.sysctl("net/ipv4/ping_group_range", "0 2147483647")?;
        namespace.sysctl("net/ipv6/conf/default/dad_transmits", "0")?;
        namespace.sysctl("net/ipv6/conf/default/router_solicitation_delay", "0")?;
        Ok(namespace)
    }

    /// The name that `ip netns exec` knows it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip ARGS` inside.
    ///
    /// # Errors
    /// With what `ip` said, when it fails.
    pub fn ip(&self, args: &[&str]) -> Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(args))
    }

    /// Gives an interface an address.
    ///
    /// # Errors
    /// When it has it already.
    pub fn add_address(&self, interface: &str, address: impl Into<IpAddr>, prefix: u8) -> Result<()> {
        let address = address.into();
        self.ip(&["address", "add", &format!("{address}/{prefix}"), "dev", interface])?;
        Ok(())
    }

    /// Writes a setting under `/proc/sys`, which is the namespace's own for `net/`.
    ///
    /// # Errors
    /// When the kernel has no such setting or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.run(move || fs::write(Path::new("/proc/sys").join(&key), value).with_context(|| key))?
    }

    /// A command that will run inside, with the namespace's `/etc/resolv.conf` if it has one.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a command inside and returns what it wrote to its standard output.
    ///
    /// # Errors
    /// With the command's own words, when it fails.
    pub fn exec(&self, program: &str, args: &[&str]) -> Result<String> {
        run(self.command(program).args(args))
    }

    /// Runs `work` on a thread that has moved inside. What it opens belongs to the namespace and may leave the thread.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or `work` panics.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let file = File::open(Path::new(RUN).join(&self.name)).context("the namespace is gone")?;
        let entered = thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok::<T, std::io::Error>(work())
        });
        Ok(entered.join().map_err(|_| anyhow!("the work inside {} panicked", self.name))??)
    }

    /// Moves the calling thread inside for good, and with it every thread that it makes.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn enter(&self) -> Result<()> {
        let file = File::open(Path::new(RUN).join(&self.name)).context("the namespace is gone")?;
        Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    /// Connects by TCP from inside.
    ///
    /// # Errors
    /// As [`TcpStream::connect_timeout`].
    pub fn connect(&self, address: SocketAddr, timeout: Duration) -> Result<std::io::Result<TcpStream>> {
        self.run(move || TcpStream::connect_timeout(&address, timeout))
    }

    /// Listens for TCP inside; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// When the address is taken or not the namespace's.
    pub fn listen(&self, address: SocketAddr) -> Result<TcpListener> {
        Ok(self.run(move || TcpListener::bind(address))??)
    }

    /// Binds a UDP socket inside; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// When the address is taken or not the namespace's.
    pub fn bind_udp(&self, address: SocketAddr) -> Result<UdpSocket> {
        Ok(self.run(move || UdpSocket::bind(address))??)
    }

    /// Gives commands inside a `resolv.conf` that names `servers`: addresses, with their interface if they are link-local.
    ///
    /// # Errors
    /// When `/etc/netns` cannot be written.
    pub fn use_resolvers(&mut self, servers: &[&str]) -> Result<()> {
        let etc = Path::new("/etc/netns").join(&self.name);
        fs::create_dir_all(&etc).context("/etc/netns cannot be written")?;
        let lines: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        self.etc = Some(etc.clone());
        fs::write(etc.join("resolv.conf"), lines)?;
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// A cable between two namespaces; it goes when either of them does.
///
/// # Errors
/// When an interface of that name exists already.
pub fn join_by_veth(a: (&Namespace, &str, &str), b: (&Namespace, &str, &str)) -> Result<()> {
    a.0.ip(&["link", "add", a.1, "type", "veth", "peer", "name", b.1, "netns", b.0.name()])?;
    for (namespace, interface, address) in [a, b] {
        namespace.ip(&["address", "add", address, "dev", interface])?;
        namespace.ip(&["link", "set", interface, "up"])?;
    }
    Ok(())
}

/// Says in one line what to do when the tests are not run as root.
///
/// # Errors
/// When the effective user is not root.
pub fn require_root() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "these tests make network namespaces and TAP devices: run them as root (sudo -E cargo xtask test)"
        );
    }
    Ok(())
}

/// Removes what killed runs left: namespaces, and folders of scripts.
fn sweep() {
    stale(Path::new(RUN)).for_each(|name| remove(&name));
    let scripts = std::env::temp_dir();
    for name in stale(&scripts) {
        if let Err(error) = fs::remove_dir_all(scripts.join(&name)) {
            eprintln!("{name} stays behind: {error}");
        }
    }
}

/// Names in `folder` whose process has ended.
fn stale(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        owner
            .and_then(|pid| pid.parse::<u32>().ok())
            .is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
    })
}

fn remove(name: &str) {
    if let Err(error) = run(Command::new("ip").args(["netns", "del", name])) {
        eprintln!("namespace {name} stays behind: {error:#}");
    }
    let etc = Path::new("/etc/netns").join(name);
    if etc.exists()
        && let Err(error) = fs::remove_dir_all(&etc)
    {
        eprintln!("{} stays behind: {error}", etc.display());
    }
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// When it cannot start (with the package to install, where known) or ends with a failure.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let line = format!("{command:?}");
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("{line} cannot run: is its package installed?"))?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if !status.success() {
        bail!("{line}: {status}: {}{}", String::from_utf8_lossy(&stderr).trim(), stdout.trim());
    }
    Ok(stdout)
}
