//! What is done with answers from outside.

use core::net::{IpAddr, Ipv4Addr};
use std::borrow::Cow;

use super::super::{
    AddressRecord, addresses, lifetime_s, matches, question, truncate_for_udp, without_denied,
};
use super::wire::*;

const QUESTION: [u8; 2] = [0xc0, 12];
const PUBLIC: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);
const PRIVATE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

fn response(asked: &str, kind: u16) -> Vec<u8> {
    message(0x81a0, asked, kind)
}

fn deny_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[test]
fn only_the_answer_to_the_question_matches() {
    let query = query("example.org", A);
    assert!(matches(&query, &response("example.org", A)));
    assert!(matches(&query, &response("EXAMPLE.org", A)));
    let mut other_id = response("example.org", A);
    other_id[1] ^= 1;
    let mut other_class = response("example.org", A);
    *other_class.last_mut().unwrap() = 3;
    let mut no_question = response("example.org", A);
    no_question[5] = 0;
    for (what, forged) in [
        ("identifier", other_id),
        ("class", other_class),
        ("no question", no_question),
        ("a query", query.clone()),
        ("name", response("example.com", A)),
        ("type", response("example.org", AAAA)),
        ("operation", message(0x8180 | 4 << 11, "example.org", A)),
        ("escaped dot", response("example\\.org", A)),
        ("cut", response("example.org", A)[..20].to_vec()),
        ("empty", vec![]),
    ] {
        assert!(!matches(&query, &forged), "{what}");
    }
}

#[test]
fn question_is_read_as_written() {
    let asked = question(&query("wWw.Example.org", AAAA)).unwrap();
    assert_eq!((asked.name.as_str(), asked.kind, asked.class), ("wWw.Example.org", AAAA, 1));
    let mut odd = query("a", A);
    odd[12..14].copy_from_slice(&[1, 0]);
    assert_eq!(question(&odd).unwrap().name, "\\000");
    let mut dotted = query("abc", A);
    dotted[14] = b'.';
    assert_eq!(question(&dotted).unwrap().name, "a\\.c", "one label, not two");
}

#[test]
fn replies_that_the_client_takes_go_by_udp_unchanged() {
    let fill = |reply: &mut Vec<u8>, size: usize| {
        let rest = size - reply.len() - 12;
        push(reply, 1, &QUESTION, 16, &vec![0; rest]);
        assert_eq!(reply.len(), size);
    };
    for (payload, taken) in [(None, 512), (Some(100), 512), (Some(1232), 1232), (Some(65_535), 65_507)] {
        let mut query = query("example.org", A);
        if let Some(payload) = payload {
            push_opt(&mut query, payload, 0, true);
        }
        let (mut fits, mut exceeds) = (response("example.org", A), response("example.org", A));
        fill(&mut fits, taken);
        fill(&mut exceeds, taken + 1);
        assert_eq!(truncate_for_udp(&query, &fits), Cow::Borrowed(&fits[..]));
        let short = Read::of(&truncate_for_udp(&query, &exceeds));
        assert_eq!(short.flags, 0x83a0, "TC, the other flags as they were");
        assert_eq!((short.question, short.records), (Some(("example.org".to_owned(), A)), vec![]));
    }
}

#[test]
fn a_cut_reply_keeps_its_edns() {
    let mut reply = response("example.org", A);
    push(&mut reply, 1, &QUESTION, 16, &[0; 600]);
    push_opt(&mut reply, 1400, 0, true);
    let short = Read::of(&truncate_for_udp(&query("example.org", A), &reply));
    let opt = short.of_kind(OPT)[0];
    assert_eq!((opt.class, opt.ttl), (1400, 0x8000));
}

