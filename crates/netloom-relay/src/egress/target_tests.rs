//! What names a host, and what does not.

use super::*;

#[test]
fn names_and_addresses() {
    for (text, shown) in [
        ("example.com", "example.com:80"),
        ("EXAMPLE.com.", "example.com:80"),
        ("localhost.", "localhost:80"),
        ("_dmarc.example.com", "_dmarc.example.com:80"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example:80"),
        ("192.0.2.7", "192.0.2.7:80"),
        ("2001:db8::7", "[2001:db8::7]:80"),
        ("[2001:db8::7]", "[2001:db8::7]:80"),
        ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]:80"),
        ("0x7f.example", "0x7f.example:80"),
    ] {
        assert_eq!(Target::parse(text.as_bytes(), 80).map(|target| target.to_string()).as_deref(), Ok(shown));
    }
}

#[test]
fn what_readers_do_not_agree_on_is_no_host() {
    let long = "a.".repeat(127) + "a";
    let label = "a".repeat(64);
    for text in [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        " 127.0.0.1",
        "127.0.0.1 ",
        "127.0.0.1\0",
        "exam\0ple.com",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "0177.0.0.1",
        "0",
        "1.2.3.4.5",
        "127.0.0.1.",
        "example.0x",
        "example.7",
        "fe80::1%lo",
        "[127.0.0.1]",
        "[::1",
        "::1]",
        "[]",
        "a b",
        "a/b",
        "a:80",
        "a@b",
        "bücher.example",
        "a\nb",
        "%31",
        &long,
        &label,
    ] {
        assert!(Target::parse(text.as_bytes(), 80).is_err(), "{text:?}");
    }
    assert!(Target::parse(b"\xff", 80).is_err());
    assert!(Target::parse(b"example.com", 0).is_err(), "no port");
}
