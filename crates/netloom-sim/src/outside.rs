//! The outside of a machine: a model of an egress that accepts, refuses or ignores flows and runs a program on each.
//!
//! It owns the programs by flow and speaks the flow contract with a [`Lan`], whichever side of the wire that is on.

use core::net::SocketAddr;
use std::collections::{BTreeMap, VecDeque};

use netloom_core::{ConnectError, Duration, Event, FlowId, Instant, Lan, Protocol, Refusal, ResetReason};

use crate::app::{App, Outcome, Plan, Role};

/// What the outside does with a flow, by the port that the guest dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Accepts after this time and serves the plan.
    Serve(Duration, Plan),
    /// Accepts before the target has answered, then serves the plan.
    ServeEarly(Plan),
    /// Refuses.
    Refuse(Refusal),
    /// Never answers.
    Silent,
    /// Sends every datagram back (UDP and ping).
    Echo,
}

/// A program and where it stands.
#[derive(Clone, Debug)]
struct Running {
    app: App,
    /// Bytes offered that `write` did not take; it waits for `Writable`.
    blocked: bool,
    established: bool,
}

/// The outside: see the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    answers: BTreeMap<u16, Answer>,
    otherwise: Option<Answer>,
    running: BTreeMap<u64, Running>,
    /// Accepts that are due at a time.
    due: BTreeMap<(Instant, u64), (FlowId, Plan)>,
    finished: Vec<(Role, Outcome)>,
    resets: Vec<ResetReason>,
    opened: Vec<(Protocol, SocketAddr, SocketAddr)>,
    datagrams: u64,
    queries: VecDeque<Vec<u8>>,
    /// Answers DNS queries with a copy of the query turned into an empty reply; without, they stay unanswered.
    pub answers_queries: bool,
}

impl Outside {
    /// An outside that does this for a destination port.
    #[must_use]
    pub fn with(mut self, port: u16, answer: Answer) -> Self {
        self.answers.insert(port, answer);
        self
    }

    /// An outside that does this for every port without an answer of its own; else those are refused.
    #[must_use]
    pub const fn otherwise(mut self, answer: Answer) -> Self {
        self.otherwise = Some(answer);
        self
    }

    /// Opens a connection to a guest and runs the client's side of the plan on it.
    ///
    /// # Errors
    /// As [`Lan::connect`].
    pub fn connect(
        &mut self,
        now: Instant,
        lan: &mut Lan,
        to: SocketAddr,
        plan: Plan,
    ) -> Result<FlowId, ConnectError> {
        let id = lan.connect(now, to)?;
        let app = App::new(plan, Role::Client);
        self.running.insert(id.to_bits(), Running { app, blocked: false, established: false });
        Ok(id)
    }

    /// How each program that is over has ended, in order of time.
    #[must_use]
    pub fn finished(&self) -> &[(Role, Outcome)] {
        &self.finished
    }

    /// Why flows were reset, in order of time.
    #[must_use]
    pub fn resets(&self) -> &[ResetReason] {
        &self.resets
    }

    /// The flows that were announced: protocol, source, destination.
    #[must_use]
    pub fn opened(&self) -> &[(Protocol, SocketAddr, SocketAddr)] {
        &self.opened
    }

    /// Datagrams that were sent back.
    #[must_use]
    pub const fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// DNS queries that the machine passed on.
    #[must_use]
    pub fn queries(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.queries.iter().map(Vec::as_slice)
    }

