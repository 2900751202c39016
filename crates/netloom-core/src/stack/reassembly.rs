//! Fragments of datagrams until they are whole (RFC 791 3.2, RFC 815, RFC 8200 4.5; overlaps are refused for both families, RFC 5722).

use crate::counters::{Drop, Drops};
use crate::flow::Guest;
use crate::sorted::SortedMap;
use crate::time::{Duration, Instant};
use crate::wire::ip::Pair;

/// How long a datagram may take (RFC 1122 3.3.2 asks for 60 to 120 s, RFC 8200 for 60; guests on a LAN need far less).
const TIME: Duration = Duration::from_secs(30);
const MAX_DATAGRAMS: usize = 256;
const MAX_BYTES: usize = 4 << 20;
const MAX_FRAGMENTS: usize = 128;

/// A fragment that arrived.
pub(super) struct Fragment<'a> {
    pub(super) pair: Pair,
    pub(super) protocol: u8,
    pub(super) id: u32,
    /// In bytes.
    pub(super) offset: usize,
    pub(super) more: bool,
    /// The packet up to its payload.
    pub(super) head: &'a [u8],
    pub(super) payload: &'a [u8],
}

type Key = (Pair, u8, u32);

struct Datagram {
    since: Instant,
    guest: Guest,
    /// What stood before the first fragment's payload.
    head: Vec<u8>,
    /// Payloads by offset.
    parts: SortedMap<usize, Vec<u8>>,
    /// The whole length, once the last fragment is here.
    length: Option<usize>,
}

impl Datagram {
    fn bytes(&self) -> usize {
        self.head.len() + self.parts.values().map(Vec::len).sum::<usize>()
    }
}

/// A datagram's first fragment that waited for the others in vain.
pub(super) struct Late {
    pub(super) guest: Guest,
    pub(super) packet: Vec<u8>,
}

/// Datagrams that are not whole yet.
#[derive(Default)]
pub(super) struct Reassembly {
    datagrams: SortedMap<Key, Datagram>,
    bytes: usize,
}

impl Reassembly {
    /// Takes a fragment; what stood before the first one's payload, and the payload, if the datagram is whole now.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        guest: Guest,
        fragment: &Fragment<'_>,
        drops: &mut Drops,
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        let key = (fragment.pair, fragment.protocol, fragment.id);
        match self.put(now, guest, key, fragment) {
            Ok(true) => {
                let datagram = self.forget(&key)?;
                Some((datagram.head, datagram.parts.into_values().flatten().collect()))
            }
            Ok(false) => None,
            Err(why) => {
                drops.count(why);
                if why == Drop::FragmentInvalid {
                    self.forget(&key);
                }
                None
            }
        }
    }

    /// Whether the datagram is whole now.
    fn put(&mut self, now: Instant, guest: Guest, key: Key, fragment: &Fragment<'_>) -> Result<bool, Drop> {
        let (offset, payload, more) = (fragment.offset, fragment.payload, fragment.more);
        let end = offset + payload.len();
        let odd = more && (payload.is_empty() || !payload.len().is_multiple_of(8));
        if odd || end > fragment.pair.max_payload_bytes() {
            return Err(Drop::FragmentInvalid);
        }
        if !self.datagrams.contains_key(&key) && self.datagrams.len() >= MAX_DATAGRAMS {
            return Err(Drop::FragmentLimit);
        }
        let head = if offset == 0 { fragment.head } else { &[] };
        if self.bytes + head.len() + payload.len() > MAX_BYTES {
            return Err(Drop::FragmentLimit);
        }
        let datagram = self.datagrams.get_or_insert_with(key, || Datagram {
            since: now,
            guest,
            head: Vec::new(),
            parts: SortedMap::default(),
            length: None,
        });
        if datagram.parts.get(&offset).is_some_and(|part| part == payload) {
            return Ok(false);
        }
        let before = datagram.parts.last_until(&offset);
        let after = datagram.parts.first_from(&offset);
        let overlaps = before.is_some_and(|(at, part)| at + part.len() > offset)
            || after.is_some_and(|(at, _)| *at < end);
        let length = if more { datagram.length } else { Some(end) };
        let beyond = length.is_some_and(|length| {
            end > length
                || datagram.parts.iter().next_back().is_some_and(|(at, part)| at + part.len() > length)
        });
        let contradicts = !more && datagram.length.is_some_and(|length| length != end);
        if overlaps || beyond || contradicts {
            return Err(Drop::FragmentInvalid);
        }
        if datagram.parts.len() >= MAX_FRAGMENTS {
            return Err(Drop::FragmentLimit);
        }
        datagram.length = length;
        if offset == 0 {
            datagram.head = head.to_vec();
        }
        datagram.parts.insert(offset, payload.to_vec());
        self.bytes += head.len() + payload.len();
        let held: usize = datagram.parts.values().map(Vec::len).sum();
        Ok(length == Some(held))
    }

    fn forget(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(key)?;
        self.bytes -= datagram.bytes();
        Some(datagram)
    }

    /// Forgets what did not become whole in time. Gives the first fragments of it, whose senders are to be told (RFC 1122 3.3.2, RFC 8200 4.5).
    pub(super) fn handle_timeout(&mut self, now: Instant, drops: &mut Drops) -> Vec<Late> {
        let late: Vec<Key> =
            self.datagrams.iter().filter(|(_, d)| now.since(d.since) >= TIME).map(|(key, _)| *key).collect();
        let told = late.into_iter().filter_map(|key| {
            drops.count(Drop::FragmentTimeout);
            let mut datagram = self.forget(&key)?;
            let first = datagram.parts.remove(&0)?;
            let packet = [datagram.head, first].concat();
            Some(Late { guest: datagram.guest, packet })
        });
        told.collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.datagrams.values().map(|datagram| datagram.since + TIME).min()
    }
}
