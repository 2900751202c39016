use super::*;

fn client(headers: &[(&str, &str)]) -> String {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        map.append(name, value.parse().expect("a value"));
    }
    let trusted = |address: IpAddr| address.is_loopback() || address.to_string().starts_with("10.");
    client_of("127.0.0.1".parse().expect("an address"), &map, trusted).to_string()
}

#[test]
fn the_list_is_read_from_its_end() {
    for (value, expected) in [
        ("203.0.113.5", "203.0.113.5"),
        ("1.1.1.1, 203.0.113.5", "203.0.113.5"),
        ("1.1.1.1, 203.0.113.5, 10.0.0.7", "203.0.113.5"),
        ("10.0.0.9,10.0.0.7", "10.0.0.9"),
        ("203.0.113.5:4711", "203.0.113.5"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("203.0.113.5, unknown", "127.0.0.1"),
        ("203.0.113.5, unknown, 10.0.0.7", "10.0.0.7"),
        ("", "127.0.0.1"),
    ] {
        assert_eq!(client(&[("x-forwarded-for", value)]), expected, "{value}");
    }
    let lines = [("x-forwarded-for", "203.0.113.6"), ("x-forwarded-for", "203.0.113.5")];
    assert_eq!(client(&lines), "203.0.113.5");
}

#[test]
fn forwarded_is_read_where_the_other_is_absent() {
    for (value, expected) in [
        ("for=203.0.113.5", "203.0.113.5"),
        ("for=1.1.1.1, For=\"[2001:db8:cafe::17]:4711\";proto=https", "2001:db8:cafe::17"),
        ("by=203.0.113.43;for=203.0.113.5, for=10.1.1.1", "203.0.113.5"),
        ("for=203.0.113.5, for=_hidden", "127.0.0.1"),
        ("proto=https", "127.0.0.1"),
    ] {
        assert_eq!(client(&[("forwarded", value)]), expected, "{value}");
    }
    let both = [("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "203.0.113.5")];
    assert_eq!(client(&both), "203.0.113.5");
    assert_eq!(client(&[]), "127.0.0.1");
}

#[test]
fn what_is_no_text_hides_nothing_beside_it() {
    let mut map = HeaderMap::new();
    let value = http::HeaderValue::from_bytes(b"\xff, 203.0.113.5").expect("a value");
    map.append(X_FORWARDED_FOR, value);
    let client = client_of("127.0.0.1".parse().expect("an address"), &map, |address| address.is_loopback());
    assert_eq!(client.to_string(), "203.0.113.5");
}
