//! A Wisp client as a way out of a LAN: one stream for each flow that is handed to it.
//!
//! A guest's connect is answered when the server says that the target has answered. A server that does not say is given some time to refuse,
//! as long as two round trips to it, before the guest is answered early. Bytes of a guest stay in its flow, and so hold its window, until
//! they can leave: there is credit, and the page has asked for a message. Bytes of a server wait here as far as the guest's window is shut.
//!
//! Wisp knows no half-close. A guest's FIN is kept from the server until it is silent for a while, so that its answer still comes; between
//! ends that know our extension, FIN is told at once.

mod lookup;
mod relay;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use core::cmp::Reverse;
use core::net::SocketAddr;

use netloom_core::{Duration, Event, FlowId, Instant, Lan, QueryId};
use netloom_proto::wisp::client::{Client, ClientConfig, Event as ClientEvent, StreamId};
use netloom_proto::wisp::{KeyAnswer, KeyChallenge, Reason, ServerInfo};

use lookup::Lookup;
use relay::Relay;

/// How long a server may take to greet.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// Bounds of the time that a server which does not confirm has to refuse.
const MIN_REFUSAL_WAIT: Duration = Duration::from_micros(500);
const MAX_REFUSAL_WAIT: Duration = Duration::from_millis(100);

/// What a Wisp client is told.
#[derive(Clone, Debug)]
pub struct WispConfig {
    /// What the server is told of us.
    pub client: ClientConfig,
    /// Bytes of servers that may wait for guests; beyond, the flow that has most of them is reset.
    pub backlog_bytes: usize,
    /// Bytes of servers that wait for guests from which on the page had better not read, if it can help it.
    pub pause_bytes: usize,
    /// How long flows wait for the WebSocket.
    pub dial_timeout: Duration,
    /// How long a stream may be silent after the guest's FIN.
    pub linger: Duration,
    /// Resolvers that queries go to, tried in order.
    pub resolvers: Vec<SocketAddr>,
}

/// How far the connection to the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no WebSocket.
    Down,
    /// The WebSocket is open, and the server's greeting awaited.
    Greeting,
    /// The server's challenge waits for its signature.
    Signing,
    /// Streams are opened.
    Ready,
    /// The server does not take us, or did not greet in time ([`Reason::TIMEOUT`]). The WebSocket is to be closed.
    Refused(Reason),
}

/// What waits for a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waits {
    Greeting,
    Flow(FlowId),
    Lookup(u64),
}

/// Whose a stream is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Flow(FlowId),
    Lookup(u64),
}

/// A Wisp client. See the module's documentation.
pub struct Wisp {
    client: Option<Client>,
    state: State,
    table: Table,
    dialed: Instant,
    greeted_by: Option<Instant>,
    message: Vec<u8>,
}

/// Everything but the connection.
struct Table {
    config: WispConfig,
    relays: BTreeMap<FlowId, Relay>,
    lookups: BTreeMap<u64, Lookup>,
    next_lookup: u64,
    streams: BTreeMap<StreamId, Owner>,
    /// Flows that may have something to send, each listed once.
    senders: VecDeque<FlowId>,
    timers: BinaryHeap<Reverse<(Instant, Waits)>>,
    /// The shortest time in which the server has answered on a stream; before it has, a guess.
    round_trip: Duration,
    /// Bytes that wait for guests.
    backlog_bytes: usize,
}

impl Wisp {
    pub(crate) fn new(config: WispConfig) -> Self {
        Self {
            client: None,
            state: State::Down,
            table: Table {
                config,
                relays: BTreeMap::new(),
                lookups: BTreeMap::new(),
                next_lookup: 0,
                streams: BTreeMap::new(),
                senders: VecDeque::new(),
                timers: BinaryHeap::new(),
                round_trip: Duration::ZERO,
                backlog_bytes: 0,
            },
            dialed: Instant::ZERO,
            greeted_by: None,
            message: Vec::new(),
        }
    }

    /// How far the connection is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// What the server told of itself, in version 2.
    #[must_use]
    pub fn server(&self) -> Option<&ServerInfo> {
        self.client.as_ref()?.server()
    }

    /// The challenge that waits for [`Self::sign`].
    #[must_use]
    pub fn challenge(&self) -> Option<&KeyChallenge> {
        self.client.as_ref()?.challenge()
    }

    /// Answers the challenge.
    pub fn sign(&mut self, answer: Option<KeyAnswer>) {
        if let Some(client) = &mut self.client {
            client.sign(answer);
        }
        if self.state == State::Signing {
            self.state = State::Greeting;
        }
    }

    /// Whether so much waits for guests that the page had better not read from the WebSocket.
    #[must_use]
    pub const fn wants_pause(&self) -> bool {
        self.table.backlog_bytes > self.table.config.pause_bytes
    }

