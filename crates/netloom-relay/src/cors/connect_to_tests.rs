use super::ConnectTo;

#[test]
fn empty_parts_stand_for_any_and_for_no_change() {
    let rules: Vec<ConnectTo> = ["Example.com:443:[2001:db8::1]:8443", "a:::81", "::proxy:"]
        .iter()
        .map(|text| text.parse().expect("a rule"))
        .collect();
    for (host, port, expected) in [
        ("example.com", 443, ("[2001:db8::1]", 8443)),
        ("example.com", 80, ("proxy", 80)),
        ("a", 7, ("a", 81)),
        ("[::1]", 9, ("proxy", 9)),
    ] {
        assert_eq!(ConnectTo::apply(&rules, host, port), expected, "{host}:{port}");
    }
    assert_eq!(ConnectTo::apply(&rules[..2], "b", 7), ("b", 7));
    let shown: Vec<_> = rules.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["example.com:443:[2001:db8::1]:8443", "a:::81", "::proxy:"]);
}

#[test]
fn what_is_no_rule() {
    for text in
        ["", "a", "a:b", "a:80:b", "a:x:b:1", "a:0:b:1", "a:1:b:70000", "a:1:b:1:", "[::1:1:b:1", "a/b:1:c:1"]
    {
        assert!(text.parse::<ConnectTo>().is_err(), "{text}");
    }
}
