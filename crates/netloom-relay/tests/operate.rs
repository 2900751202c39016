//! The commands of docs/operate.md, run as they are written there.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Command;

use common::certificate::Files;
use common::{Relay, netloom};

/// The commands under the first heading, but for the ports, which are to be free ones.
fn commands() -> Vec<String> {
    let text = include_str!("../../../docs/operate.md");
    let (_, text) = text.split_once("\n## ").expect("a section");
    let (first, _) = text.split_once("\n## ").expect("another");
    let block = first
        .split("\n    ")
        .skip(1)
        .take_while(|line| line.starts_with("netloom ") || line.starts_with("    "));
    let block: Vec<_> = block.map(|line| line.split("\n\n").next().unwrap_or(line)).collect();
    let whole = block.join("\n").replace("\\\n", "");
    whole.lines().map(|line| line.replace(":8443", "127.0.0.1:0").replace("8080=", "127.0.0.1:0=")).collect()
}

fn command(files: &Files, line: &str) -> Command {
    let mut command = netloom();
    command.args(line.split_whitespace().skip(1)).current_dir(files.folder.path());
    command
}

fn run(files: &Files, line: &str) -> String {
    let output = command(files, line).output().expect("it runs");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The status that a guest is answered over TLS; none where the connection is refused.
fn status(files: &Files, relay: &Relay, path: &str) -> Option<String> {
    let mut stream = files.connect(relay.address);
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    line.split(' ').nth(1).map(str::to_owned)
}

#[test]
fn few_commands_give_a_relay_with_tls_a_token_a_forward_and_a_limit() {
    let files = Files::new();
    let lines = commands();
    let [create, init, check, serve] = &lines[..] else { panic!("{lines:#?}") };
    let token = run(&files, create).trim().to_owned();
    run(&files, init);
    let told = run(&files, check);
    for part in ["tokens.toml", "first", "TLS", "32"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let relay = Relay::start_command(command(&files, serve));
    assert!(
        relay.banner.contains("listening on wss://") && relay.banner.contains("forwarding "),
        "{}",
        relay.banner
    );
    let shown =
        [format!("/t/{token}/"), format!("/?token={token}"), "/".to_owned(), "/t/nlt_wrong/".to_owned()];
    let answers = shown.map(|path| status(&files, &relay, &path));
    assert_eq!(answers.each_ref().map(Option::as_deref), ["101", "101", "401", "401"].map(Some));
    let held: Vec<_> = (0..32).map(|_| files.connect(relay.address)).collect();
    let beyond = status(&files, &relay, &format!("/t/{token}/"));
    assert!(beyond.as_deref().is_none_or(|status| status == "429"), "{beyond:?} with {} held", held.len());
}
