//! Flows and their streams, as events of the LAN and of time move them.

use std::collections::VecDeque;

use core::cmp::Reverse;
use core::net::SocketAddr;

use netloom_core::{Duration, Event, FlowId, Instant, Lan, Protocol, Refusal};
use netloom_proto::wisp::client::{Client, StreamId};
use netloom_proto::wisp::{Kind, Reason};

use super::{MAX_REFUSAL_WAIT, MIN_REFUSAL_WAIT, Owner, Table, Waits};

/// Payload of a DATA packet: every server takes messages as long, and one does not hold the others up.
const MAX_DATA_BYTES: usize = 32 * 1024;
/// How long a guest that sends to a target which is gone is not told so, that it gets what was sent before.
const AFTERMATH: Duration = Duration::from_secs(1);
/// How much later a connect is answered early than its time was over: in a page another turn of the event loop.
const SECOND_LOOK: Duration = Duration::from_micros(100);
/// How long a guest may take nothing while the page does not read because of it.
const STALL: Duration = Duration::from_secs(30);

/// How far a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// For the WebSocket.
    Waiting,
    /// The guest is not answered yet.
    Opening,
    Open,
    /// The stream is over; the guest still gets the rest.
    Ending,
}

/// One flow.
pub(super) struct Relay {
    protocol: Protocol,
    destination: SocketAddr,
    pub(super) stage: Stage,
    pub(super) stream: Option<StreamId>,
    /// What the guest had no room for.
    pub(super) backlog: Backlog,
    /// The guest has sent FIN, and the server was told or must not be.
    guest_fin: bool,
    fin_told: bool,
    /// Whether the stream ends when it has been silent for a while, which alone tells the server of the guest's FIN.
    lingers: bool,
    /// The server will send no more, and the guest was told.
    pub(super) server_fin: bool,
    pub(super) guest_told: bool,
    /// When the stream was opened, until the server has said anything on it.
    unanswered_since: Option<Instant>,
    /// Whether the server's time to refuse is over, but for what has arrived and was not read yet.
    second_look: bool,
    /// When it is to be looked at, and the earliest note of that among the timers.
    deadline: Option<Instant>,
    armed: Option<Instant>,
    listed: bool,
    /// Bytes that the guest's flow took, and up to where the server was let send, modulo 2³².
    taken: u32,
    until: u32,
}

/// Bytes in the chunks in which they came.
#[derive(Default)]
pub(super) struct Backlog {
    chunks: VecDeque<Vec<u8>>,
    /// Of the first chunk, what is gone.
    at: usize,
    pub(super) bytes: usize,
}

impl Backlog {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.chunks.push_back(bytes.to_vec());
        }
    }

    pub(super) fn first(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| &chunk[self.at..])
    }

    pub(super) fn take(&mut self, n: usize) {
        self.at += n;
        self.bytes -= n;
        if self.chunks.front().is_some_and(|chunk| chunk.len() == self.at) {
            self.chunks.pop_front();
            self.at = 0;
        }
    }
}

/// What was put into a message.
pub(super) enum Sent {
    Data,
    /// Nothing, but there is a packet without data now.
    Control,
}

impl Relay {
    pub(super) const fn protocol(&self) -> Protocol {
        self.protocol
    }
}

impl Table {
    pub(super) fn relay(&mut self, now: Instant, lan: &mut Lan, client: Option<&mut Client>, flow: FlowId) {
        let Some((protocol, _, destination)) = lan.describe(flow) else { return };
        if protocol == Protocol::Ping {
            return lan.refuse(now, flow, Refusal::Timeout);
        }
        let relay = Relay {
            protocol,
            destination,
            stage: Stage::Waiting,
            stream: None,
            backlog: Backlog::default(),
            guest_fin: false,
            fin_told: false,
            lingers: false,
            server_fin: false,
            guest_told: false,
            unanswered_since: None,
            second_look: false,
            deadline: None,
            armed: None,
            listed: false,
            taken: 0,
            until: 0,
        };
        self.relays.insert(flow, relay);
        match client.filter(|client| client.is_ready()) {
            Some(client) => self.open_stream(now, lan, client, flow),
            None => self.set_deadline(flow, now + self.config.dial_timeout),
        }
    }

