//! The CORS proxy over real sockets: the forms of its URLs, cors-anywhere's behaviour and texts, uncors' where the URL is in the query.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use common::Relay;
use common::http::{Message, Server, answer, ask};

/// A web server that stands for every host name, and a relay with the proxy before it.
struct Web {
    server: Server,
    relay: Relay,
}

impl Web {
    fn start(flags: &[&str]) -> Self {
        let server = Server::start(page);
        let elsewhere = format!("::127.0.0.1:{}", server.address.port());
        let all = [&["--cors", "--allow", "127.0.0.0/8", "--connect-to", &elsewhere], flags].concat();
        Self { relay: Relay::start(&all), server }
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Message {
        ask(self.relay.address, "GET", path, headers, b"")
    }
}

/// What the web server has.
fn page(request: &Message) -> Vec<u8> {
    let to = |status: &str, location: &str| answer(status, &[("Location", location)], "redirecting...");
    let path = request.path();
    match path {
        "/redirect" => to("302 Found", "/target"),
        "/loop" => to("302 Found", "loop"),
        "/redirect307" => to("307 Temporary Redirect", "http://other.example/target"),
        "/nowhere" => answer("302 Found", &[], "maybe found"),
        "/junk" => to("302 Found", "http:///"),
        "/elsewhere" => to("303 See Other", "http://other.example/headers"),
        "/target" => answer("200 OK", &[("Some-Header", "value")], &format!("{} target", request.line)),
        "/cookies" => answer(
            "201 Created Here",
            &[
                ("Set-Cookie", "a"),
                ("Set-Cookie2", "b"),
                ("Set-Cookie3", "c"),
                ("Clear-Site-Data", "\"*\""),
                ("Strict-Transport-Security", "max-age=1"),
                ("Content-Security-Policy", "default-src 'self'"),
                ("Access-Control-Allow-Origin", "https://only.example"),
                ("Keep-Alive", "timeout=5"),
                ("Connection", "X-Hop"),
                ("X-Hop", "1"),
            ],
            "",
        ),
        "/echo" => answer("200 OK", &[], &String::from_utf8_lossy(&request.body)),
        "/headers" => {
            let lines: Vec<_> =
                request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            answer("200 OK", &[], &lines.join("\n"))
        }
        _ => answer("200 OK", &[], &format!("http://{}{path}", request.header("host").unwrap_or_default())),
    }
}

#[test]
fn every_form_of_url_reaches_the_target() {
    let web = Web::start(&[]);
    for (path, url) in [
        ("/http://example.com/x?y=%2F", "http://example.com/x?y=%2F"),
        ("/example.com", "http://example.com/"),
        ("///example.com/", "http://example.com/"),
        ("/example.com:81/x", "http://example.com:81/x"),
        ("/http%3A%2F%2Fexample.com%2Fx%3Fy%3D%252F", "http://example.com/x?y=%2F"),
        ("/?url=http%3A%2F%2Fexample.com%2Fx%3Fy%3D1%26z", "http://example.com/x?y=1&z"),
        ("/?http%3A%2F%2Fexample.com%2Fx%3Fy%3D1%26z", "http://example.com/x?y=1&z"),
        ("/cors/http://example.com/x", "http://example.com/x"),
        ("/cors/http%3A%2F%2Fexample.com%2Fx", "http://example.com/x"),
        ("/cors/?url=http%3A%2F%2Fexample.com%2Fx", "http://example.com/x"),
        ("/cors/?http%3A%2F%2Fexample.com%2Fx", "http://example.com/x"),
    ] {
        let answer = web.get(path, &[("Origin", "https://page.example")]);
        assert_eq!((answer.status(), answer.text()), (200, url.to_owned()), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(answer.header("x-request-url"), Some(url), "{path}");
        assert_eq!(answer.header("x-final-url"), Some(url), "{path}");
    }
}

#[test]
fn methods_and_bodies_pass() {
    let web = Web::start(&[]);
    for path in ["/example.com/echo", "/?url=http%3A%2F%2Fexample.com%2Fecho"] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let answer = ask(web.relay.address, method, path, &[("Content-Type", "text/plain")], b"a & b");
            assert_eq!((answer.status(), answer.text().as_str()), (200, "a & b"), "{method} {path}");
            let asked = web.server.last();
            assert_eq!(asked.line, format!("{method} /echo HTTP/1.1"));
            assert_eq!(asked.header("content-type"), Some("text/plain"));
        }
    }
    let head = ask(web.relay.address, "HEAD", "/example.com/x", &[], b"");
    assert_eq!((head.status(), head.header("content-length")), (200, Some("20")));
}

