//! Segments on the wire, written and read apart from the engine's own codec.

use core::fmt;
use core::net::SocketAddrV4;

use super::{Opt, Pair, Pattern, Position};
use crate::app::{Role, pattern};
use crate::packet::{Ipv4, ethernet, flag, transport_checksum};
use crate::world::{GATEWAY_MAC, guest_address, guest_mac};

/// The initial sequence numbers of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origins {
    pub(super) ours: u32,
    pub(super) theirs: u32,
}

/// The timestamps of a connection (RFC 7323 3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// The first value that we sent.
    pub(super) ours: Option<u32>,
    /// The latest.
    pub(super) latest: u32,
    /// What the guest's clock showed when the script began, in ms.
    pub(super) theirs: u32,
    /// What it shows.
    pub(super) theirs_now: u32,
}

impl Position {
    pub(super) fn on_wire(self, origin: u32) -> u32 {
        match self {
            Self::Relative(position) => origin.wrapping_add(position as u32),
            Self::Wire(number) => number,
        }
    }
}

/// The payload of a side's stream from a position on. Before the first byte of the stream there are zeros.
pub(super) fn stream(role: Role, position: i64, length: usize) -> Vec<u8> {
    let before = (1 - position).clamp(0, length as i64) as usize;
    let from = (position - 1).max(0) as u64;
    let mut bytes = vec![0; before];
    bytes.extend(pattern(role, from, length - before));
    bytes
}

/// A frame of the guest's with this message.
pub(super) fn frame(to: SocketAddrV4, protocol: u8, message: &[u8]) -> Vec<u8> {
    let packet = Ipv4::new(guest_address(0), *to.ip(), protocol).packet(message);
    ethernet(GATEWAY_MAC, guest_mac(0), 0x0800, &packet)
}

impl Pattern {
    /// The frame in which the segment arrives from the guest.
    pub(super) fn write(&self, pair: Pair, origins: Origins, clocks: Clocks) -> Vec<u8> {
        let mut options = Vec::new();
        for option in self.options.iter().flatten() {
            write_option(option, origins.ours, clocks, &mut options);
        }
        options.resize(options.len().next_multiple_of(4), 0);
        let ack = self.ack.map_or(0, |ack| ack.on_wire(origins.ours));
        let mut out = [pair.guest_port.to_be_bytes(), pair.target.port().to_be_bytes()].concat();
        out.extend(self.seq.on_wire(origins.theirs).to_be_bytes());
        out.extend(ack.to_be_bytes());
        out.push(((20 + options.len()) / 4) as u8 * 16);
        out.push(self.flags);
        out.extend(self.window.unwrap_or(u16::MAX).to_be_bytes());
        out.extend([0, 0]);
        out.extend(self.urgent.to_be_bytes());
        out.extend(options);
        let position = match self.seq {
            Position::Relative(position) => position,
            Position::Wire(number) => i64::from(number.wrapping_sub(origins.theirs) as i32),
        };
        let mut payload = stream(Role::Client, position + i64::from(self.flags & flag::SYN > 0), self.length);
        if self.garbage {
            payload.iter_mut().for_each(|byte| *byte = !*byte);
        }
        out.extend(payload);
        let sum = transport_checksum(guest_address(0), *pair.target.ip(), 6, &out);
        out[16..18].copy_from_slice(&sum.to_be_bytes());
        frame(pair.target, 6, &out)
    }

    /// Whether it carries a window scale.
    pub(super) fn scales(&self) -> bool {
        self.options.iter().flatten().any(|option| matches!(option, Opt::Scale(_)))
    }

    /// What about a segment that left is not as stated.
    pub(super) fn differs(&self, sent: &Sent, origins: Origins, clocks: Clocks) -> Option<&'static str> {
        let ack_wanted = self.ack.map_or(0, |ack| ack.on_wire(origins.theirs));
        let checks = [
            (self.flags == sent.flags, "flags"),
            (self.seq.on_wire(origins.ours) == sent.seq, "sequence number"),
            (self.length == sent.payload.len(), "length"),
            (ack_wanted == sent.ack, "acknowledgment"),
            (self.window.is_none_or(|window| window == sent.window), "window"),
            (sent.urgent == self.urgent, "urgent pointer"),
            (self.options.as_ref().is_none_or(|options| same(options, &sent.options, clocks)), "options"),
        ];
        checks.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
    }
}

/// Whether the options that left are those wanted.
fn same(wanted: &[Opt], sent: &[Opt], clocks: Clocks) -> bool {
    let equal = |want: Option<Position>, is: Option<Position>, origin| {
        want.is_none_or(|want| is.is_some_and(|is| want.on_wire(origin) == is.on_wire(origin)))
    };
    wanted.len() == sent.len()
        && wanted.iter().zip(sent).all(|pair| match pair {
            (Opt::Timestamps(value, echo), Opt::Timestamps(sent_value, sent_echo)) => {
                equal(*value, *sent_value, clocks.ours.unwrap_or(0))
                    && equal(*echo, *sent_echo, clocks.theirs)
            }
            (want, is) => want == is,
        })
}

