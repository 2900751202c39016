//! The packet checker: what no TCP may do, whatever the network does to it (RFC 9293, 7323, 1122).
//!
//! It watches each frame twice, where it is sent and where it is received, and so knows of each end what it has said and what it can
//! know. It owns a record of each connection with the bytes sent, and the violations it has found.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use netloom_core::Instant;

use crate::packet::{ETHERNET_BYTES, Packet, Segment, flag, read};

/// One end of a connection: what it sent, and what it has received from the other. Positions count from the sender's SYN, which is 0.
#[derive(Clone, Debug, Default)]
struct End {
    isn: Option<u32>,
    mss: u16,
    scale: Option<u8>,
    /// Every byte sent, from position 1 on.
    stream: Vec<u8>,
    fin_at: Option<u64>,
    /// The highest right edge of a window that this end has announced.
    announced_edge: u64,
    /// What this end has received from the other: everything below lies at or before this position.
    received_until: u64,
    /// The highest right edge that reached this end: it may send below.
    allowed_until: u64,
    reset: bool,
}

impl End {
    /// One past the last position sent.
    fn sent_until(&self) -> u64 {
        self.fin_at.map_or(1 + self.stream.len() as u64, |fin| fin + 1)
    }
}

#[derive(Clone, Debug, Default)]
struct Connection {
    /// The ends in the order of their addresses.
    ends: [End; 2],
}

/// The checker: see the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    connections: BTreeMap<[SocketAddr; 2], Connection>,
    violations: Vec<String>,
    segments: u64,
    ignore_checksums: bool,
    /// Who may round windows down, and how often they did.
    rounders: Vec<IpAddr>,
    rounded_windows: u64,
}

/// Violations kept; the first ones tell the story.
const MAX_VIOLATIONS: usize = 20;

/// The MSS of a peer that announced none, over IPv4 and over IPv6 (RFC 9293, 3.7.1).
const DEFAULT_MSS: (u16, u16) = (536, 1220);

impl Checker {
    /// A checker that has seen nothing. On trusted ports checksums are not computed: `checksums` is false there.
    #[must_use]
    pub fn new(checksums: bool) -> Self {
        Self { ignore_checksums: !checksums, ..Self::default() }
    }

    /// The windows of this address come from smoltcp: [`Faults::rounded_windows`](crate::Faults) is counted for them, not a violation.
    pub fn excuse_rounding(&mut self, address: impl Into<IpAddr>) {
        self.rounders.push(address.into());
    }

    /// See [`Faults::rounded_windows`](crate::Faults).
    #[must_use]
    pub const fn rounded_windows(&self) -> u64 {
        self.rounded_windows
    }

    /// A frame that its sender puts on the wire of a port with this MTU.
    pub fn sent(&mut self, now: Instant, frame: &[u8], mtu: u16) {
        if frame.len() > ETHERNET_BYTES + usize::from(mtu) {
            self.violate(now, frame, &format!("{} bytes on a port of MTU {mtu}", frame.len()));
        }
        match read(frame, !self.ignore_checksums) {
            Ok(Packet::Tcp(segment)) => {
                self.segments += 1;
                if let Err(what) = self.segment_sent(&segment, mtu) {
                    self.violate(now, frame, &what);
                }
            }
            Ok(_) => {}
            Err(what) => self.violate(now, frame, &what),
        }
    }

    /// A frame that reached the host it was for. A damaged one is not received: its host drops it.
    pub fn received(&mut self, frame: &[u8]) {
        if let Ok(Packet::Tcp(segment)) = read(frame, !self.ignore_checksums) {
            self.segment_received(&segment);
        }
    }

    /// What was found, one line each; empty if all was well.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// How many TCP segments were checked.
    #[must_use]
    pub const fn segments(&self) -> u64 {
        self.segments
    }

    /// Fails the test if anything was found.
    ///
    /// # Panics
    /// With every violation, one line each.
    pub fn assert_clean(&self) {
        assert!(self.violations.is_empty(), "the packet checker found:\n{}", self.violations.join("\n"));
    }

