//! The pairs for a page or Node: functions on one pair at a time, for one module instance each.

use core::cell::RefCell;

use crate::{CONNECTS, Pair, Setup, Stack, pair};

thread_local! {
    static PAIR: RefCell<Option<Box<dyn Pair>>> = const { RefCell::new(None) };
}

/// Makes a pair of stack 0 (ours), 1 (smoltcp) or 2 (a copy); 1 if its flows opened, otherwise 0.
#[expect(unsafe_code, reason = "the name under which the module exports it")]
#[unsafe(no_mangle)]
pub extern "C" fn open(
    stack: u32,
    mtu: u32,
    checksums: u32,
    timestamps: u32,
    large_segments: u32,
    busy_flows: u32,
    idle_flows: u32,
) -> u32 {
    let setup = Setup {
        mtu: mtu.min(65_535) as u16,
        checksums: checksums > 0,
        timestamps: timestamps > 0,
        large_segments: large_segments > 0,
        busy_flows: busy_flows as usize,
        idle_flows: idle_flows as usize,
    };
    let stack = match stack {
        0 => Stack::Ours,
        1 => Stack::Smoltcp,
        _ => Stack::Copy,
    };
    let made = pair(stack, setup).ok();
    let open = u32::from(made.is_some());
    PAIR.with_borrow_mut(|pair| *pair = made);
    open
}

/// Moves data for some rounds; the bytes received.
#[expect(unsafe_code, reason = "the name under which the module exports it")]
#[unsafe(no_mangle)]
pub extern "C" fn rounds(count: u32) -> f64 {
    PAIR.with_borrow_mut(|pair| pair.as_mut().map_or(0, |pair| (0..count).map(|_| pair.round()).sum::<u64>()))
        as f64
}

/// Opens and resets connections; how many, or 0 if it failed.
#[expect(unsafe_code, reason = "the name under which the module exports it")]
#[unsafe(no_mangle)]
pub extern "C" fn connects() -> u32 {
    PAIR.with_borrow_mut(|pair| {
        pair.as_mut().map_or(0, |pair| if pair.connects().is_ok() { CONNECTS as u32 } else { 0 })
    })
}
