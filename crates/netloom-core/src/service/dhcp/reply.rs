//! The server's answer: its bytes and where it goes (RFC 2131 sections 4.1 and 4.3, RFC 2132). No state.

use core::net::Ipv4Addr;

use super::message::{BOOT_REPLY, BROADCAST_FLAG, ClientMessage, ETHERNET, MAGIC_COOKIE};
use super::options::{self, Writer};
use super::{CLIENT_PORT, DhcpConfig, Network, SERVER_PORT};
use crate::addr::MacAddr;

/// The least that a reply has: some clients take nothing shorter than a BOOTP message (RFC 951).
const MIN_BYTES: usize = 300;

/// A message that every client takes is an IP datagram of 576 bytes (RFC 2131 section 2).
const MIN_DATAGRAM_BYTES: u16 = 576;

/// Bytes of the IP and UDP headers before the message.
const HEADERS_BYTES: u16 = 28;

/// More DNS servers than this are not told: resolvers use three at most.
const MAX_DNS_SERVERS: usize = 8;

/// An answer to a client, to be sent from port 67 of the server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The IPv4 address it goes to: the broadcast address, the client's or a relay agent's.
    pub destination: Ipv4Addr,
    /// The UDP port it goes to: 68, or 67 for a relay agent.
    pub destination_port: u16,
    /// The MAC address it goes to; the client does not answer ARP yet. `None` for a relay agent, which is found like any host.
    pub destination_mac: Option<MacAddr>,
    /// The UDP payload.
    pub message: Vec<u8>,
}

/// The times of a lease in seconds.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) lease_s: u32,
}

impl Times {
    /// Infinity, as option 51 writes it.
    const INFINITE_S: u32 = u32::MAX;

    /// T1, when the client asks its server again: half of the lease.
    fn renewal_s(self) -> u32 {
        if self.lease_s == Self::INFINITE_S { Self::INFINITE_S } else { self.lease_s / 2 }
    }

    /// T2, when the client asks any server: seven eighths of the lease.
    fn rebinding_s(self) -> u32 {
        let s = u64::from(self.lease_s) * 7 / 8;
        if self.lease_s == Self::INFINITE_S {
            Self::INFINITE_S
        } else {
            u32::try_from(s).unwrap_or(Self::INFINITE_S)
        }
    }
}

/// What an answer says.
pub(super) enum Answer<'a> {
    Offer {
        address: Ipv4Addr,
        times: Times,
        name: Option<&'a str>,
    },
    Ack {
        address: Ipv4Addr,
        times: Times,
        name: Option<&'a str>,
        rapid: bool,
    },
    /// The configuration without an address, for INFORM.
    Inform,
    Nak {
        reason: &'static str,
    },
}

