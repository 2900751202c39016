//! What a guest gets: frames are written as the machine gives them, many to a write. Only while the socket takes them are frames taken out
//! of the port's queue, so what a slow reader is owed waits there, bounded, and is dropped and counted there.

use netloom_core::Lan;
use tokio::time::Instant;

use super::{Client, State};
use crate::capture::Captures;
use crate::socket;

/// Bytes of frames that are gathered for one write.
const BATCH_BYTES: usize = 128 * 1024;
/// Unwritten bytes beyond which a client's pings are no longer answered.
const MAX_PENDING_BYTES: usize = 2 * BATCH_BYTES;

impl Client {
    /// Moves frames from the port's queue to the socket, until the one is empty or the other takes no more.
    pub(in crate::lan) fn pump(
        &self,
        machine: &mut Lan,
        now: netloom_core::Instant,
        batch: &mut Vec<u8>,
        captures: &Captures,
    ) {
        if self.state.get() != State::Open || self.blocked.get() || !self.flush() {
            return;
        }
        loop {
            batch.clear();
            let most = match self.download.room(Instant::now()) {
                Ok(room) => room.min(BATCH_BYTES),
                Err(at) => {
                    if self.download_at.replace(Some(at)) != Some(at) {
                        self.wake.notify_one();
                    }
                    return;
                }
            };
            while batch.len() < most {
                let Some(frame) = machine.poll_frame(now, self.port()) else { break };
                self.member.traffic.sent(frame.len());
                captures.sent(&self.member, frame);
                self.encapsulation.put_frame(batch, frame);
            }
            if batch.is_empty() {
                return;
            }
            self.download.spend(batch.len());
            let written = self.write(batch);
            if written < batch.len() {
                self.pending.borrow_mut().extend_from_slice(&batch[written..]);
                return;
            }
        }
    }

    /// Writes what is pending; tells whether all of it went.
    pub(super) fn flush(&self) -> bool {
        socket::flush(&mut self.pending.borrow_mut(), |bytes| self.write(bytes))
    }

    /// Writes as much as the socket takes.
    fn write(&self, bytes: &[u8]) -> usize {
        let Ok(written) = socket::write_ready(bytes, |rest| self.socket.try_write(rest)) else {
            self.state.set(State::Gone(self.lost("connection lost")));
            self.wake.notify_one();
            return bytes.len();
        };
        if written < bytes.len() {
            self.blocked.set(true);
            self.wake.notify_one();
        }
        written
    }

    /// Sends a control frame behind what is pending, unless far too much is.
    pub(super) fn control(&self, put: impl FnOnce(&mut Vec<u8>)) {
        {
            let mut pending = self.pending.borrow_mut();
            if pending.len() > MAX_PENDING_BYTES {
                return;
            }
            put(&mut pending);
        }
        if !self.blocked.get() {
            self.flush();
        }
    }
}
