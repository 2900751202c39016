//! Sequence numbers against positions that never come round.

use proptest::prelude::*;

use crate::tcp::SeqNumber;

fn at(position: u64) -> SeqNumber {
    SeqNumber(position as u32)
}

proptest! {
    #[test]
    fn numbers_order_as_the_positions_they_stand_for(first: u32, near in -0x7fff_ffff..=0x7fff_ffff_i64) {
        let a = u64::from(first) + (1 << 32);
        let b = a.wrapping_add_signed(near);
        prop_assert_eq!(at(a).partial_cmp(&at(b)), Some(a.cmp(&b)));
        prop_assert_eq!(at(b).since(at(a)) as u64, b.saturating_sub(a));
        prop_assert_eq!(at(a).max(at(b)), at(a.max(b)));
        prop_assert_eq!(at(a).min(at(b)), at(a.min(b)));
    }

    #[test]
    fn numbers_move_as_positions_do(first: u32, by in 0..0x8000_0000_u64) {
        let from = u64::from(first) + (1 << 32);
        prop_assert_eq!(at(from) + by as usize, at(from + by));
        prop_assert_eq!(at(from) - by as usize, at(from - by));
        let mut number = at(from);
        number += by as usize;
        prop_assert_eq!(number - by as usize, at(from));
    }
}
