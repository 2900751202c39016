//! `/metrics`: the text format of Prometheus, version 0.0.4. Labels are names of LANs, of drops, of ways out and of rules: all are configured or
//! fixed, so that guests cannot make more of them.

use std::fmt::{Display, Write as _};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use rustix::process::{Resource, getrlimit};

use super::Control;
use super::snapshot::{self, LanStatus};
use crate::listen::text;

/// Metrics, family by family.
#[derive(Default)]
struct Page(String);

impl Page {
    /// A family and its samples: labels as they are written between the braces, and values.
    fn family<L: Display, V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) {
        // Writing to a string does not fail.
        let _written = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let labels = labels.to_string();
            let _written = match labels.as_str() {
                "" => writeln!(self.0, "{name} {value}"),
                labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
            };
        }
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help, [("", value)]);
    }
}

/// One label, its value escaped.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

impl Control {
    pub(super) async fn metrics(&self) -> Response<Full<Bytes>> {
        let lans = self.gather(None, |lan| vec![snapshot::lan(lan)]).await.unwrap_or_default();
        let mut page = Page::default();
        self.relay_metrics(&mut page);
        lan_metrics(&mut page, &lans);
        process_metrics(&mut page);
        let mut answer = text(StatusCode::OK, page.0);
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
        answer
    }

    fn relay_metrics(&self, page: &mut Page) {
        let status = self.status();
        let version = label("version", &status.version);
        page.family("netloom_build_info", "gauge", "The version of the relay.", [(version, 1)]);
        page.one("netloom_uptime_seconds", "gauge", "Time since the relay began.", status.uptime_s);
        let help = "Connections of the listeners, guests included.";
        page.one("netloom_connections", "gauge", help, status.connections);
        let help = "Connections that there may be.";
        page.one("netloom_connections_limit", "gauge", help, status.max_connections);
        if let Some(wisp) = self.view().wisp {
            page.one("netloom_wisp_clients", "gauge", "Clients of the Wisp server.", wisp.taken());
            let help = "Clients of the Wisp server that there may be.";
            page.one("netloom_wisp_clients_limit", "gauge", help, wisp.most);
        }
        let refused = self.view().refusals.counts().into_iter().map(|(way, rule, count)| {
            (format!("{},{}", label("way", way.name()), label("rule", &rule.to_string())), count)
        });
        let help = "What the policy refused, by way out and rule.";
        page.family("netloom_refused_total", "counter", help, refused);
    }
}

/// Something of a LAN that is counted: the name, the help, and how many there are.
type Gauge = (&'static str, &'static str, fn(&LanStatus) -> usize);

fn lan_metrics(page: &mut Page, lans: &[LanStatus]) {
    let lan = |lan: &LanStatus| label("lan", &lan.name);
    let gauges: [Gauge; 7] = [
        ("netloom_lan_clients", "Clients of the LAN.", |lan| lan.clients),
        ("netloom_lan_clients_limit", "Clients that the LAN may have.", |lan| lan.max_clients),
        ("netloom_lan_macs", "Entries of the LAN's MAC table.", |lan| lan.macs),
        ("netloom_lan_leases", "DHCP leases that are held.", |lan| lan.leases),
        ("netloom_lan_flows", "Flows between guests and the outside.", |lan| lan.flows),
        ("netloom_lan_forwards", "Ports of the host that lead to guests.", |lan| lan.forwards),
        ("netloom_lan_captures", "Captures that run.", |lan| lan.captures),
    ];
    for (name, help, of) in gauges {
        page.family(name, "gauge", help, lans.iter().map(|each| (lan(each), of(each))));
    }
    let both = |of: fn(&LanStatus) -> (u64, u64)| {
        lans.iter().flat_map(move |each| {
            let (received, sent) = of(each);
            let labels = |direction| format!("{},{}", lan(each), label("direction", direction));
            [(labels("in"), received), (labels("out"), sent)]
        })
    };
    let help = "Frames of the LAN's clients: in from guests, out to them.";
    let frames = both(|lan| (lan.passed.frames_in, lan.passed.frames_out));
    page.family("netloom_lan_frames_total", "counter", help, frames);
    let help = "Bytes of those frames, without FCS.";
    let bytes = both(|lan| (lan.passed.bytes_in, lan.passed.bytes_out));
    page.family("netloom_lan_bytes_total", "counter", help, bytes);
    let drops = lans.iter().flat_map(|each| {
        each.drops
            .iter()
            .map(move |(reason, count)| (format!("{},{}", lan(each), label("reason", reason)), count))
    });
    page.family(
        "netloom_lan_drops_total",
        "counter",
        "Frames and packets that were dropped, by reason.",
        drops,
    );
}

/// What Prometheus' own clients tell of their process, where the kernel tells it.
fn process_metrics(page: &mut Page) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // What stands behind the program's name, which may hold anything: state first.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let field = |n: usize| fields.get(n).and_then(|field| field.parse::<u64>().ok());
    if let (Some(user), Some(system)) = (field(11), field(12)) {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let seconds = (user + system) as f64 / ticks as f64;
        page.one("process_cpu_seconds_total", "counter", "Processor time, in seconds.", seconds);
    }
    if let Some(pages) = field(21) {
        let bytes = pages * rustix::param::page_size() as u64;
        page.one("process_resident_memory_bytes", "gauge", "Resident memory, in bytes.", bytes);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        // Without the one by which they are counted.
        let count = files.count().saturating_sub(1);
        page.one("process_open_fds", "gauge", "Open file descriptors.", count);
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        page.one("process_max_fds", "gauge", "File descriptors that there may be.", limit);
    }
}