    /// Bytes that wait for guests.
    #[must_use]
    pub const fn backlog_bytes(&self) -> usize {
        self.table.backlog_bytes
    }

    /// How many flows it has.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.table.relays.len()
    }

    /// Whether a flow is its.
    #[must_use]
    pub fn has(&self, flow: FlowId) -> bool {
        self.table.relays.contains_key(&flow)
    }

    /// The page begins to open a WebSocket.
    pub const fn handle_dial(&mut self, now: Instant) {
        self.dialed = now;
    }

    /// The WebSocket is open.
    pub fn handle_up(&mut self, now: Instant, lan: &mut Lan) {
        self.handle_down(now, lan);
        self.client = Some(Client::new(self.table.config.client.clone()));
        self.state = State::Greeting;
        let by = now + GREETING_TIMEOUT;
        self.greeted_by = Some(by);
        self.table.timers.push(Reverse((by, Waits::Greeting)));
    }

    /// The WebSocket is gone: connections over it are reset; datagrams and what was not answered yet wait for the next one.
    pub fn handle_down(&mut self, now: Instant, lan: &mut Lan) {
        self.client = None;
        self.state = State::Down;
        self.greeted_by = None;
        self.table.handle_down(now, lan);
    }

    /// Takes a message of the server.
    pub fn handle_message(&mut self, now: Instant, lan: &mut Lan, message: &[u8]) {
        let Self { client: Some(client), state, table, dialed, .. } = self else { return };
        client.handle_message(message, &mut |client, event| match event {
            ClientEvent::Ready => {
                *state = State::Ready;
                // TCP, TLS and the upgrade take several round trips.
                table.round_trip = now.since(*dialed) / 8;
                table.handle_ready(now, lan, client);
            }
            ClientEvent::Challenge => *state = State::Signing,
            ClientEvent::Refused(reason) => *state = State::Refused(reason),
            ClientEvent::Opened(stream) => table.handle_opened(now, lan, stream),
            ClientEvent::Credit(stream) => table.handle_credit(now, stream),
            ClientEvent::Data(stream, bytes) => table.handle_data(now, lan, client, stream, bytes),
            ClientEvent::Fin(stream) => table.handle_fin(now, lan, stream),
            ClientEvent::Closed(stream, reason) => table.handle_closed(now, lan, client, stream, reason),
        });
    }

    /// Takes a flow: answers it as the server does.
    pub fn relay(&mut self, now: Instant, lan: &mut Lan, flow: FlowId) {
        self.table.relay(now, lan, self.client.as_mut(), flow);
    }

    /// Asks the resolvers a guest's DNS query, and answers it to the LAN.
    pub fn query(&mut self, now: Instant, lan: &mut Lan, id: QueryId, message: &[u8]) {
        self.table.query(now, lan, self.client.as_mut(), id, message);
    }

    pub(crate) fn handle_event(&mut self, now: Instant, lan: &mut Lan, event: &Event) {
        self.table.handle_event(now, lan, self.client.as_mut(), event);
    }

    pub(crate) fn close(&mut self, now: Instant, lan: &mut Lan) {
        self.handle_down(now, lan);
        self.table.refuse_all(now, lan);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, lan: &mut Lan) {
        while let Some(waits) = self.table.due(now) {
            match waits {
                Waits::Flow(flow) => self.table.handle_flow_timeout(now, lan, self.client.as_mut(), flow),
                Waits::Lookup(key) => self.table.handle_lookup_timeout(now, lan, self.client.as_mut(), key),
                Waits::Greeting => {
                    let is_due = self.greeted_by.is_some_and(|by| by <= now);
                    if is_due && matches!(self.state, State::Greeting | State::Signing) {
                        self.state = State::Refused(Reason::TIMEOUT);
                    }
                }
            }
        }
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<(Instant, &'static str)> {
        let Reverse((at, waits)) = self.table.timers.peek()?;
        let why = match waits {
            Waits::Greeting => "wisp greeting",
            Waits::Flow(_) => "wisp stream",
            Waits::Lookup(_) => "wisp query",
        };
        Some((*at, why))
    }

    /// The next message for the server, valid until the next call. What of it is a flow's leaves the flow with that: poll only while the
    /// WebSocket has room.
    #[must_use]
    pub fn poll_message(&mut self, now: Instant, lan: &mut Lan) -> Option<&[u8]> {
        let client = self.client.as_mut()?;
        self.message.clear();
        while !client.poll_control(&mut self.message) {
            match self.table.poll_data(now, lan, client, &mut self.message)? {
                relay::Sent::Data => break,
                relay::Sent::Control => {}
            }
        }
        Some(&self.message)
    }
}

impl Table {
    /// What has a deadline that has passed.
    fn due(&mut self, now: Instant) -> Option<Waits> {
        self.timers.peek().filter(|Reverse((at, _))| *at <= now)?;
        self.timers.pop().map(|Reverse((_, waits))| waits)
    }
}
