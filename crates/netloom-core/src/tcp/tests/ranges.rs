//! The ranges against a set of single numbers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::tcp::ranges::Ranges;
use crate::tcp::seq::SeqNumber;

/// Numbers lie so far from the first one at most.
const SPAN: usize = 400;
/// More gaps than this are not kept.
const MOST: usize = 64;

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert(usize, usize),
    RemoveBefore(usize),
    TakeAt(usize),
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..SPAN, 1..8_usize).prop_map(|(at, length)| Op::Insert(at, length)),
        12 => (0..SPAN / 2).prop_map(|at| Op::Insert(2 * at, 1)),
        2 => (0..SPAN, 1..SPAN).prop_map(|(at, length)| Op::Insert(at, length)),
        1 => (0..SPAN / 4).prop_map(Op::RemoveBefore),
        1 => (0..SPAN).prop_map(Op::TakeAt),
        1 => Just(Op::Clear),
    ]
}

/// The set as ranges, ends exclusive.
fn joined(set: &BTreeSet<usize>) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &at in set {
        match ranges.last_mut() {
            Some((_, end)) if *end == at => *end += 1,
            _ => ranges.push((at, at + 1)),
        }
    }
    ranges
}

fn first() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), u32::MAX - 500..u32::MAX, 0x7fff_fe00..0x8000_0100_u32]
}

proptest! {
    #[test]
    fn ranges_are_the_set_that_was_put_into_them(
        first in first(),
        ops in proptest::collection::vec(op(), 1..250),
        probes in proptest::collection::vec(0..SPAN, 8),
    ) {
        let seq = |at: usize| SeqNumber(first) + at;
        let mut ranges = Ranges::default();
        let mut model = BTreeSet::new();
        let mut floor = 0;
        for op in ops {
            match op {
                Op::Insert(at, length) => {
                    let (start, end) = (at.max(floor), (at + length).max(floor + 1));
                    let mut with = model.clone();
                    with.extend(start..end);
                    let kept = ranges.insert(seq(start), seq(end));
                    prop_assert_eq!(kept, joined(&with).len() <= joined(&model).len() || joined(&model).len() < MOST);
                    if kept {
                        model = with;
                    }
                }
                Op::RemoveBefore(at) => {
                    floor = floor.max(at);
                    ranges.remove_before(seq(at));
                    model = model.split_off(&at);
                }
                Op::TakeAt(at) => {
                    let wanted = joined(&model).first().filter(|range| range.0 == at).map(|(start, end)| end - start);
                    prop_assert_eq!(ranges.take_at(seq(at)), wanted);
                    if let Some(length) = wanted {
                        model = model.split_off(&(at + length));
                    }
                }
                Op::Clear => {
                    ranges.clear();
                    model.clear();
                }
            }
            let wanted: Vec<_> = joined(&model).into_iter().map(|(start, end)| (seq(start), seq(end))).collect();
            prop_assert_eq!(ranges.as_slice(), &wanted[..]);
            prop_assert_eq!(ranges.bytes(), model.len());
            prop_assert_eq!(ranges.is_empty(), model.is_empty());
            for a in &probes {
                let holding = joined(&model).into_iter().find(|(start, end)| start <= a && a < end);
                prop_assert_eq!(ranges.containing(seq(*a)), holding.map(|(start, end)| (seq(start), seq(end))));
            }
        }
    }
}
