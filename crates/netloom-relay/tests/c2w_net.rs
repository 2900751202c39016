//! `netloom c2w-net` in place of c2w-net: pages that connect to it, containers that it connects to, and containers that it runs.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use common::packet::{dhcp, dhcp_answer};
use common::{Guest, PATIENCE, Relay, netloom};
use netloom_proto::qemu::prefix;

fn c2w_net(line: &[&str]) -> Command {
    let mut command = netloom();
    command.arg("c2w-net").args(line);
    command
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&prefix(frame.len())[..], frame].concat()
}

/// Asks for a lease on a connection of QEMU; answers what is offered.
fn offered(stream: &mut TcpStream, mac: [u8; 6]) -> Ipv4Addr {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(&framed(&dhcp(mac, 1, &[]))).expect("sent");
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("a length");
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).expect("a frame");
        if let Some((2, address)) = dhcp_answer(&frame) {
            return address;
        }
    }
}

#[test]
fn a_page_of_container2wasm_finds_c2w_nets_network() {
    let relay =
        Relay::start_command(c2w_net(&["--listen-ws", "-mac=02:00:00:00:00:07", "-debug", "localhost:0"]));
    let connect = |origin: &str| {
        Guest::connect(relay.address, "/", &["Sec-WebSocket-Protocol: binary", &format!("Origin: {origin}")])
    };
    let mut page = connect("http://localhost:8080").expect("a page on this host is admitted");
    assert!(page.head.to_ascii_lowercase().contains("sec-websocket-protocol: binary"));
    page.send(&framed(&dhcp([2, 0, 0, 0, 0, 7], 1, &[])));
    let message = page.next().expect("an offer");
    assert_eq!(dhcp_answer(&message[4..]), Some((2, Ipv4Addr::new(192, 168, 127, 3))));
    assert!(connect("https://elsewhere.example").is_err(), "a foreign page is not");
    relay.wait_for_log("--origin https://elsewhere.example");
}

#[test]
fn a_container_that_waits_is_connected_to() {
    let container = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = container.local_addr().expect("its address").to_string();
    let mut program = c2w_net(&[&address]).stdout(Stdio::null()).spawn().expect("it runs");
    let (mut stream, _) = container.accept().expect("it connects");
    assert_eq!(offered(&mut stream, [2, 0, 0, 0, 0, 1]), Ipv4Addr::new(192, 168, 127, 3));
    drop(stream);
    assert!(program.wait().expect("it ends").success());
}

#[test]
fn where_no_container_waits_is_told() {
    let free =
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").to_string();
    let output = c2w_net(&[&free]).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&free) && said.contains("start the container"), "{said}");
}

#[test]
fn a_container_in_wasmtime_is_run_and_connected_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let wasmtime = folder.path().join("wasmtime");
    // Ends when it is told to, by the test.
    let script = "#!/bin/sh\ncd \"${0%/*}\"\nfor word; do echo \"$word\"; done >told\nread line\nexit 7\n";
    std::fs::write(&wasmtime, script).expect("written");
    std::fs::set_permissions(&wasmtime, std::fs::Permissions::from_mode(0o755)).expect("a program");
    let path = std::env::var("PATH").expect("PATH");
    let container = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = container.local_addr().expect("its address").to_string();
    let mut program = c2w_net(&["--invoke", "-wasi-addr", &address, "out.wasm", "--net=socket", "sh"])
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    let (mut stream, _) = container.accept().expect("it connects");
    assert_eq!(offered(&mut stream, [2, 0, 0, 0, 0, 1]), Ipv4Addr::new(192, 168, 127, 3));
    let told = || std::fs::read_to_string(folder.path().join("told")).unwrap_or_default();
    common::wait_until(|| told().ends_with("sh\n"), || "the container's start".to_owned());
    let told = told();
    let socket = format!("tcplisten={address}");
    let expected = [
        "run",
        "-S",
        "preview2=n",
        "-S",
        &socket,
        "--env='LISTEN_FDS=1'",
        "--",
        "out.wasm",
        "--net=socket",
        "sh",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    drop(stream);
    program.stdin.take().expect("its input").write_all(b"end\n").expect("told");
    assert_eq!(program.wait().expect("it ends").code(), Some(7), "as the container did");
}

#[test]
fn a_mistake_is_one_line_and_help_is_there() {
    let output = c2w_net(&["-listen-ws", "-p", "80", ":0"]).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    let output = c2w_net(&["-help"]).output().expect("it runs");
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("-p [IP:]HOST:GUEST")
    );
}
