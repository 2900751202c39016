use super::*;

fn headers(lines: &[&str]) -> HeaderMap {
    let values = lines.iter().map(|line| (COOKIE, HeaderValue::from_str(line).unwrap()));
    let mut headers = HeaderMap::new();
    headers.extend(values);
    headers
}

#[test]
fn cookies_stand_in_lines_and_behind_semicolons() {
    let headers = headers(&["a=1; b=2", "word;a = 3;"]);
    assert_eq!(cookies(&headers).collect::<Vec<_>>(), ["a=1", "b=2", "word", "a = 3"]);
    assert_eq!(cookie(&headers, "a").collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(cookie(&headers, "c").next(), None);
}

#[test]
fn what_is_no_text_hides_nothing_beside_it() {
    let mut headers = headers(&["a=1"]);
    headers.insert(COOKIE, HeaderValue::from_bytes(b"b=\xff; c=\xc3\xa9").unwrap());
    headers.append(COOKIE, HeaderValue::from_static("d=3"));
    assert_eq!(cookies(&headers).collect::<Vec<_>>(), ["c=é", "d=3"]);
}

#[test]
fn a_bearer_token_is_behind_its_scheme() {
    for (value, token) in [
        ("Bearer abc", Some("abc")),
        ("bearer  abc ", Some("abc")),
        ("Basic abc", None),
        ("Bearer", None),
        ("abc", None),
    ] {
        assert_eq!(bearer(&HeaderValue::from_str(value).unwrap()), token, "{value}");
    }
}
