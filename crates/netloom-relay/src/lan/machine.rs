//! The machine's configuration from a LAN's settings.

use std::net::IpAddr;
use std::time::Duration;

use netloom_core::service::dhcp::DhcpConfig;
use netloom_core::service::dns::DnsConfig;
use netloom_core::{Congestion, LanConfig, Limits, Policy, PortConfig};

use crate::config::LanSettings;
use crate::egress;

/// Domain of the guests' names.
const DOMAIN: &str = "lan";
/// Name of the addresses that stand for the host.
const HOST_NAME: &str = "host.lan";
/// Full frames that may wait for a client, at the least.
const QUEUE_FRAMES: usize = 64;
const DNS_TTL: Duration = Duration::from_secs(60);

/// What guests may use of one LAN.
pub(crate) const LIMITS: Limits = Limits {
    flows_per_guest: 4096,
    pending_dials_per_guest: 256,
    dial_timeout: egress::dial::DIAL_TIMEOUT,
    receive_buffer_bytes: 4 * 1024 * 1024,
    send_buffer_bytes: 4 * 1024 * 1024,
    lan_buffer_bytes: 256 * 1024 * 1024,
    udp_idle: Duration::from_secs(90),
    queries_per_guest: 64,
};

pub(super) fn config(settings: &LanSettings, policy: Policy) -> LanConfig {
    let (first, last) = settings.pool;
    let host: Vec<_> = settings.host_addresses().filter(|_| settings.host_loopback).collect();
    LanConfig {
        subnet: settings.subnet,
        gateway_address: settings.gateway_address(),
        gateway_mac: settings.gateway_mac,
        gateway: settings.gateway,
        virtual_addresses: host.clone(),
        ipv6: settings.ipv6(),
        mtu: settings.mtu,
        dhcp: settings.dhcp.then(|| DhcpConfig {
            first,
            last,
            lease: Duration::from_secs(settings.lease_s.into()),
            fixed: settings.leases.clone(),
            domain: DOMAIN.to_owned(),
            dns: None,
        }),
        dns: settings.dns.then(|| DnsConfig {
            domain: DOMAIN.to_owned(),
            records: records(settings),
            wildcard: None,
            everywhere: false,
            ttl: DNS_TTL,
            timeout: egress::dns::TIMEOUT,
        }),
        ntp: true,
        echo_ports: vec![7],
        answer_all_pings: false,
        own_flows: false,
        nagle: false,
        timestamps: true,
        congestion: Congestion::default(),
        rto_min: Duration::from_millis(200),
        policy,
        limits: LIMITS,
    }
}

/// The names that its DNS knows from the start.
pub(super) fn records(settings: &LanSettings) -> Vec<(String, Vec<IpAddr>)> {
    let host = settings.host_loopback.then(|| (HOST_NAME.to_owned(), settings.host_addresses().collect()));
    settings.records.iter().cloned().chain(host).collect()
}

pub(super) fn port(settings: &LanSettings) -> PortConfig {
    let queue_bytes = (QUEUE_FRAMES * usize::from(settings.mtu)).max(PortConfig::default().queue_bytes);
    PortConfig {
        mtu: settings.mtu,
        queue_bytes,
        isolated: settings.isolate,
        // What is behind the WebSocket does not show, and the ne2k of v86 receives no multicast.
        multicast_to_unicast: true,
        ..PortConfig::default()
    }
}
