//! The memory, and panics.

use core::cell::RefCell;
use std::panic;

use crate::boundary::{ARENA_BYTES, with};

thread_local! {
    /// The message of the panic that ended the instance.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Has panics leave their message.
pub(crate) fn keep_panics() {
    panic::set_hook(Box::new(|info| {
        PANIC.with_borrow_mut(|message| *message = info.to_string());
    }));
}

/// Where bytes are, as the caller counts.
fn pointer(bytes: &[u8]) -> u32 {
    bytes.as_ptr() as usize as u32
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

    /// Where the bytes are that the latest call left.
    fn left() -> u32 {
        with(|instance| pointer(&instance.left))
    }

    /// How many they are.
    fn left_bytes() -> u32 {
        with(|instance| instance.left.len() as u32)
    }

    /// Where the message of the panic is that ended the instance.
    fn panic_pointer() -> u32 {
        PANIC.with_borrow(|message| pointer(message.as_bytes()))
    }

    /// How long that message is; 0 without a panic.
    fn panic_length() -> u32 {
        PANIC.with_borrow(|message| message.len() as u32)
    }
}
