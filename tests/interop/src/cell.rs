//! The conditions under which the machine's TCP is compared with the kernel's: a link and a congestion control each.

use std::time::Duration;

use netloom_core::Congestion;
use netloom_sim::LinkConfig;
use netloom_sim::rate::{RTO_FLOOR, pftk};

/// Link rate of most cells, in bytes per second: 100 Mbit/s.
const RATE_BYTES_PER_S: u64 = 12_500_000;
/// What may wait for it: about 170 full frames.
const QUEUE_BYTES: u64 = 256 * 1024;
/// Losses of the cells, in percent.
const LOSS_PERCENT: [f64; 6] = [0.0, 0.5, 1.0, 2.0, 5.0, 10.0];
/// Round trips of the cells, in milliseconds: half of it is spent in each direction.
const ROUND_TRIP_MS: [u64; 3] = [0, 20, 100];

/// Payload of a full segment.
const PAYLOAD_BYTES: f64 = 1448.0;
/// What a link without delay costs at least: two threads are woken there and two back.
const WAKE_UP: Duration = Duration::from_millis(1);

/// One cell of the comparison.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What it is, in words.
    pub name: String,
    /// Both directions of the link.
    pub link: LinkConfig,
    /// Both sides' answer to loss.
    pub congestion: Congestion,
}

impl Cell {
    fn new(impairment: &str, round_trip_ms: u64, congestion: Congestion, link: LinkConfig) -> Self {
        let delay = Duration::from_millis(round_trip_ms) / 2;
        let name = format!("{congestion:?}, {round_trip_ms} ms, {impairment}");
        Self { name, link: LinkConfig { delay, spares_arp: true, ..link }, congestion }
    }

    /// Every cell: losses by round trips, then the other impairments at 20 ms, each with CUBIC and with Reno.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let plain = LinkConfig {
            rate_bytes_per_s: Some(RATE_BYTES_PER_S),
            queue_bytes: QUEUE_BYTES,
            ..LinkConfig::default()
        };
        let others = [
            ("reorder 2 %", LinkConfig { reorder: 0.02, ..plain }),
            ("reorder 20 %", LinkConfig { reorder: 0.2, ..plain }),
            ("duplicate 2 %", LinkConfig { duplicate: 0.02, ..plain }),
            ("corrupt 1 %", LinkConfig { corrupt: 0.01, ..plain }),
            ("jitter 5 ms, loss 1 %", LinkConfig { loss: 0.01, jitter: Duration::from_millis(5), ..plain }),
            (
                "all of it, loss 1 %",
                LinkConfig { loss: 0.01, reorder: 0.02, duplicate: 0.02, corrupt: 0.005, ..plain },
            ),
            (
                "10 Mbit/s, queue 64 KiB",
                LinkConfig { rate_bytes_per_s: Some(1_250_000), queue_bytes: 64 * 1024, ..plain },
            ),
        ];
        let mut cells = Vec::new();
        for congestion in [Congestion::Cubic, Congestion::Reno] {
            for round_trip_ms in ROUND_TRIP_MS {
                for percent in LOSS_PERCENT {
                    let link = LinkConfig { loss: percent / 100.0, ..plain };
                    cells.push(Self::new(&format!("loss {percent} %"), round_trip_ms, congestion, link));
                }
            }
            for (impairment, link) in others {
                cells.push(Self::new(impairment, 20, congestion, link));
            }
        }
        cells
    }

    /// About how many bytes per second one connection moves, by the model of [`netloom_sim::rate`].
    #[must_use]
    pub fn bytes_per_s(&self) -> u64 {
        let rate = self.link.rate_bytes_per_s.unwrap_or(RATE_BYTES_PER_S);
        let round_trip_s = (2 * self.link.delay + WAKE_UP).as_secs_f64();
        // Up to 2 % losses are repaired without a timeout.
        let timeout_s = if self.loss() > 0.02 { RTO_FLOOR.as_secs_f64() } else { 0.0 };
        let modelled = PAYLOAD_BYTES * pftk(self.loss(), round_trip_s, timeout_s, f64::INFINITY);
        rate.min(modelled as u64)
    }

    /// About how many bytes one connection moves until this many of its segments are lost, or in the least or the most time.
    #[must_use]
    pub fn bytes(&self, losses: f64, least: Duration, most: Duration) -> u64 {
        let in_time = |time: Duration| (self.bytes_per_s() as f64 * time.as_secs_f64()) as u64;
        ((losses / self.loss() * PAYLOAD_BYTES) as u64).clamp(in_time(least), in_time(most))
    }

    /// Probability that a segment does not arrive whole, unless a queue is full.
    fn loss(&self) -> f64 {
        self.link.loss + self.link.corrupt
    }
}
