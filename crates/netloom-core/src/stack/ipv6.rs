//! IPv6 packets from guests: which are for us, or for the outside (RFC 8200, RFC 4291 2, RFC 5722, 6946, 6980, 7112).
//!
//! The machine is the end of every flow, so it acts on all extension headers, as a packet's destination does.

use core::net::{IpAddr, Ipv6Addr};

use super::errors::Error;
use super::ip::From;
use super::link::Link;
use super::ndp;
use super::reassembly::Fragment;
use super::{Role, Stack};
use crate::config::LanConfig;
use crate::counters::Drop;
use crate::port::PortId;
use crate::time::Instant;
use crate::wire::ip::{self, ICMPV6, Pair};
use crate::wire::ipv6::{self, Content, FRAGMENT, FRAGMENT_BYTES, Fault, HEADER_BYTES, Packet};

impl<R: Role> Stack<R> {
    pub(super) fn handle_ipv6(&mut self, now: Instant, from: From, bytes: &[u8]) {
        let carried = self.link(from.guest.port).is_some_and(Link::carries_ipv6);
        if !self.speaks_ipv6(from.guest.port) || !carried {
            return;
        }
        let packet = match Packet::parse(bytes) {
            Ok(packet) => packet,
            Err(why) => return self.drops.count(why),
        };
        let (source, destination) = (packet.source, packet.destination);
        let to_group = destination.is_multicast();
        // An address of one's own is not needed to ask for one, and nothing else does without (RFC 4862 5.4, RFC 4861 4.1).
        let invalid = source.is_multicast()
            || names_no_host(source) && !(source.is_unspecified() && to_group)
            || self.is_ours(source.into());
        if invalid && !self.is_loopback(from.guest.port) {
            return self.drops.count(Drop::Ipv6Source);
        }
        if !source.is_unspecified() {
            if !R::IS_HOST && !self.config.is_on_lan(source.into()) {
                return self.drops.count(Drop::Ipv6NotForUs);
            }
            self.learn(now, source.into(), from.guest);
        }
        if to_group {
            if self.is_our_group(from.guest.port, destination) {
                self.handle_content(now, From { group: true, ..from }, &packet);
            }
            return;
        }
        // What goes to everyone by its MAC address alone is meant for somebody else.
        if !from.group && self.is_for_us(now, from, &packet) {
            self.handle_content(now, from, &packet);
        }
    }

    /// Whether a packet to a unicast address is for us or for the outside; counted and told if not.
    fn is_for_us(&mut self, now: Instant, from: From, packet: &Packet<'_>) -> bool {
        let destination = packet.destination;
        if self.is_ours(destination.into()) {
            return true;
        }
        if R::IS_HOST {
            self.forward_ipv6(now, from, packet);
            return false;
        }
        let (why, error) = if names_no_host(destination) || self.config.is_on_lan(destination.into()) {
            (Drop::Ipv6NotForUs, None)
        } else if packet.hop_limit <= 1 {
            (Drop::Ipv6HopLimit, Some(Error::HopLimit))
        } else if packet.source.is_unicast_link_local() {
            (Drop::Ipv6NotForUs, Some(Error::BeyondScope))
        } else if !self.config.gateway {
            (Drop::Policy, Some(Error::NoRoute))
        } else {
            return true;
        };
        self.drops.count(why);
        if let Some(error) = error {
            self.send_fault(now, from, packet, error);
        }
        false
    }

    fn handle_content(&mut self, now: Instant, from: From, packet: &Packet<'_>) {
        match packet.content() {
            Ok(Content::Upper { protocol, at, fragment_header }) => {
                self.handle_upper(now, from, &packet.whole(protocol, at), fragment_header);
            }
            Ok(Content::Fragment { .. }) if from.group => self.drops.count(Drop::FragmentInvalid),
            Ok(Content::Fragment { at, id, offset, more, .. }) => {
                let (head, payload) = packet.bytes.split_at(at + FRAGMENT_BYTES);
                let pair = Pair::V6(packet.source, packet.destination);
                let fragment = Fragment { pair, protocol: FRAGMENT, id, offset, more, head, payload };
                self.handle_fragment(now, from, packet, at, &fragment);
            }
            Err(fault) => self.report_fault(now, from, packet, fault),
        }
    }