#[test]
fn addresses_of_the_answer_section_are_told_with_their_names() {
    let mut reply = response("www.example.org", A);
    push(&mut reply, 1, &QUESTION, CNAME, &name("cdn.example.net"));
    push(&mut reply, 1, &name("cdn.example.net"), A, &PUBLIC.octets());
    push(&mut reply, 1, &name("cdn.example.net"), A, &[1, 2, 3]);
    push(&mut reply, 1, &QUESTION, AAAA, &[0xfd; 16]);
    push(&mut reply, 3, &QUESTION, A, &PRIVATE.octets());
    let record = |name: &str, address| AddressRecord { name: name.to_owned(), address, ttl_s: 60 };
    let expected = [record("cdn.example.net", PUBLIC.into()), record("www.example.org", [0xfd; 16].into())];
    assert_eq!(addresses(&reply).collect::<Vec<_>>(), expected);
    assert_eq!(addresses(&reply[..reply.len() - 40]).count(), 1, "up to where it is cut");
    assert_eq!(addresses(&[]).count(), 0);
}

#[test]
fn a_reply_is_kept_as_long_as_the_shortest_of_its_records() {
    let ttl = |reply: &mut Vec<u8>, data_bytes: usize, ttl_s: u32| {
        let at = reply.len() - data_bytes - 6;
        reply[at..at + 4].copy_from_slice(&ttl_s.to_be_bytes());
    };
    let mut found = response("x", A);
    assert_eq!(lifetime_s(&found), None, "neither records nor a reason");
    for ttl_s in [300, 77, 90] {
        push(&mut found, 1, &QUESTION, A, &PUBLIC.octets());
        ttl(&mut found, 4, ttl_s);
    }
    assert_eq!(lifetime_s(&found), Some(77));
    ttl(&mut found, 4, 1 << 31);
    assert_eq!(lifetime_s(&found), Some(0));
    found[3] |= 2;
    assert_eq!(lifetime_s(&found), None, "a failure");
    assert_eq!(lifetime_s(&found[..20]), None);

    let start = |minimum_s: u32| [&[0, 0][..], &[0; 16], &minimum_s.to_be_bytes()].concat();
    for (ttl_s, minimum_s, expected) in [(60, 30, 30), (60, 3600, 60)] {
        let mut absent = response("x", A);
        absent[3] |= 3;
        push(&mut absent, 2, &QUESTION, 6, &start(minimum_s));
        ttl(&mut absent, 22, ttl_s);
        assert_eq!(lifetime_s(&absent), Some(expected));
    }
}

#[test]
fn a_time_to_live_with_its_top_bit_set_is_none() {
    let mut reply = response("x", A);
    push(&mut reply, 1, &QUESTION, A, &PUBLIC.octets());
    let at = reply.len() - 10;
    reply[at] = 0x80;
    assert_eq!(addresses(&reply).next().unwrap().ttl_s, 0);
}

#[test]
fn replies_without_denied_addresses_are_untouched() {
    let mut reply = response("example.org", MX);
    push(&mut reply, 1, &QUESTION, MX, &[0, 10, 0xc0, 12]);
    push(&mut reply, 2, &QUESTION, SOA, b"anything");
    push(&mut reply, 3, &QUESTION, A, &PUBLIC.octets());
    push_opt(&mut reply, 1232, 0, true);
    assert_eq!(without_denied(&reply, &deny_private), Some(Cow::Borrowed(&reply[..])));
}

#[test]
fn denied_addresses_are_taken_out_and_the_rest_stays() {
    let mut reply = response("www.example.org", A);
    push(&mut reply, 1, &QUESTION, CNAME, &[3, b'c', b'd', b'n', 0xc0, 16]);
    push(&mut reply, 1, &name("cdn.example.org"), A, &PRIVATE.octets());
    push(&mut reply, 1, &name("cdn.example.org"), A, &PUBLIC.octets());
    push(&mut reply, 2, &QUESTION, SOA, b"anything");
    push_opt(&mut reply, 1232, 0, true);
    let clean = without_denied(&reply, &deny_private).unwrap();
    let read = Read::of(&clean);
    assert_eq!(read.flags, 0x8180, "no longer what was authenticated");
    assert_eq!(read.of_kind(CNAME)[0].data, name("cdn.example.org"));
    let kept: Vec<_> = read.of_kind(A).iter().map(|a| (a.owner.clone(), a.data.clone())).collect();
    assert_eq!(kept, [("cdn.example.org".to_owned(), PUBLIC.octets().to_vec())]);
    assert_eq!((read.records.len(), read.of_kind(OPT)[0].class), (3, 1232));
    assert_eq!(without_denied(&clean, &deny_private), Some(Cow::Borrowed(&clean[..])), "clean is clean");
}

