//! What a client gets: what is to be said, then what targets have sent, in turns.

use std::io::{self, IoSlice};

use netloom_proto::websocket::{self, Opcode};
use netloom_proto::wisp::Reason;
use tokio::time::Instant;

use super::{CLOSE_TIMEOUT, Client, MAX_CLOSING, MAX_PENDING_BYTES, State, Stream};
use crate::socket;
use crate::wisp::dialect::{CloseCode, HEAD_BYTES, PAYLOAD_BYTES, PIECE_BYTES};
use crate::wisp::turns::Share;

/// Bytes toward the client in one go, before other clients have their turn.
const TURN_BYTES: usize = 256 * 1024;

impl Client {
    /// The target of a stream has answered.
    pub(in crate::wisp) fn opened(&self, id: u32) {
        self.dialect.borrow_mut().opened(id);
        self.serve();
    }

    /// So many messages of a stream have reached its target. The caller serves.
    pub(in crate::wisp) fn taken(&self, id: u32, messages: u32) {
        self.dialect.borrow_mut().taken(id, messages);
    }

    /// How many bytes of a stream the client takes now, by its credit.
    pub(in crate::wisp) fn room(&self, id: u32) -> usize {
        self.dialect.borrow().room(id)
    }

    /// How many bytes a stream may send in its turn, by the client's limits.
    pub(in crate::wisp) fn allowed_bytes(&self) -> usize {
        self.allowed_bytes.get()
    }

    /// The target of a stream sends no more. The caller serves.
    pub(in crate::wisp) fn fin(&self, id: u32) {
        let (is_over, code) = self.dialect.borrow_mut().fin(id);
        if is_over && let Some(stream) = self.streams.borrow_mut().remove(&id) {
            stream.detach(true);
        }
        if let Some(code) = code {
            self.close(code);
        }
    }

    /// Ends a stream, which knows it already. The caller serves.
    pub(in crate::wisp) fn end(&self, id: u32, reason: Reason) {
        self.streams.borrow_mut().remove(&id);
        let code = self.dialect.borrow_mut().close(id, reason);
        if let Some(code) = code {
            self.close(code);
        }
    }

    /// A stream has something for the client.
    pub(in crate::wisp) fn enqueue(&self, stream: Stream, share: Share) {
        self.turns.borrow_mut().push(stream, share);
    }

    /// Whether the socket takes no more for now.
    pub(in crate::wisp) fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    /// Writes what is to be said, then lets streams write in turn, until the socket takes no more or others have to have their turn.
    pub(in crate::wisp) fn serve(&self) {
        let mut budget = TURN_BYTES;
        loop {
            if self.blocked.get() || !self.flush() || self.state.get() != State::Open {
                return;
            }
            if budget == 0 {
                if !self.turns.borrow().is_empty() {
                    self.more.set(true);
                    self.wake.notify_one();
                }
                return;
            }
            match self.download.room(Instant::now()) {
                Ok(room) => self.allowed_bytes.set(room),
                Err(at) => {
                    if self.download_at.replace(Some(at)) != Some(at) {
                        self.wake.notify_one();
                    }
                    return;
                }
            }
            let bulk = self.pace.borrow().has_room();
            let Some(stream) = self.turns.borrow_mut().pop(bulk) else {
                // The pongs that are waited for have their time, which the client's task minds.
                if !self.awaits_pongs.replace(!bulk) && !bulk {
                    self.wake.notify_one();
                }
                return;
            };
            let sent = match &stream {
                Stream::Tcp(tcp) => tcp.take_turn(self),
                Stream::Udp(udp) => udp.take_turn(self),
            };
            budget = budget.saturating_sub(sent);
        }
    }

    /// Writes what a stream's target has sent, which lies in `buffer` in pieces, each behind room for its headers. Everything else must have
    /// been flushed.
    pub(in crate::wisp) fn send_data(&self, id: u32, buffer: &mut [u8], bytes: usize) {
        let mut messages = Vec::with_capacity(1 + bytes / PAYLOAD_BYTES);
        let mut left = bytes;
        for piece in buffer.chunks_mut(PIECE_BYTES) {
            let payload_bytes = left.min(PAYLOAD_BYTES);
            let Some(head) = piece.first_chunk_mut::<HEAD_BYTES>() else { break };
            let start = self.dialect.borrow_mut().put_head(id, payload_bytes, head);
            let Some(start) = start else { return };
            messages.push(IoSlice::new(&piece[start..HEAD_BYTES + payload_bytes]));
            left -= payload_bytes;
            if left == 0 {
                break;
            }
        }
        let mut ping = Vec::new();
        if let Some(mark) = self.pace.borrow_mut().send(bytes, Instant::now()) {
            websocket::put_frame(&mut ping, Opcode::Ping, &mark, None);
            messages.push(IoSlice::new(&ping));
        }
        self.download.spend(bytes);
        self.tally.borrow_mut().bytes_out += bytes as u64;
        let mut written = match self.socket.try_write_vectored(&messages) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return self.lose(),
        };
        let mut pending = self.pending.borrow_mut();
        for message in messages {
            let (_, rest) = message.split_at(written.min(message.len()));
            written -= message.len() - rest.len();
            pending.extend_from_slice(rest);
        }
    }

    /// Writes what is pending; tells whether all of it went.
    pub(super) fn flush(&self) -> bool {
        let mut pending = self.pending.borrow_mut();
        self.dialect.borrow_mut().put_control(&mut pending, &mut self.worker.packet.borrow_mut());
        socket::flush(&mut pending, |bytes| self.write(bytes))
    }

    /// Writes as much as the socket takes.
    fn write(&self, bytes: &[u8]) -> usize {
        let Ok(written) = socket::write_ready(bytes, |rest| self.socket.try_write(rest)) else {
            self.lose();
            return bytes.len();
        };
        if written < bytes.len() {
            self.blocked.set(true);
            self.wake.notify_one();
        }
        written
    }

    fn lose(&self) {
        self.state.set(State::Gone("connection lost"));
        self.wake.notify_one();
    }

    /// Appends a control frame to what is pending, unless far too much is.
    pub(super) fn control(&self, put: impl FnOnce(&mut Vec<u8>)) {
        let mut pending = self.pending.borrow_mut();
        if pending.len() <= 2 * MAX_PENDING_BYTES {
            put(&mut pending);
        }
    }

    /// The relay stops.
    pub(in crate::wisp) fn stop(&self) {
        self.close(CloseCode::GOING_AWAY);
        self.serve();
    }

    /// Begins to close; the other end has a second to answer.
    pub(super) fn close(&self, code: CloseCode) {
        if self.state.get() == State::Open {
            let mut pending = self.pending.borrow_mut();
            self.dialect.borrow_mut().put_control(&mut pending, &mut self.worker.packet.borrow_mut());
            websocket::put_close(&mut pending, code.0, None);
            let now = Instant::now();
            // Who may no longer be here has no time to take the rest.
            let longest = if code == CloseCode::POLICY { CLOSE_TIMEOUT } else { MAX_CLOSING };
            self.state.set(State::Closing { until: now + CLOSE_TIMEOUT, at_most: now + longest });
            self.wake.notify_one();
        }
    }

    /// The other end has closed.
    pub(super) fn answer_close(&self, code: CloseCode) {
        if self.state.get() == State::Open {
            self.control(|out| websocket::put_close(out, code.0, None));
            self.write_last();
        }
        self.state.set(State::Gone("closed"));
        self.wake.notify_one();
    }

    /// Writes what the socket takes of what is pending, behind which nothing comes.
    fn write_last(&self) {
        let pending = self.pending.take();
        self.write(&pending);
    }
}
