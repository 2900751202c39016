#![allow(clippy::unwrap_used)]

use super::*;

fn tcp_frame(ipv4: bool) -> Vec<u8> {
    let ip_bytes = if ipv4 { 20 } else { 40 };
    let mut frame = vec![0; 14 + ip_bytes + 32 + 4000];
    frame[12..14].copy_from_slice(if ipv4 { &[0x08, 0x00] } else { &[0x86, 0xdd] });
    frame[14] = if ipv4 { 0x45 } else { 0x60 };
    frame[if ipv4 { 23 } else { 20 }] = TCP;
    frame[14 + ip_bytes + 12] = 8 << 4;
    frame
}

#[test]
fn what_is_left_to_do_survives_the_header() {
    for ipv4 in [true, false] {
        let frame = tcp_frame(ipv4);
        let start = if ipv4 { 34 } else { 54 };
        for segment_bytes in [0, 1448] {
            for checksum in [Checksum::Written, Checksum::Verified, Checksum::Partial { start, offset: 16 }] {
                let offload = Offload { checksum, segment_bytes };
                assert_eq!(parse(&emit(&frame, offload)), offload);
            }
        }
    }
}

#[test]
fn the_kernel_is_told_the_family_and_the_headers_length() {
    let offload = Offload { checksum: Checksum::Partial { start: 34, offset: 16 }, segment_bytes: 1448 };
    let header = emit(&tcp_frame(true), offload);
    assert_eq!(header[..2], [NEEDS_CSUM, GSO_TCPV4]);
    assert_eq!(u16::from_ne_bytes([header[2], header[3]]), 14 + 20 + 32);
    let header = emit(&tcp_frame(false), offload);
    assert_eq!(header[1], GSO_TCPV6);
    assert_eq!(u16::from_ne_bytes([header[2], header[3]]), 14 + 40 + 32);
}

#[test]
fn a_frame_that_is_no_packet_is_never_to_be_cut() {
    for length in 0..80 {
        let header = emit(&vec![0; length], Offload { segment_bytes: 1000, ..Offload::default() });
        assert_eq!(header[1], GSO_NONE);
    }
}
