//! Target `tcp`: one connection, driven by segments, commands and time in any order, beside a peer that remembers what it sent and heard.
//!
//! Whatever the peer sends, the bytes at each position of the streams are those that were sent there; the window's edge does not move
//! back; nothing is sent beyond the peer's; memory stays bounded; deadlines move on; data that is not acknowledged has a deadline. Then the
//! peer turns honest, and all bytes must arrive both ways and the connection end in order.

mod peer;

use arbitrary::{Arbitrary, Unstructured};
use netloom_core::tcp::{Config, Congestion, Event, Segment, State, Tcb};
use netloom_core::{Duration, Instant, ResetReason};

use peer::{Flag, Offer, Peer};

/// Operations of one input: what comes after is ignored, so that an input stays fast.
const MAX_OPS: usize = 300;
/// Bytes of either stream.
const MAX_STREAM: usize = 1 << 17;
/// Deadlines at one instant after which the connection counts as caught in a loop.
const MAX_TIMEOUTS: usize = 100;
/// Segments at one instant: the stream, cut by the smallest MSS and once more where larger segments were.
const MAX_SEGMENTS: usize = 20_000;
/// Steps in which an honest peer must be able to finish.
const MAX_STEPS: usize = 5000;
/// After so much time with hostile segments a connection may have been given up.
const PATIENCE: Duration = Duration::from_secs(50);

/// How the connection begins.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Setup {
    active: bool,
    isn: u32,
    irs: u32,
    mss: u16,
    window: u16,
    scale: Option<u8>,
    sack: bool,
    stamps: bool,
    timestamps: bool,
    nagle: bool,
    congestion: u8,
    receive_buffer: u16,
    send_buffer: u16,
}

/// One thing that happens to the connection.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Op {
    /// A segment of the peer, near what is due.
    Segment(Hostile),
    /// What the peer would send next if it were honest, of so many bytes.
    Data(u16),
    /// An honest acknowledgment.
    Ack,
    /// What leaves is asked for; a bit for each segment says whether it arrives.
    Poll {
        max_payload: u16,
        arrive: u8,
    },
    Write(u16),
    Take(u16),
    Fin,
    Limit(u16),
    TooBig {
        payload: u16,
        back: u8,
    },
    Advance {
        steps: u8,
        unit: u8,
    },
    Deadline,
}

/// A segment of no honest peer, though its bytes are those of its position.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Hostile {
    pub(crate) off: i16,
    pub(crate) length: u16,
    pub(crate) ack: i16,
    pub(crate) window: u16,
    pub(crate) flags: u8,
    pub(crate) stamp: i8,
    pub(crate) echo: i8,
    pub(crate) sack: [(u16, u16); 2],
    pub(crate) bare: bool,
    pub(crate) stage: bool,
}

/// Runs the target.
///
/// # Panics
/// If the connection breaks what is asserted.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut input) else { return };
    let mut player = Player::new(&setup);
    for _ in 0..MAX_OPS {
        if input.is_empty() || player.over {
            break;
        }
        let Ok(op) = Op::arbitrary(&mut input) else { break };
        player.apply(op);
        player.settle();
    }
    player.finish();
}

struct Player {
    tcb: Tcb,
    config: Config,
    peer: Peer,
    now: Instant,
    began: Instant,
    written: usize,
    taken: usize,
    told: usize,
    fin: bool,
    /// A segment that may end the connection at once arrived.
    broken: bool,
    over: bool,
}

