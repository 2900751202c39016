//! Streams cut into pieces, as a transport cuts them.

use netloom_sim::rng::Rng;

/// All of `stream` in random pieces, the same for the same seed.
pub(crate) fn cut(stream: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut rng = Rng::new(u64::from(seed));
    let (mut pieces, mut left) = (Vec::new(), stream);
    while !left.is_empty() {
        // Short pieces cut headers, long ones cut payloads.
        let longest = [3, 20, 400, 40_000][rng.below(4) as usize];
        let (piece, rest) = left.split_at((rng.below(longest) as usize).min(left.len()));
        pieces.push(piece);
        left = rest;
    }
    pieces
}
