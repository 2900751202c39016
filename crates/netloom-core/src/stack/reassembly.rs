//! Fragments of IPv4 datagrams until they are whole (RFC 791 3.2, RFC 815; overlaps are refused as RFC 5722 has it for IPv6).

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use crate::counters::{Drop, Drops};
use crate::time::{Duration, Instant};
use crate::wire::ipv4::Packet;

/// How long a datagram may take (RFC 1122 3.3.2 asks for 60 to 120 s; guests on a LAN need far less).
const TIME: Duration = Duration::from_secs(30);
const MAX_DATAGRAMS: usize = 256;
const MAX_BYTES: usize = 4 << 20;
const MAX_FRAGMENTS: usize = 128;
/// Longest payload of an IPv4 packet.
const MAX_PAYLOAD_BYTES: usize = 65_515;

type Key = (Ipv4Addr, Ipv4Addr, u8, u16);

struct Datagram {
    since: Instant,
    /// Payloads by offset.
    parts: BTreeMap<usize, Vec<u8>>,
    /// The whole length, once the last fragment is here.
    length: Option<usize>,
}

/// Datagrams that are not whole yet.
#[derive(Default)]
pub(crate) struct Reassembly {
    datagrams: BTreeMap<Key, Datagram>,
    bytes: usize,
}

impl Reassembly {
    /// Takes a fragment; the datagram's payload if it is whole now.
    pub(crate) fn handle(&mut self, now: Instant, packet: &Packet<'_>, drops: &mut Drops) -> Option<Vec<u8>> {
        let key = (packet.source, packet.destination, packet.protocol, packet.id);
        match self.put(now, key, packet) {
            Ok(whole) => whole,
            Err(why) => {
                drops.count(why);
                if why == Drop::FragmentInvalid {
                    self.forget(&key);
                }
                None
            }
        }
    }

    fn put(&mut self, now: Instant, key: Key, packet: &Packet<'_>) -> Result<Option<Vec<u8>>, Drop> {
        let end = packet.offset + packet.payload.len();
        let odd =
            packet.more_fragments && (packet.payload.is_empty() || !packet.payload.len().is_multiple_of(8));
        if odd || end > MAX_PAYLOAD_BYTES {
            return Err(Drop::FragmentInvalid);
        }
        if !self.datagrams.contains_key(&key) && self.datagrams.len() >= MAX_DATAGRAMS {
            return Err(Drop::FragmentLimit);
        }
        if self.bytes + packet.payload.len() > MAX_BYTES {
            return Err(Drop::FragmentLimit);
        }
        let datagram = self.datagrams.entry(key).or_insert_with(|| Datagram {
            since: now,
            parts: BTreeMap::new(),
            length: None,
        });
        if datagram.parts.get(&packet.offset).is_some_and(|part| part == packet.payload) {
            return Ok(None);
        }
        let before = datagram.parts.range(..=packet.offset).next_back();
        let after = datagram.parts.range(packet.offset..).next();
        let overlaps = before.is_some_and(|(at, part)| at + part.len() > packet.offset)
            || after.is_some_and(|(at, _)| *at < end);
        let length = if packet.more_fragments { datagram.length } else { Some(end) };
        let beyond = length.is_some_and(|length| {
            end > length
                || datagram.parts.iter().next_back().is_some_and(|(at, part)| at + part.len() > length)
        });
        let contradicts = !packet.more_fragments && datagram.length.is_some_and(|length| length != end);
        if overlaps || beyond || contradicts {
            return Err(Drop::FragmentInvalid);
        }
        if datagram.parts.len() >= MAX_FRAGMENTS {
            return Err(Drop::FragmentLimit);
        }
        datagram.length = length;
        datagram.parts.insert(packet.offset, packet.payload.to_vec());
        self.bytes += packet.payload.len();
        let held: usize = datagram.parts.values().map(Vec::len).sum();
        if length != Some(held) {
            return Ok(None);
        }
        let whole = datagram.parts.values().flatten().copied().collect();
        self.forget(&key);
        Ok(Some(whole))
    }

    fn forget(&mut self, key: &Key) {
        if let Some(datagram) = self.datagrams.remove(key) {
            self.bytes -= datagram.parts.values().map(Vec::len).sum::<usize>();
        }
    }

    /// Forgets what did not become whole in time.
    pub(crate) fn handle_timeout(&mut self, now: Instant, drops: &mut Drops) {
        let late: Vec<Key> =
            self.datagrams.iter().filter(|(_, d)| now.since(d.since) >= TIME).map(|(key, _)| *key).collect();
        for key in late {
            drops.count(Drop::FragmentTimeout);
            self.forget(&key);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.datagrams.values().map(|datagram| datagram.since + TIME).min()
    }
}
