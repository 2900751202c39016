#![allow(clippy::unwrap_used)]

use super::*;

/// The first record of BusyBox 1.35, to web.test.
const BUSYBOX: &[u8] = b"\x16\x03\x03\x00\x58\x01\x00\x00\x54\x03\x03\x1c\xc0\xaa\x1b\xe9\xe0\x3d\xea\x30\xf9\x93\xf1\x52\
    \x2e\x0e\xd5\xf1\x4f\xa9\x56\xa5\x30\x0d\x65\xe9\x99\x69\x63\x18\x82\xac\xd6\x00\x00\x10\x00\xff\xc0\x23\xc0\x27\
    \xc0\x2b\xc0\x2f\x00\x3c\x00\x3d\x00\x9c\x01\x00\x00\x1b\x00\x00\x00\x0d\x00\x0b\x00\x00\x08web.test\
    \x00\x0a\x00\x06\x00\x04\x00\x17\x00\x1d";

fn completed_record(sent: &[u8]) -> Vec<u8> {
    match look(sent) {
        First::Completed(record) => record,
        First::Usual | First::Incomplete => panic!("it is not completed"),
    }
}

#[test]
fn what_is_added_comes_off_again() {
    let shown = completed_record(BUSYBOX);
    assert_eq!(shown.len(), BUSYBOX.len() + ADDED.len());
    assert_eq!(usize::from(u16::from_be_bytes([shown[3], shown[4]])), shown.len() - RECORD_HEAD);
    assert_eq!(original(&shown[RECORD_HEAD..]).unwrap(), &BUSYBOX[RECORD_HEAD..]);
    // What follows the record stays.
    let shown = completed_record(&[BUSYBOX, b"more"].concat());
    assert!(shown.ends_with(b"more"));
}

#[test]
fn what_lacks_nothing_and_what_is_no_hello_is_shown_as_it_is() {
    let shown = completed_record(BUSYBOX);
    assert!(matches!(look(&shown), First::Usual));
    assert!(matches!(look(b"GET / HTTP/1.1"), First::Usual));
    assert!(matches!(look(&[22, 3, 3, 0xff, 0xff]), First::Usual));
    assert_eq!(original(&BUSYBOX[RECORD_HEAD..]), None);
    for end in 0..BUSYBOX.len() {
        assert!(matches!(look(&BUSYBOX[..end]), First::Incomplete));
        // A record that ends there.
        let mut cut = BUSYBOX[..end].to_vec();
        if end >= RECORD_HEAD {
            cut[4] = (end - RECORD_HEAD) as u8;
            assert!(matches!(look(&cut), First::Usual), "{end}");
        }
    }
}

#[test]
fn any_byte_may_be_another() {
    for at in 0..BUSYBOX.len() {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut sent = BUSYBOX.to_vec();
            sent[at] = byte;
            if let First::Completed(shown) = look(&sent) {
                assert_eq!(original(&shown[RECORD_HEAD..]).unwrap(), &sent[RECORD_HEAD..]);
            }
        }
    }
}

#[test]
fn messages_go_apart() {
    let together = [22, 3, 3, 0, 9, 2, 0, 0, 1, 7, 14, 0, 0, 0, 21, 3, 3, 0, 2, 2, 40];
    let apart_ = [22, 3, 3, 0, 5, 2, 0, 0, 1, 7, 22, 3, 3, 0, 4, 14, 0, 0, 0, 21, 3, 3, 0, 2, 2, 40];
    assert_eq!(apart(&together), apart_);
    assert_eq!(apart(&apart_), apart_);
    // What is not whole stays.
    for end in 0..together.len() {
        apart(&together[..end]);
    }
    assert_eq!(apart(&[22, 3, 3, 0, 2, 9, 9]), [22, 3, 3, 0, 2, 9, 9]);
}
