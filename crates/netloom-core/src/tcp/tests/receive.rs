//! The receiving side against a receiver that remembers single positions: which of them arrived inside the window that was offered.

use core::ops::Range;

use proptest::prelude::*;

use crate::tcp::{Config, Event, Flags, Options, Segment, SeqNumber, State, Tcb};
use crate::time::{Duration, Instant};

/// What the peer sends: the bytes of a stream, cut anyhow.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// A segment from here on.
    Segment {
        from: usize,
        length: usize,
        fin: bool,
    },
    /// A segment that stands so far from what is due.
    Near {
        off: isize,
        length: usize,
    },
    Take(usize),
    Wait(u64),
}

const BUFFER_BYTES: usize = 3000;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..6000_usize, 0..900_usize, any::<bool>())
            .prop_map(|(from, length, fin)| Op::Segment { from, length, fin }),
        8 => (-600..600_isize, 1..900_usize).prop_map(|(off, length)| Op::Near { off, length }),
        4 => (1..900_usize).prop_map(|length| Op::Near { off: 0, length }),
        4 => (0..2000_usize).prop_map(Op::Take),
        2 => (0..100_u64).prop_map(Op::Wait),
    ]
}

/// The byte at a position of the stream.
fn byte(position: usize) -> u8 {
    (position % 251) as u8
}

struct Pair {
    tcb: Tcb,
    now: Instant,
    irs: SeqNumber,
    /// Whether each position arrived in the window, those taken included, and the first that did not.
    arrived: Vec<bool>,
    due: usize,
    /// From the first to the last byte of the latest segment that had arrived before.
    twice: Option<Range<usize>>,
    /// Whether that is its front or all of it, which is told.
    must_tell: bool,
    taken: usize,
    /// Where the stream ends, once its end was heard.
    end: Option<usize>,
    /// The highest position that the window was opened to, and the last acknowledged, both told by segments.
    edge: usize,
    acknowledged: usize,
    sacked: Vec<(usize, usize)>,
    told_bytes: usize,
    told_fin: bool,
}

fn segment(seq: SeqNumber, ack: SeqNumber, flags: Flags, options: &Options, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 20 + options.len()];
    bytes[4..8].copy_from_slice(&seq.0.to_be_bytes());
    bytes[8..12].copy_from_slice(&ack.0.to_be_bytes());
    bytes[12] = ((20 + options.len()) / 4) as u8 * 16;
    bytes[13] = flags.bits();
    bytes[14..16].copy_from_slice(&[0xff; 2]);
    options.emit(&mut bytes[20..]);
    bytes.extend(payload);
    bytes
}

impl Pair {
    fn new(isn: u32, irs: u32) -> Self {
        let config = Config { receive_buffer_bytes: BUFFER_BYTES, ..Config::default() };
        let (now, irs) = (Instant::from_us(1_000_000), SeqNumber(irs));
        let options = Options { mss: Some(1000), sack_permitted: true, ..Options::default() };
        let syn = segment(irs, SeqNumber(0), Flags::SYN, &options, &[]);
        let syn = Segment::parse(&syn).unwrap();
        let tcb = Tcb::passive(now, &config, &syn, isn);
        let mut pair = Self {
            tcb,
            now,
            irs,
            arrived: vec![false; 20_000],
            due: 0,
            twice: None,
            must_tell: false,
            taken: 0,
            end: None,
            edge: 0,
            acknowledged: 0,
            sacked: Vec::new(),
            told_bytes: 0,
            told_fin: false,
        };
        pair.tcb.accept(now);
        let ack = pair.transmit().unwrap();
        pair.hear(irs + 1, ack + 1, Flags::ACK, &[], false);
        assert_eq!(pair.tcb.state(), State::Established);
        pair
    }

    /// Hands over a segment.
    fn hear(&mut self, seq: SeqNumber, ack: SeqNumber, flags: Flags, payload: &[u8], stage: bool) {
        let bytes = segment(seq, ack, flags, &Options::default(), payload);
        let mut segment = Segment::parse(&bytes).unwrap();
        if stage {
            let _ = self.tcb.stage(&mut segment);
        }
        assert_eq!(self.tcb.handle_segment(self.now, &segment), None);
    }