fn write_option(option: &Opt, origin: u32, clocks: Clocks, out: &mut Vec<u8>) {
    match option {
        Opt::Mss(mss) => {
            out.extend([2, 4]);
            out.extend(mss.to_be_bytes());
        }
        Opt::Scale(shift) => out.extend([3, 3, *shift]),
        Opt::SackPermitted => out.extend([4, 2]),
        Opt::Sack(ranges) => {
            out.extend([5, 2 + 8 * ranges.len() as u8]);
            for (from, to) in ranges {
                out.extend(origin.wrapping_add(*from as u32).to_be_bytes());
                out.extend(origin.wrapping_add(*to as u32).to_be_bytes());
            }
        }
        Opt::Timestamps(value, echo) => {
            let value = value.map_or(clocks.theirs_now, |value| value.on_wire(clocks.theirs));
            let echo = echo.map_or(clocks.latest, |echo| echo.on_wire(clocks.ours.unwrap_or(0)));
            out.extend([8, 10]);
            out.extend(value.to_be_bytes());
            out.extend(echo.to_be_bytes());
        }
        Opt::Raw(bytes) => out.extend(bytes),
    }
}

/// A segment that left.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    urgent: u16,
    options: Vec<Opt>,
    pub(super) payload: Vec<u8>,
    origins: Origins,
}

impl Sent {
    /// Reads a segment.
    pub(super) fn read(bytes: &[u8], origins: Origins) -> Result<Self, String> {
        let header = bytes.first_chunk::<20>().ok_or("shorter than a header")?;
        let length = usize::from(header[12] >> 4) * 4;
        let (head, payload) = bytes.split_at_checked(length).ok_or("shorter than its header says")?;
        let word =
            |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        Ok(Self {
            seq: word(4),
            ack: word(8),
            flags: header[13],
            window: half(14),
            urgent: half(18),
            options: read_options(head.get(20..).ok_or("a header below 20 bytes")?, origins.theirs)?,
            payload: payload.to_vec(),
            origins,
        })
    }

    /// Its window scale.
    pub(super) fn scale(&self) -> Option<u8> {
        self.options
            .iter()
            .find_map(|option| if let Opt::Scale(shift) = option { Some(*shift) } else { None })
    }

    /// The value of its timestamps option, as it stands on the wire.
    pub(super) fn timestamp(&self) -> Option<u32> {
        self.options.iter().find_map(|option| match option {
            Opt::Timestamps(Some(Position::Wire(value)), _) => Some(*value),
            _ => None,
        })
    }

    /// Where it stands in our stream, SYN being 0.
    pub(super) fn position(&self) -> i64 {
        i64::from(self.seq.wrapping_sub(self.origins.ours) as i32)
    }

    /// Its acknowledgment, the peer's SYN being 0.
    pub(super) fn acknowledges(&self) -> i64 {
        i64::from(self.ack.wrapping_sub(self.origins.theirs) as i32)
    }
}

fn read_options(mut bytes: &[u8], origin: u32) -> Result<Vec<Opt>, String> {
    let relative = |word: &[u8]| {
        let word = [word[0], word[1], word[2], word[3]];
        i64::from(u32::from_be_bytes(word).wrapping_sub(origin) as i32)
    };
    let mut list = Vec::new();
    while let [kind, rest @ ..] = bytes {
        match kind {
            0 => break,
            1 => bytes = rest,
            _ => {
                let length = usize::from(*rest.first().ok_or("an option without length")?);
                let option = bytes.get(..length).filter(|_| length >= 2).ok_or("an option's length")?;
                bytes = &bytes[length..];
                list.push(match (kind, &option[2..]) {
                    (2, [high, low]) => Opt::Mss(u16::from_be_bytes([*high, *low])),
                    (3, [shift]) => Opt::Scale(*shift),
                    (4, []) => Opt::SackPermitted,
                    (5, blocks) if blocks.len() % 8 == 0 => {
                        Opt::Sack(blocks.chunks(8).map(|b| (relative(b), relative(&b[4..]))).collect())
                    }
                    (8, [a, b, c, d, rest @ ..]) if rest.len() == 4 => {
                        let echo = [rest[0], rest[1], rest[2], rest[3]];
                        let wire = |word| Some(Position::Wire(u32::from_be_bytes(word)));
                        Opt::Timestamps(wire([*a, *b, *c, *d]), wire(echo))
                    }
                    _ => Opt::Raw(option.to_vec()),
                });
            }
        }
    }
    Ok(list)
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [(u8, char); 6] = [
            (flag::SYN, 'S'),
            (flag::FIN, 'F'),
            (flag::RST, 'R'),
            (flag::PSH, 'P'),
            (0x20, 'U'),
            (flag::ACK, '.'),
        ];
        let flags: String =
            LETTERS.iter().filter(|(bit, _)| self.flags & bit > 0).map(|(_, letter)| letter).collect();
        let (from, length) = (self.position(), self.payload.len());
        write!(f, "{flags} {from}:{}({length})", from + length as i64)?;
        if self.flags & flag::ACK > 0 {
            write!(f, " ack {}", self.acknowledges())?;
        }
        write!(f, " win {}", self.window)?;
        if self.options.is_empty() { Ok(()) } else { write!(f, " {:?}", self.options) }
    }
}
