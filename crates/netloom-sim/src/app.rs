//! What a program at either end of a connection does: send so many bytes, expect so many, close, and check every byte on the way.
//!
//! It owns the progress of one connection and knows nothing of the stack beneath it.

use netloom_core::Instant;

/// What the two programs of a connection have agreed to do. The one that connects is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes from the client to the server.
    pub up_bytes: u64,
    /// Bytes from the server to the client.
    pub down_bytes: u64,
    /// Whether the server begins only when the client has closed its side: the connection is half-closed all the way down.
    pub half_close: bool,
    /// Whether the server sends back what it receives; `down_bytes` then equals `up_bytes`.
    pub echo: bool,
    /// The server reads nothing before this.
    pub stall_until: Instant,
}

impl Plan {
    /// So many bytes up and down at once.
    #[must_use]
    pub const fn both(up_bytes: u64, down_bytes: u64) -> Self {
        Self { up_bytes, down_bytes, half_close: false, echo: false, stall_until: Instant::ZERO }
    }
}

/// Which end of the connection a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that connected.
    Client,
    /// The end that was connected to.
    Server,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not yet.
    Running,
    /// Both sides closed; everything was sent and received.
    Done,
    /// It was reset, refused or timed out.
    Failed,
}

/// One end's program.
#[derive(Clone, Debug)]
pub struct App {
    plan: Plan,
    role: Role,
    sent: u64,
    received: u64,
    closed: bool,
    /// The other side's FIN has arrived, perhaps behind bytes that were not read yet.
    fin_arrived: bool,
    peer_closed: bool,
    outcome: Outcome,
    echo: Vec<u8>,
}

/// Most bytes that a program offers at once.
const CHUNK_BYTES: u64 = 256 * 1024;

impl App {
    /// A program at its start.
    #[must_use]
    pub const fn new(plan: Plan, role: Role) -> Self {
        Self {
            plan,
            role,
            sent: 0,
            received: 0,
            closed: false,
            fin_arrived: false,
            peer_closed: false,
            outcome: Outcome::Running,
            echo: Vec::new(),
        }
    }

    /// How it stands.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Bytes sent and received so far.
    #[must_use]
    pub const fn progress(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    /// Whether it reads at this time.
    #[must_use]
    pub fn reads(&self, now: Instant) -> bool {
        self.role == Role::Client || now >= self.plan.stall_until
    }

    /// Whether it is one that does not read for a time; it must be looked at again when that time is over.
    #[must_use]
    pub fn stalls(&self) -> bool {
        self.role == Role::Server && self.plan.stall_until > Instant::ZERO
    }

    /// When it will read again, if it waits.
    #[must_use]
    pub fn wakes(&self, now: Instant) -> Option<Instant> {
        (!self.reads(now)).then_some(self.plan.stall_until)
    }

    /// Takes bytes that arrived.
    ///
    /// # Panics
    /// If they are not the bytes that the other end sends at this place.
    pub fn receive(&mut self, bytes: &[u8]) {
        let from = if self.echoed() { Role::Client } else { self.peer() };
        let want = pattern(from, self.received, bytes.len());
        if bytes != want {
            let at = bytes.iter().zip(&want).take_while(|(a, b)| a == b).count() as u64;
            panic!("{:?}: byte {} is not what was sent", self.role, self.received + at);
        }
        self.received += bytes.len() as u64;
        assert!(self.received <= self.expects(), "{:?}: more bytes than were sent", self.role);
        if self.plan.echo && self.role == Role::Server {
            self.echo.extend_from_slice(bytes);
        }
    }

    /// The bytes it would send now, at most `room` of them.
    #[must_use]
    pub fn offer(&self, room: usize) -> Vec<u8> {
        if self.plan.echo && self.role == Role::Server {
            return self.echo[..self.echo.len().min(room)].to_vec();
        }
        if self.waits_for_close() {
            return Vec::new();
        }
        let n = (self.sends() - self.sent).min(room as u64).min(CHUNK_BYTES);
        pattern(self.role, self.sent, n as usize)
    }

    /// So many of the offered bytes were taken.
    pub fn sent(&mut self, n: usize) {
        self.sent += n as u64;
        if self.plan.echo && self.role == Role::Server {
            self.echo.drain(..n);
        }
    }

    /// Whether it is time to close its side; true once.
    pub fn closes(&mut self) -> bool {
        let ready = !self.closed && !self.waits_for_close() && self.sent == self.sends();
        self.closed |= ready;
        ready
    }

    /// The other side's FIN has arrived. [`Self::sees_fin`] follows once what came before it was read.
    pub const fn mark_fin(&mut self) {
        self.fin_arrived = true;
    }

    /// Having read all there was, notices the other side's FIN if it has arrived; true once.
    ///
    /// # Panics
    /// If bytes are missing.
    pub fn sees_fin(&mut self) -> bool {
        let news = self.fin_arrived && !self.peer_closed;
        if news {
            assert_eq!(self.received, self.expects(), "{:?}: closed before the last byte", self.role);
            self.peer_closed = true;
        }
        news
    }

    /// Which end it is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The connection is over, in order or not.
    pub fn ends(&mut self, in_order: bool) {
        if self.outcome == Outcome::Running {
            let complete = self.closed && self.sent == self.sends() && self.received == self.expects();
            self.outcome = if in_order && complete { Outcome::Done } else { Outcome::Failed };
        }
    }

    /// Whether both sides have closed.
    #[must_use]
    pub const fn both_closed(&self) -> bool {
        self.closed && self.peer_closed
    }

    const fn sends(&self) -> u64 {
        match self.role {
            Role::Client => self.plan.up_bytes,
            Role::Server => self.plan.down_bytes,
        }
    }

    const fn expects(&self) -> u64 {
        match self.role {
            Role::Client => self.plan.down_bytes,
            Role::Server => self.plan.up_bytes,
        }
    }

    const fn peer(&self) -> Role {
        match self.role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        }
    }

    fn echoed(&self) -> bool {
        self.plan.echo && self.role == Role::Client
    }

    fn waits_for_close(&self) -> bool {
        self.plan.half_close && self.role == Role::Server && !self.peer_closed
    }
}

/// The bytes that a role sends from this offset on: no two places within 2⁶⁴ look alike, so misplaced bytes are noticed.
#[must_use]
pub fn pattern(role: Role, offset: u64, bytes: usize) -> Vec<u8> {
    let salt = if role == Role::Client { 0x0123_4567_89ab_cdef } else { 0xfedc_ba98_7654_3210 };
    let word = |n: u64| {
        (n ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    let mut out = Vec::with_capacity(bytes + 16);
    let first = offset / 8;
    let mut n = first;
    let skip = (offset % 8) as usize;
    while out.len() < bytes + skip {
        out.extend_from_slice(&word(n).to_le_bytes());
        n += 1;
    }
    out.truncate(bytes + skip);
    out.drain(..skip);
    out
}
