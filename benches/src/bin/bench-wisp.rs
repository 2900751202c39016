//! `bench-wisp [--json] [--quick] [PART...]`: the relay's Wisp server beside wisp-js and wisp-python, in one run and in turns.
//!
//! Client and targets have one processor and the server another, unless a part says otherwise; figures are medians of turns. Needs root,
//! for a namespace, and `NETLOOM_WISP_PYTHON`, the folder with wisp-python; `cargo xtask bench wisp` sees to both.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use netloom_bench::cpu::median;
use netloom_bench::table::{self, Row};
use netloom_bench::wisp::load::{Load, Way};
use netloom_bench::wisp::server::{KINDS, Server};
use netloom_bench::wisp::{latency, load, memory, proxy};
use netloom_interop::namespace::Namespace;
use netloom_interop::wisp::target::{Behaviour, Targets};
use netloom_interop::wisp::upload;

const BENCH: &str = "wisp";
const LIMIT: &str = "limit";
/// Aims of our own figures.
const DOWN_CPU_S_PER_GB: f64 = 0.5;
const UP_CPU_S_PER_GB: f64 = 1.5;
const IDLE_STREAM_KIB: f64 = 8.0;
const PROXY: &str = "plain TCP proxy";
/// As a guest of v86 sends.
const GUEST_PACKET_BYTES: usize = 1460;
const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

/// What can be measured on its own.
const PARTS: [(&str, Part); 7] = [
    ("down", Bench::down),
    ("up", Bench::up),
    ("round-trips", Bench::round_trips),
    ("beside-bulk", Bench::beside_bulk),
    ("opens", Bench::opens),
    ("memory", Bench::memory),
    ("slow-sink", Bench::slow_sink),
];

type Part = fn(&Bench) -> Result<()>;

/// How much is measured.
struct Effort {
    turns: usize,
    load: Duration,
    round_trips: usize,
    opens: usize,
    idle_streams: usize,
    stalled_client: Duration,
    upload_bytes: u64,
}

const FULL: Effort = Effort {
    turns: 5,
    load: Duration::from_millis(1500),
    round_trips: 5000,
    opens: 2000,
    idle_streams: 1000,
    stalled_client: Duration::from_secs(3),
    upload_bytes: 16 << 20,
};
const QUICK: Effort = Effort {
    turns: 3,
    load: Duration::from_millis(500),
    round_trips: 2000,
    opens: 1000,
    idle_streams: 1000,
    stalled_client: Duration::from_secs(2),
    upload_bytes: 4 << 20,
};

fn main() -> ExitCode {
    let (mut json, mut effort, mut parts) = (false, &FULL, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = true,
            "--quick" => effort = &QUICK,
            proxy::ARGUMENT => {
                let target = arguments.next().and_then(|port| port.parse().ok());
                return finish(target.context("no port").and_then(proxy::serve));
            }
            other => match PARTS.iter().find(|(name, _)| *name == other) {
                Some((_, part)) => parts.push(*part),
                None => {
                    let known = PARTS.map(|(name, _)| name).join(", ");
                    eprintln!(
                        "bench-wisp: unknown argument {other}: it takes --json, --quick and parts: {known}"
                    );
                    return ExitCode::from(2);
                }
            },
        }
    }
    if parts.is_empty() {
        parts.extend(PARTS.map(|(_, part)| part));
    }
    finish(measure(effort, json, parts))
}

fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-wisp: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Everything happens inside one namespace, whose ports are nobody else's.
fn measure(effort: &'static Effort, json: bool, parts: Vec<Part>) -> Result<()> {
    let namespace = Namespace::new()?;
    namespace.sysctl("net/ipv4/ip_local_port_range", "1024 65535")?;
    let bench = Bench { namespace, effort, json };
    std::thread::spawn(move || bench.run(&parts)).join().map_err(|_| anyhow!("the benchmark panicked"))?
}

struct Bench {
    namespace: Namespace,
    effort: &'static Effort,
    json: bool,
}

impl Bench {
    fn run(&self, parts: &[Part]) -> Result<()> {
        self.namespace.enter()?;
        if !self.json {
            table::head();
        }
        parts.iter().try_for_each(|part| part(self))
    }

