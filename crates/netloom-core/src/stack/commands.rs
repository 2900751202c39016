//! The flow contract's commands: what the outside does with a flow. A void id is harmless everywhere.

use core::net::SocketAddr;

use super::errors::Error;
use super::flows::Body;
use super::{Role, Stack, datagram};
use crate::flow::{FlowId, Guest, Protocol, Refusal};
use crate::tcp::{Config, State};
use crate::time::{Duration, Instant};

/// What a connection may be told apart from the machine's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Whether small writes wait for the acknowledgment of earlier ones (RFC 9293 3.7.4).
    pub nagle: bool,
    /// Silence after which the peer is asked whether it is still there; never if `None`.
    pub keepalive: Option<Duration>,
    /// Largest receive buffer, in bytes.
    pub receive_buffer_bytes: usize,
    /// Largest send buffer, in bytes.
    pub send_buffer_bytes: usize,
}

impl StreamOptions {
    pub(super) const fn apply(self, config: Config) -> Config {
        Config {
            nagle: self.nagle,
            keepalive: self.keepalive,
            receive_buffer_bytes: self.receive_buffer_bytes,
            send_buffer_bytes: self.send_buffer_bytes,
            ..config
        }
    }
}

/// How long a connection that was closed waits for the peer to close too (as Linux's `tcp_fin_timeout`).
pub(super) const LINGER: Duration = Duration::from_secs(60);

impl<R: Role> Stack<R> {
    /// Accepts a flow: the target has answered. TCP sends SYN-ACK; UDP and ping were accepted by their first datagram already.
    pub fn accept(&mut self, now: Instant, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        let Body::Tcp(tcb) = &mut flow.body else { return };
        if flow.pending {
            flow.deadline = None;
            flow.quote = Vec::new();
            tcb.accept(now);
            self.flows.answered(id.index);
            self.tend(id.index);
        }
    }

    /// Accepts a TCP flow before its target has answered, because the guest's first bytes are needed to choose it.
    pub fn accept_early(&mut self, now: Instant, id: FlowId) {
        self.accept(now, id);
    }

    /// Refuses a flow that was not accepted yet, or ends a UDP or ping flow; its id is void. An accepted TCP flow is reset.
    pub fn refuse(&mut self, now: Instant, id: FlowId, why: Refusal) {
        let Some(flow) = self.flows.get(id) else { return };
        let (tcp, pending) = (flow.key.protocol == Protocol::Tcp, flow.pending);
        if tcp && (!pending || matches!(why, Refusal::Refused | Refusal::Denied)) {
            return self.reset(id);
        }
        let Some(flow) = self.flows.remove(id.index) else { return };
        let error = match why {
            Refusal::Refused => Error::PortUnreachable,
            Refusal::Unreachable => Error::HostUnreachable,
            Refusal::Denied => Error::Prohibited,
            Refusal::Timeout => return,
        };
        if let (Some(guest), Some(pair)) = (flow.guest, self.config.gateway_pair(flow.key.guest().ip())) {
            self.send_quote(now, guest, pair, error, &flow.quote);
        }
    }

    /// The bytes of a TCP flow that were received and not taken yet, in two parts of a ring.
    #[must_use]
    pub fn peek(&self, id: FlowId) -> [&[u8]; 2] {
        match self.flows.get(id).map(|flow| &flow.body) {
            Some(Body::Tcp(tcb)) => tcb.peek(),
            Some(Body::Datagrams(..)) | None => [&[], &[]],
        }
    }

    /// The first datagram of a UDP or ping flow that was received and not taken yet. It may be empty.
    #[must_use]
    pub fn peek_datagram(&self, id: FlowId) -> Option<&[u8]> {
        match &self.flows.get(id)?.body {
            Body::Tcp(_) => None,
            Body::Datagrams(queue, _) => queue.front().map(Vec::as_slice),
        }
    }

