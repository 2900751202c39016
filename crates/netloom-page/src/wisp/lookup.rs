//! DNS queries of guests, asked through the server: over UDP, and over TCP where the server has no UDP or the answer is cut (RFC 7766).

use core::cmp::Reverse;

use netloom_core::{Duration, Instant, Lan, QueryId};
use netloom_proto::wisp::client::{Client, StreamId};
use netloom_proto::wisp::{Kind, Reason};

use super::{Owner, Table, Waits};

/// How often a query is asked, the resolvers in turn, and how long each time.
const TRIES: u32 = 3;
const TRY_TIMEOUT: Duration = Duration::from_millis(1500);
/// Header of a message (RFC 1035 4.1.1).
const HEADER_BYTES: usize = 12;
const RESPONSE: u8 = 0x80;
const TRUNCATED: u8 = 0x02;

/// A query that is asked.
pub(super) struct Lookup {
    pub(super) id: QueryId,
    message: Vec<u8>,
    pub(super) stream: Option<StreamId>,
    kind: Kind,
    tries: u32,
    deadline: Instant,
    /// What arrived over TCP.
    received: Vec<u8>,
}

impl Table {
    pub(super) fn query(
        &mut self,
        now: Instant,
        lan: &mut Lan,
        client: Option<&mut Client>,
        id: QueryId,
        message: &[u8],
    ) {
        if message.len() < HEADER_BYTES || self.config.resolvers.is_empty() {
            return lan.handle_answer(now, id, None);
        }
        let key = self.next_lookup;
        self.next_lookup += 1;
        let deadline = now + TRY_TIMEOUT;
        let lookup = Lookup {
            id,
            message: message.to_vec(),
            stream: None,
            kind: Kind::Udp,
            tries: 0,
            deadline,
            received: Vec::new(),
        };
        self.lookups.insert(key, lookup);
        self.timers.push(Reverse((deadline, Waits::Lookup(key))));
        if let Some(client) = client.filter(|client| client.is_ready()) {
            self.ask(now, lan, client, key);
        }
    }

    pub(super) fn open_lookups(&mut self, now: Instant, lan: &mut Lan, client: &mut Client) {
        for key in self.lookups.keys().copied().collect::<Vec<_>>() {
            self.ask(now, lan, client, key);
        }
    }

    /// Asks the resolver whose turn it is.
    fn ask(&mut self, now: Instant, lan: &mut Lan, client: &mut Client, key: u64) {
        let Some(lookup) = self.lookups.get_mut(&key) else { return };
        if let Some(stream) = lookup.stream.take() {
            self.streams.remove(&stream);
            client.close(stream, Reason::VOLUNTARY);
        }
        if !client.has_udp() {
            lookup.kind = Kind::Tcp;
        }
        let resolver = self.config.resolvers[lookup.tries as usize % self.config.resolvers.len()];
        let stream = client.open(lookup.kind, &resolver.ip().to_string(), resolver.port());
        let Some(stream) = stream else { return self.answer(now, lan, key, None) };
        lookup.stream = Some(stream);
        lookup.tries += 1;
        lookup.received.clear();
        lookup.deadline = now + TRY_TIMEOUT;
        self.timers.push(Reverse((lookup.deadline, Waits::Lookup(key))));
        self.streams.insert(stream, Owner::Lookup(key));
        let length = (lookup.message.len() as u16).to_be_bytes();
        let prefix: &[u8] = if lookup.kind == Kind::Tcp { &length } else { &[] };
        client.push_data(stream, [prefix, &lookup.message]);
    }

    pub(super) fn handle_answer(
        &mut self,
        now: Instant,
        lan: &mut Lan,
        client: &mut Client,
        key: u64,
        bytes: &[u8],
    ) {
        let Some(lookup) = self.lookups.get_mut(&key) else { return };
        if lookup.kind == Kind::Udp {
            if !is_answer(&lookup.message, bytes) {
                return;
            }
            if bytes[2] & TRUNCATED != 0 {
                lookup.kind = Kind::Tcp;
                return self.ask(now, lan, client, key);
            }
            return self.answer(now, lan, key, Some((client, bytes)));
        }
        lookup.received.extend_from_slice(bytes);
        let Some((length, rest)) = lookup.received.split_first_chunk::<2>() else { return };
        let Some(answer) = rest.get(..usize::from(u16::from_be_bytes(*length))) else { return };
        if is_answer(&lookup.message, answer) {
            let answer = answer.to_vec();
            self.answer(now, lan, key, Some((client, &answer)));
        } else {
            self.handle_lookup_closed(now, lan, client, key);
        }
    }

    /// The resolver cannot be asked.
    pub(super) fn handle_lookup_closed(
        &mut self,
        now: Instant,
        lan: &mut Lan,
        client: &mut Client,
        key: u64,
    ) {
        let Some(lookup) = self.lookups.get_mut(&key) else { return };
        if lookup.tries < TRIES { self.ask(now, lan, client, key) } else { self.answer(now, lan, key, None) }
    }

    pub(super) fn handle_lookup_timeout(
        &mut self,
        now: Instant,
        lan: &mut Lan,
        client: Option<&mut Client>,
        key: u64,
    ) {
        let Some(lookup) = self.lookups.get_mut(&key).filter(|lookup| lookup.deadline <= now) else { return };
        match client.filter(|client| client.is_ready()) {
            Some(client) if lookup.tries < TRIES => self.ask(now, lan, client, key),
            Some(client) => {
                if let Some(stream) = lookup.stream.take() {
                    self.streams.remove(&stream);
                    client.close(stream, Reason::VOLUNTARY);
                }
                self.answer(now, lan, key, None);
            }
            None if lookup.tries < TRIES => {
                lookup.tries += 1;
                lookup.deadline = now + TRY_TIMEOUT;
                self.timers.push(Reverse((lookup.deadline, Waits::Lookup(key))));
            }
            None => self.answer(now, lan, key, None),
        }
    }

    fn answer(&mut self, now: Instant, lan: &mut Lan, key: u64, answer: Option<(&mut Client, &[u8])>) {
        let Some(lookup) = self.lookups.remove(&key) else { return };
        let (client, message) = answer.unzip();
        if let (Some(client), Some(stream)) = (client, lookup.stream) {
            self.streams.remove(&stream);
            client.close(stream, Reason::VOLUNTARY);
        }
        lan.handle_answer(now, lookup.id, message);
    }
}

/// Whether a message is a response to a query of that number.
fn is_answer(query: &[u8], message: &[u8]) -> bool {
    message.len() >= HEADER_BYTES && message[..2] == query[..2] && message[2] & RESPONSE != 0
}
