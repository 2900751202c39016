//! What a server says about streams.

use netloom_core::{FlowId, Instant, Lan, Protocol, Refusal};
use netloom_proto::wisp::Reason;
use netloom_proto::wisp::client::{Client, StreamId};

use super::relay::Stage;
use super::{Owner, Table};

impl Table {
    fn flow_of(&self, stream: StreamId) -> Option<FlowId> {
        match self.streams.get(&stream)? {
            Owner::Flow(flow) => Some(*flow),
            Owner::Lookup(_) => None,
        }
    }

    pub(super) fn handle_opened(&mut self, now: Instant, lan: &mut Lan, stream: StreamId) {
        if let Some(flow) = self.flow_of(stream) {
            self.answered(now, flow);
            self.accept(now, lan, flow);
        }
    }

    pub(super) fn handle_credit(&mut self, now: Instant, stream: StreamId) {
        if let Some(flow) = self.flow_of(stream) {
            self.rest(now, flow);
            self.list(flow);
        }
    }

    pub(super) fn handle_data(
        &mut self,
        now: Instant,
        lan: &mut Lan,
        client: &mut Client,
        stream: StreamId,
        bytes: &[u8],
    ) {
        let flow = match self.streams.get(&stream) {
            Some(Owner::Flow(flow)) => *flow,
            Some(Owner::Lookup(key)) => return self.handle_answer(now, lan, client, *key, bytes),
            None => return,
        };
        self.answered(now, flow);
        // A target that speaks has answered.
        self.accept(now, lan, flow);
        let Some(relay) = self.relays.get_mut(&flow) else { return };
        if relay.protocol() == Protocol::Udp {
            lan.write(now, flow, bytes);
            return;
        }
        let was_empty = relay.backlog.bytes == 0;
        let taken = if was_empty { lan.write(now, flow, bytes) } else { 0 };
        let rest = &bytes[taken..];
        relay.backlog.push(rest);
        self.backlog_bytes += rest.len();
        if was_empty {
            self.rest(now, flow);
        }
        self.extend(Some(client), flow, taken);
        self.bound_backlog(lan, client);
    }

    /// Resets who has the most, until no more waits than may.
    fn bound_backlog(&mut self, lan: &mut Lan, client: &mut Client) {
        while self.backlog_bytes > self.config.backlog_bytes {
            let most = self.relays.iter().max_by_key(|(_, relay)| relay.backlog.bytes);
            let Some(flow) = most.map(|(flow, _)| *flow) else { return };
            lan.reset(flow);
            self.forget(Some(client), flow, Reason::CLIENT);
        }
    }

    /// The target will send no more; we may.
    pub(super) fn handle_fin(&mut self, now: Instant, lan: &mut Lan, stream: StreamId) {
        let Some(flow) = self.flow_of(stream) else { return };
        self.accept(now, lan, flow);
        if let Some(relay) = self.relays.get_mut(&flow) {
            relay.server_fin = true;
            self.drain(now, lan, None, flow);
        }
    }

    pub(super) fn handle_closed(
        &mut self,
        now: Instant,
        lan: &mut Lan,
        client: &mut Client,
        stream: StreamId,
        reason: Reason,
    ) {
        let flow = match self.streams.remove(&stream) {
            Some(Owner::Flow(flow)) => flow,
            Some(Owner::Lookup(key)) => return self.handle_lookup_closed(now, lan, client, key),
            None => return,
        };
        self.answered(now, flow);
        let Some(relay) = self.relays.get_mut(&flow) else { return };
        relay.stream = None;
        // Servers say one or the other of a target's FIN.
        let is_fin = matches!(reason, Reason::VOLUNTARY | Reason::UNKNOWN);
        match relay.stage {
            _ if relay.protocol() == Protocol::Udp => {
                self.relays.remove(&flow);
                lan.refuse(now, flow, refusal(reason));
            }
            Stage::Opening if !is_fin => {
                self.relays.remove(&flow);
                lan.refuse(now, flow, refusal(reason));
            }
            _ if is_fin => {
                self.accept(now, lan, flow);
                self.end(now, lan, flow);
            }
            _ => {
                lan.reset(flow);
                self.forget(None, flow, reason);
            }
        }
    }
}

/// What a guest is told of a target that a server did not reach.
const fn refusal(reason: Reason) -> Refusal {
    match reason {
        Reason::UNREACHABLE | Reason::THROTTLED => Refusal::Unreachable,
        Reason::TIMEOUT => Refusal::Timeout,
        Reason::BLOCKED => Refusal::Denied,
        // Some servers have but one reason for whatever failed.
        _ => Refusal::Refused,
    }
}
