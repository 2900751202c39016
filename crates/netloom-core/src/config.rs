//! What a LAN is configured with.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::addr::{Ipv4Net, Ipv6Net, MacAddr};
use crate::policy::Policy;
use crate::service::dhcp::DhcpConfig;
use crate::service::dns::DnsConfig;
use crate::tcp::Congestion;
use crate::time::Duration;

/// What a LAN offers its guests.
#[derive(Clone, Debug)]
pub struct LanConfig {
    /// The LAN's IPv4 network.
    pub subnet: Ipv4Net,
    /// The address of the gateway and of the services. Without any of gateway, DHCP and DNS the LAN leaves it to its guests.
    pub gateway_address: Ipv4Addr,
    /// The MAC address of the gateway and of the virtual addresses.
    pub gateway_mac: MacAddr,
    /// Whether the gateway forwards: without, guests reach each other and the services, but nothing outside.
    pub gateway: bool,
    /// Further addresses that the gateway answers for, of IPv6 only where the LAN speaks it; flows to them are announced with that destination.
    pub virtual_addresses: Vec<IpAddr>,
    /// What the LAN speaks of IPv6; without, nothing of it is said or answered, though the switch still carries it between guests. It needs an
    /// MTU of at least 1280.
    pub ipv6: Option<Ipv6Config>,
    /// The LAN's MTU in bytes, told to guests by DHCP: 576 to 65,535.
    pub mtu: u16,
    /// The DHCP server, if it serves.
    pub dhcp: Option<DhcpConfig>,
    /// The DNS server, if it serves.
    pub dns: Option<DnsConfig>,
    /// Whether NTP requests to any address are answered by the gateway. Needs [`Lan::set_wall_clock`](crate::Lan::set_wall_clock).
    pub ntp: bool,
    /// UDP ports on which the gateway echoes (RFC 862: 7).
    pub echo_ports: Vec<u16>,
    /// Whether the gateway answers echo requests to addresses outside itself, as a page must, which has no ICMP. Otherwise they are flows.
    pub answer_all_pings: bool,
    /// Whether flows to the gateway's own address, at ports that it serves nothing on, are announced as those to any other. Otherwise they are
    /// refused.
    pub own_flows: bool,
    /// Whether small writes to a guest wait for the acknowledgment of earlier ones (RFC 9293 3.7.4). Who relays what was a segment once, or
    /// writes all there is, does without: each wait is as long as the guest delays its acknowledgments.
    pub nagle: bool,
    /// Whether TCP timestamps are offered to guests, and used with those that do (RFC 7323).
    pub timestamps: bool,
    /// How the rate of TCP toward guests answers to loss.
    pub congestion: Congestion,
    /// Least TCP retransmission timeout beyond the round trip itself (RFC 6298 2.4): 200 ms suits peers that delay acknowledgments by as much.
    pub rto_min: Duration,
    /// What guests may reach.
    pub policy: Policy,
    /// What guests may use.
    pub limits: Limits,
}

/// What a LAN speaks of IPv6. Guests take addresses of the prefix by themselves (SLAAC, RFC 4862).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Config {
    /// The LAN's prefix. Guests form addresses in it only if it is a /64.
    pub prefix: Ipv6Net,
    /// The address of the gateway and of the services, in the prefix. The gateway's link-local address comes from its MAC address.
    pub gateway_address: Ipv6Addr,
}

/// What the guests of a LAN may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows of one guest.
    pub flows_per_guest: usize,
    /// Dials of one guest that the outside has not answered.
    pub pending_dials_per_guest: usize,
    /// How long the outside has to answer a dial.
    pub dial_timeout: Duration,
    /// Largest receive buffer of a TCP flow, in bytes, taken as bytes arrive. It starts at 64 KiB, or a few segments if
    /// they are large, and grows with the rate; beyond 256 KiB only where a round trip takes time.
    pub receive_buffer_bytes: usize,
    /// Largest send buffer of a TCP flow, in bytes, taken as bytes are written. Beyond 256 KiB it grows only where
    /// a round trip takes time.
    pub send_buffer_bytes: usize,
    /// Bytes that the TCP flows of the LAN may hold and be offered together, both ways; windows and what `write` takes shrink as it fills.
    pub lan_buffer_bytes: usize,
    /// How long a UDP or ping flow may be silent.
    pub udp_idle: Duration,
    /// DNS queries of one guest that wait for an answer.
    pub queries_per_guest: usize,
}
