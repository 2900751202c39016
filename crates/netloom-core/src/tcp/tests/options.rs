//! Options: what is written is read again, and nothing that is read can do harm.

use proptest::prelude::*;

use crate::tcp::options::{MAX_WINDOW_SCALE, Options, SackBlocks, Timestamps};
use crate::tcp::{Segment, SeqNumber};

fn options() -> impl Strategy<Value = Options> {
    let block = (any::<u32>(), any::<u32>());
    let sack = proptest::collection::vec(block, 0..=4);
    let scale = proptest::option::of(0..=MAX_WINDOW_SCALE);
    let timestamps = (any::<u32>(), any::<u32>()).prop_map(|(value, echo)| Timestamps { value, echo });
    let timestamps = proptest::option::of(timestamps);
    (proptest::option::of(any::<u16>()), scale, any::<bool>(), timestamps, sack).prop_map(
        |(mss, window_scale, sack_permitted, timestamps, blocks)| {
            let mut sack = SackBlocks::default();
            blocks.iter().for_each(|(start, end)| sack.push(SeqNumber(*start), SeqNumber(*end)));
            Options { mss, window_scale, sack_permitted, timestamps, sack }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(options in options()) {
        let length = options.len();
        prop_assert!(length.is_multiple_of(4));
        prop_assert_eq!(options.is_empty(), length == 0);
        let mut bytes = vec![0xee; length + 4];
        options.emit(&mut bytes);
        prop_assert_eq!(&bytes[length..], &[0xee; 4], "longer than it says");
        prop_assert_eq!(Options::parse(&bytes[..length]), options);
    }

    #[test]
    fn options_of_other_kinds_do_not_hide_ours(
        options in options(),
        others in proptest::collection::vec((9..=255_u8, proptest::collection::vec(any::<u8>(), 0..9)), 0..4),
        padding in 0..4_usize,
    ) {
        let mut bytes = vec![1; padding];
        for (kind, value) in others {
            bytes.extend([kind, 2 + value.len() as u8]);
            bytes.extend(value);
        }
        let at = bytes.len();
        bytes.resize(at + options.len(), 0);
        options.emit(&mut bytes[at..]);
        bytes.extend([0, 2, 4, 0, 1]);
        prop_assert_eq!(Options::parse(&bytes), options);
    }

    #[test]
    fn any_bytes_are_read_in_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let options = Options::parse(&bytes);
        prop_assert!(options.window_scale.is_none_or(|shift| shift <= MAX_WINDOW_SCALE));
        prop_assert!(options.sack.as_slice().len() <= 4);
    }

    #[test]
    fn a_segment_is_its_header_its_options_and_its_payload(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let header = bytes.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
        match Segment::parse(&bytes) {
            None => prop_assert!(header < 20 || header > bytes.len()),
            Some(segment) => {
                prop_assert_eq!(segment.option_bytes.len() + 20, header);
                prop_assert_eq!(segment.payload, &bytes[header..]);
                prop_assert_eq!(&segment.seq.0.to_be_bytes(), &bytes[4..8]);
                let ends = u32::from(bytes[13] & 1) + u32::from(bytes[13] >> 1 & 1);
                prop_assert_eq!(segment.sequence_len(), segment.payload.len() + ends as usize);
            }
        }
    }
}