    /// Ours beside each of the others.
    fn more_is_better(&self, case: &str, unit: &'static str, [ours, peers @ ..]: [f64; 3]) -> Result<()> {
        for (kind, peer) in KINDS[1..].iter().zip(peers) {
            self.print(&Row::more_is_better(BENCH, case.to_owned(), unit, ours, (kind.name(), peer)))?;
        }
        Ok(())
    }

    fn less_is_better(&self, case: &str, unit: &'static str, [ours, peers @ ..]: [f64; 3]) -> Result<()> {
        for (kind, peer) in KINDS[1..].iter().zip(peers) {
            self.limit(case, unit, ours, (kind.name(), peer))?;
        }
        Ok(())
    }

    fn limit(&self, case: &str, unit: &'static str, ours: f64, peer: (&str, f64)) -> Result<()> {
        self.print(&Row::less_is_better(BENCH, case.to_owned(), unit, ours, peer))
    }

    fn print(&self, row: &Row) -> Result<()> {
        Ok(table::print(row, self.json)?)
    }

    /// Medians of the figures of all servers, which take turns, each a fresh process.
    fn turns<const N: usize>(
        &self,
        count: usize,
        mut measure: impl FnMut(&Server) -> Result<[f64; N]>,
    ) -> Result<[[f64; 3]; N]> {
        let mut figures = [(); N].map(|()| [(); 3].map(|()| Vec::new()));
        for _ in 0..count {
            for (at, kind) in KINDS.into_iter().enumerate() {
                let server = Server::start(&self.namespace, kind)?;
                let measured = measure(&server).with_context(|| kind.name())?;
                for (figures, figure) in figures.iter_mut().zip(measured) {
                    figures[at].push(figure);
                }
            }
        }
        Ok(figures.map(|one| one.map(|mut figures| median(&mut figures))))
    }

    fn load(&self, name: &str, load: Load, cpu_limit: Option<f64>) -> Result<()> {
        let time = self.effort.load;
        let [rates, costs] = self.turns(self.effort.turns, |server| {
            let rate = load::run(server, load, time)?;
            Ok([rate.mb_per_s, rate.cpu_s_per_gb])
        })?;
        self.more_is_better(name, "MB/s", rates)?;
        let case = format!("{name}, processor");
        self.less_is_better(&case, "s/GB", costs)?;
        cpu_limit.map_or(Ok(()), |limit| self.limit(&case, "s/GB", costs[0], (LIMIT, limit)))
    }

    fn down(&self) -> Result<()> {
        for (clients, streams) in [(1, 1), (1, 10), (1, 100), (5, 10)] {
            let name = format!("down, {}", who(clients, streams));
            self.load(&name, Load { clients, streams, way: Way::Down }, Some(DOWN_CPU_S_PER_GB))?;
        }
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..self.effort.turns {
            let ours = Server::start(&self.namespace, KINDS[0])?;
            let load = Load { clients: 1, streams: 1, way: Way::Down };
            costs[0].push(load::run(&ours, load, self.effort.load)?.cpu_s_per_gb);
            let targets = Targets::start()?;
            let proxy = Server::start_proxy(&self.namespace, targets.port(Behaviour::Source))?;
            costs[1].push(load::download_through_proxy(&proxy, self.effort.load)?.cpu_s_per_gb);
        }
        let [ours, proxy] = costs.map(|mut costs| median(&mut costs));
        self.limit("down, 1 stream, processor", "s/GB", ours, (PROXY, proxy))
    }

    fn up(&self) -> Result<()> {
        let way = Way::Up(16 << 10);
        for (clients, streams) in [(1, 1), (1, 10), (1, 100), (5, 10)] {
            self.load(
                &format!("up, {}, 16 KiB", who(clients, streams)),
                Load { clients, streams, way },
                None,
            )?;
        }
        let way = Way::Up(GUEST_PACKET_BYTES);
        for (clients, streams) in [(1, 1), (1, 10), (1, 100), (5, 10)] {
            let name = format!("up, {}, 1460 bytes", who(clients, streams));
            self.load(&name, Load { clients, streams, way }, Some(UP_CPU_S_PER_GB))?;
        }
        Ok(())
    }

