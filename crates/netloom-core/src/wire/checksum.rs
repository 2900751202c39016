//! The Internet checksum (RFC 1071), for IPv4 headers and for TCP, UDP and ICMP with their pseudo-headers (RFC 9293 3.1, RFC 8200 8.1).
//!
//! Sums are taken over native words, in vectors as wide as the processor has them; the one's complement sum does not depend on the byte
//! order (RFC 1071 2B), so only the result is swapped.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch};

/// Below this, asking what the processor has costs more than it brings.
const MIN_VECTOR_BYTES: usize = 128;
/// Above this, a lane of the narrowest vectors could overflow when all are added up: a vector adds up to 2^16 to each of its lanes.
const MAX_VECTOR_BYTES: usize = 1 << 18;

/// The one's complement sum of `bytes` as 16-bit words in network order, at most 0xffff. An odd last byte counts as the high half of a
/// word, so only the last part of a message may have an odd length. Add parts freely; [`fold`] brings the total back to 16 bits.
#[must_use]
#[inline]
pub fn sum(bytes: &[u8]) -> u32 {
    if bytes.len() < MIN_VECTOR_BYTES { fold_words(sum_words(bytes)) } else { sum_long(bytes) }
}

fn sum_long(bytes: &[u8]) -> u32 {
    let level = Level::new();
    if level.is_fallback() {
        return fold_words(sum_words(bytes));
    }
    let parts = bytes.chunks(MAX_VECTOR_BYTES);
    fold_words(parts.map(|part| dispatch!(level, simd => sum_vectors(simd, part))).sum())
}

/// Copies `from` to `to`, which must be as long, and returns its [`sum`]: the bytes are read once.
pub fn copy(from: &[u8], to: &mut [u8]) -> u32 {
    let level = Level::new();
    if level.is_fallback() {
        // Without vectors two passes are faster: a plain copy is the engine's own.
        to.copy_from_slice(from);
        return fold_words(sum_words(from));
    }
    if from.len() <= MAX_VECTOR_BYTES {
        return fold_words(dispatch!(level, simd => copy_vectors(simd, from, to)));
    }
    let parts = from.chunks(MAX_VECTOR_BYTES).zip(to.chunks_mut(MAX_VECTOR_BYTES));
    fold_words(parts.map(|(from, to)| dispatch!(level, simd => copy_vectors(simd, from, to))).sum())
}

/// By how much a word counts less in the lanes.
const SHIFT: i64 = 1 << 15;
/// Vectors that are summed side by side.
const LANES: usize = 4;

#[inline(always)]
fn sum_vectors<S: Simd>(simd: S, bytes: &[u8]) -> u64 {
    let constants = Constants::new(simd);
    let mut lanes = [S::i32s::splat(simd, 0); LANES];
    let mut blocks = bytes.chunks_exact(LANES * S::u8s::LEN);
    for block in &mut blocks {
        for (lane, bytes) in lanes.iter_mut().zip(block.chunks_exact(S::u8s::LEN)) {
            *lane += constants.words(S::u8s::from_slice(simd, bytes));
        }
    }
    let mut vectors = blocks.remainder().chunks_exact(S::u8s::LEN);
    let summed = bytes.len() - vectors.remainder().len();
    for (lane, bytes) in lanes.iter_mut().zip(&mut vectors) {
        *lane += constants.words(S::u8s::from_slice(simd, bytes));
    }
    total(lanes, summed) + sum_words(vectors.remainder())
}

#[inline(always)]
fn copy_vectors<S: Simd>(simd: S, from: &[u8], to: &mut [u8]) -> u64 {
    let constants = Constants::new(simd);
    let mut lanes = [S::i32s::splat(simd, 0); LANES];
    let mut blocks = from.chunks_exact(LANES * S::u8s::LEN);
    let mut places = to.chunks_exact_mut(LANES * S::u8s::LEN);
    for (from, to) in (&mut blocks).zip(&mut places) {
        let parts = from.chunks_exact(S::u8s::LEN).zip(to.chunks_exact_mut(S::u8s::LEN));
        for (lane, (from, to)) in lanes.iter_mut().zip(parts) {
            let bytes = S::u8s::from_slice(simd, from);
            bytes.store_slice(to);
            *lane += constants.words(bytes);
        }
    }
    let mut vectors = blocks.remainder().chunks_exact(S::u8s::LEN);
    let summed = from.len() - vectors.remainder().len();
    let mut places = places.into_remainder().chunks_exact_mut(S::u8s::LEN);
    for (lane, (from, to)) in lanes.iter_mut().zip((&mut vectors).zip(&mut places)) {
        let bytes = S::u8s::from_slice(simd, from);
        bytes.store_slice(to);
        *lane += constants.words(bytes);
    }
    total(lanes, summed) + copy_words(vectors.remainder(), places.into_remainder())
}