    fn violate(&mut self, now: Instant, frame: &[u8], what: &str) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(format!("{now} {what}: {}", describe(frame)));
        }
    }

    fn segment_sent(&mut self, segment: &Segment<'_>, mtu: u16) -> Result<(), String> {
        let rounds = self.rounders.contains(&segment.source.ip());
        let (key, side) = key(segment);
        if segment.has(flag::RST) {
            if let Some(connection) = self.connections.get_mut(&key) {
                connection.ends[side].reset = true;
            }
            return Ok(());
        }
        if segment.has(flag::SYN) {
            let fresh = segment.ack.is_none()
                && self.connections.get(&key).is_none_or(|c| c.ends[side].isn != Some(segment.seq));
            if fresh {
                self.connections.insert(key, Connection::default());
            }
        }
        let Some(connection) = self.connections.get_mut(&key) else {
            return Err("a segment of a connection that no SYN began".into());
        };
        let [peer, me] = two(&mut connection.ends, 1 - side, side);
        if segment.has(flag::SYN) {
            if segment.has(flag::FIN) {
                return Err("SYN and FIN in one segment".into());
            }
            if me.isn.is_some_and(|isn| isn != segment.seq) {
                return Err("the SYN was repeated with another sequence number".into());
            }
            if segment.scale.is_some_and(|scale| scale > 14) {
                return Err("window scale above 14".into());
            }
            me.isn = Some(segment.seq);
            let default = if segment.source.is_ipv4() { DEFAULT_MSS.0 } else { DEFAULT_MSS.1 };
            me.mss = segment.mss.unwrap_or(default);
            me.scale = segment.scale;
        }
        let Some(isn) = me.isn else { return Err("a segment before its end's SYN".into()) };
        if me.reset {
            return Err("a segment after its sender's RST".into());
        }
        self.rounded_windows += u64::from(check_ack(me, peer, segment, rounds)?);
        check_data(me, peer, segment, position(isn, segment.seq, me.sent_until()), mtu)
    }

    fn segment_received(&mut self, segment: &Segment<'_>) {
        let (key, side) = key(segment);
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let [from, to] = two(&mut connection.ends, side, 1 - side);
        let Some(isn) = from.isn else { return };
        if segment.has(flag::RST) {
            return;
        }
        if segment.has(flag::SYN) && segment.seq != isn {
            return;
        }
        let start = position(isn, segment.seq, from.sent_until());
        let length = segment.payload.len() as u64
            + u64::from(segment.has(flag::SYN))
            + u64::from(segment.has(flag::FIN));
        if let Ok(start) = u64::try_from(start) {
            to.received_until = to.received_until.max(start + length);
        }
        if let (Some(ack), Some(to_isn)) = (segment.ack, to.isn)
            && let Ok(ack) = u64::try_from(position(to_isn, ack, to.sent_until()))
        {
            to.allowed_until = to.allowed_until.max(ack + scaled_window(from, to, segment));
        }
    }
}

/// Whether a window moved back by the rounding that is excused.
fn check_ack(me: &mut End, peer: &End, segment: &Segment<'_>, rounds: bool) -> Result<bool, String> {
    let Some(ack) = segment.ack else {
        return if segment.has(flag::SYN) { Ok(false) } else { Err("neither SYN, RST nor ACK".into()) };
    };
    let Some(peer_isn) = peer.isn else { return Err("an ACK of a peer that has sent nothing".into()) };
    let ack = position(peer_isn, ack, peer.sent_until());
    if ack > me.received_until as i64 {
        return Err(format!("acknowledges position {ack}, received only {}", me.received_until));
    }
    let Ok(ack) = u64::try_from(ack) else { return Err("acknowledges a position before the SYN".into()) };
    let edge = ack + scaled_window(me, peer, segment);
    let unit = if peer.scale.is_some() { 1_u64 << me.scale.unwrap_or(0) } else { 1 };
    let rounded = rounds && edge < me.announced_edge && edge + unit > me.announced_edge;
    if edge < me.announced_edge && !rounded {
        return Err(format!("the window's right edge shrank from {} to {edge}", me.announced_edge));
    }
    me.announced_edge = me.announced_edge.max(edge);
    Ok(rounded)
}

