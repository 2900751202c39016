//! `bench-tap [--json] [--quick]`: a guest's kernel on a TAP of the relay, beside slirp4netns on a TAP of the same namespace, and two kernels
//! on TAPs of one LAN beside a cable between them (veth).
//!
//! iperf3 moves one TCP stream, by the NAT of either program to a server in a third namespace, down and up, at an MTU of 1500 and of
//! 65,520. The programs take turns; figures are medians. Needs root, for namespaces.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use netloom_bench::cpu;
use netloom_bench::table::{self, Row};
use netloom_interop::iperf::iperf3_between;
use netloom_interop::lab::{GATEWAY, INTERFACE, Lab, SERVER};
use netloom_interop::namespace::{Namespace, join_by_veth};
use netloom_interop::process::Process;

const BENCH: &str = "tap";
const MTUS: [u16; 2] = [1500, 65_520];
const DIRECTIONS: [(&str, &[&str]); 2] = [("up", &[]), ("down", &["-R"])];
const PATIENCE: Duration = Duration::from_secs(10);

/// How much is measured.
struct Effort {
    rounds: usize,
    seconds: u32,
}

fn main() -> ExitCode {
    let given: Vec<_> = std::env::args().skip(1).collect();
    let has = |flag: &str| given.iter().any(|argument| argument == flag);
    let effort =
        if has("--quick") { Effort { rounds: 1, seconds: 2 } } else { Effort { rounds: 5, seconds: 5 } };
    match measure(&effort, has("--json")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-tap: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(effort: &Effort, json: bool) -> Result<()> {
    if !json {
        table::head();
    }
    for mtu in MTUS {
        by_nat(effort, mtu, json)?;
    }
    for mtu in MTUS {
        on_one_lan(effort, mtu, json)?;
    }
    Ok(())
}

/// A guest's namespace, by the relay and by slirp4netns in turn.
fn by_nat(effort: &Effort, mtu: u16, json: bool) -> Result<()> {
    let (ours, theirs) = (Namespace::new()?, Namespace::new()?);
    let tap = format!("{INTERFACE},netns={}", ours.name());
    let lab = Lab::new(&["--tap", &tap, "--mtu", &mtu.to_string()])?;
    ours.add_address(INTERFACE, Ipv4Addr::new(192, 168, 86, 100), 24)?;
    ours.ip(&["route", "add", "default", "via", &GATEWAY.to_string()])?;
    let slirp = Slirp::start(&lab.host, &theirs, mtu)?;
    for (direction, arguments) in DIRECTIONS {
        let mut figures = [Vec::new(), Vec::new()];
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..effort.rounds {
            let sides = [(&ours, lab.relay.pid()), (&theirs, slirp.process.pid())];
            for (side, (guest, pid)) in sides.into_iter().enumerate() {
                let before = cpu::used_by(pid)?;
                let bytes = bytes(guest, (&lab.server, SERVER), effort.seconds, arguments)?;
                let used = cpu::used_by(pid)? - before;
                figures[side].push(bytes * 8e-9 / f64::from(effort.seconds));
                costs[side].push(used.as_secs_f64() * 1e9 / bytes);
            }
        }
        let peer = slirp.version.as_str();
        let [ours, theirs] = figures.map(|mut figures| cpu::median(&mut figures));
        let case = format!("NAT, MTU {mtu}, {direction}");
        table::print(&Row::more_is_better(BENCH, case.clone(), "Gbit/s", ours, (peer, theirs)), json)?;
        let [ours, theirs] = costs.map(|mut costs| cpu::median(&mut costs));
        let case = format!("{case}, processor time");
        table::print(&Row::less_is_better(BENCH, case, "s/GB", ours, (peer, theirs)), json)?;
    }
    Ok(())
}

/// Two namespaces on one LAN, and on one cable.
fn on_one_lan(effort: &Effort, mtu: u16, json: bool) -> Result<()> {
    let (a, b) = (Namespace::new()?, Namespace::new()?);
    let taps = [&a, &b].map(|namespace| format!("{INTERFACE},netns={}", namespace.name()));
    let _lab = Lab::new(&["--tap", &taps[0], "--tap", &taps[1], "--mtu", &mtu.to_string()])?;
    join_by_veth((&a, "wire0", "10.78.0.1/24"), (&b, "wire0", "10.78.0.2/24"))?;
    for (namespace, host) in [(&a, 2), (&b, 3)] {
        namespace.add_address(INTERFACE, Ipv4Addr::new(192, 168, 86, host), 24)?;
        namespace.ip(&["link", "set", "wire0", "mtu", &mtu.to_string()])?;
    }
    let targets = [Ipv4Addr::new(192, 168, 86, 3), Ipv4Addr::new(10, 78, 0, 2)];
    let mut figures = [Vec::new(), Vec::new()];
    for _ in 0..effort.rounds {
        for (target, figures) in targets.into_iter().zip(&mut figures) {
            figures.push(bytes(&a, (&b, target), effort.seconds, &[])? * 8e-9 / f64::from(effort.seconds));
        }
    }
    let [ours, wire] = figures.map(|mut figures| cpu::median(&mut figures));
    let row = Row::more_is_better(BENCH, format!("two kernels, MTU {mtu}"), "Gbit/s", ours, ("veth", wire));
    Ok(table::print(&row, json)?)
}

/// The bytes that iperf3's receiver got.
fn bytes(
    client: &Namespace,
    server: (&Namespace, Ipv4Addr),
    seconds: u32,
    arguments: &[&str],
) -> Result<f64> {
    let report = iperf3_between(client, server, seconds, arguments)?;
    report["end"]["sum_received"]["bytes"].as_f64().context("no sum in iperf3's report")
}

/// slirp4netns as the way out of a namespace.
struct Slirp {
    process: Process,
    version: String,
    /// What holds the namespace.
    _holder: Process,
}

impl Slirp {
    fn start(host: &Namespace, guest: &Namespace, mtu: u16) -> Result<Self> {
        let said = host.exec("slirp4netns", &["--version"])?;
        let version = said.lines().next().context("slirp4netns tells no version")?.replace(" version", "");
        ensure!(version.starts_with("slirp4netns "), "no slirp4netns: {said}");
        let holder = Process::start(guest.command("sleep").arg("infinity"))?;
        let (mtu, pid) = (mtu.to_string(), holder.pid().to_string());
        let arguments = ["--configure", "--mtu", &mtu, &pid, "tap0"];
        let mut process = Process::start(host.command("slirp4netns").args(arguments))?;
        process.wait_for_line(PATIENCE, |line| line.contains("received tapfd").then_some(()))?;
        Ok(Self { process, version, _holder: holder })
    }
}