#[test]
fn what_names_no_target_is_told() {
    let web = Web::start(&[]);
    for (path, status, text) in [
        ("/cors/", 200, None),
        ("/cors", 200, None),
        ("/cors//example.com", 200, None),
        ("/http:///", 200, None),
        ("/http://:1234", 200, None),
        (
            "/http:/notenoughslashes",
            400,
            Some("The URL is invalid: two slashes are needed after the http(s):."),
        ),
        ("/example.com.com:65536", 400, Some("Port number too large: 65536")),
        ("/favicon.ico", 404, Some("Invalid host: favicon.ico")),
        ("/cors/robots.txt", 404, Some("Invalid host: robots.txt")),
        ("/?url=", 400, Some("url parameter missing\n")),
        ("/cors/?url", 400, Some("url parameter missing\n")),
        ("/cors/?x=y", 400, Some("url parameter missing\n")),
        ("/?url=ftp%3A%2F%2Fexample.com%2F", 400, Some("Only http and https URLs supported\n")),
    ] {
        let answer = web.get(path, &[]);
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/plain"), "{path}");
        assert_eq!(answer.header("content-security-policy"), Some("sandbox"), "{path}");
        match text {
            Some(text) => assert_eq!(answer.text(), text, "{path}"),
            None => assert!(
                answer.text().starts_with("This API enables cross-origin requests to anywhere."),
                "{path}"
            ),
        }
    }
    assert!(web.get("/http:/x", &[]).line.ends_with("400 Missing slash"));
    let needed = web.get("/cors/iscorsneeded", &[]);
    assert_eq!((needed.text().as_str(), needed.header("access-control-allow-origin")), ("no", None));
    assert!(web.get("/", &[]).text().contains("relay_url"), "the relay's page stays");
    assert!(web.server.seen().is_empty());
}

#[test]
fn preflights_are_answered_here() {
    let web = Web::start(&["--cors-max-age", "600"]);
    let asked = [
        ("Origin", "https://page.example"),
        ("Access-Control-Request-Method", "DELETE"),
        ("Access-Control-Request-Headers", "x-tralala, authorization"),
        ("Access-Control-Request-Private-Network", "true"),
    ];
    for path in ["/", "//bogus", "/example.com/", "/cors/", "/cors/http://127.0.0.1:1/"] {
        let answer = ask(web.relay.address, "OPTIONS", path, &asked, b"");
        assert_eq!((answer.status(), answer.body.len()), (200, 0), "{path}");
        assert_eq!(answer.header("access-control-allow-methods"), Some("DELETE"));
        assert_eq!(answer.header("access-control-allow-headers"), Some("x-tralala, authorization"));
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
        assert_eq!(answer.header("access-control-allow-private-network"), Some("true"));
    }
    let answer = ask(web.relay.address, "OPTIONS", "/?url=http%3A%2F%2Fexample.com%2F", &asked, b"");
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.header("access-control-allow-methods"), Some("*"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("*, Authorization"));
    let answer = ask(web.relay.address, "OPTIONS", "/cors/?url=x", &[], b"");
    assert_eq!(answer.header("access-control-allow-headers"), Some("*"));
    assert!(web.server.seen().is_empty());
    let got = web.get("/example.com/", &asked);
    assert_eq!(got.header("access-control-max-age"), None);
    let asked = web.server.last();
    assert_eq!(asked.header("access-control-request-method"), None, "{asked:?}");
}

