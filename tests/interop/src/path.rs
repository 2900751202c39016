//! A kernel at one end of an impaired link, and at the other a kernel as well or the machine: the same programs, link and seed for both.
//!
//! ```text
//! near namespace                                  far namespace, or the machine in this process
//!   eth0 (TAP) ── splice with an impaired link ── eth0 (TAP)
//! ```
//!
//! Both kernels' offloads are off and their IPv6 too, so that the n-th frame is much the same one with either peer; which frames suffer
//! depends on the seed and their order alone.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use netloom_core::{Congestion, IpNet, Limits, MacAddr};
use netloom_sim::guest::machine::MachineHostConfig;
use netloom_sim::{Answer, MachineHost, Outcome, Outside, Plan, Rng, Role, world};

use crate::cell::Cell;
use crate::host::HostEnd;
use crate::lab::INTERFACE;
use crate::link::Impairment;
use crate::namespace::Namespace;
use crate::program;
use crate::splice::Splice;
use crate::tap::Tap;

const MTU: u16 = 1500;
/// Buffers of the machine's connections: above what the link's rate and the longest round trip need.
const BUFFER_BYTES: usize = 4 << 20;
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 2);
/// Where the machine's own connections come from.
const FAR_OWN: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 3);
const NETWORK: &str = "10.79.0.0/24";
const FAR_MAC: MacAddr = MacAddr([0x52, 0x54, 0x00, 0x4e, 0x00, 0x02]);
const FIRST_PORT: u16 = 5000;
const CONNECT_PATIENCE: Duration = Duration::from_secs(60);
/// How long the machine has to notice that a connection is over after the kernel has.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// Whose TCP is at the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Far {
    /// The kernel's.
    Kernel,
    /// Ours.
    Machine,
}

/// Which end opens a connection, and is the client of its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The kernel under comparison's peer.
    Near,
    /// Whose TCP is compared.
    Far,
}

/// Runs connections at the same time over a fresh link of this cell and seed; how long they took together.
///
/// # Errors
/// When one breaks or stands still, or a byte is wrong, missing or too much.
pub fn exchange(cell: &Cell, far: Far, flows: &[(Opener, Plan)], seed: u64) -> Result<Duration> {
    let name = || format!("{}, {far:?}, seed {seed}", cell.name);
    match far {
        Far::Kernel => between_kernels(cell, flows, seed).with_context(name),
        Far::Machine => with_the_machine(cell, flows, seed).with_context(name),
    }
}

fn between_kernels(cell: &Cell, flows: &[(Opener, Plan)], seed: u64) -> Result<Duration> {
    let (near, near_tap) = kernel(cell.congestion, NEAR)?;
    let (far, far_tap) = kernel(cell.congestion, FAR)?;
    let splice = Splice::start(near_tap, far_tap, Some(Impairment::new(cell.link, seed)))?;
    let begin = Instant::now();
    let mut programs = Vec::new();
    for (port, (opener, plan)) in ports().zip(flows.iter().copied()) {
        let (client, server, address) = match opener {
            Opener::Near => (&near, &far, FAR),
            Opener::Far => (&far, &near, NEAR),
        };
        let address = SocketAddr::from((address, port));
        let listener = server.listen(address)?;
        programs.push(thread::spawn(move || serve(&listener, plan)));
        let client = client.clone();
        programs.push(thread::spawn(move || connect(&client, address, plan)));
    }
    all(programs)?;
    let time = begin.elapsed();
    splice.finish()?;
    Ok(time)
}

