//! Captures of Linux guests read by others' tools: tshark takes them for what they are, and tcpdump finds by each filter what the relay kept by it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netloom_interop::lab::{GATEWAY, GATEWAY_V6, Lab};
use netloom_interop::relay::program;
use netloom_interop::transfer::{Kind, Server, transfer};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(20);

/// What each capture takes. A LAN has room for sixteen. Multicast listeners' reports (to `ff02::16`) are behind an extension header, where
/// tcpdump does not look.
const FILTERS: [&str; 14] = [
    "arp",
    "icmp or (icmp6 and not dst host ff02::16)",
    "ip6 and not udp",
    "tcp and host 192.168.86.100",
    "src host 192.168.86.100 and dst net 10.77.0.0/24",
    "udp port domain",
    "tcp portrange 1024-65535 and greater 1000",
    "ether broadcast or ip multicast",
    "multicast and less 100",
    "not (ip or ip6)",
    "ip proto \\tcp && dst host 192.168.86.101",
    "ip6 proto 0 or arp host 192.168.86.1",
    "net 192.168.86.0 mask 255.255.255.0 and !tcp",
    "udp dst port 67 or 53",
];

/// A `netloom capture` at work.
struct Capture {
    child: Child,
    file: PathBuf,
}

impl Capture {
    fn begin(socket: &str, folder: &Path, filter: &str) -> Self {
        let file = folder.join(format!("{}.pcapng", filter.replace(|c: char| !c.is_alphanumeric(), "_")));
        let child = Command::new(program().unwrap())
            .args(["capture", "--control", socket, "-o"])
            .arg(&file)
            .args((!filter.is_empty()).then_some(filter))
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while fs::metadata(&file).map_or(0, |file| file.len()) == 0 {
            assert!(begun.elapsed() < PATIENCE, "no capture began for `{filter}`");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, file }
    }

    fn end(mut self) -> PathBuf {
        assert!(self.child.wait().unwrap().success());
        self.file
    }
}

/// Runs a tool, which must have nothing to complain of.
fn run(tool: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(tool).arg("-r").arg(file).args(arguments).output().unwrap();
    let complaint: String = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| !line.starts_with("reading from file") && !line.starts_with("Running as user"))
        .collect();
    assert!(output.status.success() && complaint.is_empty(), "{tool} {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn others_read_captures_and_filters_mean_what_theirs_do() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("control.sock").display());
    let mut lab = Lab::new(&["--control", &socket, "--ipv6", "ula"]).unwrap();
    let whole = Capture::begin(&socket, folder.path(), "");
    let filtered = FILTERS.map(|filter| (filter, Capture::begin(&socket, folder.path(), filter)));

    let (a, ..) = lab.dual_stack_guest(None).unwrap();
    let (b, lease) = lab.leased_guest(None).unwrap();
    assert!(a.pings(GATEWAY, 2) && a.pings(lease.address, 2) && a.pings(GATEWAY_V6, 3));
    transfer(&a.namespace, lab.transfers.address(), Kind::Download, 1 << 20, 1).unwrap();
    let server = Server::start(&b.namespace, SocketAddr::from((lease.address, 0))).unwrap();
    transfer(&a.namespace, server.address(), Kind::Upload, 1 << 20, 1).unwrap();
    a.namespace.exec("dig", &["+tries=1", "@192.168.86.1", "example.test", "A"]).unwrap();

    lab.relay.stop(Signal::TERM).unwrap();
    let whole = whole.end();
    let all = run("tshark", &["-T", "fields", "-e", "frame.interface_name", "-e", "frame.protocols"], &whole);
    for wanted in ["websocket/1", "websocket/2", "eth:ethertype:arp", "icmpv6", "tcp", "udp:dns", "icmp"] {
        assert!(all.contains(wanted), "{wanted} in:\n{all}");
    }
    let checks = ["ip", "tcp", "udp"].map(|of| format!("{of}.check_checksum:TRUE"));
    // Linux writes a TCP checksum of 0 as 0xffff at times, the same number, for which tshark has a warning of its own.
    let bad = "_ws.malformed || ip.checksum.status == 0 || (tcp.checksum.status == 0 && !tcp.checksum.ffff) \
               || udp.checksum.status == 0 || (_ws.expert.severity >= 0x00600000 && !tcp.analysis.flags && !dns \
               && !icmp && !tcp.checksum.ffff)";
    let mut arguments: Vec<&str> = checks.iter().flat_map(|check| ["-o", check]).collect();
    arguments.extend(["-Y", bad]);
    assert_eq!(run("tshark", &arguments, &whole), "", "malformed, or with warnings");

    for (filter, capture) in filtered {
        let lines = |arguments: &[&str], file: &Path| run("tcpdump", arguments, file).lines().count();
        let expected = lines(&["-Z", "root", "-n", "-t", "-q", filter], &whole);
        let found = lines(&["-Z", "root", "-n", "-t", "-q"], &capture.end());
        assert_eq!(found, expected, "`{filter}` of {} frames", all.lines().count());
        assert!(expected > 0, "`{filter}` takes nothing of this");
    }
}
