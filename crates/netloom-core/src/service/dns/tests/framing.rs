//! DNS over TCP.

use proptest::prelude::*;

use super::super::tcp::{Framer, frame};

fn messages(framer: &mut Framer) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(message) = framer.poll_message() {
        messages.push(message.to_vec());
    }
    messages
}

#[test]
fn pipelined_messages_come_out_one_by_one() {
    let mut framer = Framer::default();
    let stream = [frame(b"one").unwrap(), frame(b"").unwrap(), frame(b"three").unwrap()].concat();
    assert_eq!(framer.push(&stream), stream.len());
    assert_eq!(messages(&mut framer), [&b"one"[..], b"", b"three"]);
}

#[test]
fn the_longest_message_fits_and_no_more_is_held() {
    let longest = frame(&[7; 65_535]).unwrap();
    let mut framer = Framer::default();
    let stream = [longest.clone(), longest].concat();
    assert_eq!(framer.push(&stream), 65_537);
    assert_eq!(framer.push(&stream[65_537..]), 0, "full until the message is taken");
    assert_eq!(messages(&mut framer), [vec![7; 65_535]]);
    assert_eq!(framer.push(&stream[65_537..]), 65_537);
    assert_eq!(frame(&[0; 65_536]), None);
}

proptest! {
    #[test]
    fn messages_survive_any_cut(
        sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
        cuts in proptest::collection::vec(1..200usize, 1..50),
    ) {
        let stream: Vec<u8> = sent.iter().flat_map(|message| frame(message).unwrap()).collect();
        let (mut framer, mut got, mut rest) = (Framer::default(), Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            let taken = framer.push(&rest[..rest.len().min(*cut)]);
            rest = &rest[taken..];
            got.extend(messages(&mut framer));
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(got, sent);
    }
}