    /// Takes what the machine sends; returns the sequence number of the last segment.
    fn transmit(&mut self) -> Option<SeqNumber> {
        let mut last = None;
        while let Some(transmit) = self.tcb.poll_transmit(self.now, 1000) {
            let mut bytes = vec![0; transmit.len()];
            self.tcb.emit(&transmit, 80, 40_000, &mut bytes);
            let segment = Segment::parse(&bytes).unwrap();
            assert!(segment.payload.is_empty());
            let position = |seq: SeqNumber| seq.since(self.irs + 1);
            self.acknowledged = position(segment.ack);
            let edge = position(segment.ack) + usize::from(segment.window);
            assert!(edge >= self.edge, "the window's edge moves back");
            self.edge = edge;
            let blocks = segment.options().sack;
            self.sacked = blocks.as_slice().iter().map(|(a, b)| (position(*a), position(*b))).collect();
            last = Some(segment.seq);
        }
        last
    }

    /// A segment of the stream arrives; what of it counts is noted.
    fn arrive(&mut self, from: usize, length: usize, fin: bool, ack: SeqNumber) {
        let due = self.due;
        let payload: Vec<u8> = (from..from + length).map(byte).collect();
        let flags = if fin { Flags::ACK | Flags::FIN } else { Flags::ACK };
        let over = self.end == Some(due);
        let old = (from..from + length).filter(|position| *position < due || self.arrived[*position]);
        let count = old.clone().count();
        self.twice = old.clone().min().zip(old.max()).map(|(first, last)| first..last + 1);
        self.must_tell = count > 0 && (from < due || count == length);
        self.hear(self.irs + 1 + from, ack, flags, &payload, from.is_multiple_of(2));
        if over {
            return;
        }
        let after = from + length + usize::from(fin);
        let in_window = if after == from {
            from == due || (from > due && from < self.edge)
        } else {
            after > due && (from < self.edge || from <= due)
        };
        if !in_window {
            return;
        }
        self.arrived[from..(from + length).min(self.edge).max(from)].fill(true);
        if fin && from + length <= self.edge.max(due) {
            self.end = Some(from + length);
        }
        while self.arrived[self.due] && self.end != Some(self.due) {
            self.due += 1;
        }
    }

    fn agree(&mut self) {
        while let Some(event) = self.tcb.poll_event() {
            match event {
                Event::Data(bytes) => self.told_bytes += bytes,
                Event::Fin => self.told_fin = true,
                Event::Established => {}
                other => panic!("{other:?}"),
            }
        }
        let due = self.due;
        assert_eq!(self.told_bytes, due);
        assert_eq!(self.told_fin, self.end == Some(due));
        let held = self.tcb.peek().concat();
        assert!(held.iter().copied().eq((self.taken..due).map(byte)), "{} to {due}", self.taken);
        assert!(held.len() <= BUFFER_BYTES, "{} bytes held", held.len());
    }

    /// What the answer to a segment holds beyond the acknowledgment.
    fn check_blocks(&self, from: usize, length: usize) {
        let mut blocks = &self.sacked[..];
        // What arrived twice is told first, and before the range around it, if it lies in one (RFC 2883 4).
        if let Some((twice, &(start, end))) = self.twice.as_ref().zip(blocks.first()) {
            let within = blocks.get(1).is_some_and(|around| around.0 <= start && end <= around.1);
            let told = twice.start <= start && end <= twice.end && (end <= self.due || within);
            assert!(told || !self.must_tell, "{start}..{end} is not of {twice:?}");
            blocks = &blocks[usize::from(told)..];
        }
        for &(start, end) in blocks {
            assert!(start > self.due && self.arrived[start..end].iter().all(|arrived| *arrived));
        }
        // Then what arrived last beyond a gap (RFC 2018 4).
        if from > self.due && length > 0 && self.arrived[from] {
            let (start, end) = blocks[0];
            assert!(start <= from && from < end, "{start}..{end} does not hold {from}");
        }
    }

    /// Waits for the acknowledgment, which must say what the model knows.
    fn settle(&mut self) {
        self.transmit();
        self.now += Duration::from_millis(500);
        self.tcb.handle_timeout(self.now);
        self.transmit();
        let due = self.due + usize::from(self.told_fin);
        assert_eq!(self.acknowledged, due);
        assert!(self.tcb.buffered_bytes() <= BUFFER_BYTES + usize::from(self.told_fin));
    }
}

