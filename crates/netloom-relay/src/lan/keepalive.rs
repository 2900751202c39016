//! When a silent client is asked for a sign of life, and when it is given up. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Silence after which a client is asked for a sign of life, and again after as much.
const PING_AFTER: Duration = Duration::from_secs(30);
/// Silence after which a client is dead.
const DEAD_AFTER: Duration = Duration::from_secs(100);

/// The silence of one client.
#[derive(Debug)]
pub(crate) struct Keepalive {
    heard: Instant,
}

/// What is to be done at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing until then.
    Nothing(Instant),
    /// A ping, and nothing more until then.
    Ping(Instant),
    /// The client is given up.
    Dead,
}

impl Keepalive {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { heard: now }
    }

    /// Something came.
    pub(crate) const fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(crate) fn check(&self, now: Instant) -> Due {
        let silence = now.duration_since(self.heard);
        if silence >= DEAD_AFTER {
            Due::Dead
        } else if silence >= PING_AFTER {
            Due::Ping(now + PING_AFTER.min(DEAD_AFTER - silence))
        } else {
            Due::Nothing(self.heard + PING_AFTER)
        }
    }
}
