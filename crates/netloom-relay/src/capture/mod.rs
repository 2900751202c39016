//! Captures of a LAN's frames, as they pass its ports: filtered, cut, written as pcapng and read by a connection of the control API.
//!
//! ```text
//! port ─▶ Captures::received · sent ─▶ filter ─▶ pcapng ─▶ sink ─▶ Reader (an answer's body)
//! ```
//!
//! A capture of a port shows all that goes in and out there. One of a whole LAN shows each frame once: as it enters the switch, and what the
//! gateway sends as it leaves. When nobody captures, a frame costs one look at a cell.

mod filter;
mod pcapng;
mod sink;

use std::cell::{Cell, RefCell};

use netloom_core::{MacAddr, PortId};

pub(crate) use filter::Filter;
pub(crate) use pcapng::Direction;
use pcapng::Statistics;
pub(crate) use sink::Reader;
use sink::Sink;

use crate::lan::Member;

/// Captures that one LAN has at a time.
const MAX_CAPTURES: usize = 16;
/// Clients that one capture tells apart; with one more it ends.
const MAX_INTERFACES: usize = 65_536;
/// Longest frame that is kept unless it is asked for less, in bytes: what tcpdump keeps.
pub(crate) const SNAP_BYTES: u32 = 262_144;

/// What is captured.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The port of one client; without, the whole LAN.
    pub(crate) port: Option<PortId>,
    /// Which frames.
    pub(crate) filter: Option<Filter>,
    /// Bytes that are kept of each frame.
    pub(crate) snap_bytes: u32,
    /// The file's largest size, in bytes.
    pub(crate) max_bytes: Option<u64>,
    /// Frames after which it ends.
    pub(crate) max_frames: Option<u64>,
}

/// The LAN has as many captures as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_CAPTURES} captures of this LAN run already; end one of them")]
pub(crate) struct TooMany;

/// Names a capture of a LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CaptureId(u64);

/// The captures of a LAN.
pub(crate) struct Captures {
    is_any: Cell<bool>,
    running: RefCell<Vec<Capture>>,
    next: Cell<u64>,
    gateway: MacAddr,
}

struct Capture {
    id: CaptureId,
    wanted: Wanted,
    sink: Sink,
    interfaces: Vec<Interface>,
    begin_us: u64,
    written_bytes: u64,
    frames: u64,
    /// The gateway's last frame to a group, and the port where it was first seen: it leaves by every port.
    group_frame: (Vec<u8>, Option<u64>),
}

/// A client among a capture's interfaces.
struct Interface {
    member: u64,
    statistics: Statistics,
}

impl Captures {
    /// The captures of a LAN whose gateway has this address: none.
    pub(crate) fn new(gateway: MacAddr) -> Self {
        Self { is_any: Cell::new(false), running: RefCell::default(), next: Cell::new(0), gateway }
    }

    /// Begins a capture, which ends by itself when its reader is gone.
    pub(crate) fn begin(&self, unix_us: u64, wanted: Wanted) -> Result<(CaptureId, Reader), TooMany> {
        let mut running = self.running.borrow_mut();
        running.retain(|capture| !capture.sink.is_abandoned());
        if running.len() >= MAX_CAPTURES {
            return Err(TooMany);
        }
        let id = CaptureId(self.next.replace(self.next.get() + 1));
        let (sink, reader) = sink::sink();
        let mut capture = Capture {
            id,
            wanted,
            sink,
            interfaces: Vec::new(),
            begin_us: unix_us,
            written_bytes: 0,
            frames: 0,
            group_frame: (Vec::new(), None),
        };
        let mut head = Vec::new();
        pcapng::put_section(&mut head, concat!("netloom ", env!("CARGO_PKG_VERSION")));
        capture.put(&head);
        running.push(capture);
        self.is_any.set(true);
        Ok((id, reader))
    }

    /// Ends a capture.
    pub(crate) fn end(&self, id: CaptureId) {
        self.end_those(|capture| capture.id == id);
    }

    /// Ends the captures of a port, which closes.
    pub(crate) fn end_port(&self, port: PortId) {
        self.end_those(|capture| capture.wanted.port == Some(port));
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.running.borrow().len()
    }

    /// A frame came in from a port.
    pub(crate) fn received(&self, member: &Member, frame: &[u8]) {
        if self.is_any.get() {
            self.take(member, Direction::Inbound, frame);
        }
    }

    /// A frame went out by a port.
    pub(crate) fn sent(&self, member: &Member, frame: &[u8]) {
        if self.is_any.get() {
            self.take(member, Direction::Outbound, frame);
        }
    }

