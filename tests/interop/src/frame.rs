//! Hand-made Ethernet frames, and the few fields that a test reads back, written apart from the machine's own codecs.
//!
//! RFC 826 (ARP), 791 (IPv4), 792 (ICMP), 768 (UDP), 9293 (TCP), 2131 (DHCP).

pub mod v6;

use std::net::Ipv4Addr;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// The broadcast address.
pub const BROADCAST: Mac = [0xff; 6];

/// A locally administered address that ends in `number`.
#[must_use]
pub fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    [0x02, 0x4e, a, b, c, d]
}

/// An Ethernet frame without its checksum.
#[must_use]
pub fn ethernet(destination: Mac, source: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&destination[..], &source[..], &ethertype.to_be_bytes(), payload].concat()
}

/// An ARP request for `target`.
#[must_use]
pub fn arp_request(source: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut payload = vec![0, 1, 8, 0, 6, 4, 0, 1];
    payload.extend_from_slice(&source);
    payload.extend_from_slice(&sender.octets());
    payload.extend_from_slice(&[0; 6]);
    payload.extend_from_slice(&target.octets());
    ethernet(BROADCAST, source, 0x0806, &payload)
}

/// The sender of an ARP reply for `target`, if the frame is one.
#[must_use]
pub fn arp_reply_from(frame: &[u8], target: Ipv4Addr) -> Option<Mac> {
    let body = frame.get(14..42)?;
    let is_reply = frame[12..14] == [8, 6] && body[6..8] == [0, 2] && body[14..18] == target.octets();
    is_reply.then(|| body[8..14].try_into().ok()).flatten()
}

/// Who sends to whom, at the Ethernet and the IPv4 layer.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The sending interface.
    pub source_mac: Mac,
    /// The interface that shall take it: the gateway's, or a neighbour's.
    pub destination_mac: Mac,
    /// The sender.
    pub source: Ipv4Addr,
    /// The receiver.
    pub destination: Ipv4Addr,
}

/// An IPv4 packet in its frame; `fragment` is the field of flags and offset as it stands on the wire.
#[must_use]
pub fn ipv4(route: Route, protocol: u8, fragment: u16, identification: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    packet.extend_from_slice(&identification.to_be_bytes());
    packet.extend_from_slice(&fragment.to_be_bytes());
    packet.extend_from_slice(&[64, protocol, 0, 0]);
    packet.extend_from_slice(&route.source.octets());
    packet.extend_from_slice(&route.destination.octets());
    let sum = checksum(0, &packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(payload);
    ethernet(route.destination_mac, route.source_mac, 0x0800, &packet)
}

/// An ICMP echo request.
#[must_use]
pub fn echo_request(route: Route, identifier: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
    ipv4(route, 1, 0x4000, sequence, &echo_message(identifier, sequence, data))
}

/// An ICMP echo request without the packet around it, for fragments.
#[must_use]
pub fn echo_message(identifier: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0];
    message.extend_from_slice(&identifier.to_be_bytes());
    message.extend_from_slice(&sequence.to_be_bytes());
    message.extend_from_slice(data);
    let sum = checksum(0, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// The data of an ICMP echo reply with this identifier, if the frame is one.
#[must_use]
pub fn echo_reply(frame: &[u8], identifier: u16) -> Option<&[u8]> {
    let message = ipv4_payload(frame, 1)?;
    let matches = message.first() == Some(&0) && message.get(4..6)? == identifier.to_be_bytes();
    matches.then(|| &message[8..])
}

/// A UDP datagram.
#[must_use]
pub fn udp(route: Route, source_port: u16, destination_port: u16, data: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(8 + data.len());
    datagram.extend_from_slice(&source_port.to_be_bytes());
    datagram.extend_from_slice(&destination_port.to_be_bytes());
    datagram.extend_from_slice(&(8 + data.len() as u16).to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(data);
    let sum = checksum(pseudo_header(route, 17, datagram.len()), &datagram);
    datagram[6..8].copy_from_slice(&(if sum == 0 { 0xffff } else { sum }).to_be_bytes());
    ipv4(route, 17, 0x4000, 1, &datagram)
}

/// A TCP SYN with an MSS option.
#[must_use]
pub fn syn(route: Route, source_port: u16, destination_port: u16, sequence: u32) -> Vec<u8> {
    let mut segment = Vec::with_capacity(24);
    segment.extend_from_slice(&source_port.to_be_bytes());
    segment.extend_from_slice(&destination_port.to_be_bytes());
    segment.extend_from_slice(&sequence.to_be_bytes());
    segment.extend_from_slice(&[0, 0, 0, 0, 6 << 4, 0x02, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 0x05, 0xb4]);
    let sum = checksum(pseudo_header(route, 6, segment.len()), &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    ipv4(route, 6, 0x4000, 1, &segment)
}

/// A DHCP DISCOVER with the broadcast flag.
#[must_use]
pub fn dhcp_discover(source: Mac, transaction: u32) -> Vec<u8> {
    let mut message = vec![1, 1, 6, 0];
    message.extend_from_slice(&transaction.to_be_bytes());
    message.extend_from_slice(&[0, 0, 0x80, 0]);
    message.resize(28, 0);
    message.extend_from_slice(&source);
    message.resize(236, 0);
    message.extend_from_slice(&[99, 130, 83, 99, 53, 1, 1, 55, 3, 1, 3, 6, 255]);
    message.resize(300, 0);
    let route = Route {
        source_mac: source,
        destination_mac: BROADCAST,
        source: Ipv4Addr::UNSPECIFIED,
        destination: Ipv4Addr::BROADCAST,
    };
    udp(route, 68, 67, &message)
}

/// The address that a DHCP OFFER with this transaction offers, if the frame is one.
#[must_use]
pub fn dhcp_offer(frame: &[u8], transaction: u32) -> Option<Ipv4Addr> {
    let message = ipv4_payload(frame, 17)?.get(8..)?;
    let offered: [u8; 4] = message.get(16..20)?.try_into().ok()?;
    (message[0] == 2 && message.get(4..8)? == transaction.to_be_bytes()).then(|| offered.into())
}

/// The payload of an IPv4 packet of this protocol, if the frame holds one.
#[must_use]
pub fn ipv4_payload(frame: &[u8], protocol: u8) -> Option<&[u8]> {
    let packet = frame.get(14..)?;
    let header_bytes = usize::from(packet.first()? & 0x0f) * 4;
    let total_bytes = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let is_ours = frame[12..14] == [8, 0] && *packet.get(9)? == protocol;
    is_ours.then(|| packet.get(header_bytes..total_bytes)).flatten()
}

fn pseudo_header(route: Route, protocol: u8, length: usize) -> u32 {
    let mut header = [0; 12];
    header[..4].copy_from_slice(&route.source.octets());
    header[4..8].copy_from_slice(&route.destination.octets());
    header[9] = protocol;
    header[10..].copy_from_slice(&(length as u16).to_be_bytes());
    add(0, &header)
}

fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let mut sum = add(start, bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn add(start: u32, bytes: &[u8]) -> u32 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    start + words.sum::<u32>()
}
