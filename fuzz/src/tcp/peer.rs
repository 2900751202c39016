//! The peer of the target `tcp`: what it offered, what it sent and heard, and what must hold of every segment that it gets.

use netloom_core::Instant;

use super::Hostile;

/// The bits of a header's byte 13.
pub(super) struct Flag;

impl Flag {
    pub(super) const FIN: u8 = 1;
    pub(super) const SYN: u8 = 2;
    pub(super) const RST: u8 = 4;
    pub(super) const ACK: u8 = 16;
}

/// What the peer's SYN says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) mss: u16,
    pub(super) window: u16,
    pub(super) scale: Option<u8>,
    pub(super) sack: bool,
    pub(super) stamps: bool,
}

/// Positions count from the first byte of a stream.
pub(super) struct Peer {
    isn: u32,
    irs: u32,
    offer: Offer,
    stamps: bool,
    scale: u8,
    /// What the connection told: its scale, what it has, and how far it takes.
    their_scale: u8,
    acknowledged: usize,
    edge: usize,
    /// What was sent to it, and where that ends if it does.
    sent: Vec<bool>,
    sent_end: usize,
    next: usize,
    end: Option<usize>,
    fin_acknowledged: bool,
    /// What was heard of it, the prefix of that, and the highest position that it ever sent.
    heard: Vec<bool>,
    due: usize,
    heard_fin: bool,
    fin_at: Option<usize>,
    highest: usize,
    /// How far the windows told reach.
    limit: usize,
    latest_stamp: u32,
    recent: u32,
}

/// The byte at a position of the stream that the connection sends.
pub(super) fn our_byte(position: usize) -> u8 {
    (position % 251) as u8
}

/// The byte at a position of the stream that it hears.
pub(super) fn their_byte(position: usize) -> u8 {
    (position % 241) as u8 ^ 0x55
}

struct Fields<'a> {
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let header = usize::from(bytes[12] >> 4) * 4;
        Self {
            seq: be32(&bytes[4..]),
            ack: be32(&bytes[8..]),
            flags: bytes[13],
            window: u16::from_be_bytes([bytes[14], bytes[15]]),
            options: &bytes[20..header],
            payload: &bytes[header..],
        }
    }

    /// The value of an option.
    fn option(&self, kind: u8) -> Option<&'a [u8]> {
        let mut options = self.options;
        while let [first, rest @ ..] = options {
            match first {
                0 => break,
                1 => options = rest,
                _ => {
                    let length = usize::from(rest[0]);
                    if *first == kind {
                        return Some(&options[2..length]);
                    }
                    options = &options[length..];
                }
            }
        }
        None
    }
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

impl Peer {
    pub(super) fn new(isn: u32, irs: u32, offer: Offer, timestamps: bool) -> Self {
        Self {
            isn,
            irs,
            offer,
            stamps: offer.stamps && timestamps,
            scale: offer.scale.map_or(0, |scale| scale.min(14)),
            their_scale: 0,
            acknowledged: 0,
            edge: 0,
            sent: vec![false; super::MAX_STREAM],
            sent_end: 0,
            next: 0,
            end: None,
            fin_acknowledged: false,
            heard: vec![false; super::MAX_STREAM],
            due: 0,
            heard_fin: false,
            fin_at: None,
            highest: 0,
            limit: offer.window.into(),
            latest_stamp: 0,
            recent: 0,
        }
    }

    /// How much of the connection's stream it has, or said it has.
    pub(super) fn heard_bytes(&self) -> usize {
        self.due
    }

    /// What the connection's windows are multiples of.
    pub(super) fn window_unit(&self) -> usize {
        1 << self.their_scale
    }

    /// The sequence number behind all that it sent.
    pub(super) fn highest_heard(&self) -> u32 {
        self.isn.wrapping_add(1 + self.highest as u32)
    }

    /// A number that moves when anything does.
    pub(super) fn heard_count(&self) -> usize {
        self.due + self.acknowledged + self.edge + usize::from(self.heard_fin)
    }

    /// The time in ms, never before a value that was sent.
    fn stamp(&self, now: Instant) -> u32 {
        let clock = (now.as_us() / 1000) as u32;
        if (clock.wrapping_sub(self.latest_stamp) as i32) < 0 { self.latest_stamp } else { clock }
    }

    pub(super) fn syn(&mut self, now: Instant, flags: u8) -> Vec<u8> {
        let Offer { mss, window, scale, sack, stamps } = self.offer;
        let mut options = [&[2, 4][..], &mss.to_be_bytes()].concat();
        if let Some(scale) = scale {
            options.extend([1, 3, 3, scale]);
        }
        if sack {
            options.extend([1, 1, 4, 2]);
        }
        if stamps {
            self.latest_stamp = self.stamp(now);
            options.extend(stamp_option(self.latest_stamp, self.recent));
        }
        let ack = if flags & Flag::ACK > 0 { self.isn.wrapping_add(1) } else { 0 };
        segment(self.irs, ack, flags, window, &options, &[])
    }

