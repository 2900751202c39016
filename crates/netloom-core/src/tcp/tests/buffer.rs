//! The ring against a queue that moves single bytes.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use crate::tcp::buffer::Ring;
use crate::wire::checksum::sum;

/// No power of two, and below and above what a ring takes first.
const LIMITS: [usize; 3] = [1000, 5000, 70_000];

#[derive(Clone, Copy, Debug)]
enum Op {
    Push(usize),
    /// So many bytes so far behind the end.
    Put(usize, usize),
    Summed(usize),
    Consume(usize),
    /// What starting over and giving back need: nothing is left, before or behind the end.
    Rewind,
    Release,
}

fn op() -> impl Strategy<Value = Op> {
    let length = || prop_oneof![0..20_usize, 0..3000_usize];
    prop_oneof![
        4 => length().prop_map(Op::Push),
        4 => (length(), length()).prop_map(|(gap, length)| Op::Put(gap, length)),
        2 => length().prop_map(Op::Summed),
        4 => length().prop_map(Op::Consume),
        1 => Just(Op::Rewind),
        1 => Just(Op::Release),
    ]
}

/// The ones' complement sum, folded to 16 bits.
fn folded(mut sum: u32) -> u32 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Both are zero.
    sum % 0xffff
}

proptest! {
    #[test]
    fn a_ring_is_a_queue(
        which in 0..LIMITS.len(),
        ops in proptest::collection::vec(op(), 1..120),
        cuts in proptest::collection::vec((any::<u16>(), any::<u16>()), 4),
    ) {
        let limit = LIMITS[which];
        let mut ring = Ring::default();
        let mut model = VecDeque::new();
        let mut behind: BTreeMap<usize, u8> = BTreeMap::new();
        let mut count = 0_u8;
        let mut fresh = |length: usize| -> Vec<u8> {
            (0..length).map(|_| { count = count.wrapping_mul(5).wrapping_add(113); count }).collect()
        };
        for op in ops {
            match op {
                Op::Push(n) | Op::Put(0, n) => {
                    let bytes = fresh(n.min(limit - model.len()));
                    ring.push(&bytes, limit);
                    behind.retain(|at, _| *at >= bytes.len());
                    behind = behind.into_iter().map(|(at, byte)| (at - bytes.len(), byte)).collect();
                    model.extend(&bytes);
                }
                Op::Put(gap, n) => {
                    let gap = gap.min(limit - model.len());
                    let bytes = fresh(n.min(limit - model.len() - gap));
                    ring.put(gap, &bytes, limit);
                    behind.extend((gap..).zip(bytes));
                }
                Op::Summed(n) => {
                    let bytes = fresh(n.min(ring.capacity() - ring.len()));
                    prop_assert_eq!(folded(ring.put_summed(&bytes)), folded(sum(&bytes)));
                    behind.extend((0..).zip(bytes));
                }
                Op::Consume(n) => {
                    // As the window does: what lies behind the end stays as far from the front as the limit allows.
                    ring.consume(n);
                    model.drain(..n.min(model.len()));
                }
                Op::Rewind if model.is_empty() && behind.is_empty() => ring.rewind(),
                Op::Release if model.is_empty() && behind.is_empty() => {
                    ring.release();
                    prop_assert_eq!(ring.capacity(), 0);
                }
                Op::Rewind | Op::Release => {}
            }
            // What has become due joins.
            let due = (0..).zip(&behind).take_while(|(at, (place, _))| at == *place).count();
            ring.join(due);
            model.extend((0..due).filter_map(|at| behind.remove(&at)));
            behind = behind.into_iter().map(|(at, byte)| (at - due, byte)).collect();

            prop_assert_eq!(ring.len(), model.len());
            prop_assert_eq!(ring.is_empty(), model.is_empty());
            prop_assert!(ring.capacity() <= limit, "{} bytes taken of {}", ring.capacity(), limit);
            let all = ring.as_slices().concat();
            prop_assert!(model.iter().eq(&all), "other bytes");
            for (from, length) in &cuts {
                let from = usize::from(*from).min(all.len());
                let length = usize::from(*length).min(all.len() - from);
                let (mut plain, mut summed) = (vec![0; length], vec![0; length]);
                ring.copy_to(from, &mut plain);
                prop_assert_eq!(folded(ring.copy_summed(from, &mut summed)), folded(sum(&plain)));
                prop_assert_eq!(&plain[..], &all[from..from + length]);
                prop_assert_eq!(plain, summed);
            }
        }
    }
}