impl Player {
    fn new(setup: &Setup) -> Self {
        let config = Config {
            receive_buffer_bytes: 2048 + usize::from(setup.receive_buffer) * 4,
            send_buffer_bytes: 2048 + usize::from(setup.send_buffer) * 4,
            nagle: setup.nagle,
            timestamps: setup.timestamps,
            congestion: [Congestion::Cubic, Congestion::Reno, Congestion::None]
                [usize::from(setup.congestion % 3)],
            ..Config::default()
        };
        let now = Instant::from_us(1_000_000);
        let offer = Offer {
            mss: setup.mss,
            window: setup.window,
            scale: setup.scale,
            sack: setup.sack,
            stamps: setup.stamps,
        };
        let mut peer = Peer::new(setup.isn, setup.irs, offer, config.timestamps);
        let tcb = if setup.active {
            Tcb::active(now, &config, setup.isn)
        } else {
            let syn = peer.syn(now, Flag::SYN);
            let mut tcb = Tcb::passive(now, &config, &read(&syn), setup.isn);
            tcb.accept(now);
            tcb
        };
        let mut player = Self {
            tcb,
            config,
            peer,
            now,
            began: now,
            written: 0,
            taken: 0,
            told: 0,
            fin: false,
            broken: false,
            over: false,
        };
        player.poll(u16::MAX.into(), 0xff);
        if setup.active {
            let syn = player.peer.syn(now, Flag::SYN | Flag::ACK);
            player.hand(&syn, false);
        }
        let ack = player.peer.honest(player.now, 0, false);
        player.hand(&ack, false);
        assert_eq!(player.tcb.state(), State::Established, "no handshake: {setup:?}");
        player
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Segment(hostile) => {
                let segment = self.peer.hostile(self.now, &hostile);
                self.broken |= segment[13] & Flag::RST > 0;
                self.hand(&segment, hostile.stage);
            }
            Op::Data(length) => self.data(length.into()),
            Op::Ack => {
                let ack = self.peer.honest(self.now, 0, false);
                self.hand(&ack, false);
            }
            Op::Poll { max_payload, arrive } => self.poll(usize::from(max_payload).max(100), arrive),
            Op::Write(n) => self.write(n.into()),
            Op::Take(n) => self.take(n.into()),
            Op::Fin => {
                self.tcb.fin(self.now);
                self.fin = true;
            }
            Op::Limit(bytes) => self.tcb.set_buffer_limit(2048 + usize::from(bytes)),
            Op::TooBig { payload, back } => {
                self.tcb.handle_mtu(
                    self.now,
                    self.peer.highest_heard().wrapping_sub(u32::from(back) * 100),
                    payload,
                );
            }
            Op::Advance { steps, unit } => {
                self.now +=
                    Duration::from_millis(u64::from(steps) * [1, 10, 100, 1000][usize::from(unit % 4)]);
            }
            Op::Deadline => {
                if let Some((at, _)) = self.tcb.poll_timeout() {
                    self.now = self.now.max(at);
                }
            }
        }
    }

    fn data(&mut self, length: usize) {
        let segment = self.peer.honest(self.now, length.min(MAX_STREAM), false);
        self.hand(&segment, length.is_multiple_of(2));
    }

    fn write(&mut self, n: usize) {
        let n = n.min(MAX_STREAM - self.written);
        let room = self.tcb.room();
        let bytes: Vec<u8> = (self.written..self.written + n).map(peer::our_byte).collect();
        let taken = self.tcb.write(self.now, &bytes);
        assert!(taken == n.min(room), "took {taken} of {n}, room {room}");
        self.written += taken;
    }

    fn take(&mut self, n: usize) {
        let held = self.tcb.peek().concat();
        assert!(held.len() <= self.most_held(), "{} bytes held", held.len());
        assert!(
            held.iter().copied().eq((self.taken..self.taken + held.len()).map(peer::their_byte)),
            "other bytes"
        );
        let n = n.min(held.len());
        self.tcb.take(self.now, n);
        self.taken += n;
    }

    /// What it may hold of the peer's. A window that would be taken back by rounding down is rounded up.
    fn most_held(&self) -> usize {
        self.config.receive_buffer_bytes * 9 / 8 + self.peer.window_unit()
    }

    /// A segment arrives. An answer is an RST, which ends nothing here.
    fn hand(&mut self, bytes: &[u8], stage: bool) {
        let mut segment = read(bytes);
        if stage {
            let _ = self.tcb.stage(&mut segment);
        }
        if let Some(reset) = self.tcb.handle_segment(self.now, &segment) {
            assert_eq!(reset.payload_len(), 0);
        }
    }

    /// Takes what leaves, all of it.
    fn poll(&mut self, max_payload: usize, arrive: u8) {
        let mut count = 0;
        while let Some(transmit) = self.tcb.poll_transmit(self.now, max_payload) {
            assert!(
                transmit.payload_len() <= max_payload,
                "{} bytes of {max_payload}",
                transmit.payload_len()
            );
            let mut bytes = vec![0; transmit.len()];
            self.tcb.emit(&transmit, 80, 40_000, &mut bytes);
            self.peer.hear(&bytes, self.written, self.fin, arrive >> (count % 8) & 1 > 0);
            count += 1;
            assert!(count < MAX_SEGMENTS, "segments without end");
        }
        assert!(!self.tcb.wants_transmit(), "it wants to send, and does not");
        let open = !matches!(self.tcb.state(), State::Closed | State::TimeWait);
        if open && self.peer.heard_bytes() < self.written {
            assert!(self.tcb.poll_timeout().is_some(), "nothing would send the rest");
        }
    }

    /// What is due happens, and what is told is noted.
    fn settle(&mut self) {
        let mut times = 0;
        self.tcb.handle_timeout(self.now);
        while let Some((at, why)) = self.tcb.poll_timeout().filter(|(at, _)| *at <= self.now) {
            self.tcb.handle_timeout(self.now);
            times += 1;
            assert!(times < MAX_TIMEOUTS, "at {} it waits for {at} again and again: {why}", self.now);
        }
        assert!(
            self.tcb.timeout_bound() <= self.tcb.poll_timeout().map(|(at, _)| at),
            "a bound beyond the deadline"
        );
        while let Some(event) = self.tcb.poll_event() {
            match event {
                Event::Data(bytes) => self.told += bytes,
                Event::Reset(why) => self.reset(why),
                Event::Closed => self.over = true,
                Event::Established | Event::Fin | Event::Writable => {}
            }
        }
        if !self.over {
            let held: usize = self.tcb.peek().iter().map(|part| part.len()).sum();
            assert_eq!(self.told, self.taken + held, "bytes told, and there");
        }
        let (held, most) = (self.tcb.received_bytes_held(), self.most_held());
        assert!(held <= most, "{held} bytes held of {most}");
    }

    fn reset(&mut self, why: ResetReason) {
        let late = why == ResetReason::Timeout && self.now.since(self.began) > PATIENCE;
        assert!(self.broken || late, "broken by {why:?} after {:?}", self.now.since(self.began));
        self.over = true;
    }

    /// The peer is honest from here on.
    fn finish(&mut self) {
        self.tcb.set_buffer_limit(self.config.receive_buffer_bytes);
        for _ in 0..MAX_STEPS {
            self.settle();
            if self.over {
                return;
            }
            self.take(usize::MAX);
            if self.written == MAX_STREAM || self.tcb.room() == 0 || self.peer.heard_bytes() == self.written {
                self.tcb.fin(self.now);
                self.fin = true;
            }
            self.settle();
            let heard = self.peer.heard_count();
            self.poll(1460, 0xff);
            let segment = self.peer.honest(self.now, 1000, true);
            self.hand(&segment, false);
            self.settle();
            if self.peer.heard_count() == heard
                && let Some((at, _)) = self.tcb.poll_timeout()
            {
                self.now = self.now.max(at);
            }
        }
        panic!(
            "an honest peer cannot finish: {:?}, {} of {} acknowledged, {:?}",
            self.tcb.state(),
            self.peer.heard_bytes(),
            self.written,
            self.tcb.poll_timeout()
        );
    }
}

fn read(bytes: &[u8]) -> Segment<'_> {
    Segment::parse(bytes).unwrap_or_else(|| panic!("the peer sent what is no segment: {bytes:02x?}"))
}
