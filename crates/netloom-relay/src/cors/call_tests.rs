use super::*;

fn call(method: &str, path: &str, is_root: bool) -> Option<(String, Dialect, String)> {
    let request = Request::builder().method(method).uri(path).body(()).expect("a request");
    Call::of(&request, is_root).map(|call| (call.prefix.into_owned(), call.dialect, call.target))
}

#[test]
fn forms() {
    for (path, prefix, dialect, target) in [
        ("/cors/", "/cors", Dialect::Path, ""),
        ("/cors", "/cors", Dialect::Path, ""),
        ("/cors/http://a.example/b?c", "/cors", Dialect::Path, "http://a.example/b?c"),
        ("/cors//a.example/", "/cors", Dialect::Path, "/a.example/"),
        ("/cors/http%3A%2F%2Fa%2F", "/cors", Dialect::Path, "http%3A%2F%2Fa%2F"),
        ("/cors/?url=http%3A%2F%2Fa%2F", "/cors", Dialect::Query, "url=http%3A%2F%2Fa%2F"),
        ("/cors?url=http%3A%2F%2Fa%2F", "/cors", Dialect::Query, "url=http%3A%2F%2Fa%2F"),
        ("/cors/?x", "/cors", Dialect::Query, "x"),
        ("/http://a.example/b?c", "", Dialect::Path, "http://a.example/b?c"),
        ("/a.example", "", Dialect::Path, "a.example"),
        ("///a.example", "", Dialect::Path, "//a.example"),
        ("/favicon.ico", "", Dialect::Path, "favicon.ico"),
        ("/corset.example/", "", Dialect::Path, "corset.example/"),
        ("/?url=", "", Dialect::Query, "url="),
        ("/?http%3A%2F%2Fa%2F", "", Dialect::Query, "http%3A%2F%2Fa%2F"),
        ("/?https://a/?b", "", Dialect::Query, "https://a/?b"),
    ] {
        assert_eq!(call("GET", path, false), Some((prefix.to_owned(), dialect, target.to_owned())), "{path}");
    }
}

#[test]
fn the_relays_own_paths_stay_its_own() {
    for path in ["/", "/?x=y", "/healthz", "/dns-query?dns=AAAA", "/lan/http://a/", "/api/leases", "/wisp/"] {
        assert_eq!(call("GET", path, false), None, "{path}");
    }
    assert_eq!(call("GET", "/", true), Some((String::new(), Dialect::Path, String::new())));
    assert_eq!(call("GET", "/healthz", true), None);
    assert_eq!(call("OPTIONS", "/", false), Some((String::new(), Dialect::Path, String::new())));
    assert_eq!(call("OPTIONS", "/healthz", false), None);
}

#[test]
fn websockets_are_guests() {
    let request = Request::builder().uri("/cors/http://a/").header(UPGRADE, "WebSocket").body(());
    assert_eq!(Call::of(&request.expect("a request"), true), None);
}
