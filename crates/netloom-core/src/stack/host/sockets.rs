//! Sockets of datagrams: UDP (RFC 768, 1122 4.1) and ping (RFC 792, 4443 4).

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::VecDeque;

use super::Event;
use super::bindings::{BindError, Binding, Bindings};
use super::slab::Slab;
use crate::addr::MacAddr;
use crate::counters::Drop;
use crate::flow::{Guest, SocketId};
use crate::interface::InterfaceId;
use crate::sorted::SortedMap;
use crate::stack::errors::Error;
use crate::stack::flows::Key;
use crate::stack::icmp::{ECHO_REQUEST, Quoted, of_family};
use crate::stack::ip::From;
use crate::stack::resolve::Packet;
use crate::stack::{Role, Stack};
use crate::time::Instant;
use crate::wire::ip::{self, HOP_LIMIT, Header, Pair, Part};
use crate::wire::{ethernet::ETHERNET_BYTES, ipv6};

const HEADER_BYTES: usize = 8;

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
    /// It is longer than a packet carries: 65,507 bytes over IPv4, 65,527 over IPv6.
    #[error("the datagram is longer than a packet carries")]
    TooLong,
    /// No route leads to the target, or the host has no address of its family there.
    #[error("no route leads to the target")]
    NoRoute,
    /// Too much waits to leave: again once frames were polled.
    #[error("too much waits to leave by that interface")]
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Udp(Binding),
    /// With its identifier.
    Ping(u16),
}

struct Socket {
    kind: Kind,
    /// Datagrams that were not taken, and whom they are from.
    queue: VecDeque<(SocketAddr, Vec<u8>)>,
    bytes: usize,
    limit_bytes: usize,
}

impl Socket {
    /// Whether there was room; and whether it was empty before.
    fn put(&mut self, from: SocketAddr, data: &[u8]) -> (bool, bool) {
        let empty = self.queue.is_empty();
        let room = empty || self.bytes + OVERHEAD_BYTES + data.len() <= self.limit_bytes;
        if room {
            self.bytes += OVERHEAD_BYTES + data.len();
            self.queue.push_back((from, data.to_vec()));
        }
        (room, empty)
    }
}

/// Events that may wait before no more are made of what others say about datagrams.
const MAX_EVENTS: usize = 4096;
/// What a waiting datagram takes besides its bytes.
const OVERHEAD_BYTES: usize = 64;

pub(in crate::stack) struct Sockets {
    slots: Slab<Socket>,
    udp: Bindings,
    pings: SortedMap<u16, SocketId>,
    next_identifier: u16,
}

impl Sockets {
    pub(in crate::stack) fn new(first: u16) -> Self {
        Self {
            slots: Slab::default(),
            udp: Bindings::new(first),
            pings: SortedMap::default(),
            next_identifier: first,
        }
    }

    fn id((index, generation): (u32, u32)) -> SocketId {
        SocketId { index, generation }
    }
}

impl<R: Role> Stack<R> {
    /// Opens a UDP socket; port 0 asks for a free one.
    pub(crate) fn open_udp(
        &mut self,
        local: SocketAddr,
        interface: Option<InterfaceId>,
        limit_bytes: usize,
    ) -> Result<(SocketId, u16), BindError> {
        if !local.ip().is_unspecified() && !self.is_ours(local.ip()) {
            return Err(BindError::NotLocal);
        }
        let Some(host) = &mut self.host else { return Err(BindError::NotLocal) };
        let sockets = &mut host.sockets;
        let binding = sockets.udp.choose(Binding { local, interface })?;
        let socket = Socket { kind: Kind::Udp(binding), queue: VecDeque::new(), bytes: 0, limit_bytes };
        let id = sockets.slots.insert(socket);
        sockets.udp.insert(binding, id);
        Ok((Sockets::id(id), binding.local.port()))
    }

    /// Opens a ping socket with an identifier of its own; `None` if all are in use.
    pub(crate) fn open_ping(&mut self, limit_bytes: usize) -> Option<(SocketId, u16)> {
        let sockets = &mut self.host.as_mut()?.sockets;
        let identifier = (0..=u16::MAX).find_map(|_| {
            sockets.next_identifier = sockets.next_identifier.wrapping_add(1);
            (!sockets.pings.contains_key(&sockets.next_identifier)).then_some(sockets.next_identifier)
        })?;
        let socket = Socket { kind: Kind::Ping(identifier), queue: VecDeque::new(), bytes: 0, limit_bytes };
        let id = Sockets::id(sockets.slots.insert(socket));
        sockets.pings.insert(identifier, id);
        Some((id, identifier))
    }

