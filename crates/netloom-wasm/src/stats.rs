//! Counters.

use netloom_core::Drop;

use crate::boundary::{pointer, with, with_machine};

exports! {
    /// How many connections there are.
    fn flows() -> u32 {
        with_machine(0, |machine| machine.flows() as u32)
    }

    /// How many reasons there are to drop; the words: the count of each, in two words, low first.
    fn drops() -> u32 {
        with(|instance| {
            let Some(machine) = &instance.machine else { return 0 };
            let drops = machine.drops();
            for (words, drop) in instance.words.chunks_exact_mut(2).zip(Drop::ALL) {
                leave(words, drops.of(*drop));
            }
            Drop::ALL.len() as u32
        })
    }

    /// Where the name of a reason is; word 0 is its length.
    fn drop_name(number: u32) -> u32 {
        with(|instance| {
            let name = Drop::ALL.get(number as usize).map_or("", |drop| drop.name());
            instance.words[0] = name.len() as u32;
            pointer(name.as_bytes())
        })
    }
}

/// Leaves a count in two words.
pub(crate) fn leave(words: &mut [u32], count: u64) {
    words[0] = count as u32;
    words[1] = (count >> 32) as u32;
}
