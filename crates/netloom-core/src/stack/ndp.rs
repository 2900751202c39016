//! Neighbour discovery: answers for the machine's addresses, questions about guests (RFC 4861 4, 6.1 and 7, RFC 4862 5.4, RFC 6085, 6980).
//!
//! The machine's addresses are the LAN's by configuration, and no port may use its MAC address: it takes them without asking (an
//! optimistic duplicate address detection in the sense of RFC 4429), and answers whoever tries one that it is taken. Redirects and others'
//! advertisements are not acted on. Groups are not joined with MLD (RFC 3810), since the switch hands every multicast frame to the stack.

use core::net::Ipv6Addr;

use super::ip::From;
use super::{Role, Stack};
use crate::addr::MacAddr;
use crate::counters::Drop;
use crate::time::Instant;
use crate::wire::ethernet::{self, ETHERNET_BYTES};
use crate::wire::ip::{self, Header, ICMPV6, Packet, Pair, Part};
use crate::wire::ipv6::{self, HEADER_BYTES};

/// Router solicitation to redirect.
pub(super) const TYPES: core::ops::RangeInclusive<u8> = 133..=137;
pub(super) const ROUTER_SOLICITATION: u8 = 133;
pub(super) const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

/// Flags of a neighbour advertisement.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// That a message was not forwarded (RFC 4861 3.1).
const HOP_LIMIT: u8 = 255;

/// A message to send.
pub(super) struct Message<'a> {
    pub(super) kind: u8,
    /// What stands in bytes 4 to 8.
    pub(super) rest: [u8; 4],
    /// What follows.
    pub(super) body: &'a [u8],
}

impl<R: Role> Stack<R> {
    pub(super) fn handle_ndp(
        &mut self,
        now: Instant,
        from: From,
        pair: (Ipv6Addr, Ipv6Addr),
        packet: &Packet<'_>,
    ) {
        let ((source, destination), message) = (pair, packet.payload);
        let (kind, code) = (message[0], message[1]);
        let options_at = match kind {
            ROUTER_SOLICITATION => 8,
            ROUTER_ADVERTISEMENT => 16,
            NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT => 24,
            // A redirect tells two addresses.
            _ => 40,
        };
        let target = message.get(8..24).map(|target| ipv6::address_at(target, 0));
        let has_source =
            message.get(options_at..).and_then(|options| has_option(options, SOURCE_LINK_ADDRESS));
        let (true, Some(has_source)) = (packet.hop_limit == HOP_LIMIT && code == 0, has_source) else {
            return self.drops.count(Drop::NdpInvalid);
        };
        let valid = match (kind, target) {
            (NEIGHBOR_SOLICITATION, Some(target)) => {
                let probes = destination == ipv6::solicited_node(target) && !has_source;
                !target.is_multicast() && (!source.is_unspecified() || probes)
            }
            (NEIGHBOR_ADVERTISEMENT, Some(target)) => {
                let solicited = message[4] & SOLICITED != 0;
                !(target.is_multicast() || source.is_unspecified() || solicited && destination.is_multicast())
            }
            _ => !(source.is_unspecified() && has_source),
        };
        if !valid {
            return self.drops.count(Drop::NdpInvalid);
        }
        match (kind, target) {
            (ROUTER_SOLICITATION, _) if !R::IS_HOST => self.advertise_to(from.guest, source),
            (NEIGHBOR_SOLICITATION, Some(target)) if self.answers_for(from.guest.port, target.into()) => {
                self.send_neighbor_advertisement(from, source, target);
            }
            (NEIGHBOR_SOLICITATION, _) => {}
            (NEIGHBOR_ADVERTISEMENT, Some(target)) => self.learn(now, target.into(), from.guest),
            _ => self.drops.count(Drop::IcmpIgnored),
        }
    }

    /// Answers who asks about an address of ours. Who has no address yet, because he is about to take that one, is told by a packet
    /// to all nodes in a frame to him alone (RFC 6085): nobody else asked.
    fn send_neighbor_advertisement(&mut self, from: From, asker: Ipv6Addr, target: Ipv6Addr) {
        let (to, solicited) = if asker.is_unspecified() { (ipv6::ALL_NODES, 0) } else { (asker, SOLICITED) };
        let router = if self.is_router() { ROUTER } else { 0 };
        let Some(own) = self.link(from.guest.port).map(|link| link.mac) else { return };
        let body = [&target.octets()[..], &link_address(TARGET_LINK_ADDRESS, own)].concat();
        let rest = [router | solicited | OVERRIDE, 0, 0, 0];
        let message = Message { kind: NEIGHBOR_ADVERTISEMENT, rest, body: &body };
        let frame = ndp_frame((own, from.guest.mac), (target, to), &message);
        self.push(from.guest.port, &frame);
    }
}

/// A question to those who may use an address.
pub(super) fn solicitation(own: (MacAddr, Ipv6Addr), target: Ipv6Addr) -> Vec<u8> {
    let group = ipv6::solicited_node(target);
    let body = [&target.octets()[..], &link_address(SOURCE_LINK_ADDRESS, own.0)].concat();
    let message = Message { kind: NEIGHBOR_SOLICITATION, rest: [0; 4], body: &body };
    ndp_frame((own.0, ipv6::group_mac(group)), (own.1, group), &message)
}

/// A frame with a message from one MAC and IP address to another.
pub(super) fn ndp_frame(
    macs: (MacAddr, MacAddr),
    pair: (Ipv6Addr, Ipv6Addr),
    message: &Message<'_>,
) -> Vec<u8> {
    let pair = Pair::V6(pair.0, pair.1);
    let head = ip::icmp(pair, message.kind, 0, message.rest, message.body);
    let mut frame = vec![0; ETHERNET_BYTES + HEADER_BYTES];
    ethernet::emit(macs.1, macs.0, ipv6::ETHERTYPE, &mut frame);
    let header = Header { pair, protocol: ICMPV6, hop_limit: HOP_LIMIT, checksum: true };
    header.emit(0, Part::Whole, head.len() + message.body.len(), &mut frame[ETHERNET_BYTES..]);
    frame.extend_from_slice(&head);
    frame.extend_from_slice(message.body);
    frame
}

/// An option that tells a MAC address.
fn link_address(kind: u8, mac: MacAddr) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac.0;
    [kind, 1, a, b, c, d, e, f]
}

/// The option that tells the sender's MAC address.
pub(super) fn source_link_address(mac: MacAddr) -> [u8; 8] {
    link_address(SOURCE_LINK_ADDRESS, mac)
}

/// Whether an option is among these; `None` if they are malformed (RFC 4861 4.6: a length of zero is).
fn has_option(mut options: &[u8], wanted: u8) -> Option<bool> {
    let mut found = false;
    while let [kind, ..] = options {
        let length = 8 * usize::from(*options.get(1)?);
        if length == 0 || length > options.len() {
            return None;
        }
        found |= *kind == wanted;
        options = &options[length..];
    }
    Some(found)
}