    /// Closes a socket; what waited in it is gone.
    pub(crate) fn close_socket(&mut self, id: SocketId) {
        let Some(host) = &mut self.host else { return };
        match host.sockets.slots.remove(id.to_parts()).map(|socket| socket.kind) {
            Some(Kind::Udp(binding)) => host.sockets.udp.remove(binding.local.port(), id.to_parts()),
            Some(Kind::Ping(identifier)) => {
                host.sockets.pings.remove(&identifier);
            }
            None => {}
        }
    }

    /// The first datagram that waits in a socket, and whom it is from; the port of an echo reply is its sequence number.
    pub(crate) fn peek_received(&self, id: SocketId) -> Option<(SocketAddr, &[u8])> {
        let socket = self.host.as_ref()?.sockets.slots.get(id.to_parts())?;
        socket.queue.front().map(|(from, data)| (*from, data.as_slice()))
    }

    /// The first datagram that waits in a socket is done with.
    pub(crate) fn take_received(&mut self, id: SocketId) {
        let socket = self.host.as_mut().and_then(|host| host.sockets.slots.get_mut(id.to_parts()));
        if let Some(socket) = socket
            && let Some((_, data)) = socket.queue.pop_front()
        {
            socket.bytes -= OVERHEAD_BYTES + data.len();
        }
    }

    /// Sends a datagram, or an echo request whose sequence number is the target's port.
    pub(crate) fn send_datagram(
        &mut self,
        now: Instant,
        id: SocketId,
        target: SocketAddr,
        data: &[u8],
    ) -> Result<(), SendError> {
        let socket = self.host.as_ref().and_then(|host| host.sockets.slots.get(id.to_parts()));
        let kind = socket.ok_or(SendError::Closed)?.kind;
        let (local, only) = match kind {
            Kind::Udp(binding) => (Some(binding.local.ip()), binding.interface),
            Kind::Ping(_) => (None, None),
        };
        let local = local.filter(|local| !local.is_unspecified());
        let to = target.ip();
        let packet = |source: IpAddr| {
            let pair = Pair::new(source, to).ok_or(SendError::NoRoute)?;
            if data.len() + HEADER_BYTES > pair.max_payload_bytes() {
                return Err(SendError::TooLong);
            }
            let (protocol, head) = match kind {
                Kind::Udp(binding) => (ip::UDP, ip::udp(pair, (binding.local.port(), target.port()), data)),
                Kind::Ping(identifier) => {
                    let ([a, b], [c, d]) = (identifier.to_be_bytes(), target.port().to_be_bytes());
                    (pair.icmp(), ip::icmp(pair, of_family(pair, ECHO_REQUEST), 0, [a, b, c, d], data))
                }
            };
            Ok((Header { pair, protocol, hop_limit: HOP_LIMIT, checksum: true }, head))
        };
        if let Some((mac, interfaces)) = self.group(to, only) {
            return self.send_to_group(mac, &interfaces, to, local, data, packet);
        }
        let way = self.way(to, only).ok_or(SendError::NoRoute)?;
        let source = local.or_else(|| self.source_to(&way, to)).ok_or(SendError::NoRoute)?;
        let (header, head) = packet(source)?;
        match way.guest {
            Some(guest) => {
                if !self.has_queue_room(guest, &header, HEADER_BYTES + data.len()) {
                    return Err(SendError::Full);
                }
                self.send_packet(guest, header, &head, data);
                Ok(())
            }
            None => {
                let packet = Packet::Own { header, message: [&head[..], data].concat() };
                let waits = self.resolve_packet(now, (way.interface, way.hop), packet);
                if waits { Ok(()) } else { Err(SendError::Full) }
            }
        }
    }

    /// The MAC address of a group or of everyone, and the interfaces that it is reached by; `None` for an address that is one host's.
    fn group(&self, to: IpAddr, only: Option<InterfaceId>) -> Option<(MacAddr, Vec<InterfaceId>)> {
        let interfaces = &self.host.as_ref()?.interfaces;
        let ethernet = || {
            let suits = |id: &InterfaceId| {
                only.is_none_or(|only| only == *id)
                    && interfaces.get(*id).is_some_and(|interface| interface.medium.is_ethernet())
            };
            interfaces.ids().filter(suits).collect()
        };
        match to {
            IpAddr::V4(v4) if v4.is_broadcast() => Some((MacAddr::BROADCAST, ethernet())),
            IpAddr::V4(v4) if v4.is_multicast() => {
                let [_, b, c, d] = v4.octets();
                Some((MacAddr([0x01, 0x00, 0x5e, b & 0x7f, c, d]), ethernet()))
            }
            IpAddr::V4(v4) => interfaces.of_broadcast(v4).map(|id| (MacAddr::BROADCAST, vec![id])),
            IpAddr::V6(v6) if v6.is_multicast() => Some((ipv6::group_mac(v6), ethernet())),
            IpAddr::V6(_) => None,
        }
    }

