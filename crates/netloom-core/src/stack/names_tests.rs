//! How long a name holds, for whom, and how many there may be.

use core::net::Ipv4Addr;

use super::*;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn guest(port: u32, mac: u8) -> Guest {
    Guest { port: PortId(port), mac: MacAddr([2, 0, 0, 0, 0, mac]) }
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

#[test]
fn a_name_holds_for_its_time_to_live_and_a_minute_at_the_least() {
    let mut names = Names::default();
    names.learn(at(0), guest(0, 1), ADDRESS, "short.example", Duration::from_secs(1));
    names.learn(at(0), guest(0, 1), ADDRESS, "long.example", Duration::from_secs(300));
    let known =
        |names: &Names, now| names.of(at(now), guest(0, 1), ADDRESS).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(known(&names, 59), ["short.example", "long.example"]);
    assert_eq!(known(&names, 60), ["long.example"]);
    assert_eq!(known(&names, 300), [""; 0]);
    names.learn(at(290), guest(0, 1), ADDRESS, "long.example", Duration::from_secs(300));
    assert_eq!(known(&names, 300), ["long.example"]);
}

#[test]
fn a_name_is_the_guests_that_asked_for_it() {
    let mut names = Names::default();
    names.learn(at(0), guest(0, 1), ADDRESS, "web.example", Duration::from_secs(60));
    for other in [guest(0, 2), guest(1, 1)] {
        assert_eq!(names.of(at(0), other, ADDRESS).count(), 0);
    }
    assert_eq!(names.of(at(0), guest(0, 1), Ipv4Addr::new(192, 0, 2, 8).into()).count(), 0);
    names.forget_port(guest(0, 1).port);
    assert_eq!(names.of(at(0), guest(0, 1), ADDRESS).count(), 0);
}

#[test]
fn what_one_port_learns_is_bounded() {
    let mut names = Names::default();
    for n in 0..5_000_u32 {
        let guest = guest(0, n as u8);
        names.learn(
            at(u64::from(n)),
            guest,
            Ipv4Addr::from_bits(n).into(),
            "web.example",
            Duration::from_secs(86_400),
        );
        names.learn(at(u64::from(n)), guest, ADDRESS, &format!("n{n}.example"), Duration::from_secs(86_400));
    }
    let known = names.ports.get(&guest(0, 0).port).map(SortedMap::len);
    assert!(known.is_some_and(|known| known <= ADDRESSES_PER_PORT), "{known:?}");
    assert_eq!(names.of(at(5_000), guest(0, 4_999_u32 as u8), ADDRESS).count(), NAMES_PER_ADDRESS);
}
