//! Counters.

use netloom_core::Drop;
use netloom_core::host::Host;
use netloom_core::interface::InterfaceId;

use crate::boundary::{pointer, with, with_host};

exports! {
    /// How many connections there are.
    fn flows() -> u32 {
        with_host(0, |host| Host::flows(host) as u32)
    }

    /// How many reasons there are to drop; the words: the count of each, in two words, low first.
    fn drops() -> u32 {
        with(|instance| {
            let Some(host) = &instance.host else { return 0 };
            let drops = host.drops();
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

    /// 1 and the words: an interface's frames and bytes in, frames and bytes out, each in two words, low first; or 0.
    fn interface_counters(interface: u32) -> u32 {
        with(|instance| {
            let Some(host) = &instance.host else { return 0 };
            let Some(counters) = host.traffic(InterfaceId::from_number(interface)) else { return 0 };
            let counts = [counters.frames_in, counters.bytes_in, counters.frames_out, counters.bytes_out];
            for (words, count) in instance.words.chunks_exact_mut(2).zip(counts) {
                leave(words, count);
            }
            1
        })
    }
}

fn leave(words: &mut [u32], count: u64) {
    words[0] = count as u32;
    words[1] = (count >> 32) as u32;
}
