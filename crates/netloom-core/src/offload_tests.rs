#![allow(clippy::unwrap_used)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;
use crate::addr::MacAddr;
use crate::counters::Drop;
use crate::port::{PortConfig, PortId};
use crate::switch::{Forwarding, Switch};
use crate::time::Instant;
use crate::wire::checksum::{fold, pseudo_header_v4, pseudo_header_v6, sum, transport_checksum};

const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const TCP: u8 = 6;
const UDP: u8 = 17;
/// FIN, PSH and ACK; and CWR.
const FLAGS: u8 = 0x99;

/// A frame from A to B whose transport checksum is not computed, and how it is to be carried on.
fn large(ipv4: bool, tagged: bool, protocol: u8, payload: &[u8], segment_bytes: u16) -> (Vec<u8>, Offload) {
    let transport_bytes = if protocol == TCP { 32 } else { 8 };
    let message_bytes = transport_bytes + payload.len();
    let mut frame = [B.0, A.0].concat();
    if tagged {
        frame.extend([0x81, 0x00, 0, 7]);
    }
    let pseudo_header = if ipv4 {
        let mut ip = vec![0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        ip[2..4].copy_from_slice(&((20 + message_bytes) as u16).to_be_bytes());
        let checksum = !fold(sum(&ip));
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        frame.extend([0x08, 0x00]);
        frame.extend(ip);
        pseudo_header_v4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2), protocol, message_bytes)
    } else {
        let (from, to) =
            (Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
        let length = (message_bytes as u16).to_be_bytes();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, length[0], length[1], protocol, 64]);
        frame.extend(from.octets());
        frame.extend(to.octets());
        pseudo_header_v6(from, to, protocol, message_bytes)
    };
    let start = frame.len();
    let mut header = vec![0; transport_bytes];
    header[..4].copy_from_slice(&[0x30, 0x39, 0, 80]);
    let offset = if protocol == TCP {
        header[4..8].copy_from_slice(&0xffff_fff0_u32.to_be_bytes());
        header[12] = 8 << 4;
        header[13] = FLAGS;
        16
    } else {
        header[4..6].copy_from_slice(&(message_bytes as u16).to_be_bytes());
        6
    };
    header[offset..offset + 2].copy_from_slice(&fold(pseudo_header).to_be_bytes());
    frame.extend(header);
    frame.extend(payload);
    let checksum = Checksum::Partial { start: start as u16, offset: offset as u16 };
    (frame, Offload { checksum, segment_bytes })
}

/// What a packet carries, its checksums checked.
fn payload_of(frame: &[u8], tagged: bool) -> (Vec<u8>, Vec<u8>) {
    let ip = &frame[if tagged { 18 } else { 14 }..];
    let (from, to, protocol, message): (IpAddr, IpAddr, _, _) = if ip[0] >> 4 == 4 {
        assert_eq!(fold(sum(&ip[..20])), 0xffff, "the checksum of the IPv4 header");
        assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len());
        let at = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]).into();
        (at(12), at(16), ip[9], &ip[20..])
    } else {
        assert_eq!(usize::from(u16::from_be_bytes([ip[4], ip[5]])), ip.len() - 40);
        let at = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).unwrap()).into();
        (at(8), at(24), ip[6], &ip[40..])
    };
    assert_eq!(transport_checksum(from, to, protocol, message), 0, "the transport's checksum");
    let head_bytes = if protocol == TCP { usize::from(message[12] >> 4) * 4 } else { 8 };
    (message[..head_bytes].to_vec(), message[head_bytes..].to_vec())
}

fn complete(frame: &[u8], offload: Offload) -> Option<Vec<Vec<u8>>> {
    let mut packets = Vec::new();
    offload.complete(frame, &mut Vec::new(), |packet| packets.push(packet.to_vec())).then_some(packets)
}

#[test]
fn a_larger_segment_becomes_the_segments_that_it_stands_for() {
    let payload: Vec<u8> = (0..10_001).map(|n| (n % 251) as u8).collect();
    for (ipv4, tagged) in [(true, false), (true, true), (false, false), (false, true)] {
        let (frame, offload) = large(ipv4, tagged, TCP, &payload, 1448);
        let packets = complete(&frame, offload).unwrap();
        assert_eq!(packets.len(), 7);
        let mut came = Vec::new();
        for (n, packet) in packets.iter().enumerate() {
            let (header, part) = payload_of(packet, tagged);
            let seq = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            assert_eq!(seq, 0xffff_fff0_u32.wrapping_add(came.len() as u32));
            let ends = match n {
                0 => 0x80,
                6 => 0x09,
                _ => 0,
            };
            assert_eq!(header[13], 0x10 | ends, "control bits of segment {n}");
            came.extend(part);
        }
        assert_eq!(came, payload);
    }
}

#[test]
fn a_larger_datagram_becomes_the_datagrams_that_it_stands_for() {
    let payload: Vec<u8> = (0..3000).map(|n| (n % 253) as u8).collect();
    for ipv4 in [true, false] {
        let (frame, offload) = large(ipv4, false, UDP, &payload, 1200);
        let parts: Vec<_> =
            complete(&frame, offload).unwrap().iter().map(|packet| payload_of(packet, false).1).collect();
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [1200, 1200, 600]);
        assert_eq!(parts.concat(), payload);
    }
}

