//! One direction of an impaired wire, without I/O: loss, duplication, reordering, corruption, delay, jitter, rate and a bounded queue.
//!
//! It owns the frames on their way. Every impairment is drawn from the seed in a fixed number of draws per pushed frame, so the fate
//! of the n-th frame depends on the seed and n alone: two stacks compared over the same seed meet the same schedule of losses.

use std::collections::BTreeMap;

use netloom_core::{Duration, Instant};

use crate::rng::Rng;

/// How a link impairs frames. The default impairs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkConfig {
    /// Probability, 0 to 1, that a frame is lost.
    pub loss: f64,
    /// Probability, 0 to 1, that a frame arrives twice.
    pub duplicate: f64,
    /// Probability, 0 to 1, that a frame is held back, so that later frames overtake it.
    pub reorder: f64,
    /// Probability, 0 to 1, that one bit of a frame is flipped. Frames other than IPv4 have no checksum to catch that; they are lost
    /// instead, as a wire's own check sequence would have it.
    pub corrupt: f64,
    /// Time that every frame takes.
    pub delay: Duration,
    /// Up to this much is added to the delay of each frame, in order: jitter alone does not reorder.
    pub jitter: Duration,
    /// Rate of the wire in bytes per second; `None` is unlimited.
    pub rate_bytes_per_s: Option<u64>,
    /// Bytes that may wait for the rate; what comes on top is lost. 0 is unlimited.
    pub queue_bytes: u64,
    /// Whether frames other than IP, and neighbour discovery, are neither lost nor held back: a host asks for a MAC address only a few times
    /// before it gives up.
    pub spares_arp: bool,
}

/// What a link did to the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Frames pushed.
    pub pushed: u64,
    /// Frames handed out, duplicates included.
    pub delivered: u64,
    /// Frames lost by chance.
    pub lost: u64,
    /// Frames lost because the queue was full.
    pub overflowed: u64,
    /// Frames sent twice.
    pub duplicated: u64,
    /// Frames held back.
    pub reordered: u64,
    /// Frames with a flipped bit.
    pub corrupted: u64,
}

/// A link: see the module's documentation.
#[derive(Clone, Debug)]
pub struct Link {
    config: LinkConfig,
    rng: Rng,
    counters: LinkCounters,
    /// Frames by the time they arrive, then by the order they were pushed in.
    under_way: BTreeMap<(Instant, u64), Vec<u8>>,
    /// When the wire has sent all it was given, in nanoseconds: small frames at a high rate take less than a microsecond.
    busy_until_ns: u64,
    /// The latest arrival of a frame that kept its place.
    in_order_until: Instant,
    serial: u64,
}

/// The shortest time by which a reordered frame is held back, so that links without delay reorder too.
const MIN_HOLD_US: u64 = 1000;

impl Link {
    /// A link whose impairments `seed` decides.
    #[must_use]
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            config,
            rng: Rng::new(seed),
            counters: LinkCounters::default(),
            under_way: BTreeMap::new(),
            busy_until_ns: 0,
            in_order_until: Instant::ZERO,
            serial: 0,
        }
    }

    /// Puts a frame on the link.
    pub fn push(&mut self, now: Instant, frame: &[u8]) {
        self.counters.pushed += 1;
        let config = self.config;
        let lost = self.rng.chance(config.loss);
        let duplicated = self.rng.chance(config.duplicate);
        let reordered = self.rng.chance(config.reorder);
        let corrupted = self.rng.chance(config.corrupt);
        let [jitter, hold, bit] = [(); 3].map(|()| self.rng.bits());

        let Some(sent) = self.serialize(now, frame.len() as u64) else {
            self.counters.overflowed += 1;
            return;
        };
        let is_ip = matches!(frame.get(12..14), Some([0x08, 0x00] | [0x86, 0xdd])) && frame.len() > 14;
        let spared = config.spares_arp && (!is_ip || is_neighbor_discovery(frame));
        if (lost || (corrupted && !is_ip)) && !spared {
            self.counters.lost += 1;
            return;
        }
        let mut frame = frame.to_vec();
        if corrupted && !spared {
            self.counters.corrupted += 1;
            let bits = (frame.len() as u64 - 14) * 8;
            let bit = bit % bits;
            frame[14 + (bit / 8) as usize] ^= 1 << (bit % 8);
        }
        let jitter_us = jitter % (config.jitter.as_micros() as u64 + 1);
        let mut arrival = (sent + config.delay + Duration::from_micros(jitter_us)).max(self.in_order_until);
        if reordered && !spared {
            self.counters.reordered += 1;
            let most_us = MIN_HOLD_US.max(2 * (config.delay + config.jitter).as_micros() as u64);
            arrival += Duration::from_micros(MIN_HOLD_US / 2 + hold % most_us);
        } else {
            self.in_order_until = arrival;
        }
        if duplicated {
            self.counters.duplicated += 1;
            self.put(arrival, frame.clone());
        }
        self.put(arrival, frame);
    }

    /// The next frame that has arrived by `now`.
    #[must_use]
    pub fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        let first = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        self.counters.delivered += 1;
        Some(first.remove())
    }

    /// When the next frame arrives, or `None` if none is on its way.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// What the link did so far.
    #[must_use]
    pub const fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    /// Changes the impairments of frames yet to be pushed, as an outage or its end does.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    fn put(&mut self, arrival: Instant, frame: Vec<u8>) {
        self.serial += 1;
        self.under_way.insert((arrival, self.serial), frame);
    }

    /// When a frame has left at the link's rate, or `None` if the queue has no room for it.
    fn serialize(&mut self, now: Instant, bytes: u64) -> Option<Instant> {
        let Some(rate) = self.config.rate_bytes_per_s else { return Some(now) };
        let rate = u128::from(rate.max(1));
        let now_ns = now.as_us().saturating_mul(1000);
        let waiting_ns = self.busy_until_ns.saturating_sub(now_ns);
        let waiting_bytes = (u128::from(waiting_ns) * rate / 1_000_000_000) as u64;
        if self.config.queue_bytes != 0 && waiting_bytes + bytes > self.config.queue_bytes {
            return None;
        }
        let takes_ns = (u128::from(bytes) * 1_000_000_000 / rate) as u64;
        self.busy_until_ns = self.busy_until_ns.max(now_ns).saturating_add(takes_ns);
        Some(Instant::from_us(self.busy_until_ns.div_ceil(1000)))
    }
}

fn is_neighbor_discovery(frame: &[u8]) -> bool {
    let is_icmpv6 = frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(20) == Some(&58);
    is_icmpv6 && matches!(frame.get(54), Some(133..=137))
}
