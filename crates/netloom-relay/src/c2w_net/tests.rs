//! What c2w-net's command lines mean.

use super::*;
use crate::config::{ForwardGuest, Origin};

fn read(line: &[&str]) -> Result<C2wNet, UsageError> {
    parse(&line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

#[track_caller]
fn serve(line: &[&str]) -> (Config, Option<Outgoing>, Option<String>) {
    match read(line) {
        Ok(C2wNet::Serve { config, outgoing, warning }) => (*config, outgoing, warning),
        other => panic!("{line:?}: {other:?}"),
    }
}

#[track_caller]
fn refused(line: &[&str]) -> String {
    match read(line) {
        Err(error) => error.to_string(),
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn a_listener_is_a_lan_as_c2w_net_lays_it_out() {
    let (config, outgoing, warning) = serve(&["--listen-ws", "localhost:8888"]);
    assert_eq!((outgoing, warning), (None, None));
    assert_eq!(config.listen, ["127.0.0.1:8888".parse().expect("an address")]);
    let [lan] = config.lans.as_slice() else { panic!("one LAN") };
    assert_eq!(lan.subnet.to_string(), "192.168.127.0/24");
    assert_eq!(lan.gateway_mac.to_string(), "5a:94:ef:e4:0c:dd");
    assert_eq!(lan.leases, [(CONTAINER_MAC, CONTAINER)]);
    assert!(lan.host_loopback && lan.private && lan.forwards.is_empty());
}

#[test]
fn flags_are_written_as_go_has_them() {
    let expected = serve(&["--listen-ws", "--debug", "-p", "8080:80", "--mac", "02:00:00:00:00:09", ":9999"]);
    for line in [
        &["-listen-ws", "-debug", "-p=8080:80", "-mac=02:00:00:00:00:09", ":9999"][..],
        &["--listen-ws=true", "-debug=1", "--p=8080:80", "--mac", "02:00:00:00:00:09", "--", ":9999"],
        &[
            "-mac",
            "02:00:00:00:00:01",
            "-mac",
            "02:00:00:00:00:09",
            "-p",
            "8080:80",
            "-debug=T",
            "-listen-ws",
            ":9999",
        ],
        &["-debug=false", "-debug", "-listen-ws", "-p", "8080:80", "-mac", "02:00:00:00:00:09", ":9999"],
    ] {
        assert_eq!(serve(line), expected, "{line:?}");
    }
    let lan = &expected.0.lans[0];
    assert_eq!(lan.leases[0].0.to_string(), "02:00:00:00:00:09");
    assert_eq!(expected.0.log.as_deref(), Some("debug"));
    assert!(!lan.host_loopback && !lan.private, "all addresses are no loopback");
}

#[test]
fn flags_end_at_the_first_argument() {
    let (config, _, warning) = serve(&["-listen-ws", "127.0.0.1:0", "-p", "8080:80"]);
    assert!(config.lans[0].forwards.is_empty());
    assert!(warning.expect("it is told").contains("`-p 8080:80`"));
    // Without its flag before, an address is where a container waits.
    let (config, outgoing, _) = serve(&["127.0.0.1:1234", "-listen-ws"]);
    assert_eq!((config.listen.len(), outgoing), (0, Some(Outgoing::connect("127.0.0.1:1234"))));
}

#[test]
fn ports_lead_to_the_container() {
    let (config, ..) =
        serve(&["-listen-ws", "-p", "8080:80", "-p=127.0.0.1:2222:22", "-p", "localhost:1:2", "[::1]:0"]);
    let forwards = &config.lans[0].forwards;
    assert!(forwards.iter().all(|forward| forward.guest == ForwardGuest::First));
    let ends: Vec<_> = forwards.iter().map(|forward| (forward.listen.to_string(), forward.port)).collect();
    let expected = [("0.0.0.0:8080", 80), ("127.0.0.1:2222", 22), ("127.0.0.1:1", 2)];
    assert_eq!(ends, expected.map(|(listen, port)| (listen.to_owned(), port)));
}

#[test]
fn what_is_ours_is_admitted_and_opened_where_asked() {
    let (config, ..) =
        serve(&["-listen-ws", "-origin", "*", "-public-name=c2w.example", "-host-loopback", "0.0.0.0:0"]);
    assert_eq!((config.origins, config.public_names), (vec![Origin::Any], vec!["c2w.example".to_owned()]));
    assert!(config.lans[0].host_loopback);
    assert!(!serve(&["-listen-ws", "-host-loopback=false", "localhost:0"]).0.lans[0].host_loopback);
}

#[test]
fn containers_in_wasmtime_are_run_as_c2w_net_runs_them() {
    let expected = |flags: &[&str], address: &str| {
        Some(Outgoing::invoke(
            address,
            flags.contains(&"-wasmtime-cli-13"),
            &["c.wasm".to_owned(), "-p".to_owned()],
        ))
    };
    for (flags, address) in [
        (&[][..], "127.0.0.1:1234"),
        (&["-wasi-addr", "127.0.0.1:9"], "127.0.0.1:9"),
        (&["-wasmtime-cli-13"], "127.0.0.1:1234"),
    ] {
        let line = [&["-invoke"], flags, &["c.wasm", "-p"]].concat();
        let (config, outgoing, warning) = serve(&line);
        assert_eq!((outgoing, warning, config.listen.len()), (expected(flags, address), None, 0), "{line:?}");
    }
}

#[test]
fn mistakes_are_told_with_the_fix() {
    for (line, part) in [
        (&[][..], "no address"),
        (&["-listen-ws"], "no address"),
        (&["-listen", ":1"], "not defined: -listen"),
        (&["---listen-ws", ":1"], "bad flag syntax"),
        (&["-=x", ":1"], "bad flag syntax"),
        (&["-listen-ws", "-p"], "needs an argument: -p"),
        (&["-listen-ws=perhaps", ":1"], "true or false"),
        (&["-listen-ws", "-p", "80", ":1"], "[IP:]HOST:GUEST"),
        (&["-listen-ws", "-p", "1:2:3:4", ":1"], "[IP:]HOST:GUEST"),
        (&["-listen-ws", "-p", "80:0", ":1"], "[IP:]HOST:GUEST"),
        (&["-listen-ws", "-p", "80:80/udp", ":1"], "[IP:]HOST:GUEST"),
        (&["-listen-ws", "-mac", "03:00:00:00:00:01", ":1"], "02:00:00:00:00:01"),
        (&["-listen-ws", "8888"], "localhost:8888"),
        (&["-listen-ws", "-enable-tls", ":1"], "add -ws-cert FILE"),
        (&["-listen-ws", "-enable-tls", "-ws-cert", "c.pem", ":1"], "add -ws-key FILE"),
        (&["-listen-ws", "localhost:x"], "localhost:8888"),
        (&["-listen-ws", "-origin", "example.com", ":1"], "https://example.com"),
    ] {
        let said = refused(line);
        assert!(said.contains(part) && said.lines().count() == 1, "{line:?}: {said}");
    }
    assert!(matches!(read(&["-h"]), Ok(C2wNet::Help)) && matches!(read(&["--help", "x"]), Ok(C2wNet::Help)));
}