proptest! {
    #[test]
    fn the_stream_is_what_arrived_in_the_window(
        isn: u32,
        irs in prop_oneof![any::<u32>(), u32::MAX - 4000..u32::MAX, 0x7fff_f000..0x8000_0000_u32],
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let mut pair = Pair::new(isn, irs);
        let ack = SeqNumber(isn) + 1;
        // A stream has one end, and nothing was sent from behind it.
        let (mut end, mut highest) = (None, 0);
        for op in ops {
            match op {
                Op::Segment { from, length, fin } => {
                    let last = from + length;
                    let (length, fin) = match end {
                        Some(end) if last >= end => (usize::max(from, end) - from, from <= end),
                        _ => (length, fin && last >= highest.max(4000)),
                    };
                    if fin {
                        end = Some(from + length);
                    }
                    highest = highest.max(last);
                    pair.arrive(from, length, fin, ack);
                }
                Op::Near { off, length } => {
                    let from = pair.due.saturating_add_signed(off);
                    let length = end.map_or(length, |end: usize| length.min(end.saturating_sub(from)));
                    highest = highest.max(from + length);
                    pair.arrive(from, length, false, ack);
                    pair.agree();
                    if pair.transmit().is_some() {
                        pair.check_blocks(from, length);
                    }
                }
                Op::Take(n) => {
                    let n = n.min(pair.due - pair.taken);
                    pair.tcb.take(pair.now, n);
                    pair.taken += n;
                    pair.transmit();
                }
                Op::Wait(ms) => {
                    pair.now += Duration::from_millis(ms);
                    pair.tcb.handle_timeout(pair.now);
                    pair.transmit();
                }
            }
            pair.agree();
            pair.settle();
        }
    }
}

#[test]
fn a_peer_that_sends_byte_by_byte_into_a_full_buffer_does_not_make_it_grow() {
    let most = 65_536;
    let config = Config { receive_buffer_bytes: most, timestamps: false, ..Config::default() };
    let now = Instant::from_us(1_000_000);
    let options = Options { mss: Some(1000), window_scale: Some(0), ..Options::default() };
    let syn = segment(SeqNumber(0), SeqNumber(0), Flags::SYN, &options, &[]);
    let mut tcb = Tcb::passive(now, &config, &Segment::parse(&syn).unwrap(), 0);
    tcb.accept(now);
    let mut sent = 0;
    let acknowledge = |tcb: &mut Tcb| while tcb.poll_transmit(now, 1000).is_some() {};
    acknowledge(&mut tcb);
    let none = Options::default();
    let mut send = |tcb: &mut Tcb, length: usize| {
        let bytes = segment(SeqNumber(1) + sent, SeqNumber(1), Flags::ACK, &none, &vec![0; length]);
        assert_eq!(tcb.handle_segment(now, &Segment::parse(&bytes).unwrap()), None);
        let taken = tcb.received_bytes_held() - sent;
        sent += taken;
        taken
    };
    for _ in 0..most / 1000 {
        assert_eq!(send(&mut tcb, 999), 999);
        acknowledge(&mut tcb);
    }
    let mut count = 0;
    while send(&mut tcb, 1) > 0 {
        acknowledge(&mut tcb);
        count += 1;
        assert!(count < most, "{} bytes held of {most}", tcb.received_bytes_held());
    }
    assert!(tcb.received_bytes_held() <= most * 9 / 8 + 2, "{}", tcb.received_bytes_held());
}

#[test]
fn of_very_many_pieces_so_many_are_kept_and_the_rest_is_repeated() {
    const MOST_PIECES: usize = 2048;
    let config = Config { receive_buffer_bytes: 65_535, timestamps: false, ..Config::default() };
    let now = Instant::from_us(1_000_000);
    let options = Options { mss: Some(1000), sack_permitted: true, ..Options::default() };
    let syn = segment(SeqNumber(0), SeqNumber(0), Flags::SYN, &options, &[]);
    let mut tcb = Tcb::passive(now, &config, &Segment::parse(&syn).unwrap(), 0);
    tcb.accept(now);
    while tcb.poll_transmit(now, 1000).is_some() {}
    let hear = |tcb: &mut Tcb, position: usize, length: usize| {
        let bytes =
            segment(SeqNumber(1) + position, SeqNumber(1), Flags::ACK, &Options::default(), &vec![7; length]);
        assert_eq!(tcb.handle_segment(now, &Segment::parse(&bytes).unwrap()), None);
    };
    // Every other byte: a gap behind each.
    for piece in 1..=MOST_PIECES + 10 {
        hear(&mut tcb, 2 * piece, 1);
    }
    assert_eq!(tcb.received_bytes_held(), MOST_PIECES);
    hear(&mut tcb, 0, 2 * MOST_PIECES);
    assert_eq!(tcb.peek().concat().len(), 2 * MOST_PIECES + 1);
    // What was not kept comes again.
    hear(&mut tcb, 2 * MOST_PIECES + 1, 20);
    assert_eq!(tcb.peek().concat(), vec![7; 2 * MOST_PIECES + 21]);
}