impl Answer<'_> {
    const fn kind(&self) -> u8 {
        match self {
            Self::Offer { .. } => 2,
            Self::Ack { .. } | Self::Inform => 5,
            Self::Nak { .. } => 6,
        }
    }

    const fn yiaddr(&self) -> Ipv4Addr {
        match self {
            Self::Offer { address, .. } | Self::Ack { address, .. } => *address,
            Self::Inform | Self::Nak { .. } => Ipv4Addr::UNSPECIFIED,
        }
    }

    const fn times(&self) -> Option<Times> {
        match self {
            Self::Offer { times, .. } | Self::Ack { times, .. } => Some(*times),
            Self::Inform | Self::Nak { .. } => None,
        }
    }

    const fn name(&self) -> Option<&str> {
        match self {
            Self::Offer { name, .. } | Self::Ack { name, .. } => *name,
            Self::Inform | Self::Nak { .. } => None,
        }
    }

    /// The answer as bytes, with the way to the client.
    pub(super) fn reply(&self, request: &ClientMessage, config: &DhcpConfig, network: &Network) -> Reply {
        let message = self.message(request, config, network);
        let nak = matches!(self, Self::Nak { .. });
        let (destination, destination_mac) = if let Some(relay) = request.giaddr {
            (relay, None)
        } else if nak {
            (Ipv4Addr::BROADCAST, Some(MacAddr::BROADCAST))
        } else if let Some(client) = request.ciaddr {
            (client, Some(request.mac))
        } else if request.wants_broadcast() || self.yiaddr().is_unspecified() {
            (Ipv4Addr::BROADCAST, Some(MacAddr::BROADCAST))
        } else {
            (self.yiaddr(), Some(request.mac))
        };
        let destination_port = if request.giaddr.is_some() { SERVER_PORT } else { CLIENT_PORT };
        Reply { destination, destination_port, destination_mac, message }
    }

    fn message(&self, request: &ClientMessage, config: &DhcpConfig, network: &Network) -> Vec<u8> {
        let ack = matches!(self, Self::Ack { .. } | Self::Inform);
        let nak = matches!(self, Self::Nak { .. });
        let ciaddr = request.ciaddr.filter(|_| ack).unwrap_or(Ipv4Addr::UNSPECIFIED);
        let giaddr = request.giaddr.unwrap_or(Ipv4Addr::UNSPECIFIED);
        // A relay agent cannot send a refusal to an address that the client must not use (RFC 2131 section 4.3.2).
        let flags =
            if nak && request.giaddr.is_some() { request.flags | BROADCAST_FLAG } else { request.flags };

        let mut bytes = vec![BOOT_REPLY, ETHERNET, 6, 0];
        bytes.extend_from_slice(&request.xid);
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&flags.to_be_bytes());
        bytes.extend_from_slice(&ciaddr.octets());
        bytes.extend_from_slice(&self.yiaddr().octets());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&giaddr.octets());
        bytes.extend_from_slice(&request.chaddr);
        bytes.extend_from_slice(&[0; 192]);
        bytes.extend_from_slice(&MAGIC_COOKIE);

        let mut writer = Writer::new(bytes, max_message_bytes(request, network));
        writer.put(options::MESSAGE_TYPE, &[self.kind()]);
        writer.put(options::SERVER_ID, &network.server.octets());
        if let Some(times) = self.times() {
            writer.put(options::LEASE_TIME, &times.lease_s.to_be_bytes());
        }
        // What must be echoed goes before what may be left out: RFC 6842 and RFC 3046 section 2.2.
        for code in [options::CLIENT_ID, options::RELAY_INFORMATION] {
            if let Some(value) = request.options.bytes(code) {
                writer.put(code, value);
            }
        }
        if matches!(self, Self::Ack { rapid: true, .. }) {
            writer.put(options::RAPID_COMMIT, &[]);
        }
        if let Self::Nak { reason } = self {
            writer.put(options::MESSAGE, reason.as_bytes());
        } else {
            self.put_parameters(&mut writer, request, config, network);
        }
        writer.finish(MIN_BYTES)
    }

    /// What the client asked for in its order, then what it gets anyway.
    fn put_parameters(
        &self,
        writer: &mut Writer,
        request: &ClientMessage,
        config: &DhcpConfig,
        network: &Network,
    ) {
        const ALWAYS: [u8; 9] = [
            options::SUBNET_MASK,
            options::ROUTER,
            options::DNS_SERVERS,
            options::RENEWAL_TIME,
            options::REBINDING_TIME,
            options::BROADCAST,
            options::INTERFACE_MTU,
            options::HOST_NAME,
            options::DOMAIN_NAME,
        ];
        let asked = request.options.bytes(options::PARAMETER_LIST).unwrap_or_default();
        for code in asked.iter().chain(&ALWAYS) {
            if let Some(value) = self.parameter(*code, config, network) {
                writer.put(*code, &value);
            }
        }
    }

    fn parameter(&self, code: u8, config: &DhcpConfig, network: &Network) -> Option<Vec<u8>> {
        match code {
            options::SUBNET_MASK => Some(network.subnet.netmask().octets().to_vec()),
            options::BROADCAST => Some(network.subnet.broadcast().octets().to_vec()),
            options::ROUTER => network.router.map(|router| router.octets().to_vec()),
            options::DNS_SERVERS => {
                let servers = config.dns.as_ref().unwrap_or(&network.dns);
                let octets: Vec<u8> =
                    servers.iter().take(MAX_DNS_SERVERS).flat_map(Ipv4Addr::octets).collect();
                (!octets.is_empty()).then_some(octets)
            }
            options::INTERFACE_MTU => Some(network.mtu.to_be_bytes().to_vec()),
            options::HOST_NAME => self.name().map(|name| name.as_bytes().to_vec()),
            options::DOMAIN_NAME => {
                Some(config.domain.as_bytes().to_vec()).filter(|domain| !domain.is_empty())
            }
            options::RENEWAL_TIME => self.times().map(|times| times.renewal_s().to_be_bytes().to_vec()),
            options::REBINDING_TIME => self.times().map(|times| times.rebinding_s().to_be_bytes().to_vec()),
            _ => None,
        }
    }
}

/// The longest message that the client takes, and that crosses the LAN in one piece.
fn max_message_bytes(request: &ClientMessage, network: &Network) -> usize {
    let datagram = request.options.fixed(options::MAX_MESSAGE_SIZE).map_or(0, u16::from_be_bytes);
    usize::from(datagram.min(network.mtu).max(MIN_DATAGRAM_BYTES) - HEADERS_BYTES)
}
