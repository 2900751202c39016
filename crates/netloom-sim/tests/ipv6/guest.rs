//! What tests about IPv6 share: a guest on a LAN that speaks it, and frames of its by hand.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netloom_core::service::dhcp::DhcpConfig;
use netloom_core::service::dns::DnsConfig;
use netloom_core::{Duration, LanConfig, MacAddr, PortId};
use netloom_sim::Probe;
use netloom_sim::group::mac_for;
use netloom_sim::packet::{self, Packet, Segment, flag, icmpv6, ip_frame, read};
use netloom_sim::world::{GATEWAY_MAC, dual_config, guest_address_v6, guest_mac};

pub(crate) const GUEST: Ipv6Addr = guest_address_v6(0);
pub(crate) const OUTSIDE: Ipv6Addr = Ipv6Addr::new(0x2606, 0x2800, 0x220, 1, 0, 0, 0, 0x1946);

/// What the first guest that asks for a lease gets.
pub(crate) const LEASED: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 100);

/// A LAN of both families with DHCP, and with DNS of these records.
pub(crate) fn served(records: Vec<(String, Vec<IpAddr>)>) -> LanConfig {
    LanConfig {
        dhcp: Some(DhcpConfig {
            first: LEASED,
            last: Ipv4Addr::new(192, 168, 86, 199),
            lease: Duration::from_secs(3600),
            fixed: Vec::new(),
            domain: "lan".into(),
            dns: None,
        }),
        dns: Some(DnsConfig {
            domain: "lan".into(),
            records,
            wildcard: None,
            everywhere: false,
            ttl: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
        }),
        ..dual_config(1500)
    }
}

/// A LAN with one port.
pub(crate) fn guest(config: LanConfig) -> (Probe, PortId) {
    let mut probe = Probe::new(config);
    let port = probe.port();
    (probe, port)
}

/// A frame of a guest with this MAC address, to the gateway or to a group.
pub(crate) fn frame(mac: MacAddr, from: Ipv6Addr, to: Ipv6Addr, next_header: u8, payload: &[u8]) -> Vec<u8> {
    ip_frame((mac, mac_for(to, GATEWAY_MAC)), (IpAddr::from(from), IpAddr::from(to)), next_header, payload)
}

/// A frame of the first guest with a packet that was written before.
pub(crate) fn ethernet(packet: &[u8]) -> Vec<u8> {
    packet::ethernet(GATEWAY_MAC, guest_mac(0), 0x86dd, packet)
}

pub(crate) fn to_gateway(next_header: u8, to: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    frame(guest_mac(0), GUEST, to, next_header, payload)
}

/// A SYN from one address to a port of another.
pub(crate) fn syn(from: Ipv6Addr, to: Ipv6Addr, port: u16) -> Segment<'static> {
    Segment {
        source: SocketAddr::new(from.into(), 4000),
        destination: SocketAddr::new(to.into(), port),
        seq: 1000,
        ack: None,
        flags: flag::SYN,
        window: 60_000,
        mss: Some(1440),
        scale: None,
        options_bytes: 0,
        payload: &[],
    }
}

pub(crate) fn echo_request(from: Ipv6Addr, to: Ipv6Addr, data: &[u8]) -> Vec<u8> {
    frame(guest_mac(0), from, to, 58, &icmpv6((from, to), 128, 0, 0x0007_0001, data))
}

/// Source, destination and message of the one ICMPv6 message.
pub(crate) fn only_icmp(frames: &[Vec<u8>]) -> (Ipv6Addr, Ipv6Addr, Vec<u8>) {
    assert_eq!(frames.len(), 1, "{frames:02x?}");
    match read(&frames[0], true) {
        Ok(Packet::Icmp(IpAddr::V6(from), IpAddr::V6(to), message)) => (from, to, message.to_vec()),
        other => panic!("{other:02x?}"),
    }
}
