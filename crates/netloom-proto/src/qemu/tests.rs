use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const LIMIT: usize = 65_549;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Frame(Vec<u8>),
    Empty,
    TooLong,
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, Result<(), FramingLost>) {
    let mut decoder = Decoder::new(LIMIT);
    let (mut seen, mut result) = (Vec::new(), Ok(()));
    for piece in pieces {
        let now = decoder.decode(piece, |message| {
            seen.push(match message {
                Message::Frame(frame) => Seen::Frame(frame.to_vec()),
                Message::Empty => Seen::Empty,
                Message::TooLong => Seen::TooLong,
            });
        });
        assert!(result.is_ok() || now.is_ok(), "an error is told once");
        assert!(decoder.held_bytes() <= 2 * LIMIT);
        result = result.and(now);
    }
    (seen, result)
}

fn written(frame: &[u8]) -> Vec<u8> {
    [&prefix(frame.len())[..], frame].concat()
}

#[test]
fn a_frame_is_its_length_in_network_order_and_itself() {
    assert_eq!(written(&[7; 258])[..6], [0, 0, 1, 2, 7, 7]);
    assert_eq!(read([&[0, 0, 0, 2, 8, 9][..]]), (vec![Seen::Frame(vec![8, 9])], Ok(())));
}

#[test]
fn a_length_and_its_frame_come_in_pieces_of_their_own() {
    let (first, second) = (vec![1; 60], vec![2; 1514]);
    let pieces =
        [&prefix(60)[..], &first, &prefix(1514)[..1], &prefix(1514)[1..], &second[..700], &second[700..]];
    assert_eq!(read(pieces), (vec![Seen::Frame(first.clone()), Seen::Frame(second.clone())], Ok(())));
}

#[test]
fn empty_and_long_frames_are_skipped_and_told() {
    let mut stream = prefix(0).to_vec();
    stream.extend(written(&[3; 4]));
    stream.extend(written(&vec![0; LIMIT + 1]));
    stream.extend(written(&vec![0; MAX_LENGTH as usize]));
    stream.extend(written(&vec![5; LIMIT]));
    let expected =
        vec![Seen::Empty, Seen::Frame(vec![3; 4]), Seen::TooLong, Seen::TooLong, Seen::Frame(vec![5; LIMIT])];
    assert_eq!(read([&stream[..]]), (expected, Ok(())));
}

#[test]
fn a_length_that_is_none_ends_it() {
    let mut stream = written(&[1]);
    stream.extend((MAX_LENGTH + 1).to_be_bytes());
    stream.extend(written(&[2]));
    let expected = (vec![Seen::Frame(vec![1])], Err(FramingLost(MAX_LENGTH + 1)));
    assert_eq!(read([&stream[..]]), expected);
    assert_eq!(read(stream.chunks(1)), expected);
    assert_eq!(read([&b"GET / HTTP/1.1\r\n"[..]]).1, Err(FramingLost(u32::from_be_bytes(*b"GET "))));
}

proptest! {
    #[test]
    fn cuts_change_nothing(
        lengths in prop::collection::vec(prop_oneof![0_usize..100, Just(1514), LIMIT - 1..LIMIT + 2], 1..6),
        bend in prop::option::of((any::<Index>(), any::<u8>())),
        cuts in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let mut stream: Vec<u8> = lengths.iter().flat_map(|length| written(&vec![7; *length])).collect();
        if let Some((at, value)) = bend {
            *at.get_mut(&mut stream) = value;
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|at| at.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]);
        prop_assert!(read(pieces) == read([&stream[..]]));
    }
}
