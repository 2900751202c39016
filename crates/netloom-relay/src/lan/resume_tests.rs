#![allow(clippy::unwrap_used, reason = "a test")]

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::*;

fn origin(address: &str, token: Option<&str>) -> Origin {
    Origin { address: Some(address.parse().unwrap()), cookie: None, token: token.map(Arc::from) }
}

#[test]
fn a_port_is_given_back_to_whom_it_was() {
    let (here, there) = (origin("192.0.2.1", None), origin("192.0.2.2", None));
    let by = |new: &Origin, lost: &Origin| {
        [ResumeByMac::Off, ResumeByMac::Address, ResumeByMac::Any].map(|by_mac| new.may_resume(lost, by_mac))
    };
    assert_eq!(by(&here, &here), [false, true, true]);
    assert_eq!(by(&here, &there), [false, false, true]);
    let cookie = Cookie::new().unwrap();
    let moved = Origin { cookie: Some(cookie.clone()), ..there };
    let lost = Origin { cookie: Some(cookie), ..here.clone() };
    assert_eq!(by(&moved, &lost), [true; 3]);
    assert_eq!(by(&Origin { cookie: Some(Cookie::new().unwrap()), ..here }, &lost), [false, true, true]);
    let (one, other) = (origin("192.0.2.1", Some("one")), origin("192.0.2.1", Some("other")));
    assert_eq!(by(&origin("192.0.2.9", Some("one")), &one), [true; 3]);
    assert_eq!(by(&other, &one), [false; 3]);
    assert_eq!(by(&origin("192.0.2.1", None), &one), [false; 3]);
}

#[test]
fn a_host_may_change_its_address_within_its_network() {
    let by = |new: &str, lost: &str| origin(new, None).may_resume(&origin(lost, None), ResumeByMac::Address);
    assert!(by("2001:db8::1", "2001:db8::ffff:2"));
    assert!(!by("2001:db8:0:1::1", "2001:db8::1"));
    assert!(by("::ffff:192.0.2.1", "192.0.2.1"));
    assert!(!by("192.0.2.1", "192.0.2.2"));
    // Those behind NAT64 have one /64 together.
    assert!(!by("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"));
}

#[test]
fn a_cookie_comes_back_as_it_was_given_and_nothing_else_is_one() {
    let cookie = Cookie::new().unwrap();
    let header = cookie.header(false).unwrap();
    let pair = header.to_str().unwrap().split(';').next().unwrap();
    let of = |line: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(line).unwrap());
        Cookie::of(&headers)
    };
    assert_eq!(of(&format!("a=b; {pair}; c=d")), Some(cookie.clone()));
    assert_eq!(of("netloom-resume=0011"), None);
    assert_eq!(of(&format!("netloom-resume={}", "+1".repeat(16))), None);
    assert_eq!(of(&format!("other-{pair}")), None);
    assert!(cookie.header(true).unwrap().to_str().unwrap().contains("Secure"));
    assert!(!format!("{cookie:?}").contains(&pair[15..]));
}
