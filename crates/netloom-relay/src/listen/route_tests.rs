//! The routing table.

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a header")))
        .collect()
}

fn websocket(path: &str, more: &[(&'static str, &str)]) -> Route {
    let base = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];
    let mut all = headers(&base);
    all.extend(headers(more));
    route(&Method::GET, path, &all)
}

fn guest(lan: &str, protocol: Option<&str>) -> Route {
    Route::Guest { lan: lan.to_owned(), key: KEY.to_owned(), protocol: protocol.map(str::to_owned) }
}

#[test]
fn upgrades_reach_their_lan() {
    for (path, lan) in [
        ("/", "default"),
        ("/any/path", "default"),
        ("/lan", "default"),
        ("/lan/lab", "lab"),
        ("/lan/lab/", "lab"),
        ("/lan/", ""),
    ] {
        assert_eq!(websocket(path, &[]), guest(lan, None), "{path}");
    }
}

#[test]
fn the_first_subprotocol_is_taken_but_never_qemu_framing() {
    assert_eq!(websocket("/", &[("sec-websocket-protocol", "a, b")]), guest("default", Some("a")));
    assert_eq!(websocket("/", &[("sec-websocket-protocol", "binary,b")]), guest("default", Some("b")));
    assert!(matches!(websocket("/", &[("sec-websocket-protocol", "binary")]), Route::BadUpgrade(_)));
}

#[test]
fn wrong_upgrades_say_what_is_wrong() {
    assert_eq!(websocket("/", &[("sec-websocket-version", "8")]), Route::UpgradeRequired);
    assert_eq!(websocket("/", &[("upgrade", "h2c")]), Route::UpgradeRequired);
    assert!(matches!(websocket("/", &[("connection", "close")]), Route::BadUpgrade(_)));
    for key in ["", "x", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25j!!=="] {
        assert!(matches!(websocket("/", &[("sec-websocket-key", key)]), Route::BadUpgrade(_)), "{key}");
    }
}

#[test]
fn plain_requests() {
    let none = HeaderMap::new();
    for (method, path, expected) in [
        (Method::GET, "/", Route::Page),
        (Method::GET, "/healthz", Route::Health),
        (Method::HEAD, "/healthz", Route::Health),
        (Method::GET, "/nothing", Route::NotFound),
        (Method::GET, "/lan/lab", Route::UpgradeRequired),
        (Method::POST, "/", Route::Method),
        (Method::OPTIONS, "/healthz", Route::Method),
    ] {
        assert_eq!(route(&method, path, &none), expected, "{method} {path}");
    }
}
