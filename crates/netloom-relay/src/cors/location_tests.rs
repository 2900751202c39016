//! The forms that clients write, cors-anywhere's rules of what is no URL, and what must not pass for a host.

use super::*;

fn path(text: &str) -> Result<String, BadPath> {
    Location::from_path(text).map(|location| location.href())
}

fn query(text: &str) -> Result<String, BadQuery> {
    Location::from_query(text).map(|location| location.href())
}

#[test]
fn urls_in_the_path() {
    for (text, href) in [
        ("example.com", "http://example.com/"),
        ("example.com:80", "http://example.com:80/"),
        ("example.com:443", "https://example.com:443/"),
        ("example.com:443?a", "https://example.com:443/?a"),
        ("//example.com", "http://example.com/"),
        ("//example.com:443/a", "https://example.com:443/a"),
        ("http://example.com", "http://example.com/"),
        ("HTTPS://Example.COM/A?b=c%2Fd&e", "https://example.com/A?b=c%2Fd&e"),
        ("http://robots.txt", "http://robots.txt/"),
        ("http://localhost:81/%61?%62", "http://localhost:81/%61?%62"),
        ("192.0.2.7:8080/x", "http://192.0.2.7:8080/x"),
        ("[2001:db8::7]/x", "http://[2001:db8::7]/x"),
        ("http://user:secret@example.com/", "http://example.com/"),
        // Percent-encoded whole, by encodeURIComponent, and with a query that was not.
        ("http%3A%2F%2Fexample.com%2Fa%3Fb%3Dc%2526", "http://example.com/a?b=c%26"),
        ("https%3a%2f%2fexample.com%2fa?b=c%2Fd", "https://example.com/a?b=c%2Fd"),
        ("http:%2F%2Fexample.com/", "http://example.com/"),
        ("https%3A//example.com%3A443/", "https://example.com:443/"),
        // An encoded URL inside of another is that other's own.
        ("http://example.com/http%3A%2F%2Fa%2F", "http://example.com/http%3A%2F%2Fa%2F"),
    ] {
        assert_eq!(path(text).as_deref(), Ok(href), "{text}");
    }
}

#[test]
fn what_is_no_url_in_the_path() {
    let port = |port: &str| BadPath::Port(port.to_owned());
    let host = |host: &str| BadPath::Host(host.to_owned());
    for (text, error) in [
        ("", BadPath::NoUrl),
        ("/example.com", BadPath::NoUrl),
        ("?x", BadPath::NoUrl),
        ("http:", BadPath::NoUrl),
        ("http:example.com", BadPath::NoUrl),
        ("http://", BadPath::NoUrl),
        ("http:///", BadPath::NoUrl),
        ("http://:1234", BadPath::NoUrl),
        ("http:/notenoughslashes", BadPath::MissingSlash),
        ("iscorsneeded", BadPath::IsCorsNeeded),
        ("example.com:65536", port("65536")),
        ("http://example.com:123456789012/", port("123456789012")),
        ("favicon.ico", host("favicon.ico")),
        ("robots.txt", host("robots.txt")),
        ("localhost:80/", host("localhost")),
        ("wpad.dat?x", host("wpad.dat")),
        ("http://exa mple.com/", host("exa mple.com")),
        ("http://1.2.3.4.5/", host("1.2.3.4.5")),
        ("http://example.com:0/", host("example.com")),
    ] {
        assert_eq!(path(text), Err(error), "{text}");
    }
}

#[test]
fn urls_in_the_query() {
    for (text, href) in [
        ("url=http%3A%2F%2Fexample.com%2Fa%3Fb%3Dc%2526%23d", "http://example.com/a?b=c%26"),
        ("url=http://example.com/a", "http://example.com/a"),
        ("x=y&url=https%3A%2F%2Fexample.com%3A443", "https://example.com:443/"),
        ("url=&url=http%3A%2F%2Fexample.com%2F", "http://example.com/"),
        ("http%3A%2F%2Fexample.com%2Fa%3Fb%3Dc%26d%3De", "http://example.com/a?b=c&d=e"),
        ("https://example.com/a?b=c&url=e", "https://example.com/a?b=c&url=e"),
    ] {
        assert_eq!(query(text).as_deref(), Ok(href), "{text}");
        assert!(Location::is_in_query(text), "{text}");
    }
    for (text, error) in [
        ("", BadQuery::Missing),
        ("url", BadQuery::Missing),
        ("url=", BadQuery::Missing),
        ("x=y", BadQuery::Missing),
        ("url=ftp%3A%2F%2Fexample.com%2F", BadQuery::Unsupported),
        ("url=example.com", BadQuery::Unsupported),
        ("url=http%3A%2F%2F", BadQuery::Unsupported),
        ("http%3A%2F%2Fa%20b%2F", BadQuery::Unsupported),
    ] {
        assert_eq!(query(text), Err(error), "{text}");
    }
    for text in ["", "x=y", "vurl=http://a/", "file%3A%2F%2F%2Fetc", "http"] {
        assert!(!Location::is_in_query(text), "{text}");
    }
}

#[test]
fn other_ways_to_write_an_address_are_read_as_browsers_read_them() {
    for (text, host) in [
        ("http://127.1/", "127.0.0.1"),
        ("http://0x7f000001/", "127.0.0.1"),
        ("http://2130706433/", "127.0.0.1"),
        ("http://0177.0.0.1/", "127.0.0.1"),
        ("http://127。0。0。1/", "127.0.0.1"),
        ("http://%31%32%37.0.0.1/", "127.0.0.1"),
        ("http://[::ffff:127.0.0.1]/", "[::ffff:7f00:1]"),
        ("http://localhost./", "localhost."),
    ] {
        assert_eq!(Location::from_path(text).map(|location| location.host_header()).as_deref(), Ok(host));
    }
}

#[test]
fn redirects_lead_to_places() {
    let from = Location::from_path("http://example.com:80/a/b?c").expect("a URL");
    for (reference, href) in [
        ("/x", Some("http://example.com:80/x")),
        ("x", Some("http://example.com:80/a/x")),
        ("?x", Some("http://example.com:80/a/b?x")),
        ("//other.example/x#y", Some("http://other.example/x")),
        ("https://other.example:443", Some("https://other.example:443/")),
        ("http:///", None),
        ("ftp://example.com/", None),
        ("javascript:alert(1)", None),
    ] {
        let to = from.join(reference).map(|location| location.href());
        assert_eq!(to.as_deref(), href, "{reference}");
    }
}

#[test]
fn user_and_password_are_kept_apart() {
    let credentials = |text| Location::from_path(text).expect("a URL").credentials();
    assert_eq!(credentials("http://a%40b:c%3Ad@example.com/").as_deref(), Some(&b"a@b:c:d"[..]));
    assert_eq!(credentials("http://a@example.com/").as_deref(), Some(&b"a:"[..]));
    assert_eq!(credentials("http://example.com/"), None);
}
