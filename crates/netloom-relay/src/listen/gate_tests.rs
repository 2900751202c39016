//! The gate's matrix of Host and Origin.

use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn check(host: &str, origin: Option<&str>, local: IpAddr) -> Result<(), Refusal> {
    let exactly = Origin::Exactly("https://page.example".to_owned());
    let gate = Gate::new(vec!["relay.example".to_owned()], vec![exactly]);
    let mut headers = HeaderMap::new();
    headers.insert(HOST, host.parse().expect("a header"));
    if let Some(origin) = origin {
        headers.insert(ORIGIN, origin.parse().expect("a header"));
    }
    gate.check(&Uri::from_static("/"), &headers, local)
}

#[test]
fn only_hosts_of_ours_pass() {
    for host in [
        "127.0.0.1:8086",
        "192.0.2.1",
        "localhost",
        "LOCALHOST:1",
        "[::1]:8086",
        "[::1]",
        "relay.example",
        "Relay.Example.:9",
    ] {
        assert_eq!(check(host, None, LOOPBACK), Ok(()), "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:8086",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "sub.relay.example",
        "0x7f000001",
    ] {
        let name = host.trim_end_matches(":8086").to_owned();
        assert_eq!(check(host, None, LOOPBACK), Err(Refusal::Host(name)), "{host}");
    }
    for host in ["", ":80", "[::1", "a:b", "[::1]x"] {
        assert!(check(host, None, LOOPBACK).is_err(), "{host}");
    }
}

#[test]
fn only_known_origins_pass() {
    for (origin, local, admitted) in [
        ("http://localhost:3000", LOOPBACK, true),
        ("https://127.0.0.1", LOOPBACK, true),
        ("http://[::1]:5173", LOOPBACK, true),
        ("http://127.0.0.1:8086", LOOPBACK, true),
        ("http://localhost:3000", PUBLIC, false),
        ("http://127.0.0.1:8086", PUBLIC, true),
        ("https://page.example", PUBLIC, true),
        ("https://page.example:444", LOOPBACK, false),
        ("http://page.example", LOOPBACK, false),
        ("https://evil.example", LOOPBACK, false),
        ("http://localhost.evil.example", LOOPBACK, false),
        ("http://evil.example@localhost", LOOPBACK, false),
        ("file://localhost", LOOPBACK, false),
        ("null", LOOPBACK, false),
        ("", LOOPBACK, false),
    ] {
        assert_eq!(check("127.0.0.1:8086", Some(origin), local).is_ok(), admitted, "{origin} at {local}");
    }
}

#[test]
fn two_hosts_or_origins_are_refused() {
    let gate = Gate::new(Vec::new(), vec![Origin::Any]);
    let mut headers = HeaderMap::new();
    assert_eq!(gate.check(&Uri::from_static("/"), &headers, LOOPBACK), Err(Refusal::HostMissing));
    headers.insert(HOST, "localhost".parse().expect("a header"));
    headers.insert(ORIGIN, "null".parse().expect("a header"));
    assert_eq!(gate.check(&Uri::from_static("/"), &headers, LOOPBACK), Ok(()));
    let absolute = Uri::from_static("http://evil.example/");
    assert_eq!(gate.check(&absolute, &headers, LOOPBACK), Err(Refusal::Host("evil.example".to_owned())));
    headers.append(ORIGIN, "http://localhost".parse().expect("a header"));
    assert!(gate.check(&Uri::from_static("/"), &headers, LOOPBACK).is_err());
    headers.append(HOST, "localhost".parse().expect("a header"));
    assert_eq!(gate.check(&Uri::from_static("/"), &headers, LOOPBACK), Err(Refusal::HostMissing));
}
