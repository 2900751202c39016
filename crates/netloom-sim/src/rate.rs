//! How fast one connection of the engine is over a lossy path, and how fast a model says that it would be.
//!
//! Both ends are the engine. Only the sender's frames are lost, each by itself with the same probability, which is what the model takes the
//! path for. The clock is virtual, so that a measurement is exact: the same engine gives the same figure on every machine.

use core::net::{Ipv4Addr, SocketAddrV4};

use netloom_core::tcp::{Config, Congestion};
use netloom_core::{Duration, Instant};

use crate::app::Plan;
use crate::guest::Host;
use crate::guest::engine::{EngineHost, EngineHostConfig};
use crate::link::{Link, LinkConfig};
use crate::rng::Rng;
use crate::world::{guest_address, guest_mac};

const PORT: u16 = 80;
const MTU: u16 = 1500;
/// The floor of the engine's retransmission timeout, and the timeout that [`pftk`] takes for every path of a shorter round trip.
pub const RTO_FLOOR: Duration = Duration::from_millis(200);

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// How the sender answers to loss.
    pub congestion: Congestion,
    /// Probability, 0 to 1, that a frame of the sender is lost.
    pub loss: f64,
    /// Time there and back.
    pub round_trip: Duration,
    /// Rate of the link in bytes per second; `None` is unlimited. What waits for it waits in a queue without end.
    pub rate_bytes_per_s: Option<u64>,
    /// Buffers at both ends, in bytes: the largest window.
    pub buffer_bytes: usize,
    /// How many losses are waited for.
    pub losses: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bytes that the receiving program had in the end.
    pub bytes: u64,
    /// From the SYN on.
    pub time: Duration,
    /// Frames lost.
    pub losses: u64,
}

impl Pace {
    /// Bytes per second.
    #[must_use]
    pub fn bytes_per_s(&self) -> f64 {
        self.bytes as f64 / self.time.as_secs_f64()
    }
}

impl Course {
    /// Payload of a full segment, in bytes: what the headers and timestamps leave.
    pub const PAYLOAD_BYTES: u16 = MTU - 52;

    /// Sends until so many frames were lost.
    ///
    /// # Panics
    /// If a byte is wrong, or the connection stands still for good.
    #[must_use]
    pub fn run(&self, seed: u64) -> Pace {
        let mut rng = Rng::new(seed);
        let (mut sender, mut receiver) = (self.host(0, rng.bits()), self.host(1, rng.bits()));
        receiver.listen(PORT, Plan::both(u64::MAX, 0));
        let to = SocketAddrV4::new(guest_address(1), PORT);
        sender.connect(Instant::ZERO, to, Plan::both(u64::MAX, 0));
        let back = LinkConfig { delay: self.round_trip / 2, ..LinkConfig::default() };
        let there = LinkConfig { loss: self.loss, rate_bytes_per_s: self.rate_bytes_per_s, ..back };
        let mut links = [Link::new(there, rng.bits()), Link::new(back, rng.bits())];
        let mut now = Instant::ZERO;
        while links[0].counters().lost < self.losses {
            settle(now, &mut sender, &mut receiver, &mut links);
            let wires = links.iter().filter_map(Link::poll_timeout);
            let next = wires
                .chain([sender.poll_timeout(now), receiver.poll_timeout(now)].into_iter().flatten())
                .min();
            now = next.expect("somebody waits for something").max(now);
        }
        Pace {
            bytes: receiver.received_bytes(),
            time: now.since(Instant::ZERO),
            losses: links[0].counters().lost,
        }
    }

    /// What [`pftk`] says of this path, in bytes per second.
    #[must_use]
    pub fn model_bytes_per_s(&self) -> f64 {
        let window = self.buffer_bytes as f64 / f64::from(Self::PAYLOAD_BYTES);
        let timeout = self.round_trip.max(RTO_FLOOR);
        f64::from(Self::PAYLOAD_BYTES)
            * pftk(self.loss, self.round_trip.as_secs_f64(), timeout.as_secs_f64(), window)
    }

    fn host(&self, n: u8, seed: u64) -> EngineHost {
        let tcp = Config {
            max_payload: MTU - 40,
            advertised_mss: MTU - 40,
            receive_buffer_bytes: self.buffer_bytes,
            send_buffer_bytes: self.buffer_bytes,
            congestion: self.congestion,
            rto_min: RTO_FLOOR,
            ..Config::default()
        };
        let address: Ipv4Addr = guest_address(n);
        EngineHost::new(EngineHostConfig {
            mac: guest_mac(n),
            address,
            peer_mac: guest_mac(1 - n),
            tcp,
            seed,
        })
    }
}

/// Moves frames until nothing moves at this instant.
fn settle(now: Instant, sender: &mut EngineHost, receiver: &mut EngineHost, links: &mut [Link; 2]) {
    let [there, back] = links;
    loop {
        let mut moved = false;
        while let Some(frame) = back.poll(now) {
            sender.handle_frame(now, &frame);
        }
        while let Some(frame) = there.poll(now) {
            receiver.handle_frame(now, &frame);
        }
        while let Some(frame) = sender.poll_frame(now) {
            there.push(now, &frame);
            moved = true;
        }
        while let Some(frame) = receiver.poll_frame(now) {
            back.push(now, &frame);
            moved = true;
        }
        if !moved {
            return;
        }
    }
}

/// The response function of Padhye, Firoiu, Towsley and Kurose ("Modeling TCP Throughput", 1998, their full model's approximation, equation
/// 32) with an acknowledgment for every segment (b = 1): segments per second at loss probability `p`, with times in seconds and the largest
/// window in segments.
#[must_use]
pub fn pftk(p: f64, round_trip_s: f64, timeout_s: f64, window: f64) -> f64 {
    let recovering = round_trip_s * (2.0 * p / 3.0).sqrt();
    let waiting = timeout_s * (3.0 * (3.0 * p / 8.0).sqrt()).min(1.0) * p * (1.0 + 32.0 * p * p);
    (window / round_trip_s).min(1.0 / (recovering + waiting))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_gives_the_figures_of_a_calculation_by_hand() {
        // 0.1 s * sqrt(0.0066667) = 8.165 ms; 0.2 s * 3 * sqrt(0.00375) * 0.01 * 1.0032 = 0.3686 ms.
        assert!((pftk(0.01, 0.1, 0.2, 1e9) - 117.184).abs() < 0.05, "{}", pftk(0.01, 0.1, 0.2, 1e9));
        // The window limits: 10 segments a round trip.
        assert!((pftk(0.0001, 0.1, 0.2, 10.0) - 100.0).abs() < 1e-9);
        // Beyond p = 0.296 a loss is a timeout always.
        let all = 1.0 / (0.1 * (0.2_f64).sqrt() + 0.2 * 0.3 * (1.0 + 32.0 * 0.09));
        assert!((pftk(0.3, 0.1, 0.2, 1e9) - all).abs() < 1e-9);
    }
}
