use super::*;

fn sum_by_the_rfc(bytes: &[u8]) -> u16 {
    let mut total = 0u32;
    for word in bytes.chunks(2) {
        total += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

#[test]
fn the_example_of_rfc_1071() {
    assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
}

#[test]
fn every_length_and_offset_agrees_with_the_plain_sum() {
    let bytes: Vec<u8> = (0..400u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for start in 0..9 {
        for end in start..bytes.len() {
            assert_eq!(
                sum(&bytes[start..end]),
                u32::from(sum_by_the_rfc(&bytes[start..end])),
                "{start}..{end}"
            );
        }
    }
}

#[test]
fn the_largest_message_of_ones_does_not_overflow() {
    assert_eq!(sum(&vec![0xff; 65_535]), u32::from(sum_by_the_rfc(&vec![0xff; 65_535])));
}

#[test]
fn parts_of_even_length_add_up() {
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(fold(sum(&bytes[..100]) + sum(&bytes[100..])), fold(sum(&bytes)));
}

#[test]
fn a_right_checksum_verifies_to_zero_and_a_wrong_one_does_not() {
    for (source, destination) in [("10.0.2.15", "10.0.2.2"), ("fd00::2", "fd00::1")] {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        let mut message = vec![7u8; 41];
        message[16..18].fill(0);
        let checksum = transport_checksum(source, destination, 6, &message);
        message[16..18].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(transport_checksum(source, destination, 6, &message), 0);
        message[3] ^= 1;
        assert_ne!(transport_checksum(source, destination, 6, &message), 0);
    }
}

#[test]
fn a_known_ipv4_header() {
    let header = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0,
        0xa8, 0x00, 0xc7,
    ];
    assert_eq!(!fold(sum(&header)), 0);
}

#[test]
fn a_copy_is_whole_and_has_the_sum() {
    let bytes: Vec<u8> = (0..700u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for start in 0..9 {
        for end in start..bytes.len() {
            let mut out = vec![0; end - start];
            assert_eq!(copy(&bytes[start..end], &mut out), sum(&bytes[start..end]), "{start}..{end}");
            assert_eq!(out, bytes[start..end]);
        }
    }
}

#[test]
fn more_than_a_lane_holds_at_once() {
    let ones = vec![0xff; 3 << 20];
    let mut out = vec![0; ones.len()];
    assert_eq!(sum(&ones), 0xffff);
    assert_eq!(copy(&ones, &mut out), 0xffff);
    assert_eq!(out, ones);
}
