//! The simulator's seeded link run in real time, for use inside a [`crate::splice::Splice`].
//!
//! Owns both directions and the clock's origin. Which frames suffer depends on the seed and on their order alone, as
//! in the simulator; when they leave depends on the real clock.

use std::time::{Duration, Instant};

pub use netloom_sim::link::LinkConfig;
use netloom_sim::link::{Link, LinkCounters};

/// A link in both directions.
#[derive(Debug)]
pub struct Impairment {
    origin: Instant,
    forward: Link,
    backward: Link,
}

impl Impairment {
    /// A link that treats frames as `config` says; the two directions draw from seeds of their own.
    #[must_use]
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self { origin: Instant::now(), forward: Link::new(config, seed), backward: Link::new(config, !seed) }
    }

    /// A bad link: 2 % of the frames are lost, 1 % doubled, 2 % overtaken, and all are 10 ms on their way.
    #[must_use]
    pub fn bad(seed: u64) -> Self {
        let config = LinkConfig {
            loss: 0.02,
            duplicate: 0.01,
            reorder: 0.02,
            delay: Duration::from_millis(10),
            ..LinkConfig::default()
        };
        Self::new(config, seed)
    }

    /// What the link did to the frames of each direction.
    #[must_use]
    pub fn counters(&self) -> (&LinkCounters, &LinkCounters) {
        (self.forward.counters(), self.backward.counters())
    }

    pub(crate) fn push_forward(&mut self, frame: &[u8]) {
        self.forward.push(self.now(), frame);
    }

    pub(crate) fn push_backward(&mut self, frame: &[u8]) {
        self.backward.push(self.now(), frame);
    }

    pub(crate) fn drain_forward(&mut self, each: impl FnMut(&[u8])) {
        drain(&mut self.forward, self.origin, each);
    }

    pub(crate) fn drain_backward(&mut self, each: impl FnMut(&[u8])) {
        drain(&mut self.backward, self.origin, each);
    }

    /// How long until a frame is due.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let due = [&self.forward, &self.backward].into_iter().filter_map(Link::poll_timeout).min()?;
        Some(due.since(self.now()))
    }

    fn now(&self) -> netloom_core::Instant {
        since(self.origin)
    }
}

fn since(origin: Instant) -> netloom_core::Instant {
    netloom_core::Instant::from_us(origin.elapsed().as_micros() as u64)
}

fn drain(link: &mut Link, origin: Instant, mut each: impl FnMut(&[u8])) {
    while let Some(frame) = link.poll(since(origin)) {
        each(&frame);
    }
}
