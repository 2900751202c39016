//! A LAN to fuzz, and frames that a guest on it might send, to be bent afterwards.

use core::net::{Ipv4Addr, SocketAddrV4};

use netloom_core::service::dhcp::DhcpConfig;
use netloom_core::service::dns::DnsConfig;
use netloom_core::{Duration, LanConfig, Limits, MacAddr};
use netloom_sim::packet::{self, Ipv4, Segment, flag};
use netloom_sim::world::{self, GATEWAY, GATEWAY_MAC, guest_address, guest_mac};

/// Flows that one guest may have in the fuzzed LAN.
pub const FLOWS_PER_GUEST: usize = 32;

/// A LAN with every service, and limits small enough to be reached.
#[must_use]
pub fn lan_config() -> LanConfig {
    LanConfig {
        dhcp: Some(DhcpConfig {
            first: Ipv4Addr::new(192, 168, 86, 100),
            last: Ipv4Addr::new(192, 168, 86, 107),
            lease: Duration::from_secs(3600),
            fixed: vec![(guest_mac(9), Ipv4Addr::new(192, 168, 86, 50))],
            domain: "lan".into(),
            dns: Vec::new(),
        }),
        dns: Some(DnsConfig {
            domain: "lan".into(),
            records: vec![("host.lan".into(), vec![GATEWAY.into()])],
            ttl: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
        }),
        ntp: true,
        echo: true,
        limits: Limits {
            flows_per_guest: FLOWS_PER_GUEST,
            pending_dials_per_guest: 8,
            dial_timeout: Duration::from_secs(10),
            receive_buffer_bytes: 16 * 1024,
            send_buffer_bytes: 16 * 1024,
            lan_buffer_bytes: 128 * 1024,
            udp_idle: Duration::from_secs(30),
            queries_per_guest: 4,
        },
        ..world::lan_config(1500)
    }
}

/// What the machine said last in a TCP conversation, so that a made-up guest can go on with it.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// The machine's end.
    pub from: SocketAddrV4,
    /// The guest's end.
    pub to: SocketAddrV4,
    /// The sequence number after what it sent.
    pub next: u32,
    /// What it expects.
    pub ack: u32,
}

impl Heard {
    /// What a frame of the machine says, if it is a TCP segment.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        let Ok(packet::Packet::Tcp(segment)) = packet::read(frame, false) else { return None };
        let length = segment.payload.len() as u32
            + u32::from(segment.has(flag::SYN))
            + u32::from(segment.has(flag::FIN));
        Some(Self {
            from: segment.source,
            to: segment.destination,
            next: segment.seq.wrapping_add(length),
            ack: segment.ack.unwrap_or(0),
        })
    }
}