    pub(super) fn handle_ready(&mut self, now: Instant, lan: &mut Lan, client: &mut Client) {
        let waiting = self.relays.iter().filter(|(_, relay)| relay.stage == Stage::Waiting);
        for flow in waiting.map(|(flow, _)| *flow).collect::<Vec<_>>() {
            self.open_stream(now, lan, client, flow);
        }
        self.open_lookups(now, lan, client);
    }

    fn open_stream(&mut self, now: Instant, lan: &mut Lan, client: &mut Client, flow: FlowId) {
        let Some(relay) = self.relays.get_mut(&flow) else { return };
        let kind = if relay.protocol == Protocol::Tcp { Kind::Tcp } else { Kind::Udp };
        let (host, port) = (relay.destination.ip().to_string(), relay.destination.port());
        let Some(stream) = client.open(kind, &host, port) else {
            self.relays.remove(&flow);
            return lan.refuse(now, flow, Refusal::Unreachable);
        };
        relay.stream = Some(stream);
        relay.deadline = None;
        relay.until = client.stream_credit_bytes().unwrap_or(0);
        relay.stage = if kind == Kind::Tcp { Stage::Opening } else { Stage::Open };
        relay.unanswered_since = (kind == Kind::Tcp).then_some(now);
        self.streams.insert(stream, Owner::Flow(flow));
        if kind == Kind::Udp {
            self.list(flow);
        } else if !client.confirms() {
            self.set_deadline(flow, now + (self.round_trip * 2).clamp(MIN_REFUSAL_WAIT, MAX_REFUSAL_WAIT));
        }
    }

    /// The server has said something on a stream.
    pub(super) fn answered(&mut self, now: Instant, flow: FlowId) {
        if let Some(since) = self.relays.get_mut(&flow).and_then(|relay| relay.unanswered_since.take()) {
            self.round_trip = self.round_trip.min(now.since(since));
        }
    }

    /// The target has answered, or is taken to have.
    pub(super) fn accept(&mut self, now: Instant, lan: &mut Lan, flow: FlowId) {
        let Some(relay) = self.relays.get_mut(&flow).filter(|relay| relay.stage == Stage::Opening) else {
            return;
        };
        relay.stage = Stage::Open;
        relay.deadline = None;
        lan.accept(now, flow);
        self.list(flow);
    }

    pub(super) fn handle_event(
        &mut self,
        now: Instant,
        lan: &mut Lan,
        client: Option<&mut Client>,
        event: &Event,
    ) {
        match *event {
            Event::Data { id, .. } => {
                let Some(relay) = self.relays.get(&id) else { return };
                if relay.stage == Stage::Ending {
                    self.discard(now, lan, id);
                } else {
                    self.list(id);
                }
            }
            Event::Fin { id } => {
                if let Some(relay) = self.relays.get_mut(&id) {
                    relay.guest_fin = true;
                    self.list(id);
                }
            }
            Event::Writable { id } => self.drain(now, lan, client, id),
            Event::Reset { id, .. } => self.forget(client, id, Reason::NETWORK),
            Event::Closed { id } => self.forget(client, id, Reason::VOLUNTARY),
            Event::Open { .. } | Event::Established { .. } => {}
        }
    }

    /// The guest sends to a target that is gone.
    fn discard(&mut self, now: Instant, lan: &mut Lan, flow: FlowId) {
        let [a, b] = lan.peek(flow).map(<[u8]>::len);
        lan.take(now, flow, a + b);
        if self.relays.get(&flow).is_some_and(|relay| relay.deadline.is_none()) && a + b > 0 {
            self.set_deadline(flow, now + AFTERMATH);
        }
    }

