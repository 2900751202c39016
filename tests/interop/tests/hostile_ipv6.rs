//! What hostile or odd clients send over IPv6: extension headers, fragments, and more neighbours than a LAN can have.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::Ipv6Addr;
use std::time::Duration;

use netloom_interop::client::Client;
use netloom_interop::frame::v6::{
    DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMPV6, Route, advertised_mac, echo_reply, echo_request,
    fragment, icmpv6_message, ipv6, neighbor_solicitation, options, solicited_node,
};
use netloom_interop::frame::{Mac, mac};
use netloom_interop::lab::{GATEWAY_V6, Lab, SERVER_V6};
use netloom_interop::transfer::Pattern;

const PATIENCE: Duration = Duration::from_secs(5);
const MIB: u64 = 1 << 20;
const OWN: Mac = [0x02, 0x4e, 0, 0, 0, 1];

fn address(number: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits(GATEWAY_V6.to_bits() & !0xffff | 0x1_0000_0000 | u128::from(number))
}

fn lab() -> (Lab, Client, Route) {
    let lab = Lab::new(&["--ipv6", "ula"]).unwrap();
    let (client, route) = join(&lab, OWN, address(0));
    (lab, client, route)
}

/// A client that knows its gateway.
fn join(lab: &Lab, source_mac: Mac, source: Ipv6Addr) -> (Client, Route) {
    let mut client = Client::connect(&lab.host, lab.relay.address(), "/").unwrap();
    let (destination, destination_mac) = solicited_node(GATEWAY_V6);
    let question = Route { source_mac, destination_mac, source, destination };
    client.send(&neighbor_solicitation(question, GATEWAY_V6)).unwrap();
    let gateway = client.expect(PATIENCE, |frame| advertised_mac(frame, GATEWAY_V6)).unwrap();
    (client, Route { destination_mac: gateway, destination: GATEWAY_V6, ..question })
}

/// A newcomer is served: the relay and its LAN are alive.
fn assert_serves(lab: &mut Lab) {
    assert!(lab.relay.is_running(), "the relay ended: {:?}", lab.relay.output());
    let (mut client, route) = join(lab, mac(0xffff), address(0xffff));
    client.send(&ipv6(route, ICMPV6, &echo_request(route, 9, b"alive?"))).unwrap();
    assert_eq!(client.expect(PATIENCE, |frame| Some(echo_reply(frame, 9)?.to_vec())).unwrap(), b"alive?");
}

#[test]
fn requests_behind_extension_headers_are_answered() {
    let (_lab, mut client, route) = lab();
    let pad_n = [1, 2, 0, 0];
    // An option that whoever does not know it shall pass over (RFC 8200 section 4.2).
    let unknown = [0x1e, 2, 0, 0];
    for (number, (first, wrap)) in [
        (HOP_BY_HOP, &(|m: &[u8]| options(ICMPV6, &pad_n, m)) as &dyn Fn(&[u8]) -> Vec<u8>),
        (DESTINATION_OPTIONS, &|m| options(ICMPV6, &unknown, m)),
        (HOP_BY_HOP, &|m| options(DESTINATION_OPTIONS, &pad_n, &options(ICMPV6, &unknown, m))),
        // One fragment that is all there is (RFC 6946).
        (FRAGMENT, &|m| fragment(ICMPV6, 0, false, 7, m)),
    ]
    .into_iter()
    .enumerate()
    {
        let identifier = number as u16;
        let request = echo_request(route, identifier, &[number as u8; 100]);
        client.send(&ipv6(route, first, &wrap(&request))).unwrap();
        let data = client.expect(PATIENCE, |frame| Some(echo_reply(frame, identifier)?.to_vec()));
        assert_eq!(data.unwrap(), [number as u8; 100], "case {number}");
    }
}

#[test]
fn what_is_not_understood_is_told() {
    let (_lab, mut client, route) = lab();
    // An option that shall be told if it is not known, and a header that nobody has (RFC 4443 section 3.4).
    let told = options(ICMPV6, &[0x80 | 0x1e, 2, 0, 0], &echo_request(route, 1, b""));
    for (next_header, payload, code) in [(DESTINATION_OPTIONS, told, 2), (200, vec![0; 32], 1)] {
        client.send(&ipv6(route, next_header, &payload)).unwrap();
        let problem = |frame: &[u8]| {
            let message = icmpv6_message(frame)?;
            (message[0] == 4)
                .then(|| (message[1], u32::from_be_bytes([message[4], message[5], message[6], message[7]])))
        };
        let (told, pointer) = client.expect(PATIENCE, problem).unwrap();
        assert_eq!(told, code);
        // To the option behind both headers' first bytes; to the field that names the header.
        assert_eq!(pointer, if code == 2 { 42 } else { 6 });
    }
}