#[test]
fn redirects_are_followed_as_get() {
    let web = Web::start(&[]);
    for method in ["GET", "POST"] {
        let body: &[u8] = if method == "POST" { b"data" } else { b"" };
        let answer = ask(web.relay.address, method, "/example.com/redirect", &[], body);
        assert_eq!(
            (answer.status(), answer.text().as_str()),
            (200, "GET /target HTTP/1.1 target"),
            "{method}"
        );
        assert_eq!(answer.header("x-request-url"), Some("http://example.com/redirect"));
        assert_eq!(answer.header("x-cors-redirect-1"), Some("302 http://example.com/target"));
        assert_eq!(answer.header("x-final-url"), Some("http://example.com/target"));
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        assert!(
            exposed.starts_with("some-header,content-length,x-final-url,access-control-allow-origin"),
            "{exposed}"
        );
        assert_eq!(web.server.last().header("content-type"), None);
    }
    let answer = web.get("/example.com/loop", &[]);
    let relay = web.relay.address;
    assert_eq!((answer.status(), answer.text().as_str()), (302, "redirecting..."));
    assert_eq!(answer.header("location"), Some(format!("http://{relay}/http://example.com/loop").as_str()));
    assert_eq!(answer.header("x-cors-redirect-5"), Some("302 http://example.com/loop"));
    assert_eq!(answer.header("x-cors-redirect-6"), None);
    let answer = web.get("/cors/example.com/loop", &[("X-Forwarded-Proto", "https")]);
    assert_eq!(
        answer.header("location"),
        Some(format!("https://{relay}/cors/http://example.com/loop").as_str())
    );
    for (path, location) in [("/example.com/nowhere", None), ("/example.com/junk", Some("http:///"))] {
        let answer = web.get(path, &[]);
        assert_eq!((answer.status(), answer.header("location")), (302, location), "{path}");
    }
    let answer = ask(relay, "POST", "/example.com/redirect307", &[], b"data");
    let location = format!("http://{relay}/http://other.example/target");
    assert_eq!((answer.status(), answer.header("location")), (307, Some(location.as_str())));
    assert_eq!(answer.header("x-final-url"), Some("http://example.com/redirect307"));
}

#[test]
fn redirects_of_urls_in_the_query() {
    let web = Web::start(&[]);
    let url = |path: &str| format!("/?url=http%3A%2F%2Fexample.com%2F{path}");
    let answer = web.get(&url("redirect307"), &[]);
    assert_eq!((answer.status(), answer.text().as_str()), (200, "GET /target HTTP/1.1 target"));
    let answer = web.get(&url("loop"), &[]);
    assert_eq!(answer.status(), 302);
    assert!(answer.header("x-cors-redirect-20").is_some() && answer.header("x-cors-redirect-21").is_none());
    let location = format!("http://{}/?url=http%3A%2F%2Fexample.com%2Floop", web.relay.address);
    assert_eq!(answer.header("location"), Some(location.as_str()));
    let answer = ask(web.relay.address, "POST", &url("redirect307"), &[], b"data");
    assert_eq!(answer.status(), 307, "the body is gone, so the browser has to follow");
}

#[test]
fn fewer_redirects_when_asked() {
    let web = Web::start(&["--cors-max-redirects", "0"]);
    assert_eq!(web.get("/example.com/redirect", &[]).status(), 302);
    assert_eq!(web.get("/?url=http%3A%2F%2Fexample.com%2Fredirect", &[]).status(), 302);
}

