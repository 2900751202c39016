#![allow(clippy::unwrap_used)]

use super::*;

fn one(bytes: &[u8]) -> Option<Element<'_>> {
    Reader(bytes).next()
}

#[test]
fn times_are_written_and_read() {
    for (at, text) in [
        (0, "700101000000Z"),
        (951_782_400, "000229000000Z"),
        (1_763_757_296, "251121203456Z"),
        (2_524_607_999, "491231235959Z"),
        (2_524_608_000, "20500101000000Z"),
        (4_107_542_400, "21000301000000Z"),
    ] {
        let written = time(at);
        let read = one(&written).unwrap();
        assert_eq!(core::str::from_utf8(read.content).unwrap(), text);
        assert_eq!(read_time(&read), Some(at));
    }
    for text in ["", "Z", "2511212034Z", "25112120345600Z", "251321203456Z", "éé1121203456Z", "251121203456"]
    {
        assert_eq!(read_time(&one(&element(UTC_TIME, &[text.as_bytes()])).unwrap()), None, "{text}");
    }
}

#[test]
fn elements_of_any_length_are_written_and_read() {
    for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
        let content = vec![7; length];
        let written = element(OCTET_STRING, &[&content[..length / 2], &content[length / 2..]]);
        let read = one(&written).unwrap();
        assert_eq!((read.tag, read.content, read.whole), (OCTET_STRING, &content[..], &written[..]));
        assert_eq!(one(&written[..written.len() - 1]), None);
    }
    assert_eq!(one(&[4, 0x84, 0, 0, 0, 0]), None);
    assert_eq!(one(&[4, 0x80]).unwrap().content, b"");
}