    /// Sends by each of these interfaces, from its own address there. A host that has none yet may still ask for one (RFC 2131 4.1).
    fn send_to_group(
        &mut self,
        mac: MacAddr,
        interfaces: &[InterfaceId],
        to: IpAddr,
        local: Option<IpAddr>,
        data: &[u8],
        packet: impl Fn(IpAddr) -> Result<(Header, [u8; 8]), SendError>,
    ) -> Result<(), SendError> {
        let mut sent = Err(SendError::NoRoute);
        for &interface in interfaces {
            let own = self.host.as_ref().and_then(|host| host.interfaces.source(interface, to));
            let none = to.is_ipv4().then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let Some(source) = local.or(own).or(none) else { continue };
            let (header, head) = packet(source)?;
            let ports: Vec<_> = self.ports_of(interface).collect();
            for port in ports {
                let guest = Guest { port, mac };
                if self.has_queue_room(guest, &header, HEADER_BYTES + data.len()) {
                    self.send_packet(guest, header, &head, data);
                    sent = Ok(());
                } else if sent.is_err() {
                    sent = Err(SendError::Full);
                }
            }
        }
        sent
    }

    /// Whether a port's queue takes a packet, with what its fragments' headers come to.
    fn has_queue_room(&self, guest: Guest, header: &Header, message_bytes: usize) -> bool {
        self.link(guest.port).is_some_and(|link| {
            let front = ETHERNET_BYTES + header.len(Part::Fragment { offset: 0, more: true });
            let step = usize::from(link.config.mtu).saturating_sub(front - ETHERNET_BYTES).max(8);
            link.has_queue_room(message_bytes + front * message_bytes.div_ceil(step))
        })
    }

    /// A UDP datagram for a socket; nobody there is told so.
    pub(in crate::stack) fn deliver_datagram(
        &mut self,
        now: Instant,
        from: From,
        packet: &ip::Packet<'_>,
        key: &Key,
        data: &[u8],
    ) {
        let (Some(host), Some(on)) = (&self.host, self.interface_of(from.guest.port)) else { return };
        let (to, sockets) = (packet.pair.destination(), &host.sockets.udp);
        let group = from.group || matches!(to, IpAddr::V4(v4) if host.interfaces.is_broadcast(on, v4));
        if group {
            for id in sockets.all(key.ports.1, to, on) {
                self.put_received(Sockets::id(id), key.guest(), data);
            }
            return;
        }
        match sockets.find(key.ports.1, to, on) {
            Some(id) => self.put_received(Sockets::id(id), key.guest(), data),
            None => self.send_error(now, from, packet, Error::PortUnreachable),
        }
    }

    pub(in crate::stack) fn deliver_echo_reply(&mut self, source: IpAddr, message: &[u8]) {
        let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        let id = self.host.as_ref().and_then(|host| host.sockets.pings.get(&word(4)).copied());
        match id {
            Some(id) => self.put_received(id, SocketAddr::new(source, word(6)), &message[HEADER_BYTES..]),
            None => self.drops.count(Drop::IcmpIgnored),
        }
    }

    fn put_received(&mut self, id: SocketId, from: SocketAddr, data: &[u8]) {
        let Some(host) = &mut self.host else { return };
        let Some(socket) = host.sockets.slots.get_mut(id.to_parts()) else { return };
        let (room, was_empty) = socket.put(from, data);
        if !room {
            self.drops.count(Drop::UdpQueueFull);
        } else if was_empty {
            host.events.push_back(Event::Datagram { socket: id });
        }
    }

    /// ICMP quotes a packet of ours that is no TCP segment; `refused` tells what it says of it, if anything.
    pub(in crate::stack) fn hear_of_datagram(&mut self, quoted: &Quoted<'_>, refused: Option<bool>) {
        let told = refused.is_some_and(|refused| self.tell_undelivered(quoted, refused));
        if !told {
            self.drops.count(Drop::IcmpIgnored);
        }
    }

    /// Tells the socket that sent a datagram that it did not arrive; false if there is none.
    pub(in crate::stack) fn tell_undelivered(&mut self, quoted: &Quoted<'_>, refused: bool) -> bool {
        let Some(host) = &mut self.host else { return false };
        let (source, to) = (quoted.pair.source(), quoted.pair.destination());
        let (socket, port) = if quoted.protocol == ip::UDP {
            let route = host.routes.find(&host.interfaces, to, None).map(|(interface, _)| interface);
            let socket = route
                .or_else(|| host.interfaces.loopback())
                .and_then(|on| host.sockets.udp.find(quoted.word(0), source, on));
            (socket.map(Sockets::id), quoted.word(2))
        } else if quoted.protocol == quoted.pair.icmp() {
            (host.sockets.pings.get(&quoted.word(4)).copied(), quoted.word(6))
        } else {
            return false;
        };
        let Some(socket) = socket.filter(|_| host.events.len() < MAX_EVENTS) else { return false };
        host.events.push_back(Event::Undelivered { socket, target: SocketAddr::new(to, port), refused });
        true
    }
}
