//! Packets made by hand: what a guest's kernel would send.

use std::net::Ipv4Addr;

pub const BROADCAST: [u8; 6] = [0xff; 6];
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 1);
/// An ethertype that only guests care for (local experimental, IEEE 802).
pub const EXPERIMENTAL: u16 = 0x88b5;

pub fn mac(n: u8) -> [u8; 6] {
    [0x02, 0, 0, 0, 0, n]
}

pub fn frame(destination: [u8; 6], source: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&destination[..], &source, &ethertype.to_be_bytes(), payload].concat()
}

pub fn ethertype(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[12], frame[13]])
}

pub fn arp_request(source: [u8; 6], own: Ipv4Addr, wanted: Ipv4Addr) -> Vec<u8> {
    let body = [&[0, 1, 8, 0, 6, 4, 0, 1], &source[..], &own.octets(), &[0; 6], &wanted.octets()].concat();
    frame(BROADCAST, source, 0x0806, &body)
}

/// Whether a frame is the ARP answer that tells where `wanted` is.
pub fn is_arp_reply(frame: &[u8], wanted: Ipv4Addr) -> bool {
    frame.len() >= 42
        && ethertype(frame) == 0x0806
        && frame[20..22] == [0, 2]
        && frame[28..32] == wanted.octets()
}

/// The ones' complement sum of RFC 1071.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

pub fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).expect("it fits");
    let [high, low] = length.to_be_bytes();
    let mut packet = vec![0x45, 0, high, low, 0, 1, 0x40, 0, 64, protocol, 0, 0];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum = checksum(&packet).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    packet.extend(payload);
    packet
}

/// A UDP datagram without checksum.
pub fn udp(source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("it fits");
    [&source_port.to_be_bytes()[..], &destination_port.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload]
        .concat()
}

/// The payload of a UDP datagram to `port`, if the frame is one without IP options.
pub fn udp_payload(frame: &[u8], port: u16) -> Option<&[u8]> {
    (frame.len() >= 42
        && ethertype(frame) == 0x0800
        && frame[14] == 0x45
        && frame[23] == 17
        && frame[36..38] == port.to_be_bytes())
    .then(|| {
        let length = usize::from(u16::from_be_bytes([frame[38], frame[39]]));
        &frame[42..34 + length]
    })
}

pub fn echo_request(identifier: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut message =
        [&[8, 0, 0, 0], &identifier.to_be_bytes()[..], &sequence.to_be_bytes(), payload].concat();
    let sum = checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    message
}

/// A DHCP message of a client, with `options` after the message type.
pub fn dhcp(source: [u8; 6], kind: u8, options: &[u8]) -> Vec<u8> {
    let mut body = vec![1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0];
    body.extend([0; 16]);
    body.extend(source);
    body.extend([0; 10 + 192]);
    body.extend([99, 130, 83, 99, 53, 1, kind]);
    body.extend(options);
    body.push(255);
    let packet = ipv4(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, 17, &udp(68, 67, &body));
    frame(BROADCAST, source, 0x0800, &packet)
}

/// Message type and offered address of a DHCP answer.
pub fn dhcp_answer(frame: &[u8]) -> Option<(u8, Ipv4Addr)> {
    let body = udp_payload(frame, 68)?;
    let address = Ipv4Addr::new(body[16], body[17], body[18], body[19]);
    let mut options = &body[240..];
    while let [code, length, rest @ ..] = options {
        if *code == 53 {
            return Some((rest[0], address));
        }
        options = &rest[usize::from(*length)..];
    }
    None
}

/// A TCP segment that opens a connection (RFC 9293).
pub fn tcp_syn(source: Ipv4Addr, destination: Ipv4Addr, source_port: u16, destination_port: u16) -> Vec<u8> {
    let mut segment = [&source_port.to_be_bytes()[..], &destination_port.to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    let pseudo = [&source.octets()[..], &destination.octets(), &[0, 6, 0, 20], &segment].concat();
    segment[16..18].copy_from_slice(&checksum(&pseudo).to_be_bytes());
    segment
}
