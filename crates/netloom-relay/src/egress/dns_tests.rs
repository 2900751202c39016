//! Which messages answer a query, and which servers a resolv.conf names.

use super::*;

fn query(name: &[u8], id: [u8; 2]) -> Vec<u8> {
    let mut message = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(name);
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

fn response(name: &[u8], id: [u8; 2]) -> Vec<u8> {
    let mut message = query(name, id);
    message[2] |= 0x80;
    message
}

#[test]
fn only_a_response_to_the_question_answers() {
    let asked = query(b"\x03web\x03lan", [1, 2]);
    assert!(answers(&asked, &response(b"\x03web\x03lan", [1, 2])));
    assert!(answers(&asked, &response(b"\x03WEB\x03lan", [1, 2])));
    assert!(!answers(&asked, &response(b"\x03web\x03lan", [1, 3])), "another identifier");
    assert!(!answers(&asked, &response(b"\x03wob\x03lan", [1, 2])), "another question");
    assert!(!answers(&asked, &query(b"\x03web\x03lan", [1, 2])), "no response");
    for length in 0..asked.len() {
        assert!(!answers(&asked, &response(b"\x03web\x03lan", [1, 2])[..length]), "cut to {length}");
    }
    let mut failure = response(b"", [1, 2])[..12].to_vec();
    failure[5] = 0;
    assert!(!answers(&asked, &failure), "no question and no error");
    failure[3] = 1;
    assert!(answers(&asked, &failure), "a format error without the question");
}

#[test]
fn resolv_conf() {
    let text = "# comment\nnameserver 127.0.0.53\noptions edns0\n nameserver\t2001:db8::1 # x\nnameserver fe80::1%no-such-interface\nnameserver fe80::1%lo\nnameserver 192.0.2.4\nnameserver\n";
    // One is not of this host, and of those that are left three are asked.
    let expected = ["127.0.0.53:53", "[2001:db8::1]:53", "[fe80::1%1]:53"];
    assert_eq!(resolvers(text), expected.map(|text| text.parse().expect("an address")));
    assert!(resolvers("").is_empty());
}
