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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_client_is_asked_three_times_and_then_given_up() {
        let begin = Instant::now();
        let at = |s| begin + Duration::from_secs(s);
        let mut keepalive = Keepalive::new(begin);
        assert_eq!(keepalive.check(at(0)), Due::Nothing(at(30)));
        keepalive.heard(at(7));
        assert_eq!(keepalive.check(at(30)), Due::Nothing(at(37)));
        assert_eq!(keepalive.check(at(37)), Due::Ping(at(67)));
        assert_eq!(keepalive.check(at(67)), Due::Ping(at(97)));
        assert_eq!(keepalive.check(at(97)), Due::Ping(at(107)));
        assert_eq!(keepalive.check(at(107)), Due::Dead);
        keepalive.heard(at(100));
        assert_eq!(keepalive.check(at(107)), Due::Nothing(at(130)));
    }
}
