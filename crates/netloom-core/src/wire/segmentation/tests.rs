use core::net::IpAddr;

use super::*;
use crate::wire::checksum::transport_checksum;

const IPV4: [u8; 20] = [0x45, 0, 0, 99, 9, 9, 0x40, 0, 64, TCP, 7, 7, 10, 0, 0, 1, 203, 0, 113, 200];
const OPTIONS: [u8; 12] = [1, 1, 8, 10, 0xde, 0xad, 0xbe, 0xef, 0xca, 0xfe, 0xf0, 0x0d];

fn ipv6() -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0, 0, 99, TCP, 64];
    header.extend((0..32).map(|i: u8| i.wrapping_mul(207)));
    header
}

fn frame(tag: bool, ip: &[u8], ports: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if tag {
        frame.extend([0x81, 0, 0, 5]);
    }
    frame.extend(if ip[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] });
    frame.extend(ip);
    frame.extend(ports);
    frame.extend([1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff, 0x80, 0x10, 0xab, 0xcd, 0x55, 0x55, 0, 0]);
    frame.extend(OPTIONS);
    frame
}

/// What RFC 9293 and RFC 791 ask of a frame's checksums and lengths.
fn assert_whole(frame: &[u8], ip_at: usize) {
    let ip = &frame[ip_at..];
    let (source, destination, tcp): (IpAddr, IpAddr, _) = if ip[0] >> 4 == 4 {
        assert_eq!(fold(sum(&ip[..20])), 0xffff);
        assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len());
        let at = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&ip[at..at + 4]).unwrap());
        (at(12), at(16), &ip[20..])
    } else {
        assert_eq!(usize::from(u16::from_be_bytes([ip[4], ip[5]])), ip.len() - 40);
        let at = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).unwrap());
        (at(8), at(24), &ip[40..])
    };
    assert_eq!(transport_checksum(source, destination, TCP, tcp), 0);
}

#[test]
fn every_part_is_a_whole_segment() {
    for (tag, ip) in [(false, IPV4.to_vec()), (true, IPV4.to_vec()), (false, ipv6()), (true, ipv6())] {
        let first = frame(tag, &ip, [0x1f, 0x90, 0xc0, 0x01]);
        let template = Template::new(&first, true).unwrap();
        assert_eq!(template.head_bytes(), first.len());
        for (seq, length, flags) in [(0, 0, 0), (0xffff_fffe, 1460, 8), (0x8000_7fff, 1461, 9), (7, 1, 1)] {
            let payload: Vec<u8> =
                (0..length).map(|i: u32| i.wrapping_mul(31).wrapping_add(seq) as u8).collect();
            let mut out = [vec![0xee; first.len()], payload.clone()].concat();
            let part = Part { seq, id: seq as u16, flags, payload_sum: sum(&payload) };
            template.write(part, &mut out);
            let ip_at = if tag { 18 } else { 14 };
            assert_whole(&out, ip_at);
            let tcp_at = ip_at + ip.len();
            assert_eq!(out[tcp_at + 4..tcp_at + 8], seq.to_be_bytes());
            assert_eq!(out[tcp_at + 13], 0x10 | flags);
            assert_eq!(out[tcp_at + 20..first.len()], OPTIONS);
            assert_eq!(out[first.len()..], payload);
        }
    }
}

#[test]
fn without_checksums_their_fields_are_zero() {
    let first = frame(false, &IPV4, [0, 1, 0, 2]);
    let template = Template::new(&first, false).unwrap();
    let mut out = [vec![0xee; first.len()], vec![1; 10]].concat();
    template.write(Part { seq: 1, id: 2, flags: 0, payload_sum: 0 }, &mut out);
    assert_eq!((&out[24..26], &out[50..52]), (&[0, 0][..], &[0, 0][..]));
}

#[test]
fn nothing_else_is_taken_for_a_segment() {
    let whole = frame(false, &IPV4, [0, 1, 0, 2]);
    assert!((0..whole.len()).all(|length| Template::new(&whole[..length], true).is_none()));
    let changed = |at: usize, value: u8| {
        let mut frame = whole.clone();
        frame[at] = value;
        Template::new(&frame, true)
    };
    assert!(changed(12, 9).is_none(), "another ethertype");
    assert!(changed(14, 0x44).is_none(), "a header too short");
    assert!(changed(14, 0x4f).is_none(), "a header longer than the frame");
    assert!(changed(20, 0x60).is_none(), "a fragment");
    assert!(changed(21, 1).is_none(), "a later fragment");
    assert!(changed(23, 17).is_none(), "UDP");
    assert!(changed(46, 0x40).is_none(), "a TCP header too short");
    assert!(changed(46, 0xf0).is_none(), "a TCP header longer than the frame");
}
