//! Scripts of segments for the whole machine, in the manner of packetdrill: what a guest sends, what the outside calls, and everything
//! that must leave and be told, at the microsecond.
//!
//! ```text
//! == RFC 9293 3.5: a connection is opened           a script begins with what it holds
//! +0    < S 0:0(0) win 65535 <mss 1000>             arrives from the guest
//! +0    ! open                                      must be told now
//! +0    accept                                      is called
//! +0    > S. 0:0(0) ack 1 win 65535 <mss 1000>      must leave now
//! +0.1  < . 1:1(0) ack 1                            0.1 s later
//! ```
//!
//! Positions count from each side's initial sequence number, as in packetdrill; `@n` is a number as it stands on the wire. Windows are
//! fields of the header, not scaled. Nothing may leave or be told that no line expects. The payload is a pattern of its position, so that
//! bytes that are lost, misplaced or taken twice show in `take` and in what leaves. Each script is run at several initial sequence numbers,
//! so that every rule holds across 2³¹ and 2³²: the guest's is chosen, the machine's moves with its clock. The words of a line are those of
//! `parse.rs`.

mod carry;
mod conversation;
mod parse;
mod run;
mod setting;
mod wire;

use core::net::{Ipv4Addr, SocketAddrV4};

pub use parse::parse;
pub use run::run;

use netloom_core::{Refusal, ResetReason};

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
    With(Pair),
    /// The connection known with this port of the guest.
    WithPort(u16),
    Arrive(Pattern),
    ArriveIcmp(Icmp),
    Leave(Pattern),
    LeaveIcmp(Icmp),
    Tell(Told),
    Call(Call),
    Check(Check),
    /// Time passes, and no more.
    Pass,
}

/// The two ends of a connection: the guest's port and the far address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    guest_port: u16,
    target: SocketAddrV4,
}

/// What a script speaks of before `with`.
const FIRST: Pair =
    Pair { guest_port: 40_000, target: SocketAddrV4::new(Ipv4Addr::new(93, 184, 216, 34), 80) };

/// What the machine tells about one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Open,
    Established,
    Data(usize),
    Fin,
    Writable,
    Reset(ResetReason),
    Closed,
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Connect(u16),
    Accept,
    AcceptEarly,
    Refuse(Refusal),
    /// So many bytes, of which so many must be taken.
    Write(usize, usize),
    Take(usize),
    Fin,
    Close,
    Reset,
    /// So many bytes go each way, all acknowledged; positions count anew from there.
    Carry(u64),
    /// The port is not polled until `Drain`.
    Hold,
    Drain,
    /// The guest is reached again.
    Restored,
}

#[derive(Clone, Debug)]
enum Check {
    Room(usize),
    Readable(usize),
    Flows(usize),
    Dropped(String, u64),
}

/// An ICMP message about the last segment that went the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Icmp {
    kind: u8,
    code: u8,
    rest: u32,
    /// The sequence number quoted, if it is not that of the last segment.
    about: Option<Position>,
}

/// A position: counted from the initial sequence number, or as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Value and echo, each counted from the first value of its side. `None` stands for any in what leaves; in what arrives for the
    /// guest's clock, in ms since the script began, and for the latest value of ours.
    Timestamps(Option<Position>, Option<Position>),
    /// Bytes as they stand.
    Raw(Vec<u8>),
}
