//! Where tokens may be, and what is left of a request.

use super::*;

const TOKEN: &str = "nlt_0123456789abcdefghijklmnopqrstuvwxyzABCDEF-";

fn request(path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let builder = Request::builder().uri(path);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(()).expect("a request")
}

/// The token and where it was, and what is left of path and query.
fn taken(path: &str, headers: &[(&str, &str)]) -> (Option<(String, bool)>, String, HeaderMap) {
    let mut request = request(path, headers);
    let shown =
        take(&mut request, Whose::Ours).map(|shown| (shown.secret.text().to_owned(), shown.is_in_url));
    let left = request.uri().path_and_query().map_or(String::new(), |it| it.as_str().to_owned());
    (shown, left, request.headers().clone())
}

#[test]
fn the_leading_segment_is_a_token_whatever_its_form() {
    for (path, text, left) in [
        ("/t/x", "x", "/"),
        ("/t/x/", "x", "/"),
        ("/t/x?a=b", "x", "/?a=b"),
        ("/t/x/lan/lab", "x", "/lan/lab"),
        ("/t/x/cors/http://a.example/t/y", "x", "/cors/http://a.example/t/y"),
        ("/t/x/?url=http%3A%2F%2Fa%2F", "x", "/?url=http%3A%2F%2Fa%2F"),
        ("/t/x//a", "x", "//a"),
    ] {
        let (shown, rest, _) = taken(path, &[]);
        assert_eq!((shown, rest.as_str()), (Some((text.to_owned(), true)), left), "{path}");
    }
    for path in ["/t/", "/t", "/t//x", "/tx/y", "/"] {
        assert_eq!((taken(path, &[]).0, taken(path, &[]).1.as_str()), (None, path));
    }
    let (shown, rest, _) = taken("http://relay.example/t/x/lan/lab", &[]);
    assert_eq!((shown.is_some(), rest.as_str()), (true, "/lan/lab"));
}

#[test]
fn queries_and_headers_are_taken_in_a_tokens_form() {
    let shown = |is_in_url| Some((TOKEN.to_owned(), is_in_url));
    for (query, left) in [
        (format!("/?token={TOKEN}"), "/"),
        (format!("/wisp/?a=b&token={TOKEN}&c"), "/wisp/?a=b&c"),
        (format!("/cors/http://a/?token=own&token={TOKEN}"), "/cors/http://a/?token=own"),
    ] {
        let (found, rest, _) = taken(&query, &[]);
        assert_eq!((found, rest.as_str()), (shown(true), left), "{query}");
    }
    let bearer = format!("bearer  {TOKEN}");
    let (found, _, headers) = taken("/x", &[("authorization", &bearer)]);
    assert_eq!((found, headers.len()), (shown(false), 0));
    for value in ["Bearer other", "Basic eDp5", TOKEN] {
        let (found, _, headers) = taken("/?token=own", &[("authorization", value)]);
        assert_eq!((found, headers.len()), (None, 1), "{value}");
    }
}

#[test]
fn a_token_is_left_nowhere() {
    let bearer = format!("Bearer {TOKEN}");
    let referer = format!("https://relay.example/t/{TOKEN}/cors/http://a/");
    let given: &[(&str, &str)] = &[("authorization", &bearer), ("referer", &referer), ("x-own", "kept")];
    let (found, left, headers) = taken(&format!("/t/{TOKEN}/a?token={TOKEN}"), given);
    assert_eq!((found, left.as_str()), (Some((TOKEN.to_owned(), true)), "/a"));
    assert_eq!(headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-own"]);
    let (_, _, headers) = taken(&format!("/t/{TOKEN}/a"), &[("referer", "https://page.example/")]);
    assert_eq!(headers.len(), 1);
}

#[test]
fn what_needs_none() {
    let preflight: &[(&str, &str)] = &[("access-control-request-method", "GET")];
    for (method, path, headers, expected) in [
        ("GET", "/", &[][..], true),
        ("HEAD", "/healthz", &[], true),
        ("GET", "/", &[("upgrade", "websocket")], false),
        ("GET", "/healthz", &[("upgrade", "websocket")], false),
        ("POST", "/", &[], false),
        ("GET", "/cors/http://a/", &[], false),
        ("OPTIONS", "/cors/http://a/", preflight, true),
        ("OPTIONS", "/cors/http://a/", &[], false),
        ("GET", "/dns-query", preflight, false),
    ] {
        let mut request = request(path, headers);
        *request.method_mut() = method.parse().expect("a method");
        assert_eq!(is_free(&request, true), expected, "{method} {path}");
    }
    assert!(!is_free(&request("/", &[]), false));
}

#[test]
fn a_browser_keeps_a_token_and_goes_on_without_it() {
    let mut request = request(&format!("/t/{TOKEN}//evil.example/a?b=c"), &[]);
    let shown = take(&mut request, Whose::Ours).expect("a token");
    let answer = keep(&shown, &request, true);
    assert_eq!(
        (answer.status(), answer.headers()[LOCATION].as_bytes()),
        (StatusCode::SEE_OTHER, &b"/evil.example/a?b=c"[..])
    );
    let cookie = answer.headers()[SET_COOKIE].to_str().expect("text").to_owned();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
    let given = cookie.split(';').next().expect("a pair");
    let mut back = self::request("/", &[("cookie", &format!("a=b; {given}"))]);
    assert_eq!(kept(back.headers_mut()).map(|shown| shown.secret), Some(shown.secret));
    assert_eq!(kept(self::request("/", &[("cookie", "netloom-token=x")]).headers_mut()), None);
}

#[test]
fn a_guests_own_paths_stay() {
    let mut own = request("/t/x/y", &[]);
    assert_eq!(take(&mut own, Whose::Guests), None);
    assert_eq!(own.uri().path(), "/t/x/y");
    let mut shown = request(&format!("/t/{TOKEN}/t/x"), &[]);
    assert!(take(&mut shown, Whose::Guests).is_some());
    assert_eq!(shown.uri().path(), "/t/x");
}
