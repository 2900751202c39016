use core::net::{Ipv4Addr, Ipv6Addr};

use super::Translation;
use crate::addr::MacAddr;
use crate::wire::checksum::{fold, sum};
use crate::wire::ethernet::{self, ETHERNET_BYTES, mac_at};
use crate::wire::ip::{self, HOP_LIMIT, Header, Pair, Part};

const INNER: MacAddr = MacAddr([2, 0, 0, 0x11, 0x22, 0x33]);
const OUTER: MacAddr = MacAddr([2, 0, 0, 0xf1, 0xe2, 0xd3]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0x99, 0x88, 0x77]);

fn frame(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET_BYTES];
    ethernet::emit(MacAddr::BROADCAST, INNER, ethertype, &mut frame);
    frame.extend_from_slice(payload);
    frame
}

/// A frame with a message whose checksum, at this offset, is right.
fn packet(pair: Pair, protocol: u8, checksum_at: usize, mut message: Vec<u8>) -> Vec<u8> {
    message[checksum_at..checksum_at + 2].fill(0);
    let checksum = !fold(pair.pseudo_header(protocol, message.len()) + sum(&message));
    message[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
    let header = Header { pair, protocol, hop_limit: HOP_LIMIT, checksum: true };
    let mut bytes = vec![0; header.len(Part::Whole)];
    header.emit(7, Part::Whole, message.len(), &mut bytes);
    bytes.extend_from_slice(&message);
    frame(pair.ethertype(), &bytes)
}

fn v4() -> Pair {
    Pair::V4(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST)
}

fn v6() -> Pair {
    Pair::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1))
}

fn udp(pair: Pair, ports: [u16; 2], data: &[u8]) -> Vec<u8> {
    let mut message: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    message.extend_from_slice(&(8 + data.len() as u16).to_be_bytes());
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(data);
    packet(pair, ip::UDP, 6, message)
}

/// Whether a transport's checksum holds.
fn holds(frame: &[u8], pair: Pair, protocol: u8) -> bool {
    let message = &frame[ETHERNET_BYTES + pair.header_bytes()..];
    fold(pair.pseudo_header(protocol, message.len()) + sum(message)) == u16::MAX
}

fn count(frame: &[u8], mac: MacAddr) -> usize {
    frame.windows(6).filter(|bytes| *bytes == mac.0).count()
}

/// Translates a frame out, and what comes of it in again; the frame outside.
fn there_and_back(frame: &[u8]) -> Vec<u8> {
    let mut translation = Translation::new(OUTER);
    let mut outside = frame.to_vec();
    translation.outward(&mut outside);
    let mut back = outside.clone();
    // As if it came back: the guest's address is where frames go.
    back[..6].copy_from_slice(&OUTER.0);
    translation.inward(&mut back);
    let mut expected = frame.to_vec();
    expected[..6].copy_from_slice(&INNER.0);
    expected[6..12].copy_from_slice(&OUTER.0);
    assert_eq!(back, expected);
    outside
}

fn dhcp(options: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 236];
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[28..34].copy_from_slice(&INNER.0);
    message.extend_from_slice(&[99, 130, 83, 99]);
    message.extend_from_slice(options);
    message
}

#[test]
fn arp_names_senders_and_targets() {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend_from_slice(&INNER.0);
    arp.extend_from_slice(&[10, 0, 0, 2]);
    arp.extend_from_slice(&INNER.0);
    arp.extend_from_slice(&[10, 0, 0, 2]);
    let outside = there_and_back(&frame(0x0806, &arp));
    assert_eq!((count(&outside, INNER), count(&outside, OUTER)), (0, 3));
}

#[test]
fn dhcp_has_the_address_twice_and_its_checksum_holds() {
    for pad in 0..4 {
        let mut options = vec![53, 1, 1];
        options.extend(vec![0; pad]);
        options.extend_from_slice(&[61, 7, 1]);
        options.extend_from_slice(&INNER.0);
        options.push(255);
        let outside = there_and_back(&udp(v4(), [68, 67], &dhcp(&options)));
        assert_eq!((count(&outside, INNER), count(&outside, OUTER)), (0, 3), "{pad} bytes of padding");
        assert!(holds(&outside, v4(), ip::UDP), "{pad} bytes of padding");
    }
}

#[test]
fn dhcp_client_identifiers_made_of_duids_follow() {
    for duid in [&[0, 1, 0, 1, 9, 9, 9, 9][..], &[0, 3, 0, 1]] {
        let mut options = vec![61, (5 + duid.len() + 6) as u8, 255, 1, 2, 3, 4];
        options.extend_from_slice(duid);
        options.extend_from_slice(&INNER.0);
        options.push(255);
        let outside = there_and_back(&udp(v4(), [68, 67], &dhcp(&options)));
        assert_eq!((count(&outside, INNER), count(&outside, OUTER)), (0, 3));
        assert!(holds(&outside, v4(), ip::UDP));
    }
}

