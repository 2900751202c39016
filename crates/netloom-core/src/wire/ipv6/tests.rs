//! Arbitrary packets, and packets written and read again.

use proptest::prelude::*;

use super::*;
use crate::wire::ip::{HOP_LIMIT, Header};

const FROM: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const TO: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// A packet of ours.
fn written(part: Part, payload: &[u8]) -> Vec<u8> {
    let header = Header { pair: Pair::V6(FROM, TO), protocol: UDP, hop_limit: HOP_LIMIT, checksum: true };
    let mut packet = vec![0; header.len(part)];
    header.emit(0x1234_5678, part, payload.len(), &mut packet);
    packet.extend_from_slice(payload);
    packet
}

/// Extension headers whose lengths and types often fit.
fn chain() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![
        Just(0_u8),
        Just(6),
        Just(17),
        Just(43),
        Just(44),
        Just(58),
        Just(59),
        Just(60),
        any::<u8>()
    ];
    let header = (kind, 0_u8..3, any::<[u8; 6]>())
        .prop_map(|(kind, length, rest)| [&[kind, length][..], &rest].concat());
    prop::collection::vec(header, 0..12).prop_map(|headers| headers.concat())
}

proptest! {
    #[test]
    fn whatever_arrives_is_read_within_its_bounds(first: u8, chain in chain(), cut in 0_usize..100) {
        let mut packet = written(Part::Whole, &chain);
        packet[6] = first;
        packet.truncate(packet.len().saturating_sub(cut % 9));
        let Ok(packet) = Packet::parse(&packet) else { return Ok(()) };
        let content = packet.content();
        match content {
            Ok(Content::Upper { protocol, at, .. }) => {
                prop_assert_eq!(packet.whole(protocol, at).payload.len(), packet.bytes.len() - at);
            }
            Ok(Content::Fragment { at, type_at, offset, more, .. }) => {
                prop_assert!(at + FRAGMENT_BYTES <= packet.bytes.len() && type_at < at);
                prop_assert!(offset > 0 || more);
                packet.chain_is_whole(at);
                if let Some(whole) = reassembled(&packet.bytes[..at + FRAGMENT_BYTES], &[0; 16]) {
                    prop_assert_eq!(Packet::parse(&whole).map(|whole| whole.bytes.len()), Ok(at + 16));
                }
            }
            Err(Fault::Problem { pointer, .. } | Fault::ProblemOfGroup { pointer, .. }) => {
                prop_assert!(pointer < packet.bytes.len());
            }
            Err(Fault::Truncated | Fault::Silent) => {}
        }
        packet.quotable(content);
    }

    #[test]
    fn what_is_written_is_read_again(payload: Vec<u8>, offset in 0_usize..8000, more: bool) {
        let packet = written(Part::Whole, &payload);
        let read = Packet::parse(&packet).expect("a packet");
        prop_assert_eq!((read.source, read.destination, read.hop_limit), (FROM, TO, HOP_LIMIT));
        prop_assert_eq!(read.content(), Ok(Content::Upper { protocol: UDP, at: 40, fragment_header: false }));
        let offset = offset * 8;
        let packet = written(Part::Fragment { offset, more }, &payload);
        let content = Packet::parse(&packet).expect("a packet").content();
        if offset > 0 || more {
            let id = 0x1234_5678;
            prop_assert_eq!(content, Ok(Content::Fragment { at: 40, type_at: 6, id, offset, more }));
            let whole = reassembled(&packet[..48], &payload).expect("a packet");
            prop_assert_eq!(whole, written(Part::Whole, &payload));
        } else {
            prop_assert_eq!(content, Ok(Content::Upper { protocol: UDP, at: 48, fragment_header: true }));
        }
    }
}

#[test]
fn groups_have_their_addresses() {
    let address: Ipv6Addr = "2001:db8::abcd:ef12:3456".parse().unwrap();
    assert_eq!(solicited_node(address), "ff02::1:ff12:3456".parse::<Ipv6Addr>().unwrap());
    assert_eq!(group_mac(solicited_node(address)), "33:33:ff:12:34:56".parse().unwrap());
    let mac: MacAddr = "52:54:00:12:34:56".parse().unwrap();
    assert_eq!(mac.link_local(), "fe80::5054:ff:fe12:3456".parse::<Ipv6Addr>().unwrap());
}
