//! The Internet checksum (RFC 1071), for IPv4 headers and for TCP, UDP and ICMP with their pseudo-headers (RFC 9293 3.1, RFC 8200 8.1).
//!
//! Sums are taken over native words, in vectors as wide as the processor has them; the one's complement sum does not depend on the byte
//! order (RFC 1071 2B), so only the result is swapped.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch};

/// Below this, asking what the processor has costs more than it brings.
const MIN_VECTOR_BYTES: usize = 128;
/// Above this, a 32-bit lane of the narrowest vectors could overflow.
const MAX_VECTOR_BYTES: usize = 1 << 19;

/// The one's complement sum of `bytes` as 16-bit words in network order, at most 0xffff. An odd last byte counts as the high half of a
/// word, so only the last part of a message may have an odd length. Add parts freely; [`fold`] brings the total back to 16 bits.
#[must_use]
#[inline]
pub fn sum(bytes: &[u8]) -> u32 {
    if bytes.len() < MIN_VECTOR_BYTES { fold_words(sum_words(bytes)) } else { sum_long(bytes) }
}

fn sum_long(bytes: &[u8]) -> u32 {
    let parts = bytes.chunks(MAX_VECTOR_BYTES);
    let level = Level::new();
    fold_words(parts.map(|part| dispatch!(level, simd => sum_vectors(simd, part))).sum())
}

/// Copies `from` to `to`, which must be as long, and returns its [`sum`]: the bytes are read once.
pub fn copy(from: &[u8], to: &mut [u8]) -> u32 {
    let parts = from.chunks(MAX_VECTOR_BYTES).zip(to.chunks_mut(MAX_VECTOR_BYTES));
    let level = Level::new();
    fold_words(parts.map(|(from, to)| dispatch!(level, simd => copy_vectors(simd, from, to))).sum())
}

#[inline(always)]
fn sum_vectors<S: Simd>(simd: S, bytes: &[u8]) -> u64 {
    let mut lanes = [S::u32s::splat(simd, 0); 2];
    let mut pairs = bytes.chunks_exact(2 * S::u8s::LEN);
    for pair in &mut pairs {
        for (lane, bytes) in lanes.iter_mut().zip(pair.chunks_exact(S::u8s::LEN)) {
            *lane += words::<S>(S::u8s::from_slice(simd, bytes));
        }
    }
    total(lanes) + sum_words(pairs.remainder())
}

#[inline(always)]
fn copy_vectors<S: Simd>(simd: S, from: &[u8], to: &mut [u8]) -> u64 {
    let mut lanes = [S::u32s::splat(simd, 0); 2];
    let mut pairs = from.chunks_exact(2 * S::u8s::LEN).zip(to.chunks_exact_mut(2 * S::u8s::LEN));
    for (from, to) in &mut pairs {
        let parts = from.chunks_exact(S::u8s::LEN).zip(to.chunks_exact_mut(S::u8s::LEN));
        for (lane, (from, to)) in lanes.iter_mut().zip(parts) {
            let bytes = S::u8s::from_slice(simd, from);
            bytes.store_slice(to);
            *lane += words::<S>(bytes);
        }
    }
    let rest = from.len() / (2 * S::u8s::LEN) * (2 * S::u8s::LEN);
    to[rest..].copy_from_slice(&from[rest..]);
    total(lanes) + sum_words(&from[rest..])
}

#[inline(always)]
fn words<S: Simd>(bytes: S::u8s) -> S::u32s {
    bytes.bitcast::<S::u16s>().pairwise_widening_add()
}

#[inline(always)]
fn total<V: SimdBase<S, Element = u32>, S: Simd>([a, b]: [V; 2]) -> u64 {
    a.as_slice().iter().chain(b.as_slice()).copied().map(u64::from).sum()
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
    let total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let last = match *rest {
        [a, b, c] => u32::from_ne_bytes([a, b, c, 0]),
        [a, b] => u16::from_ne_bytes([a, b]).into(),
        [a] => u16::from_ne_bytes([a, 0]).into(),
        _ => 0,
    };
    total + u64::from(last)
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
