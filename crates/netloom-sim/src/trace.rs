//! A record of every frame on every wire: a running hash to tell two runs apart, and the frames themselves, as a capture, on demand.

use netloom_core::Instant;

/// The record of a run. Two runs with the same [`Trace::hash`] had the same frames at the same times on the same wires.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    frames: u64,
    capture: Option<Vec<u8>>,
}

impl Trace {
    /// An empty record; with `capture`, the frames are kept as well.
    #[must_use]
    pub fn new(capture: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, frames: 0, capture: capture.then(pcap_header) }
    }

    /// Notes a frame on the wire of this number.
    pub fn note(&mut self, now: Instant, wire: u32, frame: &[u8]) {
        self.frames += 1;
        self.mix(now.as_us());
        self.mix(u64::from(wire) << 32 | frame.len() as u64);
        for word in frame.chunks(8) {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            self.mix(u64::from_le_bytes(bytes));
        }
        if let Some(capture) = &mut self.capture {
            let (seconds, micros) = (now.as_us() / 1_000_000, now.as_us() % 1_000_000);
            for field in [seconds as u32, micros as u32, frame.len() as u32, frame.len() as u32] {
                capture.extend_from_slice(&field.to_le_bytes());
            }
            capture.extend_from_slice(frame);
        }
    }

    /// The hash of all that was noted.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// How many frames were noted.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// The frames as a pcap file of Ethernet frames, if they were kept.
    #[must_use]
    pub fn pcap(&self) -> Option<&[u8]> {
        self.capture.as_deref()
    }

    /// FNV-1a over words, with a rotation so that high bits come back down.
    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }
}

fn pcap_header() -> Vec<u8> {
    [0xa1b2_c3d4, 0x0004_0002, 0, 0, 1 << 17, 1].map(u32::to_le_bytes).concat()
}