    /// Gives the guest what waits for it, and the end if that was all.
    pub(super) fn drain(&mut self, now: Instant, lan: &mut Lan, client: Option<&mut Client>, flow: FlowId) {
        let Some(relay) = self.relays.get_mut(&flow) else { return };
        let mut drained = 0;
        while relay.backlog.bytes > 0 {
            let n = lan.write(now, flow, relay.backlog.first());
            relay.backlog.take(n);
            drained += n;
            if n == 0 {
                break;
            }
        }
        self.backlog_bytes -= drained;
        if relay.backlog.bytes == 0 && relay.server_fin && !relay.guest_told {
            relay.guest_told = true;
            lan.fin(now, flow);
        }
        if drained > 0 {
            self.rest(now, flow);
        }
        self.extend(client, flow, drained);
    }

    /// When an open flow is looked at again after it has moved: how long it may stall, or be silent.
    pub(super) fn rest(&mut self, now: Instant, flow: FlowId) {
        let linger = self.config.linger;
        let Some(relay) = self.relays.get_mut(&flow) else { return };
        if relay.backlog.bytes > 0 {
            self.set_deadline(flow, now + STALL);
        } else if relay.stage == Stage::Open {
            relay.deadline = None;
            if relay.lingers {
                self.set_deadline(flow, now + linger);
            }
        }
    }

    /// The stream is over in good order: the guest gets the rest, and its end.
    pub(super) fn end(&mut self, now: Instant, lan: &mut Lan, flow: FlowId) {
        let Some(relay) = self.relays.get_mut(&flow) else { return };
        relay.stage = Stage::Ending;
        relay.server_fin = true;
        if relay.backlog.bytes == 0 {
            relay.deadline = None;
        }
        self.drain(now, lan, None, flow);
        self.discard(now, lan, flow);
    }

    /// Lets the server send as much more as the guest took.
    pub(super) fn extend(&mut self, client: Option<&mut Client>, flow: FlowId, taken: usize) {
        let (Some(client), Some(relay)) = (client, self.relays.get_mut(&flow)) else { return };
        relay.taken = relay.taken.wrapping_add(taken as u32);
        let (Some(window), Some(stream)) = (client.stream_credit_bytes(), relay.stream) else { return };
        let until = relay.taken.wrapping_add(window);
        if until.wrapping_sub(relay.until) >= window / 4 {
            relay.until = until;
            client.extend(stream, until);
        }
    }

    /// The flow is over.
    pub(super) fn forget(&mut self, client: Option<&mut Client>, flow: FlowId, reason: Reason) {
        let Some(relay) = self.relays.remove(&flow) else { return };
        self.backlog_bytes -= relay.backlog.bytes;
        if let Some(stream) = relay.stream {
            self.streams.remove(&stream);
            if let Some(client) = client {
                client.close(stream, reason);
            }
        }
    }

    /// Puts the next packet with data into `out`; `None` if there is nothing to send.
    pub(super) fn poll_data(
        &mut self,
        now: Instant,
        lan: &mut Lan,
        client: &mut Client,
        out: &mut Vec<u8>,
    ) -> Option<Sent> {
        while let Some(flow) = self.senders.pop_front() {
            let Some(relay) = self.relays.get_mut(&flow) else { continue };
            relay.listed = false;
            let Some(stream) = relay.stream.filter(|_| relay.stage == Stage::Open) else { continue };
            if relay.protocol == Protocol::Udp {
                let Some(datagram) = lan.peek_datagram(flow) else { continue };
                client.put_data(out, stream, [datagram, &[]]);
                lan.take(now, flow, 1);
                self.list(flow);
                return Some(Sent::Data);
            }
            let [a, b] = lan.peek(flow);
            let a = &a[..a.len().min(MAX_DATA_BYTES)];
            let b = &b[..b.len().min(MAX_DATA_BYTES - a.len())];
            let bytes = a.len() + b.len();
            if bytes == 0 {
                if relay.guest_fin && !relay.fin_told {
                    relay.fin_told = true;
                    if client.has_half_close() {
                        client.fin(stream);
                        return Some(Sent::Control);
                    }
                    relay.lingers = true;
                    if relay.backlog.bytes == 0 {
                        self.set_deadline(flow, now + self.config.linger);
                    }
                }
            } else if client.put_data(out, stream, [a, b]) {
                lan.take(now, flow, bytes);
                self.list(flow);
                return Some(Sent::Data);
            }
        }
        None
    }

