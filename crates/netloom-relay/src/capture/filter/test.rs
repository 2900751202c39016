//! What one part of a filter asks of a packet.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use netloom_core::{IpNet, MacAddr};

use super::packet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_RARP, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP,
    Packet,
};
use crate::capture::Direction;

/// Which of two ends is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Destination,
    Either,
    Both,
}

impl End {
    fn holds<T>(self, ends: Option<(T, T)>, is_meant: impl Fn(T) -> bool) -> bool {
        let Some((source, destination)) = ends else { return false };
        match self {
            Self::Source => is_meant(source),
            Self::Destination => is_meant(destination),
            Self::Either => is_meant(source) || is_meant(destination),
            Self::Both => is_meant(source) && is_meant(destination),
        }
    }
}

/// A question about a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// Every frame.
    Any,
    Ethertype(u16),
    /// An IP protocol, in the packets of this Ethertype or of both.
    Protocol(Option<u16>, u8),
    Mac(End, MacAddr),
    /// An address, in the packets of this Ethertype or of all that have some.
    Address(Option<u16>, End, IpNet),
    /// Ports of a protocol, or of all that have some.
    Ports(Option<u8>, End, RangeInclusive<u16>),
    /// Any group address of Ethernet.
    Multicast,
    Broadcast,
    /// A group address of the packets of this Ethertype.
    IpMulticast(u16),
    /// Bytes at the most.
    Less(usize),
    /// Bytes at the least.
    Greater(usize),
    Direction(Direction),
}

impl Test {
    pub(super) fn holds(&self, packet: &Packet) -> bool {
        let is_ethertype = |wanted: u16| packet.ethertype == Some(wanted);
        match self {
            Self::Any => true,
            Self::Ethertype(ethertype) => is_ethertype(*ethertype),
            Self::Protocol(Some(ETHERTYPE_IPV4), protocol) => {
                is_ethertype(ETHERTYPE_IPV4) && packet.protocol == Some(*protocol)
            }
            Self::Protocol(of, protocol) => {
                of.is_none_or(is_ethertype)
                    && matches!(packet.ethertype, Some(ETHERTYPE_IPV4 | ETHERTYPE_IPV6))
                    && [packet.protocol, packet.next_header].contains(&Some(*protocol))
            }
            Self::Mac(end, mac) => end.holds(packet.macs, |address| address == *mac),
            Self::Address(of, end, net) => {
                of.map_or(
                    matches!(
                        packet.ethertype,
                        Some(ETHERTYPE_IPV4 | ETHERTYPE_IPV6 | ETHERTYPE_ARP | ETHERTYPE_RARP)
                    ),
                    is_ethertype,
                ) && end.holds(packet.addresses, |address| net.contains(address))
            }
            Self::Ports(of, end, ports) => {
                of.map_or(
                    matches!(packet.protocol, Some(PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP)),
                    |of| packet.protocol == Some(of),
                ) && end.holds(packet.ports, |port| ports.contains(&port))
            }
            Self::Multicast => packet.macs.is_some_and(|(_, to)| to.is_group()),
            Self::Broadcast => packet.macs.is_some_and(|(_, to)| to == MacAddr::BROADCAST),
            Self::IpMulticast(of) => {
                is_ethertype(*of)
                    && packet.addresses.is_some_and(|(_, to)| match to {
                        // As libpcap has it: all from 224.0.0.0 up.
                        IpAddr::V4(v4) => v4.octets()[0] >= 224,
                        IpAddr::V6(v6) => v6.is_multicast(),
                    })
            }
            Self::Less(bytes) => packet.length <= *bytes,
            Self::Greater(bytes) => packet.length >= *bytes,
            Self::Direction(direction) => packet.direction == *direction,
        }
    }
}