/// A frame of guest `guest`, of one of many kinds. `variant` chooses within the kind.
#[must_use]
pub fn frame(kind: u8, guest: u8, variant: u16, heard: Option<Heard>, payload: &[u8]) -> Vec<u8> {
    let guest = guest % 4;
    let (mac, address) = (guest_mac(guest), guest_address(guest));
    let ip = |protocol, to, payload: &[u8]| {
        packet::ethernet(GATEWAY_MAC, mac, 0x0800, &Ipv4::new(address, to, protocol).packet(payload))
    };
    let outside = Ipv4Addr::new(93, 184, 216, (variant % 4) as u8);
    let port = 1024 + variant % 16;
    let udp = |to, to_port, data: &[u8]| {
        let (from, to_socket) = (SocketAddrV4::new(address, port), SocketAddrV4::new(to, to_port));
        ip(17, to, &packet::udp(from, to_socket, data))
    };
    let tcp = |flags: u8, to: SocketAddrV4, from_port, seq, ack, payload: &[u8]| {
        let segment = Segment {
            source: SocketAddrV4::new(address, from_port),
            destination: to,
            seq,
            ack,
            flags,
            window: variant.wrapping_mul(257),
            mss: (flags & flag::SYN != 0).then_some(536 + variant % 1000),
            scale: None,
            options_bytes: 0,
            payload,
        };
        ip(6, *to.ip(), &packet::tcp(&segment))
    };
    let go_on = |flags: u8, payload: &[u8]| match heard {
        Some(Heard { from, to, next, ack }) => {
            let skew = u32::from(variant >> 12) * 100;
            tcp(flags, from, to.port(), ack.wrapping_add(skew), Some(next), payload)
        }
        None => tcp(flags, SocketAddrV4::new(outside, 80), port, 7, Some(9), payload),
    };
    match kind % 20 {
        0 => packet::ethernet(
            MacAddr::BROADCAST,
            mac,
            0x0806,
            &packet::arp(1, (mac, address), (MacAddr::default(), GATEWAY)),
        ),
        1 => packet::ethernet(
            GATEWAY_MAC,
            mac,
            0x0806,
            &packet::arp(2, (mac, address), (GATEWAY_MAC, GATEWAY)),
        ),
        2 | 3 => tcp(flag::SYN, SocketAddrV4::new(outside, 80), port, 1000, None, &[]),
        4 | 5 => go_on(flag::ACK, payload),
        6 => go_on(flag::FIN | flag::ACK, payload),
        7 => go_on(flag::RST, &[]),
        8 => go_on(flag::SYN, &[]),
        9 => udp(outside, 4000 + variant % 4, payload),
        10 => udp(GATEWAY, 53, &dns_query(variant, payload)),
        11 => udp(GATEWAY, 123, &[&[0x23; 48][..], payload].concat()),
        12 => udp(GATEWAY, 7, payload),
        13 => ip(1, outside, &packet::icmp(8, 0, u32::from(variant), payload)),
        14 => ip(1, GATEWAY, &packet::icmp(8, 0, u32::from(variant), payload)),
        15 => dhcp(mac, variant, payload),
        16 => {
            let more = if variant & 1 == 0 { 0x2000 } else { 0 };
            let fragment = more | ((variant >> 1) % 64);
            let header = Ipv4 { id: variant % 3, fragment, ..Ipv4::new(address, outside, 17) };
            packet::ethernet(GATEWAY_MAC, mac, 0x0800, &header.packet(payload))
        }
        17 => {
            let quoted = Ipv4::new(GATEWAY, address, 6).packet(payload);
            ip(1, GATEWAY, &packet::icmp(3, (variant % 16) as u8, u32::from(variant), &quoted))
        }
        18 => packet::ethernet(guest_mac((variant % 5) as u8), mac, 0x8137, payload),
        _ => packet::ethernet(MacAddr::BROADCAST, mac, variant, payload),
    }
}

fn dns_query(variant: u16, name: &[u8]) -> Vec<u8> {
    let label = &name[..name.len().min(20)];
    let id = variant.to_be_bytes();
    let length = [label.len() as u8];
    [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &length, label, &[3], b"lan", &[0, 0, 1, 0, 1]].concat()
}

/// A DHCP message: `variant` says which, `options` come after the type.
fn dhcp(mac: MacAddr, variant: u16, options: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 236];
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[4..8].copy_from_slice(&u32::from(variant).to_be_bytes());
    message[28..34].copy_from_slice(&mac.0);
    message.extend_from_slice(&[99, 130, 83, 99, 53, 1, 1 + (variant % 8) as u8]);
    message.extend_from_slice(&options[..options.len().min(200)]);
    message.push(255);
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
    let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, 67);
    let datagram = packet::udp(from, to, &message);
    let ip = Ipv4::new(*from.ip(), *to.ip(), 17).packet(&datagram);
    packet::ethernet(MacAddr::BROADCAST, mac, 0x0800, &ip)
}

/// Makes the checksums of a bent IPv4 frame right again, so that it reaches what lies behind them.
pub fn repair(frame: &mut [u8]) {
    if frame.get(12..14) != Some(&[8, 0]) || frame.len() < 34 {
        return;
    }
    let ip = &mut frame[14..];
    let header = (usize::from(ip[0] & 15) * 4).clamp(20, ip.len());
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]])).clamp(header, ip.len());
    ip[10..12].fill(0);
    let sum = packet::checksum(&[&ip[..header]]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let at = match ip[9] {
        1 => 2,
        6 => 16,
        17 => 6,
        _ => return,
    };
    let length = total - header;
    if length < at + 2 {
        return;
    }
    let mut pseudo = [0; 12];
    pseudo[..8].copy_from_slice(&ip[12..20]);
    pseudo[9] = ip[9];
    pseudo[10..].copy_from_slice(&(length as u16).to_be_bytes());
    let protocol = ip[9];
    let data = &mut ip[header..total];
    data[at..at + 2].fill(0);
    let sum = if protocol == 1 { packet::checksum(&[data]) } else { packet::checksum(&[&pseudo, data]) };
    data[at..at + 2].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
}
