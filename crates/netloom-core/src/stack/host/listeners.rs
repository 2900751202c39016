//! Listeners: connections are completed at once and wait in a bounded backlog to be accepted (RFC 9293 3.9.1).
//!
//! When connections that are only half open fill the backlog, the oldest gives way (RFC 4987 3.3): who floods it with SYNs keeps nobody
//! out for longer than it takes to answer.

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

use super::Event;
use super::bindings::{BindError, Binding, Bindings};
use super::slab::Slab;
use crate::counters::Drop;
use crate::flow::{self, FlowId, ListenerId, Protocol};
use crate::interface::InterfaceId;
use crate::stack::commands::StreamOptions;
use crate::stack::flows::{Body, Key};
use crate::stack::ip::From;
use crate::stack::{Role, Stack};
use crate::tcp::{Segment, State, Tcb};
use crate::time::Instant;

struct Listener {
    binding: Binding,
    backlog: usize,
    options: StreamOptions,
    /// Connections whose handshake is not over, the oldest first.
    opening: VecDeque<FlowId>,
    /// Connections that stand and were not accepted. Some may be gone.
    waiting: VecDeque<FlowId>,
}

impl Listener {
    fn is_full(&self) -> bool {
        self.opening.len() + self.waiting.len() >= self.backlog
    }
}

pub(in crate::stack) struct Listeners {
    slots: Slab<Listener>,
    bindings: Bindings,
}

impl Listeners {
    pub(in crate::stack) fn new(first: u16) -> Self {
        Self { slots: Slab::default(), bindings: Bindings::new(first) }
    }

    pub(in crate::stack) fn find(&self, port: u16, to: IpAddr, on: InterfaceId) -> Option<ListenerId> {
        let (index, generation) = self.bindings.find(port, to, on)?;
        Some(ListenerId { index, generation })
    }
}

impl<R: Role> Stack<R> {
    /// Opens a listener with its port; port 0 asks for a free one.
    pub(crate) fn listen(
        &mut self,
        local: SocketAddr,
        backlog: usize,
        options: StreamOptions,
    ) -> Result<(ListenerId, u16), BindError> {
        if !local.ip().is_unspecified() && !self.is_ours(local.ip()) {
            return Err(BindError::NotLocal);
        }
        let Some(host) = &mut self.host else { return Err(BindError::NotLocal) };
        let listeners = &mut host.listeners;
        let binding = listeners.bindings.choose(Binding { local, interface: None })?;
        let (opening, waiting) = (VecDeque::new(), VecDeque::new());
        let listener = Listener { binding, backlog: backlog.max(1), options, opening, waiting };
        let (index, generation) = listeners.slots.insert(listener);
        listeners.bindings.insert(binding, (index, generation));
        Ok((ListenerId { index, generation }, binding.local.port()))
    }

    /// Closes a listener; connections that were not accepted are reset.
    pub(crate) fn close_listener(&mut self, id: ListenerId) {
        let Some(host) = &mut self.host else { return };
        let Some(listener) = host.listeners.slots.remove(id.to_parts()) else { return };
        host.listeners.bindings.remove(listener.binding.local.port(), id.to_parts());
        for flow in listener.opening.into_iter().chain(listener.waiting) {
            self.reset(flow);
        }
    }

    /// A connection of a listener, the one that has waited longest. What it has received by now is told by events.
    pub(crate) fn accept_connection(&mut self, id: ListenerId) -> Option<FlowId> {
        loop {
            let listener = self.host.as_mut()?.listeners.slots.get_mut(id.to_parts())?;
            let flow = listener.waiting.pop_front()?;
            if self.flows.get(flow).is_some() {
                self.hand_over(flow);
                return Some(flow);
            }
        }
    }

    /// From now on a connection's events are told, beginning with what has happened already.
    fn hand_over(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.listener = None;
        let Body::Tcp(tcb) = &flow.body else { return };
        let finished =
            matches!(tcb.state(), State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
        let [front, back] = tcb.peek();
        let bytes = front.len() + back.len();
        if bytes > 0 {
            flow.fresh_bytes = bytes;
            flow.data_told = true;
            self.events.push_back(flow::Event::Data { id, bytes: 0 });
        }
        if finished {
            self.events.push_back(flow::Event::Fin { id });
        }
    }

    /// A SYN for a port of the host's: false if nobody listens there.
    pub(in crate::stack) fn open_for_listener(
        &mut self,
        now: Instant,
        from: From,
        key: Key,
        segment: &Segment<'_>,
    ) -> bool {
        let Some(on) = self.interface_of(from.guest.port) else { return false };
        let Some(host) = &mut self.host else { return false };
        let Some(id) = host.listeners.find(key.ports.1, key.target().ip(), on) else { return false };
        let Some(listener) = host.listeners.slots.get_mut(id.to_parts()) else { return false };
        let options = listener.options;
        if listener.is_full() {
            let flows = &self.flows;
            listener.waiting.retain(|flow| flows.get(*flow).is_some());
            listener.opening.retain(|flow| flows.get(*flow).is_some());
        }
        if listener.is_full() {
            self.drops.count(Drop::PendingDials);
            let Some(oldest) = listener.opening.pop_front() else { return true };
            self.flows.remove(oldest.index);
        }
        if !self.has_room(from.guest, Protocol::Tcp) {
            return true;
        }
        let config = options.apply(self.tcp_config(Some(from.guest.port), key.pair));
        let isn = self.flows.isn(now, &key);
        let mut tcb = Tcb::passive(now, &config, segment, isn);
        tcb.accept(now);
        let flow = self.flows.insert(key, Some(from.guest), Body::Tcp(Box::new(tcb)), false);
        if let Some(flow) = self.flows.get_mut(flow) {
            flow.listener = Some(id);
        }
        if let Some(listener) =
            self.host.as_mut().and_then(|host| host.listeners.slots.get_mut(id.to_parts()))
        {
            listener.opening.push_back(flow);
        }
        self.tend(flow.index);
        true
    }

    /// A connection for a listener stands.
    pub(in crate::stack) fn established_for(&mut self, id: ListenerId, flow: FlowId) {
        let Some(host) = &mut self.host else { return };
        if let Some(listener) = host.listeners.slots.get_mut(id.to_parts()) {
            if let Some(at) = listener.opening.iter().position(|opening| *opening == flow) {
                listener.opening.remove(at);
            }
            listener.waiting.push_back(flow);
            host.events.push_back(Event::Accepted { listener: id });
        }
    }
}