    fn round_trips(&self) -> Result<()> {
        let (count, rounds) = (self.effort.turns, self.effort.round_trips);
        let [p50, p99] = self.turns(count, |server| {
            let times = latency::round_trips(server, rounds)?;
            Ok([times.p50_us, times.p99_us])
        })?;
        let targets = Targets::start()?;
        let proxy = Server::start_proxy(&self.namespace, targets.port(Behaviour::Echo))?;
        let (mut proxy_p50, mut proxy_p99) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let times = latency::round_trips_of_proxy(&proxy, rounds)?;
            proxy_p50.push(times.p50_us);
            proxy_p99.push(times.p99_us);
        }
        self.less_is_better("round trip p50, 64 bytes", "us", p50)?;
        self.limit("round trip p50, 64 bytes", "us", p50[0], (PROXY, median(&mut proxy_p50)))?;
        self.less_is_better("round trip p99, 64 bytes", "us", p99)?;
        self.limit("round trip p99, 64 bytes", "us", p99[0], (PROXY, median(&mut proxy_p99)))
    }

    fn beside_bulk(&self) -> Result<()> {
        let time = self.effort.load;
        let [p50, p99, bulk] = self.turns(self.effort.turns, |server| {
            let (times, mb_per_s) = latency::round_trips_beside_bulk(server, time)?;
            Ok([times.p50_us / 1e3, times.p99_us / 1e3, mb_per_s])
        })?;
        self.less_is_better("round trip p50 beside a download", "ms", p50)?;
        self.less_is_better("round trip p99 beside a download", "ms", p99)?;
        self.more_is_better("the download beside round trips", "MB/s", bulk)
    }

    fn opens(&self) -> Result<()> {
        let count = self.effort.opens;
        let [per_s, p50, p99, cpu_us] = self.turns(self.effort.turns, |server| {
            let opens = latency::opens(server, count)?;
            Ok([opens.per_s, opens.times.p50_us / 1e3, opens.times.p99_us / 1e3, opens.cpu_us])
        })?;
        self.more_is_better("streams opened, 50 at a time", "streams/s", per_s)?;
        self.less_is_better("opening a stream p50, 50 at a time", "ms", p50)?;
        self.less_is_better("opening a stream p99, 50 at a time", "ms", p99)?;
        self.less_is_better("opening a stream, processor", "us", cpu_us)
    }

    fn memory(&self) -> Result<()> {
        let [fresh, idle] = self.turns(1, |server| {
            let fresh = server.resident_bytes()? as f64 / MIB;
            Ok([fresh, memory::idle_stream_bytes(server, self.effort.idle_streams)? / KIB])
        })?;
        self.less_is_better("resident memory, fresh", "MiB", fresh)?;
        self.less_is_better("resident memory of an idle stream", "KiB", idle)?;
        self.limit("resident memory of an idle stream", "KiB", idle[0], (LIMIT, IDLE_STREAM_KIB))?;
        let [grown, packets, go_on] = self.turns(1, |server| {
            let stalled = memory::stalled_target(server)?;
            let go_on = f64::from(u8::from(stalled.others_go_on));
            Ok([stalled.grown_bytes as f64 / MIB, stalled.packets as f64, go_on])
        })?;
        self.less_is_better("resident memory, 10 stalled targets", "MiB", grown)?;
        self.less_is_better("packets taken for a stalled target", "packets", packets)?;
        self.more_is_better("another stream beside stalled targets", "answered", go_on)?;
        let [grown] = self.turns(1, |server| {
            Ok([memory::stalled_client_bytes(server, self.effort.stalled_client)? as f64 / MIB])
        })?;
        self.less_is_better("resident memory, stalled client", "MiB", grown)
    }

    fn slow_sink(&self) -> Result<()> {
        for packet_bytes in [GUEST_PACKET_BYTES, 16 << 10, 60_000] {
            let [arrived] = self.turns(1, |server| {
                let to = (server.address, server.path);
                Ok([100.0 * upload::upload(to, 4, self.effort.upload_bytes, packet_bytes)?])
            })?;
            self.more_is_better(&format!("arrived at a slow sink, {packet_bytes} bytes"), "%", arrived)?;
        }
        Ok(())
    }
}

fn who(clients: usize, streams: usize) -> String {
    match (clients, streams) {
        (1, 1) => "1 stream".to_owned(),
        (1, streams) => format!("{streams} streams"),
        (clients, streams) => format!("{clients} clients, {streams} streams each"),
    }
}