#[test]
fn a_checksum_is_computed_where_it_is_missing() {
    for (ipv4, protocol) in [(true, TCP), (false, TCP), (true, UDP), (false, UDP)] {
        for length in [0, 1, 100, 1401] {
            let payload = vec![0xa5; length];
            let (frame, offload) = large(ipv4, false, protocol, &payload, 0);
            let packets = complete(&frame, offload).unwrap();
            assert_eq!(packets.len(), 1);
            assert_eq!(payload_of(&packets[0], false).1, payload);
        }
    }
}

#[test]
fn what_is_not_as_it_is_said_to_be_is_no_frame() {
    let (frame, offload) = large(true, false, TCP, &[1; 5000], 1448);
    for length in 0..frame.len().min(66) {
        assert_eq!(complete(&frame[..length], offload), None, "{length} bytes");
    }
    for (start, offset) in [(5066, 0), (5065, 0), (0xffff, 16), (34, 0xffff)] {
        let partial = Offload { checksum: Checksum::Partial { start, offset }, segment_bytes: 0 };
        assert_eq!(complete(&frame, partial), None, "{start} and {offset}");
    }
    // Nothing but TCP and UDP is cut.
    let mut other = frame;
    other[23] = 47;
    assert_eq!(complete(&other, offload), None);
}

struct Probe {
    switch: Switch,
    a: PortId,
    b: PortId,
}

/// A on a port with offloads; B on one with them or without.
fn probe(offloads: bool, mtu: u16) -> Probe {
    let mut switch = Switch::new(MacAddr([2, 0, 0, 0, 0, 9]), [7; 16]);
    let a = switch.open_port(PortConfig { offloads: true, ..PortConfig::default() });
    let b = switch.open_port(PortConfig { offloads, mtu, ..PortConfig::default() });
    let hello = [&[0xff; 6][..], &B.0, &[0x12, 0x34]].concat();
    assert_eq!(switch.handle_frame(Instant::ZERO, b, &hello), Forwarding::ToStack);
    while switch.poll_offloaded(a).is_some() {}
    Probe { switch, a, b }
}

#[test]
fn between_ports_with_offloads_a_frame_stays_as_it_is() {
    let Probe { mut switch, a, b } = probe(true, 1500);
    for (frame, offload) in [
        large(true, false, TCP, &[1; 9000], 1448),
        large(true, false, UDP, &[2; 700], 0),
        (large(true, false, TCP, &[3; 10], 0).0, Offload { checksum: Checksum::Verified, segment_bytes: 0 }),
        (large(true, false, TCP, &[4; 10], 0).0, Offload::default()),
    ] {
        assert_eq!(switch.handle_offloaded(Instant::ZERO, a, &frame, offload), Forwarding::Done);
        assert_eq!(switch.poll_offloaded(b), Some((&frame[..], offload)));
        assert_eq!(switch.poll_offloaded(b), None);
    }
}

#[test]
fn a_port_without_offloads_gets_whole_packets() {
    let Probe { mut switch, a, b } = probe(false, 1500);
    let payload = [1; 9000];
    let (frame, offload) = large(true, false, TCP, &payload, 1448);
    assert_eq!(switch.handle_offloaded(Instant::ZERO, a, &frame, offload), Forwarding::Done);
    let mut came = Vec::new();
    while let Some(packet) = switch.poll_frame(b) {
        assert!(packet.len() <= 1514);
        came.extend(payload_of(packet, false).1);
    }
    assert_eq!(came, payload);
    let (frame, offload) = large(false, false, UDP, &[2; 700], 0);
    assert_eq!(switch.handle_offloaded(Instant::ZERO, a, &frame, offload), Forwarding::Done);
    assert_eq!(payload_of(switch.poll_frame(b).unwrap(), false).1, [2; 700]);
}

#[test]
fn a_larger_segment_fits_by_its_segments() {
    let Probe { mut switch, a, b } = probe(true, 1400);
    let (frame, offload) = large(true, false, TCP, &[1; 9000], 1448);
    assert_eq!(switch.handle_offloaded(Instant::ZERO, a, &frame, offload), Forwarding::TooBig(1400));
    let (frame, offload) = large(true, false, TCP, &[1; 9000], 1348);
    assert_eq!(switch.handle_offloaded(Instant::ZERO, a, &frame, offload), Forwarding::Done);
    assert!(switch.poll_offloaded(b).is_some());
}

#[test]
fn what_is_not_as_it_is_said_to_be_is_counted() {
    let Probe { mut switch, a, b } = probe(false, 1500);
    let frame = [&B.0[..], &A.0, &[0x08, 0x00, 1, 2, 3]].concat();
    let offload = Offload { checksum: Checksum::Written, segment_bytes: 1000 };
    assert_eq!(switch.handle_offloaded(Instant::ZERO, a, &frame, offload), Forwarding::Done);
    assert_eq!(switch.poll_frame(b), None);
    assert_eq!(switch.drops().of(Drop::OffloadMalformed), 1);
}