/// Copies and sums fewer bytes than a vector has.
#[inline(always)]
fn copy_words(from: &[u8], to: &mut [u8]) -> u64 {
    let ((words, rest), (places, others)) = (from.as_chunks(), to.as_chunks_mut());
    let mut total = 0;
    for (place, word) in places.iter_mut().zip(words) {
        *place = *word;
        total += halves_of(u64::from_ne_bytes(*word));
    }
    others.copy_from_slice(rest);
    total + sum_words(rest)
}

/// What stays the same in each step. A compiler that knew it would have V8 make it anew in each.
struct Constants<S: Simd> {
    least: S::i16s,
    ones: S::i16s,
}

impl<S: Simd> Constants<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let [least, ones] = [i16::MIN, 1].map(|value| S::i16s::splat(simd, hide(value)));
        Self { least, ones }
    }

    /// The sums of pairs of words. Only signed words can be added in pairs at once: each counts less by [`SHIFT`].
    #[inline(always)]
    fn words(&self, bytes: S::u8s) -> S::i32s {
        (bytes.bitcast::<S::i16s>() ^ self.least).pairwise_dot_product(self.ones)
    }
}

/// A value that the compiler for WebAssembly does not know.
#[inline(always)]
fn hide(value: i16) -> i16 {
    if cfg!(target_arch = "wasm32") { core::hint::black_box(value) } else { value }
}

/// The sum of what stands in lanes and of what is missing there, for so many bytes.
#[inline(always)]
fn total<V: SimdInt<S, Element = i32>, S: Simd>([a, b, c, d]: [V; LANES], bytes: usize) -> u64 {
    let sum: i64 = ((a + b) + (c + d)).as_slice().iter().copied().map(i64::from).sum();
    (sum + SHIFT * (bytes / 2) as i64) as u64
}

/// Brings a sum of native words to 16 bits in network order.
#[inline]
const fn fold_words(total: u64) -> u32 {
    let total = (total >> 32) + (total & 0xffff_ffff);
    let total = (total >> 32) + (total & 0xffff_ffff);
    u16::from_be(fold(total as u32)) as u32
}

#[inline]
fn sum_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let total: u64 = words.iter().map(|word| halves_of(u64::from_ne_bytes(*word))).sum();
    let (words, rest) = rest.as_chunks();
    let total = words.iter().fold(total, |total, word| total + u64::from(u32::from_ne_bytes(*word)));
    let last = match *rest {
        [a, b, c] => u32::from_ne_bytes([a, b, c, 0]),
        [a, b] => u16::from_ne_bytes([a, b]).into(),
        [a] => u16::from_ne_bytes([a, 0]).into(),
        _ => 0,
    };
    total + u64::from(last)
}

#[inline(always)]
const fn halves_of(word: u64) -> u64 {
    (word >> 32) + (word & 0xffff_ffff)
}

/// Brings a sum of parts to 16 bits by adding the carries back in.
#[must_use]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

/// The sum of the IPv4 pseudo-header for a transport message of `length` bytes.
#[must_use]
#[inline]
pub fn pseudo_header_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: usize) -> u32 {
    halves(source.to_bits()) + halves(destination.to_bits()) + u32::from(protocol) + halves(length as u32)
}

/// The sum of the IPv6 pseudo-header for a transport message of `length` bytes.
#[must_use]
pub fn pseudo_header_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: usize) -> u32 {
    sum(&source.octets()) + sum(&destination.octets()) + u32::from(protocol) + halves(length as u32)
}

/// The checksum of a TCP, UDP or ICMPv6 message: what its field must hold if the field is zero in `message`, and zero if the field of a
/// received `message` is right. Addresses of different families, which no packet has, give a checksum over the message alone.
#[must_use]
pub fn transport_checksum(source: IpAddr, destination: IpAddr, protocol: u8, message: &[u8]) -> u16 {
    let pseudo_header = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            pseudo_header_v4(source, destination, protocol, message.len())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            pseudo_header_v6(source, destination, protocol, message.len())
        }
        _ => 0,
    };
    !fold(pseudo_header + sum(message))
}

const fn halves(word: u32) -> u32 {
    (word >> 16) + (word & 0xffff)
}

#[cfg(test)]
mod tests;