    #[cold]
    fn take(&self, member: &Member, direction: Direction, frame: &[u8]) {
        let unix_us = crate::lan::unix_us();
        let is_of_gateway = frame.get(6..12) == Some(&self.gateway.0);
        let mut full = false;
        for capture in &mut *self.running.borrow_mut() {
            let is_meant = match capture.wanted.port {
                Some(port) => port == member.port(),
                None if direction == Direction::Inbound => true,
                None => is_of_gateway && capture.is_first(member, frame),
            };
            if is_meant {
                full |= !capture.take(unix_us, member, direction, frame);
            }
        }
        if full {
            self.end_those(|capture| capture.is_full() || capture.sink.is_abandoned());
        }
    }

    fn end_those(&self, is_meant: impl Fn(&Capture) -> bool) {
        let mut running = self.running.borrow_mut();
        running.retain(|capture| !is_meant(capture));
        self.is_any.set(!running.is_empty());
    }
}

impl Capture {
    /// Whether a frame of the gateway's is not the copy of one that left by another port just now.
    fn is_first(&mut self, member: &Member, frame: &[u8]) -> bool {
        if frame.first().is_none_or(|first| first & 1 == 0) {
            return true;
        }
        let (last, seen_at) = &mut self.group_frame;
        if last == frame && *seen_at != Some(member.id) {
            return false;
        }
        last.clear();
        last.extend_from_slice(frame);
        *seen_at = Some(member.id);
        true
    }

    /// Takes a frame; false if the capture is over.
    fn take(&mut self, unix_us: u64, member: &Member, direction: Direction, frame: &[u8]) -> bool {
        let accepted = self.wanted.filter.as_ref().is_none_or(|filter| filter.matches(frame, direction));
        if !accepted && self.sink.is_abandoned() {
            return false;
        }
        let known = self.interfaces.iter().position(|interface| interface.member == member.id);
        let Some(at) = known.or_else(|| self.describe(member)) else { return false };
        self.interfaces[at].statistics.received += 1;
        if !accepted {
            return true;
        }
        let snap_bytes = self.wanted.snap_bytes as usize;
        let bytes = frame.len().min(snap_bytes) + pcapng::PACKET_OVERHEAD_BYTES;
        if self.is_full() || self.sink.is_abandoned() {
            return false;
        }
        if !self.has_room(bytes) {
            return false;
        }
        self.interfaces[at].statistics.accepted += 1;
        let mut length = 0;
        let written = self.sink.write(bytes, |out| {
            let begin = out.len();
            pcapng::put_packet(out, at as u32, unix_us, direction, frame, snap_bytes);
            length = out.len() - begin;
        });
        if written {
            self.written_bytes += length as u64;
            self.frames += 1;
        } else {
            self.interfaces[at].statistics.dropped += 1;
        }
        !self.is_full()
    }

    /// Adds an interface: which; `None` if there is no room, and the capture is over.
    fn describe(&mut self, member: &Member) -> Option<usize> {
        if self.interfaces.len() >= MAX_INTERFACES {
            self.wanted.max_frames = Some(0);
            return None;
        }
        let mut out = Vec::new();
        let filter = self.wanted.filter.as_ref().map(Filter::text);
        let name = format!("{}/{}", member.kind, member.id);
        pcapng::put_interface(&mut out, &name, &member.peer, self.wanted.snap_bytes, filter);
        if !self.has_room(out.len() + pcapng::STATISTICS_BYTES) {
            return None;
        }
        self.put(&out);
        self.interfaces.push(Interface { member: member.id, statistics: Statistics::default() });
        Some(self.interfaces.len() - 1)
    }

    /// Whether so many more bytes fit; if not, the capture is over: smaller blocks would still fit, but a capture has no gaps.
    fn has_room(&mut self, bytes: usize) -> bool {
        // What ends the file has its room.
        let size_bytes = self.written_bytes + (self.interfaces.len() * pcapng::STATISTICS_BYTES) as u64;
        let has_room = self.wanted.max_bytes.is_none_or(|most| size_bytes + bytes as u64 <= most);
        if !has_room {
            self.wanted.max_bytes = Some(0);
        }
        has_room
    }

    fn put(&mut self, bytes: &[u8]) {
        self.written_bytes += bytes.len() as u64;
        self.sink.put(bytes);
    }

    fn is_full(&self) -> bool {
        self.wanted.max_bytes.is_some_and(|most| self.written_bytes >= most)
            || self.wanted.max_frames.is_some_and(|most| self.frames >= most)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let times = (self.begin_us, crate::lan::unix_us());
        self.sink.end(|out| {
            for (n, interface) in (0..).zip(&self.interfaces) {
                pcapng::put_statistics(out, n, times, interface.statistics);
            }
        });
    }
}

#[cfg(test)]
mod tests;