#[test]
fn nothing_but_denied_addresses_leaves_an_empty_answer() {
    for (kind, data) in [(A, PRIVATE.octets().to_vec()), (AAAA, vec![0xfd; 16])] {
        let mut reply = response("rebind.example", kind);
        push(&mut reply, 1, &QUESTION, kind, &data);
        let read = Read::of(&without_denied(&reply, &deny_private).unwrap());
        assert_eq!((read.rcode(), read.records, read.question.unwrap().1), (0, vec![], kind));
    }
}

#[test]
fn denied_addresses_are_found_in_hints_and_glue_too() {
    let hint = |key: u16, address: &[u8]| {
        let mut data = vec![0, 1, 0];
        data.extend_from_slice(&[0, 1, 0, 3, 2, b'h', b'2']);
        data.extend_from_slice(&key.to_be_bytes());
        data.extend_from_slice(&(address.len() as u16).to_be_bytes());
        data.extend_from_slice(address);
        data
    };
    let two = [PUBLIC.octets(), PRIVATE.octets()].concat();
    let cut = hint(4, &two)[..15].to_vec();
    for (what, data) in [("IPv4", hint(4, &two)), ("IPv6", hint(6, &[0xfd; 16])), ("broken", cut)] {
        let mut reply = response("example.org", HTTPS);
        push(&mut reply, 1, &QUESTION, HTTPS, &data);
        assert_eq!(Read::of(&without_denied(&reply, &deny_private).unwrap()).records, [], "{what}");
    }
    let mut public = response("example.org", HTTPS);
    push(&mut public, 1, &QUESTION, HTTPS, &hint(4, &PUBLIC.octets()));
    assert!(matches!(without_denied(&public, &deny_private), Some(Cow::Borrowed(_))));

    let mut glue = response("example.org", MX);
    push(&mut glue, 3, &name("mail.example.org"), A, &PRIVATE.octets());
    assert_eq!(Read::of(&without_denied(&glue, &deny_private).unwrap()).records, []);
}

#[test]
fn replies_that_do_not_parse_are_not_passed_on() {
    let mut reply = response("example.org", A);
    push(&mut reply, 1, &QUESTION, A, &PRIVATE.octets());
    for cut in 0..reply.len() {
        assert_eq!(without_denied(&reply[..cut], &deny_private), None, "{cut} bytes");
    }
    let mut one_more = reply.clone();
    one_more[7] = 2;
    assert_eq!(without_denied(&one_more, &deny_private), None);
}

/// Names that are chains of pointers cost a reader the more the longer the chain: it must stop early.
#[test]
fn chains_of_pointers_end() {
    let mut reply = response("x", A);
    let start = reply.len();
    let mut chain = vec![0];
    let mut target = start + 11;
    while chain.len() < 16_000 {
        let at = start + 11 + chain.len();
        chain.extend_from_slice(&(0xc000 | target as u16).to_be_bytes());
        target = at;
        if target > 0x3fff - 2 {
            break;
        }
    }
    push(&mut reply, 1, &[0], 16, &chain);
    push(&mut reply, 1, &(0xc000 | target as u16).to_be_bytes(), A, &PUBLIC.octets());
    assert_eq!(addresses(&reply).count(), 0);
    assert_eq!(without_denied(&reply, &deny_private), None);
}
