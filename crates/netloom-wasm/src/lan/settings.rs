//! What a LAN is told when it starts, as bytes: settings one behind the other, each a kind, a length in two bytes, little-endian, and a value.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str;

use netloom_core::service::dhcp::DhcpConfig;
use netloom_core::service::dns::DnsConfig;
use netloom_core::{
    Congestion, Duration, IpNet, Ipv4Net, Ipv6Config, Ipv6Net, LanConfig, Limits, MacAddr, Policy,
};

use crate::boundary::address;

const GATEWAY: u32 = 1;
const DHCP: u32 = 2;
const DNS: u32 = 4;
const DNS_EVERYWHERE: u32 = 8;
const NTP: u32 = 16;
const ANSWER_PINGS: u32 = 32;

/// Time to live of the answers about the LAN's own names: short, since guests come and go.
const DNS_TTL: Duration = Duration::from_secs(60);
const RTO_MIN: Duration = Duration::from_millis(200);
const FLOW_BUFFER_BYTES: usize = 4 << 20;
const PENDING_DIALS: usize = 256;
const QUERIES: usize = 64;

/// Settings that are numbers.
pub(super) struct Numbers {
    pub(super) flags: u32,
    pub(super) mtu: u16,
    pub(super) lease: Duration,
    pub(super) dns_timeout: Duration,
    pub(super) dial_timeout: Duration,
    pub(super) datagram_idle: Duration,
    pub(super) flows_per_guest: usize,
    pub(super) buffer_bytes: usize,
}

/// Settings of which there may be any number, or none.
#[derive(Default)]
struct Lists {
    fixed: Vec<(MacAddr, Ipv4Addr)>,
    name_servers: Option<Vec<Ipv4Addr>>,
    records: Vec<(String, Vec<IpAddr>)>,
    echo_ports: Vec<u16>,
}

/// A LAN's configuration; `None` if a setting is not understood, or one that must be there is not.
pub(super) fn parse(numbers: &Numbers, mut bytes: &[u8]) -> Option<LanConfig> {
    let (mut net, mut mac, mut pool, mut ipv6, mut wildcard) = (None, None, None, None, None);
    let (mut dhcp_domain, mut dns_domain) = (String::new(), String::new());
    let mut lists = Lists::default();
    while let Some((head, rest)) = bytes.split_first_chunk::<3>() {
        let (value, rest) = rest.split_at_checked(u16::from_le_bytes([head[1], head[2]]).into())?;
        bytes = rest;
        match head[0] {
            0 => {
                let (own, prefix) = value.split_first_chunk::<4>()?;
                net = Some(((*own).into(), *prefix.first()?));
            }
            1 => mac = Some(MacAddr(value.try_into().ok()?)),
            2 => pool = Some((v4(value.get(..4)?)?, v4(value.get(4..)?)?)),
            3 => lists.fixed.push((MacAddr(*value.first_chunk()?), v4(value.get(6..)?)?)),
            4 => dhcp_domain = text(value)?,
            5 => lists.name_servers = Some(value.chunks(4).map(v4).collect::<Option<_>>()?),
            6 => dns_domain = text(value)?,
            7 => {
                let (to, name) = value.split_first_chunk::<17>()?;
                lists.records.push((text(name)?, vec![address(&to[1..], to[0].into())?]));
            }
            8 => wildcard = Some(v4(value)?),
            9 => ipv6 = Some(v6_config(value)?),
            10 => lists.echo_ports.push(u16::from_le_bytes(value.try_into().ok()?)),
            _ => return None,
        }
    }
    let has = |flag| numbers.flags & flag > 0;
    let Lists { fixed, name_servers, records, echo_ports } = lists;
    let ((gateway_address, prefix), (first, last)) = (net?, pool?);
    let everywhere = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let everywhere = everywhere.into_iter().map(|any| IpNet::new(any, 0).into()).collect();
    Some(LanConfig {
        subnet: Ipv4Net::new(gateway_address, prefix),
        gateway_address,
        gateway_mac: mac?,
        gateway: has(GATEWAY),
        virtual_addresses: Vec::new(),
        ipv6,
        mtu: numbers.mtu,
        dhcp: has(DHCP).then_some(DhcpConfig {
            first,
            last,
            lease: numbers.lease,
            fixed,
            domain: dhcp_domain,
            dns: name_servers,
        }),
        dns: has(DNS).then_some(DnsConfig {
            domain: dns_domain,
            records,
            wildcard,
            everywhere: has(DNS_EVERYWHERE),
            ttl: DNS_TTL,
            timeout: numbers.dns_timeout,
        }),
        ntp: has(NTP),
        echo_ports,
        answer_all_pings: has(ANSWER_PINGS),
        own_flows: true,
        nagle: false,
        timestamps: true,
        congestion: Congestion::default(),
        rto_min: RTO_MIN,
        // A page has no networks of its own to protect; whoever answers for its flows has a policy.
        policy: Policy { allow: everywhere, private: true, ..Policy::default() },
        limits: Limits {
            flows_per_guest: numbers.flows_per_guest,
            pending_dials_per_guest: PENDING_DIALS,
            dial_timeout: numbers.dial_timeout,
            receive_buffer_bytes: FLOW_BUFFER_BYTES,
            send_buffer_bytes: FLOW_BUFFER_BYTES,
            lan_buffer_bytes: numbers.buffer_bytes,
            udp_idle: numbers.datagram_idle,
            queries_per_guest: QUERIES,
        },
    })
}

fn v4(bytes: &[u8]) -> Option<Ipv4Addr> {
    Some(<[u8; 4]>::try_from(bytes).ok()?.into())
}

fn v6_config(bytes: &[u8]) -> Option<Ipv6Config> {
    let (address, prefix) = bytes.split_first_chunk::<16>()?;
    let gateway_address = (*address).into();
    Some(Ipv6Config { prefix: Ipv6Net::new(gateway_address, *prefix.first()?), gateway_address })
}

fn text(bytes: &[u8]) -> Option<String> {
    Some(str::from_utf8(bytes).ok()?.to_owned())
}