fn check_data(me: &mut End, peer: &End, segment: &Segment<'_>, start: i64, mtu: u16) -> Result<(), String> {
    let data = segment.payload;
    if !data.is_empty() || segment.has(flag::FIN) {
        if segment.has(flag::SYN) {
            return Err("data or FIN with the SYN, where nobody asked for TFO".into());
        }
        // A peer's MSS is known only once its SYN was received; until then nothing may be sent.
        let headers = if segment.source.is_ipv4() { 40 } else { 60 };
        let most = peer.mss.min(mtu.saturating_sub(headers));
        if data.len() + segment.options_bytes > usize::from(most) {
            return Err(format!(
                "{} bytes of data, {} of options, MSS {most}",
                data.len(),
                segment.options_bytes
            ));
        }
    }
    if segment.has(flag::SYN) {
        return Ok(());
    }
    // A keep-alive stands one before the next byte and may carry one byte of garbage.
    if start == me.sent_until() as i64 - 1 && data.len() <= 1 && start < me.allowed_until as i64 {
        let repeats = data.first().is_none_or(|byte| me.stream.last() == Some(byte));
        if !repeats || start <= 0 {
            return Ok(());
        }
    }
    let Ok(start) = u64::try_from(start) else { return Err("a sequence number before the SYN".into()) };
    if start == 0 {
        return if data.is_empty() { Ok(()) } else { Err("data in the SYN's place".into()) };
    }
    if start > me.sent_until() {
        return Err(format!("leaves a gap: position {start} after {}", me.sent_until()));
    }
    if data.is_empty() && !segment.has(flag::FIN) {
        return Ok(());
    }
    let end = start + data.len() as u64;
    if end > me.allowed_until && data.len() > 1 {
        return Err(format!("sends up to {end}, the peer's window ends at {}", me.allowed_until));
    }
    if let Some(fin) = me.fin_at {
        if end > fin {
            return Err(format!("sends up to {end}, after a FIN at {fin}"));
        }
        if segment.has(flag::FIN) && end != fin {
            return Err(format!("FIN at {end}, before it was at {fin}"));
        }
    }
    let known = (me.stream.len() as u64 + 1).saturating_sub(start).min(data.len() as u64) as usize;
    let from = (start - 1) as usize;
    if me.stream[from.min(me.stream.len())..][..known] != data[..known] {
        return Err(format!("bytes at position {start} are not those sent before"));
    }
    me.stream.extend_from_slice(&data[known..]);
    if segment.has(flag::FIN) {
        if end < 1 + me.stream.len() as u64 {
            return Err(format!("FIN at {end}, bytes up to {} were sent", me.stream.len()));
        }
        me.fin_at = Some(end);
    }
    Ok(())
}

/// The window that a segment from `from` announces. It is scaled when both SYNs had the option, and never in a SYN (RFC 7323, 2.2).
fn scaled_window(from: &End, to: &End, segment: &Segment<'_>) -> u64 {
    let scale = match (from.scale, to.scale) {
        (Some(scale), Some(_)) if !segment.has(flag::SYN) => scale,
        _ => 0,
    };
    u64::from(segment.window) << scale
}

/// Where a sequence number lies, counted from the SYN, nearest to `near`.
fn position(isn: u32, seq: u32, near: u64) -> i64 {
    let offset = seq.wrapping_sub(isn).wrapping_sub(near as u32) as i32;
    near as i64 + i64::from(offset)
}

/// A connection's name, and which of its ends sends.
fn key(segment: &Segment<'_>) -> ([SocketAddr; 2], usize) {
    let (a, b) = (segment.source, segment.destination);
    if a <= b { ([a, b], 0) } else { ([b, a], 1) }
}

fn two(ends: &mut [End; 2], first: usize, second: usize) -> [&mut End; 2] {
    let [a, b] = ends;
    if (first, second) == (0, 1) { [a, b] } else { [b, a] }
}

/// One readable line for a frame.
#[must_use]
pub fn describe(frame: &[u8]) -> String {
    match read(frame, false) {
        Ok(Packet::Tcp(s)) => {
            let names =
                [(flag::SYN, 'S'), (flag::FIN, 'F'), (flag::RST, 'R'), (flag::PSH, 'P'), (flag::ACK, '.')];
            let flags: String = names.iter().filter(|(bit, _)| s.has(*bit)).map(|(_, name)| *name).collect();
            let ack = s.ack.map(|ack| format!(" ack {ack}")).unwrap_or_default();
            let (from, to, seq, n) = (s.source, s.destination, s.seq, s.payload.len());
            format!(
                "{from} > {to} [{flags}] seq {seq}{ack} win {} len {n} options {}",
                s.window, s.options_bytes
            )
        }
        Ok(Packet::Udp(from, to, data)) => format!("{from} > {to} UDP len {}", data.len()),
        Ok(Packet::Icmp(from, to, message)) => {
            format!("{from} > {to} ICMP type {} code {} len {}", message[0], message[1], message.len())
        }
        Ok(Packet::Ip(from, to)) => format!("{from} > {to} IP len {}", frame.len()),
        Ok(Packet::Arp(operation, mac, from, to)) => format!("ARP {operation} {from} is {mac}, about {to}"),
        Ok(Packet::Other(ethertype)) => format!("ethertype {ethertype:04x} len {}", frame.len()),
        Err(what) => format!("{what}, len {}", frame.len()),
    }
}
