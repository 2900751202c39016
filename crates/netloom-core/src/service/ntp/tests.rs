//! NTP answers, field by field.

use proptest::prelude::*;

use super::{MESSAGE_BYTES, reply};

const UNIX_1_SECOND_BEFORE_ERA_1: u64 = 2_085_978_495;

fn request(first: u8) -> [u8; MESSAGE_BYTES] {
    let mut request = [0; MESSAGE_BYTES];
    request[0] = first;
    request[2] = 6;
    request[40..48].copy_from_slice(b"transmit");
    request
}

fn seconds(reply: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(reply[at..at + 4].try_into().unwrap())
}

#[test]
fn answers_clients_of_every_version() {
    for version in 1..=4u8 {
        let reply = reply(&request(version << 3 | 3), 1_700_000_000_500_000).unwrap();
        assert_eq!(reply[0], version << 3 | 4, "no leap warning, same version, server");
        assert_eq!(reply[1], 1);
        assert_eq!(reply[2], 6, "the poll interval is the client's");
        assert_eq!(&reply[12..16], b"LOCL");
        assert_eq!(&reply[24..32], b"transmit", "origin is what the client sent");
        for at in [16, 32, 40] {
            assert_eq!(seconds(&reply, at), 1_700_000_000u32.wrapping_add(2_208_988_800));
            assert_eq!(seconds(&reply, at + 4), 1 << 31, "half a second");
        }
    }
}

#[test]
fn answers_a_symmetric_peer_as_passive_and_a_version_1_client_without_mode() {
    assert_eq!(reply(&request(4 << 3 | 1), 0).unwrap()[0], 4 << 3 | 2);
    assert_eq!(reply(&request(1 << 3), 0).unwrap()[0], 1 << 3 | 4);
}

#[test]
fn wraps_into_the_next_era() {
    let before = reply(&request(0x23), UNIX_1_SECOND_BEFORE_ERA_1 * 1_000_000).unwrap();
    let after = reply(&request(0x23), (UNIX_1_SECOND_BEFORE_ERA_1 + 1) * 1_000_000).unwrap();
    assert_eq!((seconds(&before, 40), seconds(&after, 40)), (u32::MAX, 0));
}

#[test]
fn is_silent_to_everything_else() {
    for first in 0..=255u8 {
        let (version, mode) = (first >> 3 & 7, first & 7);
        let asked = matches!((version, mode), (1..=4, 1 | 3) | (1, 0));
        assert_eq!(reply(&request(first), 0).is_some(), asked, "version {version} mode {mode}");
    }
    assert_eq!(reply(&request(0x23)[..47], 0), None);
}

#[test]
fn ignores_what_follows_the_message() {
    let mut long = request(0x23).to_vec();
    long.extend_from_slice(&[7; 20]);
    assert!(reply(&long, 0).is_some());
}

proptest! {
    #[test]
    fn never_panics(request in proptest::collection::vec(any::<u8>(), 0..96), unix_us: u64) {
        let _ = reply(&request, unix_us);
    }
}
