#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command, RelayArgs};
use crate::config::Config;

fn flags(line: &str) -> RelayArgs {
    match Cli::try_parse_from(["netloom", "relay"].into_iter().chain(line.split_whitespace()))
        .unwrap()
        .command
    {
        Command::Relay(args) => *args,
        other => panic!("{other:?}"),
    }
}

/// The configuration that a file of this text gives.
fn read(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netloom.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&RelayArgs { config: Some(path), ..RelayArgs::default() })
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn a_file_without_flags_changes_nothing() {
    assert_eq!(
        read(&init::text(&RelayArgs::default()).unwrap()),
        Config::load(&RelayArgs::default()).unwrap()
    );
}

#[test]
fn what_the_template_shows_are_the_defaults() {
    let text = init::text(&RelayArgs::default()).unwrap();
    let examples = ["tls_cert", "tls_key", "upstream", "filter", "connections", "tokens"];
    let shown: String = text
        .lines()
        .map(|line| {
            match line.strip_prefix('#').and_then(|rest| rest.split_once(" = ").map(|(key, _)| (key, rest))) {
                Some((key, rest)) if !key.contains(' ') && !examples.contains(&key) => format!("{rest}\n"),
                _ => format!("{line}\n"),
            }
        })
        .collect();
    assert_eq!(read(&shown), Config::load(&RelayArgs::default()).unwrap());
}

#[test]
fn a_file_says_what_the_flags_say() {
    let lines = [
        "--listen 127.0.0.1:9000 --listen 127.0.0.1:9001 --public-name relay.example --origin https://page.example",
        "--subnet 10.1.0.0/24 --forward 18080=first:80 --lease 02:00:00:00:00:01=10.1.0.7 --record web.lan=10.1.0.7",
        "--deny 203.0.113.0/24 --allow *.example --upstream socks5h://127.0.0.1:1080 --log debug",
        "--lan two=10.2.0.0/24 --lan three --isolate --mtu 9000 --resume-s 60 --resume-by-mac any",
        "--cors --no-wisp",
        "--wisp-user me=secret --qemu-listen unix:/run/q.sock --host-loopback --ipv6 ula",
    ];
    for line in lines {
        let flags = flags(line);
        assert_eq!(read(&init::text(&flags).unwrap()), Config::load(&flags).unwrap(), "{line}");
    }
}

#[test]
fn words_tell_who_may_reach_what() {
    let words = |line: &str| explain(&Config::load(&flags(line)).unwrap());
    let here = words("--forward 18080=first:80");
    assert!(here.contains("this host alone"), "{here}");
    assert!(here.contains("18080 leads to port 80 of guest first"), "{here}");
    assert!(here.contains("private networks"), "{here}");
    assert!(!here.contains("warning"), "{here}");
    let open = words("--listen 0.0.0.0:9000");
    assert!(open.contains("warning: ") && open.contains("without TLS"), "{open}");
    let behind = words("--public-name relay.example --trusted-proxy 127.0.0.1");
    assert!(
        !behind.contains("this host alone") && behind.contains("whoever reaches relay.example"),
        "{behind}"
    );
    let closed = words("--allow-only --allow *.example:443 --deny 192.0.2.0/24 --no-wisp");
    assert!(closed.contains("nothing but *.example:443"), "{closed}");
    assert!(closed.contains("Wisp: off"), "{closed}");
    let told = words("--limit address.connections=32 --host web.example=first:8000 --control off --tap tap7");
    for part in ["Each address may use: connections 32", "http://web.example/", "no socket", "TAP tap7"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
