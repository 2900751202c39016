//! Replays the committed corpora: what once broke a target, and inputs that reach far into it.

use std::path::{Path, PathBuf};

use netloom_fuzz::{frame, machine, qemu, replay, tcp, websocket, wisp};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

#[test]
fn frame_corpus() {
    let count = replay::files(frame::run, &mut [corpus("frame").as_path()].into_iter()).unwrap();
    assert!(count >= 20, "{count}");
}

#[test]
fn machine_corpus() {
    let count = replay::files(machine::run, &mut [corpus("machine").as_path()].into_iter()).unwrap();
    assert!(count >= 20, "{count}");
}

#[test]
fn qemu_corpus() {
    let count = replay::files(qemu::run, &mut [corpus("qemu").as_path()].into_iter()).unwrap();
    assert!(count >= 20, "{count}");
}

#[test]
fn tcp_corpus() {
    let count = replay::files(tcp::run, &mut [corpus("tcp").as_path()].into_iter()).unwrap();
    assert!(count >= 20, "{count}");
}

#[test]
fn websocket_corpus() {
    let count = replay::files(websocket::run, &mut [corpus("websocket").as_path()].into_iter()).unwrap();
    assert!(count >= 20, "{count}");
}

#[test]
fn wisp_corpus() {
    let count = replay::files(wisp::run, &mut [corpus("wisp").as_path()].into_iter()).unwrap();
    assert!(count >= 20, "{count}");
}
