//! Names from several sources, and the control token. What is asked over sockets is in the crate's `tests/control.rs`.

#![allow(clippy::expect_used, reason = "a test")]

use std::net::IpAddr;

use super::dns::{Names, Zone};
use super::token::Token;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn zone(json: &str) -> Zone {
    serde_json::from_str(json).expect("a zone")
}

#[test]
fn zones_are_as_gvisors_clients_send_and_expect_them() {
    let sent =
        r#"{"Name":"testing.","Records":[{"Name":"host","IP":"192.168.127.254"}],"DefaultIP":"10.0.0.1"}"#;
    let written = serde_json::to_value(zone(sent)).expect("JSON");
    assert_eq!(written["Records"][0]["IP"], "192.168.127.254");
    assert_eq!(written["DefaultIP"], "10.0.0.1");
    assert_eq!(zone(sent).check(), Ok(()));
    assert!(zone(r#"{"Name":"a.","Records":[{"Regexp":"b.*","IP":"1.2.3.4"}]}"#).check().is_err());
    assert!(zone(r#"{"Name":"a.","Records":[{"Name":"b","IP":"x"}]}"#).check().is_err());
    assert!(zone(r#"{"Name":"","DefaultIP":"1.2.3.4"}"#).check().is_err());
}

#[test]
fn of_a_name_in_several_places_the_first_holds() {
    let mut names = Names::new(vec![
        ("host.a.test".to_owned(), vec![address("192.0.2.1")]),
        ("kept.test".to_owned(), vec![address("192.0.2.2")]),
        ("kept.test".to_owned(), vec![address("192.0.2.3")]),
    ]);
    let add = r#"{"Name":"a.test.","Records":[{"Name":"Host","IP":"192.0.2.4"}]}"#;
    names.add_zone(zone(add)).expect("room");
    names.add_zone(zone(r#"{"Name":"a.test.","Records":[{"Name":"host","IP":"192.0.2.5"}]}"#)).expect("room");
    let records = names.records();
    let of = |name: &str| {
        let of_name = records.iter().filter(|(owner, _)| owner == name);
        of_name.flat_map(|(_, addresses)| addresses.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("host.a.test"), [address("192.0.2.5")], "what was added last goes first");
    assert_eq!(of("kept.test"), [address("192.0.2.2"), address("192.0.2.3")]);
    assert!(records.contains(&("*.a.test".to_owned(), Vec::new())), "others are not asked outside");
    assert_eq!(names.zones().len(), 1);
    let many: Vec<String> = (0..5000).map(|n| format!(r#"{{"Name":"n{n}","IP":"192.0.2.1"}}"#)).collect();
    let many = format!(r#"{{"Name":"many.","Records":[{}]}}"#, many.join(","));
    assert!(names.add_zone(zone(&many)).is_err());
}

#[test]
fn a_token_is_itself_alone() {
    let token = Token::of("a secret of the operator");
    assert!(token.is("a secret of the operator"));
    for other in ["", "a secret of the operato", "a secret of the operator ", "A secret of the operator"] {
        assert!(!token.is(other), "{other}");
    }
}