    /// How many programs run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len() + self.due.len()
    }

    /// The flows that programs run on.
    pub fn ids(&self) -> impl Iterator<Item = FlowId> {
        self.running.keys().map(|id| FlowId::from_bits(*id))
    }

    /// Bytes received by all running programs.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.running.values().map(|run| run.app.progress().1).sum()
    }

    /// When it wants to act without being asked.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let accepts = self.due.first_key_value().map(|((at, _), _)| *at);
        let wakes = self.running.values().filter_map(|run| run.app.wakes(now)).min();
        accepts.into_iter().chain(wakes).min()
    }

    /// Takes the machine's events and queries and acts on them. Returns whether it did anything.
    pub fn drive(&mut self, now: Instant, lan: &mut Lan) -> bool {
        let mut acted = false;
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let (id, plan) = entry.remove();
            lan.accept(now, id);
            self.start(id, plan);
            self.advance(now, lan, id);
            acted = true;
        }
        while let Some(event) = lan.poll_event() {
            acted = true;
            self.handle(now, lan, event);
        }
        while let Some(query) = lan.poll_query() {
            acted = true;
            if self.answers_queries {
                let mut reply = query.message.clone();
                reply[2] |= 0x80;
                lan.handle_answer(now, query.id, Some(&reply));
            }
            self.queries.push_back(query.message);
        }
        let stalled = self.running.iter().filter(|(_, run)| run.established && run.app.stalls());
        let stalled: Vec<u64> = stalled.map(|(id, _)| *id).collect();
        for id in stalled {
            acted |= self.advance(now, lan, FlowId::from_bits(id));
        }
        acted
    }

    fn handle(&mut self, now: Instant, lan: &mut Lan, event: Event) {
        match event {
            Event::Open { id, protocol, source, destination, .. } => {
                self.opened.push((protocol, source, destination));
                self.answer(now, lan, id, protocol, destination.port());
            }
            Event::Data { id, .. } => {
                if lan.describe(id).is_some_and(|(protocol, _, _)| protocol != Protocol::Tcp) {
                    self.echo(now, lan, id);
                } else {
                    self.advance(now, lan, id);
                }
            }
            Event::Established { id } => {
                if let Some(run) = self.running.get_mut(&id.to_bits()) {
                    run.established = true;
                }
                self.advance(now, lan, id);
            }
            Event::Writable { id } => {
                if let Some(run) = self.running.get_mut(&id.to_bits()) {
                    run.blocked = false;
                }
                self.advance(now, lan, id);
            }
            Event::Fin { id } => {
                if let Some(run) = self.running.get_mut(&id.to_bits()) {
                    run.fin_pending(now, lan, id);
                }
                self.advance(now, lan, id);
            }
            Event::Closed { id } => self.end(id, true),
            Event::Reset { id, why } => {
                self.resets.push(why);
                self.due.retain(|_, (due, _)| *due != id);
                self.end(id, false);
            }
        }
    }

    fn answer(&mut self, now: Instant, lan: &mut Lan, id: FlowId, protocol: Protocol, port: u16) {
        let refuse = Answer::Refuse(Refusal::Refused);
        match self.answers.get(&port).copied().or(self.otherwise).unwrap_or(refuse) {
            Answer::Echo => {
                lan.accept(now, id);
                if protocol != Protocol::Tcp {
                    self.echo(now, lan, id);
                }
            }
            Answer::Serve(delay, plan) if delay > Duration::ZERO => {
                self.due.insert((now + delay, id.to_bits()), (id, plan));
            }
            Answer::Serve(_, plan) => {
                lan.accept(now, id);
                self.start(id, plan);
                self.advance(now, lan, id);
            }
            Answer::ServeEarly(plan) => {
                lan.accept_early(now, id);
                self.start(id, plan);
                self.advance(now, lan, id);
            }
            Answer::Refuse(why) => lan.refuse(now, id, why),
            Answer::Silent => {}
        }
    }

    fn start(&mut self, id: FlowId, plan: Plan) {
        let app = App::new(plan, Role::Server);
        self.running.insert(id.to_bits(), Running { app, blocked: false, established: true });
    }

    fn end(&mut self, id: FlowId, in_order: bool) {
        if let Some(mut run) = self.running.remove(&id.to_bits()) {
            run.app.ends(in_order);
            self.finished.push((run.app.role(), run.app.outcome()));
        }
    }

    fn echo(&mut self, now: Instant, lan: &mut Lan, id: FlowId) {
        loop {
            let Some(datagram) = lan.peek_datagram(id).map(<[u8]>::to_vec) else { return };
            lan.take(now, id, datagram.len());
            lan.write(now, id, &datagram);
            self.datagrams += 1;
        }
    }

    fn advance(&mut self, now: Instant, lan: &mut Lan, id: FlowId) -> bool {
        self.running.get_mut(&id.to_bits()).is_some_and(|run| run.advance(now, lan, id))
    }
}

impl Running {
    fn fin_pending(&mut self, now: Instant, lan: &mut Lan, id: FlowId) {
        self.app.mark_fin();
        self.advance(now, lan, id);
    }

    fn advance(&mut self, now: Instant, lan: &mut Lan, id: FlowId) -> bool {
        let mut acted = false;
        if self.app.reads(now) {
            loop {
                let [first, second] = lan.peek(id);
                let n = first.len() + second.len();
                if n == 0 {
                    break;
                }
                self.app.receive(first);
                self.app.receive(second);
                lan.take(now, id, n);
                acted = true;
            }
            acted |= self.app.sees_fin();
        }
        while !self.blocked {
            // One byte more than fits, so that the machine tells when there is room again.
            let offer = self.app.offer(lan.room(id) + 1);
            if offer.is_empty() {
                break;
            }
            let taken = lan.write(now, id, &offer);
            self.app.sent(taken);
            self.blocked = taken < offer.len();
            acted |= taken > 0;
        }
        if self.established && self.app.closes() {
            lan.fin(now, id);
            acted = true;
        }
        acted
    }
}