    /// The next of an honest peer: an acknowledgment of all that was heard, with so many bytes or as many as the window takes. To `finish`,
    /// it sends from what is acknowledged, and its end behind the last.
    pub(super) fn honest(&mut self, now: Instant, length: usize, finish: bool) -> Vec<u8> {
        let start =
            if finish { self.acknowledged.min(self.sent_end) } else { self.next.max(self.acknowledged) };
        let target = match self.end {
            Some(end) => end,
            None if finish => self.sent_end,
            None => super::MAX_STREAM,
        };
        let start = start.min(target);
        let length = length.min(target - start).min(self.edge.saturating_sub(start));
        let fin = finish && start + length == target && !self.fin_acknowledged;
        if fin {
            self.end = Some(target);
        }
        self.next = start + length;
        let ack = self.due + usize::from(self.heard_fin);
        let blocks: Vec<_> = self.gaps().into_iter().take(2).collect();
        let flags = Flag::ACK | if fin { Flag::FIN } else { 0 };
        self.note(start, length);
        self.limit = self.limit.max(ack + (0xffff << self.scale));
        self.latest_stamp = self.stamp(now);
        let options = self.options(self.latest_stamp, self.recent, &blocks);
        let payload: Vec<u8> = (start..start + length).map(their_byte).collect();
        let seq = start + usize::from(self.fin_acknowledged);
        let numbers = [self.irs.wrapping_add(1 + seq as u32), self.isn.wrapping_add(1 + ack as u32)];
        segment(numbers[0], numbers[1], flags, 0xffff, &options, &payload)
    }

    /// What was heard beyond the first gap.
    fn gaps(&self) -> Vec<(u32, u32)> {
        let mut blocks = Vec::new();
        let mut at = self.due;
        while at < self.highest && self.offer.sack {
            let start = at;
            while at < self.highest && self.heard[at] {
                at += 1;
            }
            if at > start {
                let number = |position: usize| self.isn.wrapping_add(1 + position as u32);
                blocks.push((number(start), number(at)));
            }
            at += 1;
        }
        blocks
    }

    fn options(&self, stamp: u32, echo: u32, blocks: &[(u32, u32)]) -> Vec<u8> {
        let mut options = Vec::new();
        if self.stamps {
            options.extend(stamp_option(stamp, echo));
        }
        if !blocks.is_empty() {
            options.extend([1, 1, 5, 2 + 8 * blocks.len() as u8]);
            for (start, end) in blocks {
                options.extend(start.to_be_bytes());
                options.extend(end.to_be_bytes());
            }
        }
        options
    }

    fn note(&mut self, start: usize, length: usize) {
        self.sent[start..start + length].fill(true);
        self.sent_end = self.sent_end.max(start + length);
    }

    /// A segment that no honest peer sends.
    pub(super) fn hostile(&mut self, now: Instant, how: &Hostile) -> Vec<u8> {
        let most = self.end.unwrap_or(super::MAX_STREAM) as i64;
        let from = (self.acknowledged as i64 + i64::from(how.off)).min(most);
        let length = i64::from(how.length % 3000).min(most - from).max(0);
        let mut flags = how.flags & (Flag::FIN | Flag::SYN) | 0x20 & how.flags;
        let after = from + length;
        // A stream has one end, behind all of it.
        let ends = match self.end {
            Some(end) => after == end as i64,
            None => after >= self.sent_end as i64 && after >= 0,
        };
        if !ends {
            flags &= !Flag::FIN;
        } else if flags & Flag::FIN > 0 {
            self.end = Some(after as usize);
        }
        if how.flags & 0xc4 == 0xc4 {
            flags |= Flag::RST;
        }
        if how.flags & 0x18 != 0x18 {
            flags |= Flag::ACK;
        }
        let payload: Vec<u8> =
            (from..after).map(|position| usize::try_from(position).map_or(0xee, their_byte)).collect();
        if after > 0 {
            let start = from.max(0) as usize;
            self.note(start, after as usize - start);
        }
        let ack = self.due as i64 + i64::from(how.ack);
        if flags & Flag::ACK > 0 {
            self.believe(ack, how.window);
        }
        let value = self.stamp(now).wrapping_add_signed(how.stamp.into());
        if (value.wrapping_sub(self.latest_stamp) as i32) > 0 && !how.bare {
            self.latest_stamp = value;
        }
        let blocks = how.sack.map(|(from, length)| {
            let start =
                self.isn.wrapping_add(1 + self.due as u32).wrapping_add_signed(i32::from(from as i16));
            (start, start.wrapping_add(u32::from(length % 5000)))
        });
        let echo = self.recent.wrapping_add_signed(how.echo.into());
        let mut options = self.options(value, echo, if how.length.is_multiple_of(2) { &blocks } else { &[] });
        if how.bare {
            options.clear();
        }
        let seq = self.irs.wrapping_add(1).wrapping_add(from as u32);
        segment(seq, self.isn.wrapping_add(1).wrapping_add(ack as u32), flags, how.window, &options, &payload)
    }

