//! DNS over TCP (RFC 7766): connections to port 53 of the gateway, which the machine answers itself.
//!
//! They are flows whose events stay inside. Owns what of each connection's queries is not complete yet.

use super::flows::Key;
use super::services::Via;
use super::{Role, Stack};
use crate::flow::{Event, FlowId, Guest};
use crate::service::dns;
use crate::service::dns::tcp::{Framer, frame};
use crate::time::{Duration, Instant};

/// Silence after which a connection is closed (RFC 7766 6.2.3: of the order of seconds).
const IDLE: Duration = Duration::from_secs(20);

pub(super) struct Stream {
    guest: Guest,
    framer: Framer,
    /// Queries handed to the outside.
    waiting: usize,
    /// Whether the guest has sent its last query.
    finished: bool,
}

impl<R: Role> Stack<R> {
    /// Whether a connection is one that the machine answers itself.
    pub(super) fn serves_stream(&self, key: &Key) -> bool {
        key.ports.1 == dns::PORT && self.serves_dns(key.target().ip())
    }

    pub(super) fn open_stream(&mut self, now: Instant, id: FlowId, guest: Guest) {
        self.streams.insert(id, Stream { guest, framer: Framer::default(), waiting: 0, finished: false });
        if let Some(flow) = self.flows.get_mut(id) {
            flow.served = true;
        }
        self.accept(now, id);
        self.keep_stream(now, id);
    }

    /// Acts on what happened to the connections that the machine answers itself.
    pub(super) fn serve_streams(&mut self, now: Instant) {
        while let Some(event) = self.stream_events.pop_front() {
            match event {
                Event::Data { id, .. } => self.read_stream(now, id),
                Event::Fin { id } => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.finished = true;
                    }
                    self.finish_stream(now, id);
                }
                Event::Reset { id, .. } | Event::Closed { id } => {
                    self.streams.remove(&id);
                }
                Event::Open { .. } | Event::Writable { .. } | Event::Established { .. } => {}
            }
        }
    }

    /// One more of a connection's queries waits for the outside.
    pub(super) fn stream_waits(&mut self, id: FlowId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.waiting += 1;
        }
    }

    /// A query of a connection that waited for the outside was answered.
    pub(super) fn stream_answered(&mut self, now: Instant, id: FlowId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.waiting = stream.waiting.saturating_sub(1);
        }
        self.finish_stream(now, id);
    }

    /// Sends an answer. A guest that lets answers pile up beyond the send buffer loses the connection.
    pub(super) fn write_stream(&mut self, now: Instant, id: FlowId, reply: &[u8]) {
        let Some(reply) = frame(reply) else { return };
        self.keep_stream(now, id);
        if self.room(id) < reply.len() {
            return self.drop_stream(id);
        }
        self.write(now, id, &reply);
    }

    pub(super) fn drop_stream(&mut self, id: FlowId) {
        self.reset(id);
        self.streams.remove(&id);
    }

    fn read_stream(&mut self, now: Instant, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(id) {
            flow.data_told = false;
            flow.fresh_bytes = 0;
        }
        let Some(mut stream) = self.streams.remove(&id) else { return };
        let guest = stream.guest;
        let mut queries = Vec::new();
        loop {
            let taken = match self.peek(id) {
                [[], []] => break,
                [[], bytes] | [bytes, _] => stream.framer.push(bytes),
            };
            self.take(now, id, taken);
            while let Some(query) = stream.framer.poll_message() {
                queries.push(query.to_vec());
            }
        }
        self.streams.insert(id, stream);
        self.keep_stream(now, id);
        for query in queries {
            self.handle_dns(now, guest, Via::Stream(id), &query);
        }
    }

    fn finish_stream(&mut self, now: Instant, id: FlowId) {
        if self.streams.get(&id).is_some_and(|stream| stream.finished && stream.waiting == 0) {
            self.fin(now, id);
        }
    }

    fn keep_stream(&mut self, now: Instant, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(id) {
            flow.deadline = Some(now + IDLE);
            self.flows.arm(id.index);
        }
    }
}