#[test]
fn fragments_are_put_together_unless_they_overlap() {
    let (mut lab, mut client, route) = lab();
    let request = echo_request(route, 5, &[7; 3000]);
    let (first, rest) = request.split_at(1200);
    let (second, third) = rest.split_at(1200);
    for (offset, more, part) in [(2400, false, third), (0, true, first), (1200, true, second)] {
        client.send(&ipv6(route, FRAGMENT, &fragment(ICMPV6, offset, more, 1, part))).unwrap();
    }
    // The answer comes in fragments too: that its last comes tells that the request was whole.
    let is_fragment = |frame: &[u8]| frame[12..14] == [0x86, 0xdd] && frame.get(20) == Some(&FRAGMENT);
    client.expect(PATIENCE, |frame| (is_fragment(frame) && frame.get(57)? & 1 == 0).then_some(())).unwrap();
    // RFC 5722: what overlaps is thrown away as a whole.
    for (offset, more, part) in [(0, true, first), (1192, true, &request[1192..2400]), (2400, false, third)] {
        client.send(&ipv6(route, FRAGMENT, &fragment(ICMPV6, offset, more, 2, part))).unwrap();
    }
    client.send(&ipv6(route, ICMPV6, &echo_request(route, 6, b"after"))).unwrap();
    let answered = client.expect(PATIENCE, |frame| {
        if is_fragment(frame) { Some(true) } else { echo_reply(frame, 6).map(|_| false) }
    });
    assert!(!answered.unwrap(), "fragments that overlap were put together");
    let before = lab.relay.resident_bytes().unwrap();
    for identification in 0..20_000 {
        client.send(&ipv6(route, FRAGMENT, &fragment(ICMPV6, 0, true, identification, &[0; 1200]))).unwrap();
    }
    assert_serves(&mut lab);
    let grown = lab.relay.resident_bytes().unwrap().saturating_sub(before);
    assert!(grown < 32 * MIB, "{grown} bytes for lone fragments");
}

#[test]
fn a_crowd_of_neighbors_is_bounded() {
    let (mut lab, mut client, route) = lab();
    let before = lab.relay.resident_bytes().unwrap();
    for number in 0..100_000 {
        let own = Route { source: address(number), ..route };
        client.send(&neighbor_solicitation(own, GATEWAY_V6)).unwrap();
    }
    assert_serves(&mut lab);
    let grown = lab.relay.resident_bytes().unwrap().saturating_sub(before);
    assert!(grown < 16 * MIB, "{grown} bytes for neighbours that are none");
}

#[test]
fn garbage_leaves_the_relay_serving() {
    let (mut lab, mut client, route) = lab();
    let mut pattern = Pattern::new(6);
    let outside = Route { destination: SERVER_V6, ..route };
    for round in 0..20_000 {
        let echo = echo_request(route, 1, &[0; 64]);
        let mut frame = match round % 5 {
            0 => ipv6(route, pattern.next_u64() as u8, &[0; 80]),
            1 => ipv6(
                route,
                HOP_BY_HOP,
                &options(DESTINATION_OPTIONS, &[1, 0], &options(ICMPV6, &[5, 2, 0, 0], &echo)),
            ),
            2 => ipv6(route, FRAGMENT, &fragment(ICMPV6, 0, true, 1, &echo)),
            3 => neighbor_solicitation(route, GATEWAY_V6),
            _ => ipv6(outside, 17, &[4, 0, 0, 9, 0, 12, 0, 0, 1, 2, 3, 4]),
        };
        for _ in 0..4 {
            let at = 14 + pattern.below(frame.len() - 14);
            frame[at] = pattern.next_u64() as u8;
        }
        frame.truncate(frame.len() - pattern.below(48) * usize::from(round % 3 == 0));
        client.send(&frame).unwrap();
    }
    assert_serves(&mut lab);
    assert!(lab.relay.resident_bytes().unwrap() < 128 * MIB);
}
