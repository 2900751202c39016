//! Where the bytes are cut changes nothing: neither the messages nor the error, on good streams and on bent ones.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::{Decoder, Opcode, Role, put_frame};
use super::sections::{End, Seen, read, read_by, rows};

/// The bytes of binary messages as one stream, and all else beside it.
fn streamed<'a>(role: Role, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<Seen>, End) {
    let (seen, end) = read_by(Decoder::streaming(role), pieces);
    let (mut bytes, mut others) = (Vec::new(), Vec::new());
    for message in seen {
        match message {
            Seen::Binary(piece) => bytes.extend(piece),
            other => others.push(other),
        }
    }
    (bytes, others, end)
}

#[test]
fn a_streaming_decoder_hands_out_what_has_come_and_holds_nothing() {
    for (role, mask) in [(Role::Server, Some([9, 8, 7, 6])), (Role::Client, None)] {
        let payload: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let mut stream = Vec::new();
        put_frame(&mut stream, Opcode::Binary, &payload, mask);
        put_frame(&mut stream, Opcode::Text, b"text", mask);
        put_frame(&mut stream, Opcode::Binary, &[], mask);
        let more = stream.len();
        put_frame(&mut stream, Opcode::Binary, &payload[..5], mask);
        stream[more] &= 0x7f;
        put_frame(&mut stream, Opcode::Ping, b"between", mask);
        put_frame(&mut stream, Opcode::Continuation, &payload[5..1000], mask);
        let expected = [&payload[..], &payload[..1000]].concat();
        let others = vec![Seen::Text, Seen::Ping(b"between".to_vec())];
        for piece in [1, 3, 1000, usize::MAX] {
            assert!(
                streamed(role, stream.chunks(piece)) == (expected.clone(), others.clone(), Ok(())),
                "{piece}"
            );
        }
        let mut decoder = Decoder::streaming(role);
        let mut came = 0;
        let decoded = decoder.decode(&mut stream[..1001], |_| came += 1);
        assert_eq!((decoded, came, decoder.held_bytes()), (Ok(()), 1, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn cuts_change_nothing(
        server in any::<bool>(),
        chosen in prop::collection::vec(any::<Index>(), 1..6),
        bends in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        cuts in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let rows = rows(role);
        let mut stream: Vec<u8> = chosen.iter().flat_map(|at| at.get(&rows).bytes.clone()).collect();
        for (at, value) in bends {
            *at.get_mut(&mut stream) = value;
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|at| at.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]);
        prop_assert!(read(pieces.clone(), role) == read([&stream[..]], role));
        prop_assert!(streamed(role, pieces) == streamed(role, [&stream[..]]));
    }
}