fn with_the_machine(cell: &Cell, flows: &[(Opener, Plan)], seed: u64) -> Result<Duration> {
    let (near, near_tap) = kernel(cell.congestion, NEAR)?;
    let mut outside = Outside::default();
    for (port, (_, plan)) in ports().zip(flows) {
        outside = outside.with(port, Answer::Serve(Duration::ZERO, *plan));
    }
    let mut machine = machine(cell.congestion, outside, seed);
    let mut programs = Vec::new();
    let begin = Instant::now();
    for (port, (opener, plan)) in ports().zip(flows.iter().copied()) {
        match opener {
            Opener::Near => {
                let near = near.clone();
                let address = SocketAddr::from((FAR, port));
                programs.push(thread::spawn(move || connect(&near, address, plan)));
            }
            Opener::Far => {
                let address = SocketAddrV4::new(NEAR, port);
                let listener = near.listen(SocketAddr::V4(address))?;
                programs.push(thread::spawn(move || serve(&listener, plan)));
                let opened = machine.connect(netloom_core::Instant::ZERO, SocketAddr::V4(address), plan);
                opened.map_err(|error| anyhow::anyhow!("the machine cannot connect: {error:?}"))?;
            }
        }
    }
    let end = HostEnd::new(machine)?;
    let ends = end.ends();
    let splice = Splice::start(near_tap, end, Some(Impairment::new(cell.link, seed)))?;
    let exchanged = all(programs);
    let time = begin.elapsed();
    // When the kernel's side has ended badly, so has the machine's, or never will.
    let patience = if exchanged.is_ok() { END_PATIENCE } else { Duration::ZERO };
    let outcomes = ends.wait(flows.len(), patience);
    // A wrong byte ends the splice's thread, and is the better story.
    splice.finish()?;
    exchanged?;
    let done = outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count();
    ensure!(
        done == flows.len(),
        "of the machine's {} connections {done} ended well: {outcomes:?}",
        flows.len()
    );
    Ok(time)
}

fn ports() -> impl Iterator<Item = u16> {
    FIRST_PORT..
}

/// A namespace whose only interface is a TAP.
fn kernel(congestion: Congestion, address: Ipv4Addr) -> Result<(Arc<Namespace>, Tap)> {
    let namespace = Namespace::new()?;
    namespace.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
    let algorithm = match congestion {
        Congestion::Cubic => "cubic",
        Congestion::Reno => "reno",
        Congestion::None => bail!("the kernel has nothing like congestion control none"),
    };
    let tap = Tap::open(&namespace, INTERFACE)?;
    // The splice may be kept waiting for a processor: what is lost, the link shall lose.
    namespace.ip(&["link", "set", INTERFACE, "txqueuelen", "10000"])?;
    namespace.exec("ethtool", &["-K", INTERFACE, "tso", "off", "gso", "off", "gro", "off"])?;
    namespace.add_address(INTERFACE, address, 24)?;
    // By the route, since a namespace's default may only be one that the whole system allows.
    let source = address.to_string();
    let route = ["route", "replace", NETWORK, "dev", INTERFACE, "src", &source, "congctl", algorithm];
    namespace.ip(&route)?;
    Ok((Arc::new(namespace), tap))
}

fn machine(congestion: Congestion, outside: Outside, seed: u64) -> MachineHost {
    let config = MachineHostConfig {
        net: IpNet::new(FAR.into(), 24),
        mac: FAR_MAC,
        own: FAR_OWN.into(),
        address: FAR.into(),
        mtu: MTU,
        limits: Limits { lan_buffer_bytes: 1 << 30, ..world::limits(BUFFER_BYTES) },
        congestion,
        timestamps: true,
        trusted: false,
    };
    MachineHost::new(config, outside, Rng::new(seed).seed())
}

fn serve(listener: &TcpListener, plan: Plan) -> Result<()> {
    let (stream, _) = listener.accept()?;
    program::run(stream, plan, Role::Server)
}

fn connect(namespace: &Namespace, address: SocketAddr, plan: Plan) -> Result<()> {
    let stream = namespace.connect(address, CONNECT_PATIENCE)?.context("connect")?;
    program::run(stream, plan, Role::Client)
}

fn all(programs: Vec<thread::JoinHandle<Result<()>>>) -> Result<()> {
    let results: Vec<_> = programs.into_iter().map(thread::JoinHandle::join).collect();
    for result in results {
        result.unwrap_or_else(|_| bail!("a program panicked"))?;
    }
    Ok(())
}
