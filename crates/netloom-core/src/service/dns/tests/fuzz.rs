//! Arbitrary messages: no panic, no answer longer than a message, nothing denied passed on.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::super::{
    Answer, DnsConfig, Names, addresses, answer, matches, servfail, truncate_for_udp, without_denied,
};
use super::wire;
use crate::addr::{Ipv4Net, Ipv6Net};
use crate::time::Duration;

fn asked(query: &[u8]) -> Answer {
    let config = DnsConfig {
        domain: "lan".to_owned(),
        records: vec![("a.lan".to_owned(), vec![IpAddr::from([1, 2, 3, 4])])],
        wildcard: None,
        everywhere: false,
        ttl: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
    };
    let names = Names {
        subnet: Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 8),
        prefix: Some(Ipv6Net::new(Ipv6Addr::LOCALHOST, 64)),
        addresses_of: &|_| vec![Ipv4Addr::new(10, 0, 0, 2).into(), Ipv6Addr::LOCALHOST.into()],
        name_of: &|_| Some("web".to_owned()),
    };
    answer(&config, names, query)
}

/// A message of few questions and records whose names and data are likely to be pointers into it.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (0..64u8).prop_map(|at| vec![0xc0, at]),
        "[a-z]{1,5}".prop_map(|name: String| wire::name(&name)),
        Just(vec![0]),
        Just(wire::name("web.lan")),
        prop_oneof![Just(1u8), Just(5), Just(28), Just(41), Just(65)].prop_map(|kind| vec![0, kind, 0, 1]),
        Just(vec![0, 0, 0, 9, 0, 4, 10, 0, 0, 9]),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    let header = (any::<u16>(), prop_oneof![Just(0x0100u16), Just(0x8180), any::<u16>()], any::<[u8; 4]>());
    (header, proptest::collection::vec(piece, 0..16)).prop_map(|((id, flags, counts), pieces)| {
        let mut bytes = [id.to_be_bytes(), flags.to_be_bytes(), [0, 1]].concat();
        for count in &counts[..3] {
            bytes.extend_from_slice(&[0, count % 4]);
        }
        bytes.extend(pieces.concat());
        bytes
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..600), message()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn queries_never_panic(query in bytes()) {
        if let Answer::Reply(reply) | Answer::Malformed(Some(reply)) = asked(&query) {
            prop_assert!(reply[2] & 0x80 != 0 && reply[..2] == query[..2]);
            prop_assert!(truncate_for_udp(&query, &reply).len() <= 65_507);
        }
        let _ = servfail(&query);
    }

    #[test]
    fn replies_never_panic_and_denied_addresses_never_pass(query in bytes(), reply in bytes()) {
        let _ = matches(&query, &reply);
        let _ = truncate_for_udp(&query, &reply);
        prop_assert!(addresses(&reply).count() <= reply.len());
        let odd = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[3] & 1 == 1);
        if let Some(clean) = without_denied(&reply, &odd) {
            prop_assert!(!addresses(&clean).any(|record| odd(record.address)));
        }
    }
}
