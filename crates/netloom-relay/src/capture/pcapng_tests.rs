//! The blocks' lengths and fields, read back by the format's own rules. That others read them is shown with tshark in `tests/interop`.

#![allow(clippy::expect_used, reason = "a test")]

use super::*;

/// A file's blocks: type and body, after checking both lengths.
fn blocks(file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
    let (mut at, mut found) = (0, Vec::new());
    while at < file.len() {
        let length = word(at + 4) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(word(at + length - 4) as usize, length, "both lengths are the same");
        found.push((word(at), file[at + 8..at + length - 4].to_vec()));
        at += length;
    }
    found
}

/// The options behind a block's fixed fields: code and value.
fn options(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut found = Vec::new();
    loop {
        let code = u16::from_le_bytes([bytes[0], bytes[1]]);
        let length = usize::from(u16::from_le_bytes([bytes[2], bytes[3]]));
        if code == 0 {
            assert_eq!(bytes.len(), 4, "the end of options is the end of the block");
            return found;
        }
        found.push((code, bytes[4..4 + length].to_vec()));
        bytes = &bytes[4 + length.next_multiple_of(4)..];
    }
}

#[test]
fn a_file_has_its_blocks_in_order() {
    let mut file = Vec::new();
    put_section(&mut file, "netloom");
    put_interface(&mut file, "default/1", "127.0.0.1:1", 96, Some("tcp"));
    let frame: Vec<u8> = [0xff; 6].into_iter().chain(0..95).collect();
    put_packet(&mut file, 0, 0x1_0000_0002, Direction::Outbound, &frame, 96);
    put_statistics(&mut file, 0, (7, 8), Statistics { received: 5, accepted: 4, dropped: 1 });
    let blocks = blocks(&file);
    let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [SECTION_HEADER, INTERFACE_DESCRIPTION, ENHANCED_PACKET, INTERFACE_STATISTICS]);

    assert_eq!(blocks[0].1[..4], BYTE_ORDER_MAGIC.to_le_bytes());
    assert_eq!(options(&blocks[0].1[16..]), [(4, b"netloom".to_vec())]);
    assert_eq!(blocks[1].1[..8], [1, 0, 0, 0, 96, 0, 0, 0]);
    let described = [(2, b"default/1".to_vec()), (3, b"127.0.0.1:1".to_vec()), (11, b"\0tcp".to_vec())];
    assert_eq!(options(&blocks[1].1[8..]), described);
    let packet = &blocks[2].1;
    assert_eq!(packet[4..20], [1, 0, 0, 0, 2, 0, 0, 0, 96, 0, 0, 0, 101, 0, 0, 0]);
    assert_eq!(packet[20..116], frame[..96]);
    // Outbound, broadcast.
    assert_eq!(options(&packet[116..]), [(2, vec![0b1110, 0, 0, 0])]);
    let counts: Vec<u64> = options(&blocks[3].1[12..])
        .into_iter()
        .filter(|(code, _)| *code >= 4)
        .map(|(_, value)| u64::from_le_bytes(value.try_into().expect("eight bytes")))
        .collect();
    assert_eq!(counts, [5, 1, 4, 3], "received, dropped, accepted, delivered");
}

#[test]
fn a_packet_takes_no_more_than_is_reckoned() {
    for length in 0..64 {
        let mut out = Vec::new();
        put_packet(&mut out, 0, 0, Direction::Inbound, &vec![0; length], usize::MAX);
        assert!(out.len() <= length + PACKET_OVERHEAD_BYTES, "{length}: {}", out.len());
    }
}

#[test]
fn statistics_take_what_is_reckoned() {
    let mut out = Vec::new();
    put_statistics(&mut out, 0, (7, 8), Statistics::default());
    assert_eq!(out.len(), STATISTICS_BYTES);
}