    fn handle_upper(&mut self, now: Instant, from: From, packet: &ip::Packet<'_>, fragmented: bool) {
        let kind = packet.payload.first().filter(|_| packet.protocol == ICMPV6);
        let is_ndp = kind.is_some_and(|kind| ndp::TYPES.contains(kind));
        if is_ndp && fragmented {
            return self.drops.count(Drop::NdpInvalid);
        }
        // Who has no address yet can be answered about addresses alone.
        if packet.pair.source().is_unspecified() && !is_ndp {
            return self.drops.count(Drop::Ipv6Source);
        }
        if packet.protocol == ICMPV6 || !from.group || R::IS_HOST && packet.protocol == ip::UDP {
            self.dispatch(now, from, packet);
        }
    }

    fn handle_fragment(
        &mut self,
        now: Instant,
        from: From,
        packet: &Packet<'_>,
        at: usize,
        fragment: &Fragment<'_>,
    ) {
        const PAYLOAD_LENGTH_AT: usize = 4;
        let end = fragment.offset + fragment.payload.len();
        let odd = fragment.more && !fragment.payload.len().is_multiple_of(8);
        let problem = if odd {
            Some((ipv6::FIELD, PAYLOAD_LENGTH_AT))
        } else if end + at - HEADER_BYTES > usize::from(u16::MAX) {
            Some((ipv6::FIELD, at + 2))
        } else if fragment.offset == 0 && !packet.chain_is_whole(at) {
            Some((ipv6::INCOMPLETE_CHAIN, 0))
        } else {
            None
        };
        if let Some((code, pointer)) = problem {
            self.drops.count(Drop::FragmentInvalid);
            return self.send_fault(now, from, packet, Error::Parameter { code, pointer });
        }
        let Some((head, payload)) = self.reassembly.handle(now, from.guest, fragment, &mut self.drops) else {
            return;
        };
        let Some(whole) = ipv6::reassembled(&head, &payload) else { return };
        let Ok(packet) = Packet::parse(&whole) else { return };
        match packet.content() {
            Ok(Content::Upper { protocol, at, .. }) => {
                self.handle_upper(now, from, &packet.whole(protocol, at), true);
            }
            Ok(Content::Fragment { .. }) => self.drops.count(Drop::FragmentInvalid),
            Err(fault) => self.report_fault(now, from, &packet, fault),
        }
    }

    /// Counts what is wrong with a packet's extension headers, and tells its sender if he is to know.
    fn report_fault(&mut self, now: Instant, from: From, packet: &Packet<'_>, fault: Fault) {
        let (from, error) = match fault {
            Fault::Truncated => return self.drops.count(Drop::Ipv6Malformed),
            Fault::Silent => return self.drops.count(Drop::Ipv6NextHeader),
            Fault::Problem { code, pointer } => (from, Error::Parameter { code, pointer }),
            Fault::ProblemOfGroup { code, pointer } => {
                (From { group: false, ..from }, Error::Parameter { code, pointer })
            }
        };
        self.drops.count(Drop::Ipv6NextHeader);
        self.send_fault(now, from, packet, error);
    }

    pub(super) fn send_fault(&mut self, now: Instant, from: From, packet: &Packet<'_>, error: Error) {
        if let Some(quoted) = packet.quotable(packet.content()) {
            self.send_error(now, from, &quoted, error);
        }
    }

    fn is_our_group(&self, port: PortId, group: Ipv6Addr) -> bool {
        if let Some(host) = &self.host {
            return self.interface_of(port).is_some_and(|interface| host.interfaces.is_in(interface, group));
        }
        let LanConfig { ipv6, gateway_mac, virtual_addresses, .. } = &self.config;
        let gateway = ipv6.map(|ipv6| ipv6.gateway_address).into_iter().chain([gateway_mac.link_local()]);
        let virtual_addresses = virtual_addresses.iter().filter_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(*v6),
        });
        group == ipv6::ALL_NODES
            || group == ipv6::ALL_ROUTERS
            || gateway.chain(virtual_addresses).any(|own| ipv6::solicited_node(own) == group)
    }
}

/// Unspecified, loopback, or an IPv4 address in disguise: none of them stands in a packet on a link (RFC 4291 2.5).
pub(super) fn names_no_host(address: Ipv6Addr) -> bool {
    address.is_unspecified() || address.is_loopback() || address.to_ipv4_mapped().is_some()
}
