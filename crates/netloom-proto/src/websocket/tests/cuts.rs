//! Where the bytes are cut changes nothing: neither the messages nor the error, on good streams and on bent ones.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::Role;
use super::sections::{read, rows};

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
        prop_assert!(read(pieces, role) == read([&stream[..]], role));
    }
}
