//! The machine's TCP and the Linux kernel's at the two ends of an impaired link, as client and as server: every byte arrives, both ways.
//!
//! How fast it is beside two kernels over the same link, `cargo xtask bench linux` tells.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use netloom_interop::cell::Cell;
use netloom_interop::lab::sized;
use netloom_interop::path::{Far, Opener, exchange};
use netloom_sim::Plan;

const MIB: u64 = 1 << 20;
const FLOWS: u64 = 16;
/// Cells at the same time: on a bad link most of the time is spent waiting.
const AT_ONCE: usize = 6;

#[test]
fn every_byte_arrives_in_every_cell() {
    let bytes = sized(2, 64) * MIB / FLOWS;
    // Half of the connections are opened by the kernel, half by the machine; all move bytes both ways at once.
    let flows: Vec<_> = (0..FLOWS)
        .map(|n| (if n % 2 == 0 { Opener::Near } else { Opener::Far }, Plan::both(bytes + n, bytes - n)))
        .collect();
    let cells = Cell::all();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(cell) = cells.get(n) else { break };
                    let time = exchange(cell, Far::Machine, &flows, n as u64).unwrap();
                    println!("{:<44} {:>8.2} s", cell.name, time.as_secs_f64());
                }
            });
        }
    });
}
