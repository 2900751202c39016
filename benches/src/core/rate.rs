//! Rates of processor time: the pairs take turns on one core, and the figures are medians of turns.

use std::time::Duration;

use netloom_bench_pairs::{CONNECTS, Pair, Setup, Stack, pair};

use crate::cpu;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Turns of each pair. One more, which warms caches and grows buffers, is not counted.
    pub turns: usize,
    /// Processor time of a turn.
    pub turn: Duration,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Gbit of payload per second.
    Payload,
    /// Connections opened and reset per second.
    Connects,
}

/// Rounds without a byte after which a pair counts as stuck.
const MAX_IDLE_ROUNDS: u32 = 2_000_000;
/// Rounds between two looks at the clock, for pairs of few flows.
const ROUNDS: usize = 16;

/// The medians of some stacks in the same setup.
///
/// # Errors
/// A sentence if a pair's flows did not open, or a pair is stuck.
pub fn compare<const N: usize>(
    stacks: [Stack; N],
    setup: Setup,
    measure: Measure,
    effort: Effort,
) -> Result<[f64; N], String> {
    let mut pairs = Vec::new();
    for stack in stacks {
        pairs.push((pair(stack, setup)?, Vec::new()));
    }
    let rounds = if setup.busy_flows > ROUNDS { 1 } else { ROUNDS };
    for turn in 0..=effort.turns {
        for (pair, rates) in &mut pairs {
            let rate = match measure {
                Measure::Payload => payload(pair.as_mut(), rounds, effort.turn)?,
                Measure::Connects => connects(pair.as_mut(), effort.turn)?,
            };
            if turn > 0 {
                rates.push(rate);
            }
        }
    }
    let mut medians = [0.0; N];
    for (median, (_, rates)) in medians.iter_mut().zip(&mut pairs) {
        *median = cpu::median(rates);
    }
    Ok(medians)
}

fn payload(pair: &mut dyn Pair, rounds: usize, time: Duration) -> Result<f64, String> {
    let begin = cpu::used();
    let (mut bytes, mut idle_rounds) = (0, 0);
    loop {
        for _ in 0..rounds {
            let moved = pair.round();
            bytes += moved;
            idle_rounds = if moved == 0 { idle_rounds + 1 } else { 0 };
        }
        let spent = cpu::used().saturating_sub(begin);
        if spent >= time && bytes > 0 {
            return Ok(bytes as f64 * 8.0 / spent.as_secs_f64() / 1e9);
        }
        if idle_rounds > MAX_IDLE_ROUNDS {
            return Err("the busy flows are stuck".into());
        }
    }
}

fn connects(pair: &mut dyn Pair, time: Duration) -> Result<f64, String> {
    let begin = cpu::used();
    let mut count = 0;
    loop {
        pair.connects()?;
        count += CONNECTS;
        let spent = cpu::used().saturating_sub(begin);
        if spent >= time {
            return Ok(count as f64 / spent.as_secs_f64());
        }
    }
}
