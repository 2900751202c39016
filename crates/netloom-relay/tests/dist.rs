//! What is shipped beside the program: the systemd unit, and the static binary of the image.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::Relay;
use common::packet::{GATEWAY, arp_request, is_arp_reply, mac};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_unit_is_right() {
    let unit = std::fs::read_to_string(workspace().join("dist/netloom.service")).expect("the unit");
    let installed = "/usr/local/bin/netloom";
    assert!(unit.contains(installed));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("netloom.service");
    std::fs::write(&path, unit.replace(installed, env!("CARGO_BIN_EXE_netloom"))).expect("written");
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&path)
        .output()
        .expect("systemd-analyze is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// The program of the image: `NETLOOM_BIN`, as `cargo xtask test` built it, or one built now, unoptimised.
fn static_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NETLOOM_BIN") {
        return PathBuf::from(path);
    }
    let target = "x86_64-unknown-linux-gnu";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
    let built = Command::new(env!("CARGO"))
        .current_dir(workspace())
        .args(["build", "--quiet", "--package", "netloom-relay", "--target", target, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .stdin(Stdio::null())
        .status()
        .expect("cargo runs");
    assert!(built.success());
    folder.join(target).join("debug/netloom")
}

#[test]
fn a_static_binary_serves_from_an_empty_root() {
    let root = tempfile::tempdir().expect("a folder");
    std::fs::copy(static_binary(), root.path().join("netloom")).expect("copied");
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("chroot")
    } else {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "chroot"]);
        command
    };
    command.arg(root.path()).arg("/netloom");
    let relay = Relay::start_as(command, &[]);
    let mut guest = relay.guest();
    guest.send(&arp_request(mac(1), std::net::Ipv4Addr::new(192, 168, 86, 77), GATEWAY));
    guest.expect("the gateway's answer", |frame| is_arp_reply(frame, GATEWAY));
}
