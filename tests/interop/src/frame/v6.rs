//! Hand-made IPv6 packets in their frames. RFC 8200 (IPv6), 4443 (ICMPv6), 4861 (NDP).

use std::net::Ipv6Addr;

use super::{Mac, add, checksum, ethernet};

/// Hop-by-hop options, the first of the extension headers.
pub const HOP_BY_HOP: u8 = 0;
/// A fragment's header.
pub const FRAGMENT: u8 = 44;
/// ICMPv6.
pub const ICMPV6: u8 = 58;
/// Destination options.
pub const DESTINATION_OPTIONS: u8 = 60;

const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const HEADER_BYTES: usize = 40;

/// Who sends to whom, at the Ethernet and the IPv6 layer.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The sending interface.
    pub source_mac: Mac,
    /// The interface that shall take it.
    pub destination_mac: Mac,
    /// The sender.
    pub source: Ipv6Addr,
    /// The receiver.
    pub destination: Ipv6Addr,
}

/// An IPv6 packet in its frame.
#[must_use]
pub fn ipv6(route: Route, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[next_header, 255]);
    packet.extend_from_slice(&route.source.octets());
    packet.extend_from_slice(&route.destination.octets());
    packet.extend_from_slice(payload);
    ethernet(route.destination_mac, route.source_mac, 0x86dd, &packet)
}

/// An extension header of options, padded to a multiple of eight bytes, before `payload`.
#[must_use]
pub fn options(next_header: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut header = vec![next_header, ((options.len() + 2).div_ceil(8) - 1) as u8];
    header.extend_from_slice(options);
    let padding = header.len().next_multiple_of(8) - header.len();
    if padding > 0 {
        // Pad1, or PadN.
        header.extend_from_slice(&[u8::from(padding > 1), padding.saturating_sub(2) as u8][..padding.min(2)]);
        header.resize(header.len().next_multiple_of(8), 0);
    }
    [&header, payload].concat()
}

/// A fragment's header before its part of the payload; `offset` in bytes.
#[must_use]
pub fn fragment(next_header: u8, offset: u16, more: bool, identification: u32, part: &[u8]) -> Vec<u8> {
    let field = offset & !7 | u16::from(more);
    [&[next_header, 0][..], &field.to_be_bytes(), &identification.to_be_bytes(), part].concat()
}

/// An ICMPv6 message with its checksum, without the packet around it.
fn icmpv6(route: Route, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend_from_slice(body);
    let mut pseudo = [route.source.octets(), route.destination.octets()].concat();
    pseudo.extend_from_slice(&(message.len() as u32).to_be_bytes());
    pseudo.extend_from_slice(&[0, 0, 0, ICMPV6]);
    let sum = checksum(add(0, &pseudo), &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// An echo request without the packet around it.
#[must_use]
pub fn echo_request(route: Route, identifier: u16, data: &[u8]) -> Vec<u8> {
    icmpv6(route, ECHO_REQUEST, &[&identifier.to_be_bytes()[..], &[0, 1], data].concat())
}

/// The data of an echo reply with this identifier, if the frame is one.
#[must_use]
pub fn echo_reply(frame: &[u8], identifier: u16) -> Option<&[u8]> {
    let message = icmpv6_message(frame)?;
    let matches = message[0] == ECHO_REPLY && message.get(4..6)? == identifier.to_be_bytes();
    matches.then(|| &message[8..])
}

/// The question who has `target`, with the asker's MAC address.
#[must_use]
pub fn neighbor_solicitation(route: Route, target: Ipv6Addr) -> Vec<u8> {
    let body = [&[0; 4][..], &target.octets(), &[1, 1], &route.source_mac].concat();
    ipv6(route, ICMPV6, &icmpv6(route, NEIGHBOR_SOLICITATION, &body))
}

/// The MAC address that an advertisement gives for `target`, if the frame is one.
#[must_use]
pub fn advertised_mac(frame: &[u8], target: Ipv6Addr) -> Option<Mac> {
    let message = icmpv6_message(frame)?;
    let is_it = message[0] == NEIGHBOR_ADVERTISEMENT && message.get(8..24)? == target.octets();
    // The option of the target's link-layer address.
    is_it.then(|| message.get(26..32)?.try_into().ok()).flatten()
}

/// Where packets to a neighbour's solicited-node address go: the group, and its MAC address.
#[must_use]
pub fn solicited_node(target: Ipv6Addr) -> (Ipv6Addr, Mac) {
    let [.., a, b, c] = target.octets();
    let [high, low] = [u16::from(a) | 0xff00, u16::from_be_bytes([b, c])];
    (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, high, low), [0x33, 0x33, 0xff, a, b, c])
}

/// Type, code and body of the ICMPv6 message that a frame holds right after its IPv6 header.
#[must_use]
pub fn icmpv6_message(frame: &[u8]) -> Option<&[u8]> {
    let packet = frame.get(14..)?;
    let is_it = frame[12..14] == [0x86, 0xdd] && *packet.get(6)? == ICMPV6;
    is_it.then(|| packet.get(HEADER_BYTES..)).flatten().filter(|message| message.len() >= 8)
}
