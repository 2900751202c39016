//! The unit of dist/ under a systemd of its own, installed and extended as docs/operate.md says.
//!
//! systemd-nspawn boots the root of this machine under a layer that takes what is written, and of it nothing but the relay's service and what
//! that needs.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use netloom_interop::lab::{GATEWAY, join};
use netloom_interop::namespace::Namespace;
use netloom_interop::page::{block, block_below};
use netloom_interop::process::Process;
use netloom_interop::relay::program;

const PATIENCE: Duration = Duration::from_secs(90);
const UNIT: &str = "netloom.service";
/// `$1` is a folder, `$2` the network namespace; what follows is said to systemd-nspawn. In a mount namespace of its own, so that nothing stays.
const BOOT: &str = r#"
set -e
mount -t tmpfs tmpfs "$1/layer"
mkdir "$1/layer/upper" "$1/layer/work"
# As udev has it.
mknod -m 666 "$1/layer/tun" c 10 200
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/layer/upper,workdir=$1/layer/work" "$1/root"
mkdir -p "$1/root/etc/systemd/system" "$1/root/usr/local/bin" "$1/root/etc/netloom"
cp "$1/netloom.toml" "$1/root/etc/netloom/"
echo 'netloom-site:x:3333:' >> "$1/root/etc/group"
chown -R 0:3333 "$1/root/etc/netloom"
chmod 640 "$1/root/etc/netloom/netloom.toml"
mkdir -p "$1/root/etc/systemd/system/netloom.service.d"
cp "$1"/*.conf "$1/root/etc/systemd/system/netloom.service.d/"
root="$1/root"
cd "$1/source"
eval "$3"
exec systemd-nspawn --quiet --register=no --keep-unit --directory="$root" --machine="netloom-$$" \
    --network-namespace-path="/run/netns/$2" --bind="$1/layer/tun:/dev/net/tun" --capability=CAP_NET_ADMIN --console=pipe \
    --boot systemd.unit=netloom.service
"#;

/// A booted systemd.
struct Machine {
    process: Process,
    network: Namespace,
    _folder: tempfile::TempDir,
}

impl Machine {
    /// Installs the program and its unit by the commands of the page, with `added` in files beside the unit and a configuration.
    fn boot(added: &[String], configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["layer", "root", "source", "source/dist"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::copy(program().unwrap(), path("source/netloom")).unwrap();
        fs::copy(workspace().join("dist/netloom.service"), path("source/dist/netloom.service")).unwrap();
        fs::write(path("netloom.toml"), configuration).unwrap();
        fs::write(path("00-none.conf"), "").unwrap();
        for (n, text) in added.iter().enumerate() {
            fs::write(path(&format!("1{n}.conf")), text).unwrap();
        }
        // In its root rather than in this machine's, and not started before there is a systemd.
        let install = block("install -m 755 netloom /usr/local/bin/netloom").unwrap();
        let install = install
            .replace(" /", " \"$root\"/")
            .replace("systemctl enable --now", "systemctl --quiet --root=\"$root\" enable");
        let network = Namespace::new().unwrap();
        let process = Process::start(
            Command::new("unshare")
                .args(["--mount", "--propagation", "private", "sh", "-c", BOOT, "sh"])
                .arg(folder.path())
                .args([network.name(), &install]),
        );
        Self { process: process.unwrap(), network, _folder: folder }
    }

    /// A program that runs there.
    fn pid(&mut self, name: &str) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let listed = Command::new("ip").args(["netns", "pids", self.network.name()]).output().unwrap();
            let pids = String::from_utf8(listed.stdout).unwrap();
            let named = |pid: &&str| {
                fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
            };
            if let Some(pid) = pids.lines().find(named) {
                return pid.parse().unwrap();
            }
            let said = self.process.output().join("\n");
            std::thread::sleep(Duration::from_millis(50));
            assert!(Instant::now() < deadline && self.process.is_running(), "no {name}: {said}");
        }
    }

    /// Runs a command there.
    fn run(&mut self, line: &[&str]) -> String {
        let leader = self.pid("systemd").to_string();
        let output =
            Command::new("nsenter").args(["--target", &leader, "--all"]).args(line).output().unwrap();
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{line:?}: {said}");
        said
    }

    /// Waits until the relay listens; its process.
    fn relay(&mut self, port: u16) -> u32 {
        let pid = self.pid("netloom");
        let deadline = Instant::now() + PATIENCE;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while self.network.connect(address, PATIENCE).unwrap().is_err() {
            let state = self.run(&["systemctl", "show", "--property=NRestarts", UNIT]);
            let said = |machine: &mut Self| machine.run(&["journalctl", "--no-pager", "--unit", UNIT]);
            assert!(state.trim() == "NRestarts=0" && Instant::now() < deadline, "{}", said(self));
            std::thread::sleep(Duration::from_millis(50));
        }
        pid
    }

    fn serves_a_guest(&self, port: u16) {
        let guest = join(&self.network, SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "/", None).unwrap();
        assert_eq!(guest.lease().unwrap().router, Some(GATEWAY));
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn status(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap()
}

/// The line of a status that begins so.
fn line<'a>(status: &'a str, key: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim()
}

#[test]
fn the_unit_serves_reloads_and_stops() {
    let mut machine = Machine::boot(&[], "");
    let pid = machine.relay(8086);
    machine.serves_a_guest(8086);
    let rights = status(pid);
    assert_ne!(line(&rights, "Uid:").split_whitespace().next(), Some("0"));
    assert_eq!(
        (line(&rights, "CapEff:"), line(&rights, "CapBnd:")),
        ("0000000000000000", "0000000000000000")
    );
    assert_eq!((line(&rights, "NoNewPrivs:"), line(&rights, "Seccomp:")), ("1", "2"));
    // The commands find it where systemd put its socket.
    let shown = machine.run(&["/usr/local/bin/netloom", "status"]);
    assert!(shown.contains("192.168.86.0/24"), "{shown}");
    machine.run(&["systemctl", "reload", UNIT]);
    assert_eq!(machine.relay(8086), pid);
    machine.run(&["systemctl", "stop", UNIT]);
    let result = machine.run(&["systemctl", "show", "--property=Result,ExecMainStatus", UNIT]);
    assert!(result.contains("Result=success") && result.contains("ExecMainStatus=0"), "{result}");
}

#[test]
fn what_the_page_adds_gives_a_configuration_a_low_port_and_a_tap() {
    let added = [
        block_below("site.conf", "[Service]").unwrap(),
        block_below("ports below 1024", "[Service]").unwrap(),
        block_below("a TAP:", "[Service]").unwrap(),
    ];
    let configuration =
        "[listen]\naddresses = [\"127.0.0.1:443\"]\n\n[[lan]]\nname = \"default\"\ntaps = [\"tap0\"]\n";
    let mut machine = Machine::boot(&added, configuration);
    let pid = machine.relay(443);
    assert_ne!(line(&status(pid), "Uid:").split_whitespace().next(), Some("0"));
    machine.serves_a_guest(443);
    machine.network.ip(&["link", "show", "tap0"]).unwrap();
}
