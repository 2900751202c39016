//! How large a connection's buffers become. They start at what suits a link without delay, and grow only where a round trip takes long enough
//! for more to be under way: memory that is not needed is memory that no cache holds.

use crate::time::{Duration, Instant};

/// What the peer is offered at first, or a few segments if they are large: a window that is offered cannot be taken back, and most
/// connections never need more.
const FIRST_BYTES: usize = 64 * 1024;
const FIRST_SEGMENTS: usize = 5;
/// What a buffer may hold before a round trip asks for more.
const NEAR_BYTES: usize = 256 * 1024;
/// Round trips below this are no reason to grow further: such a link is filled by any buffer.
const REAL_RTT: Duration = Duration::from_millis(1);

/// The bounds of both buffers.
#[derive(Debug)]
pub(super) struct Tuning {
    receive_bytes: usize,
    receive_most: usize,
    send_bytes: usize,
    send_most: usize,
    /// What the owner allows each at present.
    bound: usize,
    /// When the round trip began in which `taken` bytes were taken.
    since: Instant,
    taken: usize,
}

impl Tuning {
    pub(super) fn new(now: Instant, receive_most: usize, send_most: usize, mss: u16) -> Self {
        let first = FIRST_BYTES.max(FIRST_SEGMENTS * usize::from(mss)).min(NEAR_BYTES);
        Self {
            receive_bytes: receive_most.min(first),
            receive_most,
            send_bytes: send_most.min(NEAR_BYTES),
            send_most,
            bound: usize::MAX,
            since: now,
            taken: 0,
        }
    }

    /// What the receive buffer may hold now.
    pub(super) fn receive_limit(&self) -> usize {
        self.receive_bytes.min(self.bound)
    }

    /// What the send buffer may hold now.
    pub(super) fn send_limit(&self) -> usize {
        self.send_bytes.min(self.bound)
    }

    /// The owner allows each no more than this for now.
    pub(super) const fn bound(&mut self, bytes: usize) {
        self.bound = bytes;
    }

    /// The owner wants other bounds.
    pub(super) fn set_most(&mut self, receive: usize, send: usize) {
        (self.receive_most, self.send_most) = (receive, send);
        self.receive_bytes = self.receive_bytes.min(receive).max(receive.min(FIRST_BYTES));
        self.send_bytes = self.send_bytes.min(send).max(send.min(NEAR_BYTES));
    }

    /// No window field can tell of more.
    pub(super) fn cap_receive(&mut self, bytes: usize) {
        self.receive_most = self.receive_most.min(bytes);
        self.receive_bytes = self.receive_bytes.min(bytes);
    }

    /// Bytes were taken by their owner. What is offered is four times what is taken in a round trip: where one is lost, what was sent behind it
    /// waits for as long as it takes to come again, in which as much comes anew, and a sender in slow start doubles its rate in that time. One
    /// that the window stopped meanwhile would send all that it then may at once, more than the queues on its path hold.
    pub(super) fn taken(&mut self, now: Instant, bytes: usize, rtt: Duration) {
        if now.since(self.since) >= rtt.max(REAL_RTT) {
            (self.since, self.taken) = (now, 0);
        }
        self.taken += bytes;
        self.offer(self.taken.saturating_mul(4), rtt);
    }

    /// So much waits behind a gap, whose end nobody can take: as much again may come until it is filled.
    pub(super) fn held(&mut self, bytes: usize, rtt: Duration) {
        self.offer(2 * bytes, rtt);
    }

    /// The receive buffer grows, by doubling, to what holds so much.
    fn offer(&mut self, bytes: usize, rtt: Duration) {
        let most = self.receive_most.min(if rtt < REAL_RTT { NEAR_BYTES } else { usize::MAX });
        while self.receive_bytes < bytes.min(most) {
            self.receive_bytes = most.min(2 * self.receive_bytes);
        }
    }

    /// The congestion window has become this large: twice as much keeps it filled while what it lets go is unacknowledged.
    pub(super) fn sends(&mut self, cwnd: usize, rtt: Duration) {
        if rtt >= REAL_RTT && self.send_bytes < self.send_most && cwnd > self.send_bytes / 2 {
            self.send_bytes = self.send_most.min(2 * self.send_bytes);
        }
    }
}