    /// The outside has moved `n` bytes: they are gone and the window opens by as much. For UDP and ping: the first datagram is done with, whatever `n` is.
    pub fn take(&mut self, now: Instant, id: FlowId, n: usize) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        match &mut flow.body {
            Body::Tcp(tcb) => {
                tcb.take(now, n);
                self.tend(id.index);
            }
            Body::Datagrams(queue, bytes) => {
                *bytes -= queue.pop_front().map_or(0, |datagram| datagram.len());
            }
        }
    }

    /// How many bytes `write` would take now; for UDP and ping the largest datagram.
    #[must_use]
    pub fn room(&self, id: FlowId) -> usize {
        let Some(flow) = self.flows.get(id) else { return 0 };
        match &flow.body {
            Body::Tcp(tcb) => tcb.room(),
            Body::Datagrams(..) => datagram::room(flow),
        }
    }

    /// Sends bytes to the guest; returns how many were taken. When fewer than given, [`Event::Writable`](crate::Event::Writable)
    /// follows once there is room. UDP and ping take one datagram, or none of it.
    pub fn write(&mut self, now: Instant, id: FlowId, bytes: &[u8]) -> usize {
        let Some(flow) = self.flows.get_mut(id) else { return 0 };
        match &mut flow.body {
            Body::Tcp(tcb) => {
                let taken = tcb.write(now, bytes);
                self.tend(id.index);
                taken
            }
            Body::Datagrams(..) => self.write_datagram(now, id.index, bytes),
        }
    }

    /// Sends no more after what was written: half-close.
    pub fn fin(&mut self, now: Instant, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        if let Body::Tcp(tcb) = &mut flow.body {
            tcb.fin(now);
            self.tend(id.index);
        }
    }

    /// Ends the flow at once: TCP sends RST. The id is void and no event follows.
    pub fn reset(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        let (key, guest) = (flow.key, flow.guest);
        let reset = match &mut flow.body {
            Body::Tcp(tcb) => tcb.abort(),
            Body::Datagrams(..) => None,
        };
        self.flows.remove(id.index);
        if let (Some(reset), Some(guest)) = (reset, guest) {
            self.send_control(guest, &key, &reset);
        }
    }

    /// Changes what a connection was told.
    pub fn set_options(&mut self, now: Instant, id: FlowId, options: StreamOptions) {
        if let Some(flow) = self.flows.get_mut(id)
            && let Body::Tcp(tcb) = &mut flow.body
        {
            tcb.set_options(
                now,
                options.nagle,
                options.keepalive,
                options.receive_buffer_bytes,
                options.send_buffer_bytes,
            );
            self.tend(id.index);
        }
    }

    /// The machine's end of a flow, or the one that it stands for, and the peer's.
    #[must_use]
    pub fn ends(&self, id: FlowId) -> Option<(SocketAddr, SocketAddr)> {
        self.flows.get(id).map(|flow| (flow.key.target(), flow.key.guest()))
    }

    /// Closes both directions in order: what was written is still sent, what arrives is dropped. A peer that goes on sending once it has
    /// everything is reset, and one that does not close either is given up.
    pub fn close(&mut self, now: Instant, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        let Body::Tcp(tcb) = &mut flow.body else { return };
        if matches!(tcb.state(), State::SynSent) {
            return self.reset(id);
        }
        flow.discards = true;
        flow.deadline = Some(now + LINGER);
        tcb.discard();
        tcb.fin(now);
        self.tend(id.index);
    }

    /// The flows that the outside has to do with. Those that the machine answers itself are not among them.
    pub fn flow_ids(&self) -> impl Iterator<Item = FlowId> {
        self.flows.ids()
    }

    /// The guest of a flow; `None` while it is looked for.
    #[must_use]
    pub fn guest_of_flow(&self, id: FlowId) -> Option<Guest> {
        self.flows.get(id)?.guest
    }

    /// What a flow is: protocol, guest's address, dialled address.
    #[must_use]
    pub fn describe(&self, id: FlowId) -> Option<(Protocol, SocketAddr, SocketAddr)> {
        self.flows.get(id).map(|flow| (flow.key.protocol, flow.key.guest(), flow.key.target()))
    }
}