#[test]
fn a_client_identifier_of_its_own_choice_stays() {
    let mut options = vec![61, 7, 0];
    options.extend_from_slice(&INNER.0);
    let outside = there_and_back(&udp(v4(), [68, 67], &dhcp(&options)));
    assert_eq!((count(&outside, INNER), count(&outside, OUTER)), (1, 2));
    assert!(holds(&outside, v4(), ip::UDP));
}

#[test]
fn no_checksum_stays_none() {
    let mut bytes = udp(v4(), [68, 67], &dhcp(&[255]));
    let at = ETHERNET_BYTES + v4().header_bytes() + 6;
    bytes[at..at + 2].fill(0);
    let outside = there_and_back(&bytes);
    assert_eq!(outside[at..at + 2], [0, 0]);
    assert_eq!(count(&outside, OUTER), 2);
}

#[test]
fn neighbour_discovery_names_it_in_options() {
    for (kind, body) in [(133, 8), (134, 16), (135, 24), (136, 24), (137, 40)] {
        let mut message = vec![0; body];
        message[0] = kind;
        // The MTU option goes before, as routers send it.
        message.extend_from_slice(&[5, 1, 0, 0, 0, 0, 5, 0xdc]);
        message.extend_from_slice(&[if kind == 136 { 2 } else { 1 }, 1]);
        message.extend_from_slice(&INNER.0);
        let outside = there_and_back(&packet(v6(), ip::ICMPV6, 2, message));
        assert_eq!((count(&outside, INNER), count(&outside, OUTER)), (0, 2), "type {kind}");
        assert!(holds(&outside, v6(), ip::ICMPV6), "type {kind}");
    }
}

#[test]
fn dhcpv6_has_the_clients_duid_alone() {
    for odd in [&[0, 8, 0, 2, 0, 0][..], &[0, 8, 0, 1, 0]] {
        let mut message = vec![1, 7, 7, 7];
        message.extend_from_slice(odd);
        message.extend_from_slice(&[0, 1, 0, 14, 0, 1, 0, 1, 9, 9, 9, 9]);
        message.extend_from_slice(&INNER.0);
        message.extend_from_slice(&[0, 2, 0, 10, 0, 3, 0, 1]);
        message.extend_from_slice(&INNER.0);
        let outside = there_and_back(&udp(v6(), [546, 547], &message));
        assert_eq!((count(&outside, INNER), count(&outside, OUTER)), (1, 2));
        assert!(holds(&outside, v6(), ip::UDP));
    }
}

#[test]
fn tags_of_vlans_are_stepped_over() {
    let mut arp = vec![0x00, 0x05, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend_from_slice(&INNER.0);
    arp.extend_from_slice(&[0; 14]);
    let outside = there_and_back(&frame(0x8100, &arp));
    assert_eq!((count(&outside, INNER), count(&outside, OUTER)), (0, 2));
}

#[test]
fn payloads_that_hold_it_by_chance_stay() {
    let outside = there_and_back(&udp(v4(), [4000, 5000], &INNER.0));
    assert_eq!((count(&outside, INNER), count(&outside, OUTER)), (1, 1));
}

#[test]
fn a_guest_that_uses_the_outer_address_is_left_alone_and_another_is_learnt() {
    let mut translation = Translation::new(OUTER);
    let mut own = frame(0x0800, &[0; 46]);
    own[6..12].copy_from_slice(&OUTER.0);
    let before = own.clone();
    translation.outward(&mut own);
    assert_eq!(own, before);
    for restored in [INNER, OTHER] {
        let mut bytes = frame(0x0800, &[0; 46]);
        bytes[6..12].copy_from_slice(&restored.0);
        translation.outward(&mut bytes);
        assert_eq!(mac_at(&bytes, 6), OUTER);
        bytes[..6].copy_from_slice(&OUTER.0);
        translation.inward(&mut bytes);
        assert_eq!(mac_at(&bytes, 0), restored);
    }
}

#[test]
fn frames_cut_anywhere_are_harmless() {
    let mut options = vec![61, 7, 1];
    options.extend_from_slice(&INNER.0);
    let mut discovery = vec![135; 24];
    discovery.extend_from_slice(&[1, 1]);
    discovery.extend_from_slice(&INNER.0);
    let mut duid = vec![1, 7, 7, 7, 0, 1, 0, 10, 0, 3, 0, 1];
    duid.extend_from_slice(&INNER.0);
    let frames = [
        udp(v4(), [68, 67], &dhcp(&options)),
        packet(v6(), ip::ICMPV6, 2, discovery),
        udp(v6(), [546, 547], &duid),
        frame(0x0806, &[0, 1, 8, 0, 6, 4, 0, 1, 2]),
        frame(0x8100, &[0x81, 0, 0x81, 0, 0x81]),
    ];
    for whole in &frames {
        for length in 0..=whole.len() {
            for at in 0..length {
                let mut translation = Translation::new(OUTER);
                let mut bytes = whole[..length].to_vec();
                bytes[at] = bytes[at].wrapping_mul(31).wrapping_add(255);
                translation.outward(&mut bytes);
                translation.inward(&mut bytes);
                assert_eq!(bytes.len(), length);
            }
        }
    }
}
