//! A LAN to fuzz, and frames that a guest on it might send, to be bent afterwards.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use netloom_core::service::dhcp::DhcpConfig;
use netloom_core::service::dns::DnsConfig;
use netloom_core::{Duration, LanConfig, Limits, MacAddr};
use netloom_sim::group::{ALL_ROUTERS, mac_for, solicited_node};
use netloom_sim::packet::{self, Ipv4, Ipv6, Segment, flag};
use netloom_sim::world::{
    self, GATEWAY, GATEWAY_MAC, GATEWAY_V6, guest_address, guest_address_v6, guest_mac,
};

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
            dns: None,
        }),
        dns: Some(DnsConfig {
            domain: "lan".into(),
            records: vec![("host.lan".into(), vec![GATEWAY.into()])],
            wildcard: None,
            everywhere: false,
            ttl: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
        }),
        ntp: true,
        echo_ports: vec![7],
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
        ..world::dual_config(1500)
    }
}

/// What the machine said last in a TCP conversation, so that a made-up guest can go on with it.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// The machine's end.
    pub from: SocketAddr,
    /// The guest's end.
    pub to: SocketAddr,
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
    let address_v6 =
        if variant & 0x800 == 0 { guest_address_v6(guest) } else { guest_mac(guest).link_local() };
    let ip_v6 = |next_header, to: Ipv6Addr, payload: &[u8]| {
        let packet = Ipv6::new(address_v6, to, next_header).packet(payload);
        packet::ethernet(mac_for(to, GATEWAY_MAC), mac, 0x86dd, &packet)
    };
    let outside = Ipv4Addr::new(93, 184, 216, (variant % 4) as u8);
    let outside_v6 = Ipv6Addr::new(0x2a00, 0, 0, 0, 0, 0, 0, variant % 4);
    let port = 1024 + variant % 16;
    let send = |protocol, to, message: &[u8]| match to {
        IpAddr::V4(v4) => ip(protocol, v4, message),
        IpAddr::V6(v6) => ip_v6(protocol, v6, message),
    };
    let own = |to| match to {
        IpAddr::V4(_) => IpAddr::V4(address),
        IpAddr::V6(_) => IpAddr::V6(address_v6),
    };
    let udp = |to: IpAddr, to_port, data: &[u8]| {
        let (from, to_socket) = (SocketAddr::new(own(to), port), SocketAddr::new(to, to_port));
        send(17, to, &packet::udp(from, to_socket, data))
    };
    let icmp_v6 = |to: Ipv6Addr, (kind, code), rest, payload: &[u8]| {
        ip_v6(58, to, &packet::icmpv6((address_v6, to), kind, code, rest, payload))
    };
    let tcp = |flags: u8, to: SocketAddr, from_port, seq, ack, payload: &[u8]| {
        let segment = Segment {
            source: SocketAddr::new(own(to.ip()), from_port),
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
        send(6, to.ip(), &packet::tcp(&segment))
    };
    let go_on = |flags: u8, payload: &[u8]| match heard {
        Some(Heard { from, to, next, ack }) => {
            let skew = u32::from(variant >> 12) * 100;
            tcp(flags, from, to.port(), ack.wrapping_add(skew), Some(next), payload)
        }
        None => tcp(flags, SocketAddr::new(outside.into(), 80), port, 7, Some(9), payload),
    };
    match kind % 32 {
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
        2 | 3 => tcp(flag::SYN, SocketAddr::new(outside.into(), 80), port, 1000, None, &[]),
        4 | 5 => go_on(flag::ACK, payload),
        6 => go_on(flag::FIN | flag::ACK, payload),
        7 => go_on(flag::RST, &[]),
        8 => go_on(flag::SYN, &[]),
        9 => udp(outside.into(), 4000 + variant % 4, payload),
        10 => udp(GATEWAY.into(), 53, &dns_query(variant, payload)),
        11 => udp(GATEWAY.into(), 123, &[&[0x23; 48][..], payload].concat()),
        12 => udp(GATEWAY.into(), 7, payload),
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
        19 | 20 => tcp(flag::SYN, SocketAddr::new(outside_v6.into(), 80), port, 1000, None, &[]),
        21 => udp(outside_v6.into(), 4000 + variant % 4, payload),
        22 => udp(GATEWAY_V6.into(), [53, 123, 7, 9][usize::from(variant % 4)], &dns_query(variant, payload)),
        23 => icmp_v6([outside_v6, GATEWAY_V6][usize::from(variant % 2)], (128, 0), variant.into(), payload),
        24 => {
            let targets = [GATEWAY_V6, GATEWAY_MAC.link_local(), address_v6, guest_address_v6(3)];
            let target = targets[usize::from(variant % 4)];
            let option = [&[1, 1][..], &mac.0].concat();
            let kind = [135, 136][usize::from(variant >> 2 & 1)];
            let to = [solicited_node(target), target][usize::from(variant >> 3 & 1)];
            let rest = u32::from(variant) << 20;
            icmp_v6(to, (kind, 0), rest, &[&target.octets()[..], &option, payload].concat())
        }
        25 => icmp_v6(ALL_ROUTERS, ([133, 134, 137][usize::from(variant % 3)], 0), 0, payload),
        26 | 27 => {
            // One extension header after another, the last before a datagram.
            let kinds = [0, 60, 43, 44, 51, 59];
            let (first, second) = (kinds[usize::from(variant % 6)], kinds[usize::from(variant / 6 % 6)]);
            let chain = |next: u8, rest: [u8; 6]| [&[next, 0][..], &rest].concat();
            let option = [(variant >> 8) as u8, 4, 0, 0, 0, 0];
            let datagram = packet::udp(
                SocketAddr::new(address_v6.into(), port),
                SocketAddr::new(outside_v6.into(), 4000),
                payload,
            );
            let rest = if first == 44 { [0; 6] } else { option };
            let headers = [chain(second, rest), chain(17, [1, 4, 0, 0, 0, 0])].concat();
            ip_v6(first, outside_v6, &[headers, datagram].concat())
        }
        28 | 29 => {
            let field = ((variant >> 1) % 64 * 8) | (variant & 1);
            let header = [&[17, 0][..], &field.to_be_bytes(), &[0, 0, 0, (variant >> 8) as u8 % 3]].concat();
            ip_v6(44, outside_v6, &[header, payload.to_vec()].concat())
        }
        30 => {
            let quoted = Ipv6::new(GATEWAY_V6, address_v6, 6).packet(payload);
            let kind = [1, 2, 3, 4][usize::from(variant % 4)];
            icmp_v6(GATEWAY_V6, (kind, (variant >> 2) as u8 % 8), variant.into(), &quoted)
        }
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

/// Makes the checksums of a bent frame right again, so that it reaches what lies behind them.
pub fn repair(frame: &mut [u8]) {
    let Some((head, ip)) = frame.split_at_mut_checked(14) else { return };
    match head[12..] {
        [0x08, 0x00] if ip.len() >= 20 => repair_ipv4(ip),
        [0x86, 0xdd] if ip.len() >= 40 => {
            let total = (40 + usize::from(u16::from_be_bytes([ip[4], ip[5]]))).min(ip.len());
            let (header, data) = ip[..total].split_at_mut(40);
            repair_transport(header[6], &header[8..], data);
        }
        _ => {}
    }
}

fn repair_ipv4(ip: &mut [u8]) {
    let header = (usize::from(ip[0] & 15) * 4).clamp(20, ip.len());
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]])).clamp(header, ip.len());
    ip[10..12].fill(0);
    let sum = packet::checksum(&[&ip[..header]]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let (header, data) = ip[..total].split_at_mut(header);
    repair_transport(header[9], &header[12..20], data);
}

/// `addresses` is what the pseudo-header begins with.
fn repair_transport(protocol: u8, addresses: &[u8], data: &mut [u8]) {
    let at = match protocol {
        1 | 58 => 2,
        6 => 16,
        17 => 6,
        _ => return,
    };
    if data.len() < at + 2 {
        return;
    }
    data[at..at + 2].fill(0);
    let tail = [&(data.len() as u32).to_be_bytes()[..], &[0, 0, 0, protocol]].concat();
    let parts: [&[u8]; 3] = if protocol == 1 { [&[], &[], data] } else { [addresses, &tail, data] };
    let sum = packet::checksum(&parts);
    data[at..at + 2].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
}
