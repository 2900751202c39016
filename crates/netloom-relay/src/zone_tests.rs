//! Which texts are addresses, and what zone they have.

use super::*;

#[test]
fn addresses_with_ports_and_zones() {
    for (text, expected) in [
        ("192.0.2.1", Some("192.0.2.1:53")),
        ("192.0.2.1:5353", Some("192.0.2.1:5353")),
        ("2001:db8::1", Some("[2001:db8::1]:53")),
        ("[2001:db8::1]", Some("[2001:db8::1]:53")),
        ("[2001:db8::1]:5353", Some("[2001:db8::1]:5353")),
        ("fe80::1%7", Some("[fe80::1%7]:53")),
        ("[fe80::1%7]:5353", Some("[fe80::1%7]:5353")),
        // Linux has it in every namespace, and always under this number.
        ("fe80::1%lo", Some("[fe80::1%1]:53")),
        ("fe80::1%no-such-interface", None),
        ("fe80::1%", None),
        ("192.0.2.1%1", None),
        ("192.0.2.1:", None),
        ("192.0.2.1:x", None),
        ("[2001:db8::1", None),
        ("[2001:db8::1]53", None),
        ("2001:db8::1:70000", None),
        ("name", None),
        ("", None),
    ] {
        assert_eq!(parse(text, 53), expected.map(|text| text.parse().expect("an address")), "{text}");
    }
}

#[test]
fn link_local_addresses_need_a_zone() {
    for (text, lacks) in
        [("fe80::1", true), ("fe80::1%1", false), ("2001:db8::1", false), ("169.254.0.1", false)]
    {
        assert_eq!(lacks_zone(parse(text, 53).expect("an address")), lacks, "{text}");
    }
}
