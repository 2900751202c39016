//! Start, time and panics.

use core::cell::RefCell;
use core::mem::ManuallyDrop;
use std::panic;

use crate::boundary::{ARENA_BYTES, Instance, Machine, WORDS, pointer, with, with_machine, with_machine_at};
#[cfg(not(feature = "lan"))]
use crate::host::collect_events;
#[cfg(feature = "lan")]
use crate::lan::collect_events;

thread_local! {
    /// The message of the panic that ended the instance.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes the machine, with the seed that begins the arena, and has panics leave their message.
pub(crate) fn begin(instance: &mut Instance, make: impl FnOnce([u8; 32]) -> Machine) {
    panic::set_hook(Box::new(|info| {
        PANIC.with_borrow_mut(|message| *message = info.to_string());
    }));
    let mut seed = [0; 32];
    seed.copy_from_slice(&instance.arena[..32]);
    instance.arena[..32].fill(0);
    instance.machine = Some(ManuallyDrop::new(make(seed)));
}

exports! {
    /// Where the arena is. It never moves, but the memory that holds it may grow.
    fn arena() -> u32 {
        with(|instance| pointer(&instance.arena))
    }

    /// How long the arena is.
    fn arena_bytes() -> u32 {
        ARENA_BYTES as u32
    }

    /// Where the words are.
    fn words() -> u32 {
        with(|instance| instance.words.as_ptr() as usize as u32)
    }

    /// How many words there are.
    fn words_length() -> u32 {
        WORDS as u32
    }

    /// Where the message of the panic is that ended the instance.
    fn panic_pointer() -> u32 {
        PANIC.with_borrow(|message| pointer(message.as_bytes()))
    }

    /// How long that message is; 0 without a panic.
    fn panic_length() -> u32 {
        PANIC.with_borrow(|message| message.len() as u32)
    }

    /// Acts on deadlines that have passed. `rung`: a timer called, so that guests in the same thread have had their turn.
    fn handle_timeout(now_us: f64, rung: u32) {
        with_machine_at(now_us, (), if rung > 0 { Machine::handle_timeout } else { Machine::handle_turn });
        with(collect_events);
    }

    /// The next deadline, or a negative number if there is none.
    fn poll_timeout() -> f64 {
        with_machine(None, Machine::poll_timeout).map_or(-1.0, |(at, _reason)| at.as_us() as f64)
    }
}
