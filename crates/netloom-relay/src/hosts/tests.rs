#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

use std::net::Ipv4Addr;

use http::header::{CONNECTION, COOKIE, HOST, HeaderMap, HeaderValue, SET_COOKIE, UPGRADE};
use http::{Request, Response};

use super::{Client, Hosts, headers};
use crate::config::{GuestHost, HostSettings};

fn hosts() -> Hosts {
    let web = GuestHost { lan: "lab".to_owned(), guest: "web".parse().expect("a guest"), port: 8080 };
    Hosts::new(HostSettings { localhost: true, names: vec![("web.example.com".to_owned(), web)] })
}

fn found(host: &str, is_local: bool) -> Option<String> {
    hosts().find(host, is_local).map(|GuestHost { lan, guest, port }| format!("{lan}/{guest}:{port}"))
}

#[test]
fn names_under_localhost_lead_to_guests() {
    for (host, target) in [
        ("first.localhost", "default/first:80"),
        ("First.LocalHost.:8086", "default/first:80"),
        ("8080.first.localhost:1", "default/first:8080"),
        ("web.lab.localhost", "lab/web:80"),
        ("3000.web.lab.localhost", "lab/web:3000"),
        ("192-168-86-100.localhost", "default/192.168.86.100:80"),
        ("22.02-00-00-00-00-01.localhost", "default/02:00:00:00:00:01:22"),
        ("8080.localhost", "default/8080:80"),
    ] {
        assert_eq!(found(host, true).as_deref(), Some(target), "{host}");
        assert_eq!(found(host, false), None, "{host} is for this host alone");
    }
    for host in [
        "localhost",
        "localhost:8086",
        ".localhost",
        "127.0.0.1",
        "[::1]:80",
        "evil.example",
        "0.first.localhost",
        "70000.first.localhost",
        "firstlocalhost",
        "",
    ] {
        assert_eq!(found(host, true), None, "{host}");
    }
}

#[test]
fn names_that_are_given_lead_where_they_say() {
    assert_eq!(found("Web.Example.com:443", false).as_deref(), Some("lab/web:8080"));
    assert_eq!(found("other.example.com", true), None);
}

#[test]
fn a_guest_hears_who_asks_and_nothing_of_the_connection() {
    let mut request = Request::new(());
    *request.uri_mut() = "http://web.localhost:8086/a?b=c".parse().expect("a URL");
    let pairs = [
        ("host", "web.localhost:8086"),
        ("connection", "keep-alive, X-Hop, Upgrade"),
        ("upgrade", "websocket"),
        ("x-hop", "1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("cookie", "a=1; netloom-token=secret"),
        ("cookie", "b=2;NETLOOM-resume=secret"),
        ("accept", "*/*"),
    ];
    for (name, value) in pairs {
        request.headers_mut().append(name, HeaderValue::from_static(value));
    }
    let protocol = headers::upgrade(request.headers());
    assert_eq!(protocol.as_ref().expect("it is asked for"), "websocket");
    let client = Client { address: Ipv4Addr::LOCALHOST.into(), is_tls: true };
    headers::to_guest(&mut request, client, protocol);
    assert_eq!(request.uri(), "/a?b=c");
    let told = request.headers();
    assert_eq!((&told[HOST], &told["x-forwarded-host"]), (&told["x-forwarded-host"], &told[HOST]));
    assert_eq!(
        (&told["x-forwarded-for"], &told["x-forwarded-proto"]),
        (&HeaderValue::from_static("127.0.0.1"), &HeaderValue::from_static("https"))
    );
    assert_eq!(told[COOKIE], "a=1; b=2");
    assert_eq!(
        (&told[CONNECTION], &told[UPGRADE]),
        (&HeaderValue::from_static("Upgrade"), &HeaderValue::from_static("websocket"))
    );
    assert!(!told.contains_key("x-hop") && !told.contains_key("forwarded"));
    assert_eq!(headers::upgrade(&HeaderMap::from_iter([(UPGRADE, HeaderValue::from_static("h2c"))])), None);
}

#[test]
fn a_guest_sets_cookies_for_its_own_name_alone() {
    let mut answer = Response::new(());
    for cookie in
        ["a=1; Domain=example.com; Path=/", "netloom-resume=stolen", "b=2; HttpOnly;domain=.localhost"]
    {
        answer.headers_mut().append(SET_COOKIE, HeaderValue::from_static(cookie));
    }
    answer.headers_mut().insert("alt-svc", HeaderValue::from_static("h3=\":443\""));
    headers::from_guest(&mut answer, None);
    let set: Vec<_> = answer.headers().get_all(SET_COOKIE).iter().collect();
    assert_eq!(set, ["a=1; Path=/", "b=2; HttpOnly"]);
    assert!(!answer.headers().contains_key("alt-svc"));
}

#[test]
fn bytes_that_are_no_text_do_not_carry_a_cookie_past_its_host() {
    let mut answer = Response::new(());
    for cookie in [
        &b"netloom-resume=00; Domain=example.com; x=\xff"[..],
        b"=netloom-token=x; Path=/",
        b" = netloom-token=x",
        b"a=\xc3\xa9; Domain=example.com; Path=/",
    ] {
        answer.headers_mut().append(SET_COOKIE, HeaderValue::from_bytes(cookie).expect("a value"));
    }
    headers::from_guest(&mut answer, None);
    let kept: Vec<_> = answer.headers().get_all(SET_COOKIE).iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(kept, [&b"a=\xc3\xa9; Path=/"[..]]);
}

#[test]
fn a_connection_does_not_go_over_to_http_2() {
    let mut asked = HeaderMap::new();
    asked.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    for (protocols, goes) in [("websocket", true), ("h2c", false), ("websocket, H2C", false)] {
        asked.insert(UPGRADE, HeaderValue::from_static(protocols));
        assert_eq!(headers::upgrade(&asked).is_some(), goes, "{protocols}");
    }
}
