//! The Internet checksum (RFC 1071), for IPv4 headers and for TCP, UDP and ICMP with their pseudo-headers (RFC 9293 3.1, RFC 8200 8.1).
//!
//! Sums are taken over native 32-bit words into 64-bit lanes, which needs no carries and which LLVM turns into vector code on SSE2 and
//! simd128 alike; the one's complement sum does not depend on the byte order (RFC 1071 2B), so only the result is swapped.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const LANES: usize = 8;
const BLOCK_BYTES: usize = 4 * LANES;

/// The one's complement sum of `bytes` as 16-bit words in network order, at most 0xffff. An odd last byte counts as the high half of a
/// word, so only the last part of a message may have an odd length. Add parts freely; [`fold`] brings the total back to 16 bits.
#[must_use]
pub fn sum(bytes: &[u8]) -> u32 {
    let mut lanes = [0u64; LANES];
    let blocks = bytes.chunks_exact(BLOCK_BYTES);
    let rest = blocks.remainder();
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(4)) {
            *lane += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        }
    }
    let mut total: u64 = lanes.iter().sum();
    let words = rest.chunks_exact(2);
    if let [last] = words.remainder() {
        total += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    for word in words {
        total += u64::from(u16::from_ne_bytes([word[0], word[1]]));
    }
    let total = (total >> 32) + (total & 0xffff_ffff);
    let total = (total >> 32) + (total & 0xffff_ffff);
    u32::from(u16::from_be(fold(total as u32)))
}

/// Brings a sum of parts to 16 bits by adding the carries back in.
#[must_use]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

/// The sum of the IPv4 pseudo-header for a transport message of `length` bytes.
#[must_use]
pub fn pseudo_header_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: usize) -> u32 {
    sum(&source.octets()) + sum(&destination.octets()) + u32::from(protocol) + sum_of_length(length)
}

/// The sum of the IPv6 pseudo-header for a transport message of `length` bytes.
#[must_use]
pub fn pseudo_header_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: usize) -> u32 {
    sum(&source.octets()) + sum(&destination.octets()) + u32::from(protocol) + sum_of_length(length)
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

const fn sum_of_length(length: usize) -> u32 {
    (length as u32 >> 16) + (length as u32 & 0xffff)
}

#[cfg(test)]
mod tests;
