//! A seeded impaired link run in real time, for use inside a [`crate::splice::Splice`].
//!
//! Owns both directions and a clock. Which frames suffer depends on the seed and on their order alone; when they
//! leave depends on the real clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::transfer::Pattern;

/// How a link treats frames, each direction alike.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkConfig {
    /// Frames lost, per thousand.
    pub loss_per_mille: u16,
    /// Frames delivered twice, per thousand.
    pub duplication_per_mille: u16,
    /// Frames that overtake or are overtaken, per thousand: they wait an extra half delay.
    pub reordering_per_mille: u16,
    /// Time on the way, one way.
    pub delay: Duration,
    /// Frames under way at once; more are lost, as in a full queue. Zero is without limit.
    pub queue_frames: usize,
}

/// One direction.
#[derive(Debug)]
struct Direction {
    config: LinkConfig,
    pattern: Pattern,
    due: BTreeMap<(Instant, u64), Vec<u8>>,
    pushed: u64,
}

impl Direction {
    fn new(config: LinkConfig, seed: u64) -> Self {
        Self { config, pattern: Pattern::new(seed), due: BTreeMap::new(), pushed: 0 }
    }

    fn push(&mut self, now: Instant, frame: &[u8]) {
        let config = self.config;
        if self.chance(config.loss_per_mille) {
            return;
        }
        let copies = 1 + usize::from(self.chance(config.duplication_per_mille));
        for _ in 0..copies {
            let late =
                if self.chance(config.reordering_per_mille) { config.delay / 2 } else { Duration::ZERO };
            self.pushed += 1;
            if config.queue_frames == 0 || self.due.len() < config.queue_frames {
                self.due.insert((now + config.delay + late, self.pushed), frame.to_vec());
            }
        }
    }

    fn chance(&mut self, per_mille: u16) -> bool {
        self.pattern.below(1000) < usize::from(per_mille)
    }

    fn drain(&mut self, now: Instant, mut each: impl FnMut(&[u8])) {
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= now
        {
            each(&entry.remove());
        }
    }
}

/// A link in both directions.
#[derive(Debug)]
pub struct Impairment {
    forward: Direction,
    backward: Direction,
}

impl Impairment {
    /// A link that treats frames as `config` says; the two directions draw from seeds of their own.
    #[must_use]
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self { forward: Direction::new(config, seed), backward: Direction::new(config, !seed) }
    }

    pub(crate) fn push_forward(&mut self, frame: &[u8]) {
        self.forward.push(Instant::now(), frame);
    }

    pub(crate) fn push_backward(&mut self, frame: &[u8]) {
        self.backward.push(Instant::now(), frame);
    }

    pub(crate) fn drain_forward(&mut self, each: impl FnMut(&[u8])) {
        self.forward.drain(Instant::now(), each);
    }

    pub(crate) fn drain_backward(&mut self, each: impl FnMut(&[u8])) {
        self.backward.drain(Instant::now(), each);
    }

    /// How long until a frame is due.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let due = [&self.forward, &self.backward].into_iter().filter_map(|way| way.due.keys().next());
        due.map(|(at, _)| at.saturating_duration_since(Instant::now())).min()
    }
}
