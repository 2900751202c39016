//! Scripts of segments for one connection of the TCP engine, in the manner of packetdrill: what arrives, what is called, and everything
//! that must leave, at the microsecond.
//!
//! ```text
//! == RFC 9293 3.5: a connection is opened           a script begins with what it holds
//! +0    < S 0:0(0) win 65535 <mss 1000>             arrives
//! +0    accept                                      is called
//! +0    > S. 0:0(0) ack 1 win 65535 <mss 1000>      must leave now
//! +0.1  < . 1:1(0) ack 1 win 65535                  0.1 s later
//! +0    ! established                               must be told now
//! ```
//!
//! Positions count from each side's initial sequence number, as in packetdrill; `@n` is a number as it stands on the wire. Windows are
//! fields of the header, not scaled. Nothing may leave or be told that no line expects. The payload is a pattern of its position, so that
//! bytes that are lost, misplaced or taken twice show in `take` and in what leaves. Each script is run at several initial sequence numbers,
//! so that every rule holds across 2³¹ and 2³². The words of a line are those of [`parse`].

mod parse;
mod run;
mod wire;

pub use parse::parse;
pub use run::run;

use netloom_core::tcp::{Event, State};

/// One script.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it holds: the line behind `==`.
    pub title: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    line: usize,
    text: String,
    delay_us: u64,
    act: Act,
}

#[derive(Clone, Debug)]
enum Act {
    Set(String, u64),
    Arrive(Pattern),
    Leave(Pattern),
    Tell(Event),
    Call(Call, usize),
    Check(Check),
    /// Time passes, and no more.
    Pass,
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Active,
    Accept,
    Write,
    /// `write` takes no more than this.
    WriteSome(usize),
    Take,
    Fin,
    Close,
    Abort,
    Limit,
    Mtu,
    Unreachable,
    /// Segments stay unpolled until `Drain`.
    Hold,
    Drain,
}

#[derive(Clone, Copy, Debug)]
enum Check {
    State(State),
    Room(usize),
    Held(usize),
    Readable(usize),
    Offered(usize),
    /// No timer runs.
    Asleep,
}

/// A position: counted from the initial sequence number, or as it stands on the wire.
#[derive(Clone, Copy, Debug)]
enum Position {
    Relative(i64),
    Wire(u32),
}

/// A segment as a script states it.
#[derive(Clone, Debug)]
struct Pattern {
    flags: u8,
    seq: Position,
    length: usize,
    ack: Option<Position>,
    window: Option<u16>,
    urgent: u16,
    /// `None` stands for any.
    options: Option<Vec<Opt>>,
    /// The payload is not that of its position.
    garbage: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Opt {
    Mss(u16),
    Scale(u8),
    SackPermitted,
    /// Ranges, counted from the initial sequence number of what is acknowledged.
    Sack(Vec<(i64, i64)>),
    /// Bytes as they stand.
    Raw(Vec<u8>),
}
