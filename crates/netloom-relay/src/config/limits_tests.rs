use super::*;
use crate::config::error::Place;

fn input(values: &[&str]) -> LimitsInput {
    let values = values.iter().map(|text| given("--limit", (*text).to_owned())).collect();
    LimitsInput { trusted_proxies: Vec::new(), values }
}

#[test]
fn flags_win_key_by_key_over_the_file_and_that_over_the_defaults() {
    let file = input(&["client.flows=10", "address.connections=5", "token.upload_bytes_per_s=7"]);
    let flags = input(&["client.flows=2k", "broadcast_frames_per_s=50", "address.pending_dials=0"]);
    let settings = resolve(flags, file, true).expect("limits");
    assert_eq!(settings.client.flows, Some(2000));
    assert_eq!(settings.client.pending_dials, Some(CLIENT_DIALS));
    assert_eq!(settings.address.connections, Some(5));
    assert_eq!(settings.address.pending_dials, Some(0));
    assert_eq!(settings.token.upload_bytes_per_s, Some(7));
    assert_eq!(settings.broadcast_frames_per_s, 50);
    assert_eq!(LimitSettings::new(false).broadcast_frames_per_s, 0);
}

#[test]
fn numbers_may_have_units() {
    for (text, value) in
        [("a=0", 0), ("a=12", 12), ("a=3k", 3000), ("a=2M", 2_000_000), ("a = 1G", 1_000_000_000)]
    {
        assert_eq!(key_and_value(text), Ok(("a", value)), "{text}");
    }
    for text in ["a", "a=", "a=k", "a=-1", "a=1.5M", "a=99999999999G", "a=1 MB"] {
        assert!(key_and_value(text).is_err(), "{text}");
    }
}

#[test]
fn mistakes_name_their_fix() {
    for (text, said) in [
        ("flow=1", "there is no limit `flow`"),
        ("client.flow=1", "there is no limit `flow`; write one of connections,"),
        ("client.connections=1", "write address.connections or token.connections"),
        ("guest.flows=1", "there is no limit `guest.flows`"),
        ("address.flows=9999G", "out of range"),
        ("address.flows=many", "write KEY=NUMBER"),
    ] {
        let error = resolve(input(&[text]), LimitsInput::default(), false).expect_err(text).to_string();
        assert!(error.starts_with("--limit: ") && error.contains(said), "{text}: {error}");
    }
    let place = Place::Flag("--trusted-proxy");
    let proxies = vec![Given { value: "proxy.example".to_owned(), place }];
    let flags = LimitsInput { trusted_proxies: proxies, values: Vec::new() };
    let error = resolve(flags, LimitsInput::default(), false).expect_err("a name").to_string();
    assert!(error.starts_with("--trusted-proxy: `proxy.example` is no address"), "{error}");
}
