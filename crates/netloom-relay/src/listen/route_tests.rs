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
    route(Root::Lan, &Method::GET, path, &all)
}

fn guest(lan: Option<&str>, protocol: Option<&str>) -> Route {
    guest_by(Encapsulation::Raw, lan, protocol)
}

fn guest_by(encapsulation: Encapsulation, lan: Option<&str>, protocol: Option<&str>) -> Route {
    Route::Guest {
        lan: lan.map(str::to_owned),
        key: KEY.to_owned(),
        protocol: protocol.map(str::to_owned),
        encapsulation,
    }
}

#[test]
fn upgrades_reach_their_lan() {
    for (path, lan) in [
        ("/", None),
        ("/any/path", None),
        ("/lan", None),
        ("/lan/lab", Some("lab")),
        ("/lan/lab/", Some("lab")),
        ("/lan/", Some("")),
    ] {
        assert_eq!(websocket(path, &[]), guest(lan, None), "{path}");
    }
}

#[test]
fn the_first_subprotocol_is_taken_unless_qemus_is_offered() {
    let offered = |path, offered| websocket(path, &[("sec-websocket-protocol", offered)]);
    let qemu = |lan, protocol| guest_by(Encapsulation::QemuInWebSocket, lan, protocol);
    assert_eq!(offered("/", "a, b"), guest(None, Some("a")));
    assert_eq!(offered("/", "binary"), qemu(None, Some("binary")));
    assert_eq!(offered("/token", "base64,binary"), qemu(None, Some("binary")));
    assert_eq!(offered("/lan/lab", "binary"), qemu(Some("lab"), Some("binary")));
    assert_eq!(offered("/", "Binary"), guest(None, Some("Binary")));
}

#[test]
fn qemus_framing_has_a_path() {
    for (path, lan) in [
        ("/qemu", None),
        ("/qemu/", None),
        ("/qemu/any", None),
        ("/qemu/lan/lab", Some("lab")),
        ("/qemu/lan/lab/", Some("lab")),
    ] {
        assert_eq!(websocket(path, &[]), guest_by(Encapsulation::QemuInWebSocket, lan, None), "{path}");
    }
    assert_eq!(
        websocket("/qemu", &[("sec-websocket-protocol", "a")]),
        guest_by(Encapsulation::QemuInWebSocket, None, Some("a"))
    );
    assert_eq!(websocket("/qemux", &[]), guest(None, None));
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
        (Method::GET, "/qemu", Route::UpgradeRequired),
        (Method::GET, "/qemu/", Route::UpgradeRequired),
        (Method::POST, "/", Route::Method),
        (Method::OPTIONS, "/healthz", Route::Method),
    ] {
        assert_eq!(route(Root::Lan, &method, path, &none), expected, "{method} {path}");
    }
}

#[test]
fn wisp_urls_end_in_a_slash_or_a_target() {
    let wisp = |form| Route::Wisp { key: KEY.to_owned(), protocol: None, form };
    let plain = |host: &str, port| Form::Plain(Target::parse(host.as_bytes(), port).expect("a target"));
    for (path, form) in [
        ("/wisp/", Form::Wisp { version_2: false }),
        ("/wisp", Form::Wisp { version_2: false }),
        ("/wisp/any/prefix/", Form::Wisp { version_2: false }),
        ("/wisp/example.com:80", plain("example.com", 80)),
        ("/wisp/x/[2001:db8::1]:443", plain("2001:db8::1", 443)),
    ] {
        assert_eq!(websocket(path, &[]), wisp(form), "{path}");
    }
    for path in ["/wisp/x", "/wisp/x:y", "/wisp/:80", "/wisp/x:65536", "/wisp/0x7f.1:80"] {
        assert!(matches!(websocket(path, &[]), Route::BadUpgrade(_)), "{path}");
    }
    let offered = websocket("/wisp/", &[("sec-websocket-protocol", "a, binary")]);
    let form = Form::Wisp { version_2: true };
    assert_eq!(offered, Route::Wisp { key: KEY.to_owned(), protocol: Some("a".to_owned()), form });
}
