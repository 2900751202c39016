//! The container of docs/operate.md, built and run by podman as the page says.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use netloom_interop::lab::{GATEWAY, join};
use netloom_interop::namespace::Namespace;
use netloom_interop::page::block;
use netloom_interop::process::Process;
use netloom_interop::relay::static_program;

const PATIENCE: Duration = Duration::from_secs(60);

/// podman with everything that it keeps in a folder of the test's. runc, because Debian's crun takes no machine with cgroups of both versions.
fn podman(folder: &Path) -> Command {
    let mut command = Command::new("podman");
    for (flag, name) in [("--root", "store"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
        command.arg(flag).arg(folder.join(name));
    }
    command.args([
        "--storage-driver=vfs",
        "--cgroup-manager=cgroupfs",
        "--events-backend=none",
        "--runtime=runc",
    ]);
    command
}

/// The arguments of a command line of the page.
fn arguments(line: &str) -> Vec<&str> {
    line.trim().strip_prefix("docker ").unwrap().split(' ').collect()
}

#[test]
fn the_image_serves_guests_without_any_right() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    fs::create_dir(&image).unwrap();
    fs::copy(static_program().unwrap(), image.join("netloom")).unwrap();
    fs::write(image.join("Dockerfile"), block("FROM scratch").unwrap()).unwrap();
    fs::write(image.join("netloom.toml"), "[listen]\naddresses = [\"0.0.0.0:8086\"]\n").unwrap();
    let lines = block("docker build --tag netloom .").unwrap();
    let (build, run) = lines.split_once('\n').unwrap();

    let built = podman(folder.path()).args(arguments(build)).current_dir(&image).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    // The network is the test's, in place of a published port.
    let network = Namespace::new().unwrap();
    let mut run = arguments(run);
    let publish = run.iter().position(|argument| *argument == "--publish").unwrap();
    run.drain(publish..publish + 2);
    let at = format!("--network=ns:/run/netns/{}", network.name());
    // What the test itself may have open, where it may not raise that.
    let limits = [at.as_str(), "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
    run.splice(1..1, limits);
    let mut container = Process::start(podman(folder.path()).args(run)).unwrap();
    container.wait_for_line(PATIENCE, |line| line.contains("listening on ws://").then_some(())).unwrap();
    let pids = Command::new("ip").args(["netns", "pids", network.name()]).output().unwrap();
    let pids = String::from_utf8(pids.stdout).unwrap();
    let [pid] = pids.lines().collect::<Vec<_>>()[..] else { panic!("{pids}") };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for right in
        ["Uid:\t65534\t65534", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"]
    {
        assert!(status.contains(right), "{right}: {status}");
    }
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().starts_with("ro"), "{root}");

    let guest = join(&network, SocketAddr::from((Ipv4Addr::LOCALHOST, 8086)), "/", None).unwrap();
    assert_eq!(guest.lease().unwrap().router, Some(GATEWAY));
    assert!(guest.pings(GATEWAY, 1));
    container.stop(rustix::process::Signal::TERM).unwrap();
}