#[test]
fn answers_are_kept_off_the_relays_origin() {
    let web = Web::start(&[]);
    let answer = web.get("/example.com/cookies", &[]);
    assert!(answer.line.ends_with("201 Created Here"), "{}", answer.line);
    for name in
        ["set-cookie", "set-cookie2", "clear-site-data", "strict-transport-security", "x-hop", "keep-alive"]
    {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("set-cookie3"), Some("c"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.all("access-control-allow-origin"), ["*"]);
    assert_eq!(answer.all("content-security-policy"), ["default-src 'self'", "sandbox"]);
}

#[test]
fn headers_on_their_way_to_the_target() {
    let web = Web::start(&["--cors-set-header", "x-powered-by: netloom"]);
    let sent = [
        ("Cookie", "a"),
        ("Cookie2", "b"),
        ("Cookie3", "c"),
        ("Via", "x"),
        ("X-Powered-By", "replaced"),
        ("Origin", "https://page.example"),
        ("Keep-Alive", "1"),
        ("Expect", "100-continue"),
        ("Authorization", "Bearer x"),
    ];
    assert_eq!(web.get("/example.com:8080/headers", &sent).status(), 200);
    let mut asked = web.server.last().headers;
    asked.sort();
    let expected = [
        ("authorization", "Bearer x"),
        ("cookie3", "c"),
        ("host", "example.com:8080"),
        ("origin", "https://page.example"),
        ("x-powered-by", "netloom"),
    ];
    assert_eq!(asked, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    web.get("/?url=http%3A%2F%2Fexample.com%2Fheaders", &sent);
    assert_eq!(web.server.last().header("origin"), None);
    web.get("/http://user:secret@example.com/headers", &[]);
    assert_eq!(web.server.last().header("authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
    web.get("/example.com/elsewhere", &sent);
    assert_eq!(web.server.last().header("host"), Some("other.example"));
    assert_eq!(web.server.last().header("authorization"), None, "not for another host");
}

#[test]
fn who_asks_is_told_when_asked_for() {
    let web = Web::start(&["--cors-forwarded", "--cors-remove-header", "x-private"]);
    web.get("/example.com/headers", &[("X-Forwarded-For", "192.0.2.1"), ("X-Private", "x"), ("Cookie", "a")]);
    let asked = web.server.last();
    assert_eq!(asked.header("x-forwarded-for"), Some("192.0.2.1,127.0.0.1"));
    assert_eq!(asked.header("x-forwarded-port"), Some(web.relay.address.port().to_string().as_str()));
    assert_eq!(asked.header("x-forwarded-proto"), Some("http"));
    assert_eq!((asked.header("x-private"), asked.header("cookie")), (None, Some("a")));
}

#[test]
fn origins_that_may_ask() {
    let web = Web::start(&[
        "--cors-whitelist=https://page.example",
        "--cors-whitelist=https://other.example",
        "--cors-blacklist=https://other.example",
        "--cors-require-header=Origin",
        "--cors-require-header=x-requested-with",
    ]);
    let status = |headers: &[(&str, &str)]| {
        let answer = web.get("/example.com/", headers);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        (answer.status(), answer.text())
    };
    assert_eq!(status(&[("Origin", "https://page.example")]).0, 200);
    assert_eq!(
        status(&[]),
        (400, "Missing required request header. Must specify one of: origin,x-requested-with".to_owned())
    );
    assert_eq!(
        status(&[("X-Requested-With", "")]),
        (403, "The origin \"\" was not whitelisted by the operator of this proxy.".to_owned())
    );
    assert_eq!(
        status(&[("Origin", "https://other.example")]),
        (
            403,
            "The origin \"https://other.example\" was blacklisted by the operator of this proxy.".to_owned()
        )
    );
    assert_eq!(status(&[("Origin", "http://page.example")]).0, 403);
}

#[test]
fn requests_are_counted_by_origin() {
    let web = Web::start(&["--cors-rate-limit", "1 60 friend.example"]);
    let get = |origin: &str| web.get("/example.com/", &[("Origin", origin)]);
    assert_eq!(get("https://page.example").status(), 200);
    let answer = get("https://page.example");
    assert_eq!(answer.status(), 429);
    let text = answer.text();
    assert!(text.starts_with("The origin \"https://page.example\" has sent too many requests.\nThe number of requests is limited to 1 per 60 minutes. "), "{text}");
    for _ in 0..3 {
        assert_eq!(get("https://friend.example").status(), 200);
    }
}

#[test]
fn pages_are_sent_to_their_own_origin() {
    let web = Web::start(&["--cors-redirect-same-origin"]);
    let answer = web.get("/example.com/x", &[("Origin", "http://example.com")]);
    assert!(answer.line.ends_with("301 Please use a direct request"), "{}", answer.line);
    assert_eq!(answer.header("location"), Some("http://example.com/x"));
    assert_eq!((answer.header("vary"), answer.header("cache-control")), (Some("origin"), Some("private")));
    for origin in ["https://example.com", "http://example.com:1234", "http://example.com.test", "http://e"] {
        assert_eq!(web.get("/example.com/x", &[("Origin", origin)]).status(), 200, "{origin}");
    }
}

#[test]
fn another_page_of_help() {
    let file = tempfile::Builder::new().suffix(".html").tempfile().expect("a file");
    std::fs::write(file.path(), "<p>Ask me").expect("written");
    let web = Web::start(&["--cors-help", file.path().to_str().expect("text")]);
    let answer = web.get("/cors/", &[]);
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("<p>Ask me", Some("text/html")));
}

#[test]
fn without_the_flag_there_is_no_proxy() {
    let relay = Relay::start(&[]);
    for path in ["/cors/http://example.com/", "/http://example.com/", "/example.com"] {
        assert_eq!(ask(relay.address, "GET", path, &[], b"").status(), 404, "{path}");
    }
    assert!(
        ask(relay.address, "GET", "/?url=http%3A%2F%2Fexample.com%2F", &[], b"").text().contains("relay_url")
    );
}

#[test]
fn foreign_pages_may_call_it_but_not_by_a_foreign_name() {
    let web = Web::start(&[]);
    for origin in ["https://evil.example", "null"] {
        assert_eq!(web.get("/example.com/", &[("Origin", origin)]).status(), 200);
        assert_eq!(web.get("/healthz", &[("Origin", origin)]).status(), 403);
    }
    assert_eq!(web.get("/example.com/", &[("Host", "evil.example")]).status(), 403);
}
