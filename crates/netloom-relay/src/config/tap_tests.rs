use super::*;

#[test]
fn what_is_written_is_shown_again() {
    for text in [
        "tap0",
        "tap0,bridge=br0",
        "eth0,netns=box",
        "eth0,netns=4711",
        "eth0,netns=/run/netns/box,address=10.0.0.1/24,address=fd00::1/64,mac=02:00:00:00:00:01",
    ] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn a_flag_may_name_a_lan() {
    assert_eq!(parse_flag("tap0,bridge=br0").unwrap().0, "default");
    let (lan, tap) = parse_flag("office=tap1,bridge=br0").unwrap();
    assert_eq!((lan.as_str(), tap.name.as_str(), tap.bridge.as_deref()), ("office", "tap1", Some("br0")));
}

#[test]
fn what_no_interface_can_be_is_refused() {
    for text in [
        "",
        ".",
        "a/b",
        "a b",
        "tap%d",
        "0123456789abcdef",
        "tap0,",
        "tap0,bridge",
        "tap0,address=10.0.0.1",
        "tap0,address=0.0.0.0/0",
        "tap0,address=224.0.0.1/4",
        "tap0,mac=ff:ff:ff:ff:ff:ff",
        "tap0,netns=",
        "tap0,netns=..",
        "tap0,netns=a/b",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}
