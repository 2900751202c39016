//! IPv4 packets from guests: which are for us, or for the outside (RFC 791, 1122, 1812).

use super::errors::Error;
use super::ip::From;
use super::reassembly::Fragment;
use super::{Role, Stack};
use crate::counters::Drop;
use crate::time::Instant;
use crate::wire::ip::{self, Pair};
use crate::wire::ipv4::Packet;

impl<R: Role> Stack<R> {
    pub(super) fn handle_ipv4(&mut self, now: Instant, from: From, bytes: &[u8]) {
        let packet = match Packet::parse(bytes, !from.trusted) {
            Ok(packet) => packet,
            Err(why) => return self.drops.count(why),
        };
        if R::IS_HOST {
            return self.handle_host_ipv4(now, from, &packet);
        }
        let (source, destination) = (packet.source, packet.destination);
        let is_fragment = packet.more_fragments || packet.offset > 0;
        let invalid = source.is_multicast()
            || source.is_broadcast()
            || source.is_loopback()
            || source == self.config.subnet.broadcast()
            || self.config.is_ours(source.into());
        let to_everyone = destination.is_broadcast()
            || destination.is_multicast()
            || destination == self.config.subnet.broadcast();
        if from.group || to_everyone {
            // A client without a lease has no address of its own; nothing else of what goes to everyone is for us.
            if !invalid && packet.protocol == ip::UDP && !is_fragment {
                self.handle_broadcast(now, from, &packet.whole());
            }
            return;
        }
        if invalid || source.is_unspecified() {
            return self.drops.count(Drop::Ipv4Source);
        }
        if !self.config.subnet.contains(source) {
            return self.drops.count(Drop::Ipv4NotForUs);
        }
        self.learn(now, source.into(), from.guest);
        let ours = self.config.is_ours(destination.into());
        if packet.ttl == 0 || (packet.ttl == 1 && !ours) {
            self.drops.count(Drop::Ipv4Ttl);
            return self.send_ipv4_error(now, from, &packet, Error::HopLimit);
        }
        if !ours && self.config.subnet.contains(destination) {
            return self.drops.count(Drop::Ipv4NotForUs);
        }
        if !ours && !self.config.gateway {
            self.drops.count(Drop::Policy);
            return self.send_ipv4_error(now, from, &packet, Error::NoRoute);
        }
        self.take_ipv4(now, from, &packet);
    }

    /// A packet that is for us: acts on it, or on the datagram that it completes.
    pub(super) fn take_ipv4(&mut self, now: Instant, from: From, packet: &Packet<'_>) {
        if !packet.more_fragments && packet.offset == 0 {
            return self.dispatch(now, from, &packet.whole());
        }
        let fragment = fragment_of(packet);
        if let Some((mut whole, payload)) =
            self.reassembly.handle(now, from.guest, &fragment, &mut self.drops)
        {
            let at = whole.len();
            whole.extend_from_slice(&payload);
            let packet = ip::Packet { payload: &whole[at..], bytes: &whole, ..packet.whole() };
            self.dispatch(now, from, &packet);
        }
    }

    /// A fragment behind the first does not tell what it is of.
    pub(super) fn send_ipv4_error(&mut self, now: Instant, from: From, packet: &Packet<'_>, error: Error) {
        if packet.offset == 0 {
            self.send_error(now, from, &packet.whole(), error);
        }
    }
}

/// A packet as a part of its datagram.
pub(super) fn fragment_of<'a>(packet: &Packet<'a>) -> Fragment<'a> {
    let (head, payload) = packet.bytes.split_at(packet.bytes.len() - packet.payload.len());
    Fragment {
        pair: Pair::V4(packet.source, packet.destination),
        protocol: packet.protocol,
        id: packet.id.into(),
        offset: packet.offset,
        more: packet.more_fragments,
        head,
        payload,
    }
}