    pub(super) fn handle_flow_timeout(
        &mut self,
        now: Instant,
        lan: &mut Lan,
        client: Option<&mut Client>,
        flow: FlowId,
    ) {
        let Some(relay) = self.relays.get_mut(&flow) else { return };
        if relay.armed.is_some_and(|at| at <= now) {
            relay.armed = None;
        }
        match relay.deadline {
            Some(at) if at > now => return self.set_deadline(flow, at),
            Some(_) => relay.deadline = None,
            None => return,
        }
        match relay.stage {
            Stage::Waiting => {
                self.relays.remove(&flow);
                lan.refuse(now, flow, Refusal::Unreachable);
            }
            // A timer comes before what has arrived meanwhile, where a page was busy.
            Stage::Opening if !core::mem::replace(&mut relay.second_look, true) => {
                self.set_deadline(flow, now + SECOND_LOOK);
            }
            Stage::Opening => self.accept(now, lan, flow),
            Stage::Open | Stage::Ending if relay.backlog.bytes > 0 => {
                if self.backlog_bytes > self.config.pause_bytes {
                    lan.reset(flow);
                    self.forget(client, flow, Reason::CLIENT);
                } else {
                    self.set_deadline(flow, now + STALL);
                }
            }
            // The guest is done, and the server has been silent.
            Stage::Open => {
                if let (Some(client), Some(stream)) = (client, relay.stream.take()) {
                    self.streams.remove(&stream);
                    client.close(stream, Reason::VOLUNTARY);
                }
                self.end(now, lan, flow);
            }
            Stage::Ending => {
                lan.reset(flow);
                self.forget(client, flow, Reason::CLIENT);
            }
        }
    }

    /// The WebSocket is gone.
    pub(super) fn handle_down(&mut self, now: Instant, lan: &mut Lan) {
        self.streams.clear();
        for lookup in self.lookups.values_mut() {
            lookup.stream = None;
        }
        let streaming = self.relays.iter().filter(|(_, relay)| relay.stream.is_some());
        for flow in streaming.map(|(flow, _)| *flow).collect::<Vec<_>>() {
            let Some(relay) = self.relays.get_mut(&flow) else { continue };
            relay.stream = None;
            if relay.protocol == Protocol::Tcp && relay.stage != Stage::Opening {
                lan.reset(flow);
                self.forget(None, flow, Reason::NETWORK);
            } else {
                relay.stage = Stage::Waiting;
                self.set_deadline(flow, now + self.config.dial_timeout);
            }
        }
    }

    /// Nothing will come any more.
    pub(super) fn refuse_all(&mut self, now: Instant, lan: &mut Lan) {
        while let Some((flow, relay)) = self.relays.pop_first() {
            match relay.stage {
                Stage::Waiting => lan.refuse(now, flow, Refusal::Unreachable),
                _ => lan.reset(flow),
            }
        }
        while let Some((_, lookup)) = self.lookups.pop_first() {
            lan.handle_answer(now, lookup.id, None);
        }
        self.timers.clear();
        self.backlog_bytes = 0;
    }

    /// The flow may have something to send.
    pub(super) fn list(&mut self, flow: FlowId) {
        if let Some(relay) = self.relays.get_mut(&flow)
            && !core::mem::replace(&mut relay.listed, true)
        {
            self.senders.push_back(flow);
        }
    }

    /// Looks at the flow at that time, and no earlier.
    pub(super) fn set_deadline(&mut self, flow: FlowId, at: Instant) {
        let Some(relay) = self.relays.get_mut(&flow) else { return };
        relay.deadline = Some(at);
        if relay.armed.is_none_or(|armed| at < armed) {
            relay.armed = Some(at);
            self.timers.push(Reverse((at, Waits::Flow(flow))));
        }
    }
}
