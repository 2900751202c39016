//! Memory of a flow that carries nothing, counted at the allocator: its state and its share of the tables.

use std::alloc::System;

use netloom_bench_pairs::Setup;
use netloom_bench_pairs::machines::MachinePair;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// The allocator of a program that measures memory.
pub static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that each end keeps for one of `flows` idle flows. [`ALLOCATOR`] must be the program's.
///
/// # Errors
/// A sentence if the flows did not open.
pub fn bytes_per_idle_flow(flows: usize) -> Result<f64, String> {
    let without = kept(0)?;
    let with = kept(flows)?;
    // Either end has each flow.
    Ok(with.saturating_sub(without) as f64 / (2 * flows) as f64)
}

fn kept(idle_flows: usize) -> Result<usize, String> {
    let region = Region::new(ALLOCATOR);
    let mut pair = MachinePair::new(Setup { idle_flows, ..Setup::default() })?;
    pair.rest();
    let change = region.change();
    Ok(change.bytes_allocated.saturating_sub(change.bytes_deallocated))
}