    /// The connection may take this acknowledgment for true: then what it covers will not be sent again.
    fn believe(&mut self, ack: i64, window: u16) {
        let most = self.highest + usize::from(self.fin_at == Some(self.highest));
        let Some(ack) = usize::try_from(ack).ok().filter(|ack| *ack <= most) else { return };
        self.limit = self.limit.max(ack + (usize::from(window) << self.scale));
        self.heard[..ack.min(self.highest)].fill(true);
        self.heard_fin |= ack > self.highest;
        self.settle();
    }

    fn settle(&mut self) {
        while self.heard.get(self.due) == Some(&true) {
            self.due += 1;
        }
    }

    /// A segment of the connection, which has so many bytes to say and perhaps an end. Unless it `arrives`, it is only judged.
    pub(super) fn hear(&mut self, bytes: &[u8], written: usize, fin: bool, arrives: bool) {
        let fields = Fields::read(bytes);
        if fields.flags & Flag::RST > 0 {
            assert!(fields.payload.is_empty(), "RST with data");
            return;
        }
        let stamp = fields.option(8);
        if let Some(stamp) = stamp {
            self.recent = be32(stamp);
        }
        if fields.flags & Flag::SYN > 0 {
            self.their_scale =
                fields.option(3).filter(|_| self.offer.scale.is_some()).map_or(0, |scale| scale[0]);
            self.edge = fields.window.into();
            return;
        }
        assert_eq!(stamp.is_some(), self.stamps, "timestamps");
        let position = i64::from(fields.seq.wrapping_sub(self.isn.wrapping_add(1)) as i32);
        let after = position + fields.payload.len() as i64;
        assert!(after <= written as i64 + i64::from(fin), "it says what nobody wrote");
        if !fields.payload.is_empty() {
            let start = position as usize;
            let wanted = (start..start + fields.payload.len()).map(our_byte);
            assert!(fields.payload.iter().copied().eq(wanted), "other bytes than were written");
            // One more probes a closed window.
            assert!(after as usize <= self.limit + 1, "{after} is beyond the window's edge {}", self.limit);
            self.highest = self.highest.max(after as usize);
        }
        if fields.flags & Flag::FIN > 0 {
            assert!(fin && after == written as i64, "FIN at {after} of {written}");
            self.fin_at = Some(written);
        }
        self.hear_acknowledgment(&fields);
        if arrives {
            if !fields.payload.is_empty() {
                self.heard[position as usize..after as usize].fill(true);
                self.settle();
            }
            self.heard_fin |= self.fin_at == Some(self.due) && fields.flags & Flag::FIN > 0;
        }
    }

    fn hear_acknowledgment(&mut self, fields: &Fields<'_>) {
        let ack = fields.ack.wrapping_sub(self.irs.wrapping_add(1)) as usize;
        assert!(ack >= self.acknowledged, "the acknowledgment moves back to {ack}");
        let fin = usize::from(self.end.is_some_and(|end| ack == end + 1));
        assert!(ack <= self.sent_end + fin, "it acknowledges {ack}, which nobody sent");
        assert!(self.sent[self.acknowledged..ack - fin].iter().all(|sent| *sent), "it acknowledges a gap");
        self.acknowledged = ack - fin;
        self.fin_acknowledged |= fin > 0;
        let edge = ack + (usize::from(fields.window) << self.their_scale);
        // By less than a unit it may, when much was rounded up before.
        let least = self.edge.saturating_sub(self.window_unit() - 1);
        assert!(edge >= least, "the window's edge moves back from {} to {edge}", self.edge);
        self.edge = self.edge.max(edge);
        let blocks = fields.option(5).unwrap_or_default();
        for (at, block) in blocks.chunks_exact(8).enumerate() {
            let [start, end] =
                [block, &block[4..]].map(|word| be32(word).wrapping_sub(self.irs.wrapping_add(1)) as i32);
            assert!(
                start < end && end <= self.sent_end as i32,
                "it holds {start} to {end}, which nobody sent"
            );
            // What the peer sends from before the stream's first byte may be told to have come twice.
            let sent = &self.sent[start.max(0) as usize..end.max(0) as usize];
            assert!(sent.iter().all(|sent| *sent), "it holds a gap");
            // The first may be of what arrived twice (RFC 2883).
            assert!(at == 0 || start > ack as i32, "it holds {start} to {end} beyond {ack}");
        }
    }
}

fn stamp_option(value: u32, echo: u32) -> Vec<u8> {
    [&[1, 1, 8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat()
}

fn segment(seq: u32, ack: u32, flags: u8, window: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x9c, 0x40, 0, 80];
    bytes.extend(seq.to_be_bytes());
    bytes.extend(ack.to_be_bytes());
    bytes.extend([((20 + options.len()) / 4) as u8 * 16, flags]);
    bytes.extend(window.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(options);
    bytes.extend(payload);
    bytes
}
