//! `bench-cors [--json] [--quick]`: the relay's CORS proxy beside cors-anywhere, in one run and in turns.
//!
//! Web server, clients and proxies share the machine; figures are medians of turns, by the clock and by the proxy's processor time. Needs
//! `NETLOOM_BIN`, and `NETLOOM_NODE_MODULES`, a folder with cors-anywhere in its `node_modules`; `cargo xtask bench cors` sees to both.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use netloom_bench::cors::{Work, load, serve};
use netloom_bench::cpu::{median, used_by};
use netloom_bench::table::{self, Row};

const BENCH: &str = "cors";
const PEER: &str = "cors-anywhere 0.4.4";
const NO_PROXY: &str = "no proxy between";
/// Its defaults, but for the address.
const PEER_SCRIPT: &str = "const server = require('cors-anywhere').createServer(); \
     server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));";
const MB: f64 = 1e6;

const CASES: [(&str, Work, usize); 6] = [
    ("1 KiB, 1 client", Work::Small, 1),
    ("1 KiB, 32 clients", Work::Small, 32),
    ("download of 64 MiB", Work::Download(64 << 20), 1),
    ("download of 64 MiB, 8 clients", Work::Download(64 << 20), 8),
    ("upload of 64 MiB", Work::Upload(64 << 20), 1),
    ("upload of 64 MiB, 8 clients", Work::Upload(64 << 20), 8),
];

/// A proxy, ended when dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    fn ours() -> Result<Self> {
        let program = std::env::var_os("NETLOOM_BIN").context("NETLOOM_BIN names no relay")?;
        let mut command = Command::new(program);
        command.args([
            "relay",
            "--listen",
            "127.0.0.1:0",
            "--cors",
            "--allow",
            "127.0.0.0/8",
            "--log",
            "error",
        ]);
        Self::start(command, |line| {
            line.strip_prefix("listening on ws://")?.trim_end_matches('/').parse().ok()
        })
    }

    fn peer() -> Result<Self> {
        let folder = std::env::var_os("NETLOOM_NODE_MODULES").map(PathBuf::from);
        let mut command = Command::new("node");
        command
            .args(["-e", PEER_SCRIPT])
            .current_dir(folder.context("NETLOOM_NODE_MODULES names no folder")?);
        let address = |line: &str| {
            Some(SocketAddr::from(([127, 0, 0, 1], line.strip_prefix("listening on ")?.parse().ok()?)))
        };
        Self::start(command, address)
    }

    fn start(mut command: Command, address: impl Fn(&str) -> Option<SocketAddr>) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let found = lines.find_map(|line| address(&line.ok()?));
        std::thread::spawn(move || lines.for_each(drop));
        let mut proxy = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        proxy.address = found.context("the proxy does not listen")?;
        Ok(proxy)
    }

    /// Rate by the clock and by the proxy's processor time.
    fn measure(&self, web: SocketAddr, work: Work, clients: usize, time: Duration) -> Result<(f64, f64)> {
        let before = used_by(self.child.id())?;
        let (amount, by_clock) = rate(self.address, web, work, clients, time)?;
        let used = used_by(self.child.id())?.saturating_sub(before);
        Ok((by_clock, amount / used.as_secs_f64()))
    }
}

/// What was done through a proxy, and its rate: requests, or megabytes.
fn rate(
    proxy: SocketAddr,
    web: SocketAddr,
    work: Work,
    clients: usize,
    time: Duration,
) -> Result<(f64, f64)> {
    let done = load(proxy, web, work, clients, time)?;
    let amount = match work {
        Work::Small => done.requests as f64,
        Work::Download(_) | Work::Upload(_) => done.bytes as f64 / MB,
    };
    Ok((amount, amount / done.time.as_secs_f64()))
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn main() -> ExitCode {
    let (mut json, mut turns, mut time) = (false, 5, Duration::from_secs(2));
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            "--quick" => (turns, time) = (3, Duration::from_millis(700)),
            other => {
                eprintln!("bench-cors: unknown argument {other}: it takes --json and --quick");
                return ExitCode::from(2);
            }
        }
    }
    match measure(json, turns, time) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-cors: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(json: bool, turns: usize, time: Duration) -> Result<()> {
    let web = serve()?;
    let (ours, peer) = (Proxy::ours()?, Proxy::peer()?);
    if !json {
        table::head();
    }
    for (case, work, clients) in CASES {
        let mut figures = [const { Vec::new() }; 5];
        for _ in 0..turns {
            for (n, proxy) in [&ours, &peer].into_iter().enumerate() {
                let (by_clock, by_processor) = proxy.measure(web, work, clients, time)?;
                figures[n].push(by_clock);
                figures[n + 2].push(by_processor);
            }
            figures[4].push(rate(web, web, work, clients, time)?.1);
        }
        let [ours, peer, ours_cpu, peer_cpu, direct] = figures.map(|mut figures| median(&mut figures));
        let (unit, unit_cpu) = match work {
            Work::Small => ("requests/s", "requests/cpu s"),
            Work::Download(_) | Work::Upload(_) => ("MB/s", "MB/cpu s"),
        };
        table::print(&Row::more_is_better(BENCH, case.to_owned(), unit, ours, (PEER, peer)), json)?;
        table::print(
            &Row::more_is_better(BENCH, case.to_owned(), unit_cpu, ours_cpu, (PEER, peer_cpu)),
            json,
        )?;
        // What clients and server leave of the machine bounds what any proxy can show by the clock.
        table::print(&Row::more_is_better(BENCH, case.to_owned(), unit, ours, (NO_PROXY, direct)), json)?;
    }
    Ok(())
}
