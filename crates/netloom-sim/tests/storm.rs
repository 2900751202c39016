//! A guest that sends anything near the truth: segments that almost fit, in any order, with any flags, windows and options, while the
//! outside reads, writes and ends as it likes. Nothing panics or hangs, no window shrinks, and no byte is another's.

use core::net::{Ipv4Addr, SocketAddrV4};

use netloom_core::{Drop, Duration, Event, FlowId, Instant, Lan, LanConfig, PortConfig, PortId};
use netloom_sim::app::pattern;
use netloom_sim::packet::{Ipv4, Packet, ethernet, flag, read, transport_checksum};
use netloom_sim::world::{GATEWAY_MAC, guest_address, guest_mac, lan_config, limits};
use netloom_sim::{Rng, Role};

const MSS: usize = 1000;
const GUEST_PORT: u16 = 40_000;
const TARGET: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(93, 184, 216, 34), 80);

/// The bytes of a stream from a position on; what lies before its first byte, 1, is zero.
fn stream(role: Role, position: i64, length: usize) -> Vec<u8> {
    let before = (1 - position).clamp(0, length as i64) as usize;
    [vec![0; before], pattern(role, (position - 1).max(0) as u64, length - before)].concat()
}

struct Storm {
    rng: Rng,
    lan: Lan,
    port: PortId,
    now: Instant,
    flow: Option<FlowId>,
    /// Our initial sequence number, the guest's, and the SYN that the guest sent last, with its scale.
    iss: u32,
    irs: u32,
    syn: (u32, bool),
    scales: bool,
    scale: u8,
    /// Positions: sent by us up to here, acknowledged by us, sent by the guest, and our window's right edge.
    sent: i64,
    acknowledged: i64,
    guest_sent: i64,
    edge: i64,
    written: u64,
    taken: u64,
    opened: u64,
    segments: u64,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let buffer_bytes = *pick(&mut rng, &[2000, 8192, 65_535, 300_000]);
        let config = LanConfig { limits: limits(buffer_bytes), ..lan_config(MSS as u16 + 40) };
        let mut lan = Lan::new(config, rng.seed());
        let port = lan.open_port(PortConfig { mtu: MSS as u16 + 40, ..PortConfig::default() });
        let syn = (rng.bits() as u32, false);
        Self {
            rng,
            lan,
            port,
            now: Instant::from_us(1_000_000),
            flow: None,
            iss: 0,
            irs: syn.0,
            syn,
            scales: false,
            scale: 0,
            sent: 0,
            acknowledged: 0,
            guest_sent: 0,
            edge: 0,
            written: 0,
            taken: 0,
            opened: 0,
            segments: 0,
        }
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        *pick(&mut self.rng, values)
    }

    fn guest(&mut self) {
        let ack = flag::ACK;
        let usual = [ack, ack, ack, ack, ack | flag::PSH, ack | 0x20];
        let rare =
            [ack | flag::FIN, flag::SYN, flag::SYN | ack, flag::RST, flag::RST | ack, 0, 0xff, flag::FIN];
        let flags = if self.rng.below(12) == 0 { self.pick(&rare) } else { self.pick(&usual) };
        let near = self.pick(&[0, 0, 0, 0, 0, -1, 1, -500, 500, 1000, 3000, 60_000, 1 << 31]);
        let mut position = self.acknowledged + near;
        if flags & flag::SYN > 0 && self.flow.is_none() {
            position = self.pick(&[self.guest_sent + 10, self.guest_sent + 100_000]);
        }
        let length = self.pick(&[0, 0, 0, 1, 10, 500, 1000, 1400]);
        let back = self.pick(&[0, 0, 0, 0, -1, 1, -500, -1000, 1 << 30]);
        let window: u16 = self.pick(&[0, 1, 500, 1000, 10_000, u16::MAX]);
        let options = self.options(flags & flag::SYN > 0);
        let seq = self.irs.wrapping_add(position as u32);
        let mut message = [GUEST_PORT.to_be_bytes(), TARGET.port().to_be_bytes()].concat();
        message.extend(seq.to_be_bytes());
        message.extend(self.iss.wrapping_add((self.sent + back) as u32).to_be_bytes());
        message.extend([((20 + options.len()) / 4) as u8 * 16, flags]);
        message.extend(window.to_be_bytes());
        message.extend([0, 0, 0, 0]);
        message.extend(&options);
        let syn = i64::from(flags & flag::SYN > 0);
        message.extend(stream(Role::Client, position + syn, length));
        let sum = transport_checksum(guest_address(0), *TARGET.ip(), 6, &message);
        message[16..18].copy_from_slice(&sum.to_be_bytes());
        if syn > 0 {
            self.syn = (seq, options.starts_with(&[3, 3]));
        }
        if near < 1 << 30 {
            self.guest_sent = self.guest_sent.max(position + length as i64 + 2);
        }
        let packet = Ipv4::new(guest_address(0), *TARGET.ip(), 6).packet(&message);
        self.lan.handle_frame(self.now, self.port, &ethernet(GATEWAY_MAC, guest_mac(0), 0x0800, &packet));
    }

    fn options(&mut self, syn: bool) -> Vec<u8> {
        if syn {
            return self.pick(&[&[][..], &[3, 3, 2, 1, 2, 4, 3, 0xe8, 4, 2, 1, 1], &[3, 3, 14, 0]]).to_vec();
        }
        match self.rng.below(6) {
            0 => {
                let from = self.iss.wrapping_add((self.sent - 1000) as u32);
                let from = from.wrapping_add(self.pick(&[0, 1, 500, 1000, 1 << 31]));
                let to = from.wrapping_add(self.pick(&[0, 1, 500, 1000, u32::MAX]));
                [&[1, 1, 5, 10], &from.to_be_bytes()[..], &to.to_be_bytes()].concat()
            }
            1 => (0..4 * self.rng.below(11)).map(|_| self.rng.bits() as u8).collect(),
            _ => Vec::new(),
        }
    }

    fn outside(&mut self) {
        let Some(flow) = self.flow else { return };
        match self.rng.below(20) {
            0 => self.lan.fin(self.now, flow),
            1 if self.rng.below(5) == 0 => {
                self.lan.reset(flow);
                self.flow = None;
            }
            2..8 => {
                let bytes = stream(Role::Server, 1 + self.written as i64, self.rng.below(5000) as usize);
                self.written += self.lan.write(self.now, flow, &bytes) as u64;
            }
            8..14 => {
                let most = self.rng.below(5000) as usize;
                let got: Vec<u8> = self.lan.peek(flow).concat().into_iter().take(most).collect();
                assert_eq!(got, stream(Role::Client, 1 + self.taken as i64, got.len()), "at {}", self.taken);
                self.lan.take(self.now, flow, got.len());
                self.taken += got.len() as u64;
            }
            _ => {}
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.lan.poll_event() {
            match event {
                Event::Open { id, .. } => {
                    self.flow = Some(id);
                    self.opened += 1;
                    (self.irs, self.scales) = self.syn;
                    (self.sent, self.acknowledged, self.guest_sent, self.edge) = (0, 0, 1, 0);
                    (self.written, self.taken, self.iss) = (0, 0, 0);
                    if self.rng.below(10) > 0 {
                        self.lan.accept(self.now, id);
                    }
                }
                Event::Reset { .. } | Event::Closed { .. } => self.flow = None,
                _ => {}
            }
        }
        let mut frames = 0;
        while let Some(port) = self.lan.poll_port() {
            while let Some(frame) = self.lan.poll_frame(self.now, port).map(<[u8]>::to_vec) {
                frames += 1;
                assert!(frames < 2000, "frames without end");
                self.judge(&frame);
            }
        }
    }

    fn judge(&mut self, frame: &[u8]) {
        let Ok(Packet::Tcp(segment)) = read(frame, true) else { panic!("{frame:02x?}") };
        self.segments += 1;
        if segment.has(flag::RST) || self.opened == 0 {
            return;
        }
        if segment.has(flag::SYN) {
            self.iss = segment.seq;
            self.scale = segment.scale.unwrap_or(0);
            if self.edge == 0 {
                (self.irs, self.scales) = (segment.ack.unwrap_or_default().wrapping_sub(1), self.syn.1);
            }
        }
        let position = i64::from(segment.seq.wrapping_sub(self.iss) as i32);
        assert!(segment.payload.len() <= MSS);
        assert_eq!(segment.payload, stream(Role::Server, position, segment.payload.len()), "at {position}");
        self.sent =
            self.sent.max(position + segment.payload.len() as i64 + i64::from(segment.has(flag::SYN)));
        let ack = segment.ack.map(|ack| i64::from(ack.wrapping_sub(self.irs) as i32));
        let Some(ack) = ack else { panic!("a segment without ACK") };
        assert!(ack <= self.guest_sent, "{ack} acknowledged, {} sent", self.guest_sent);
        assert!(ack >= self.acknowledged, "{ack} acknowledged after {}", self.acknowledged);
        self.acknowledged = ack;
        let shift = if segment.has(flag::SYN) || !self.scales { 0 } else { self.scale };
        let edge = ack + (i64::from(segment.window) << shift);
        if segment.has(flag::SYN) && self.edge > 0 {
            // A SYN-ACK that is repeated cannot tell, for want of a scale, what an ACK before it told.
            return;
        }
        assert!(edge >= self.edge, "the window's right edge moves back from {} to {edge}", self.edge);
        self.edge = edge;
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.rng.below(10) {
                0 => {
                    let time = self.pick(&[1_000, 50_000, 300_000, 2_000_000, 100_000_000]);
                    let until = self.now + Duration::from_micros(time);
                    while let Some((at, why)) = self.lan.poll_timeout().filter(|(at, _)| *at <= until) {
                        self.now = self.now.max(at);
                        self.lan.handle_timeout(self.now);
                        self.drain();
                        let next = self.lan.poll_timeout();
                        assert!(next.is_none_or(|(at, _)| at > self.now), "{why} does not move");
                    }
                    self.now = until;
                }
                1..5 => self.outside(),
                _ => self.guest(),
            }
            self.drain();
        }
        let held: usize = self.flow.map_or(0, |flow| self.lan.peek(flow).iter().map(|part| part.len()).sum());
        assert!(held <= 300_000);
        assert_eq!(self.lan.drops().of(Drop::TcpMalformed), 0);
    }
}

fn pick<'a, T>(rng: &mut Rng, values: &'a [T]) -> &'a T {
    &values[rng.below(values.len() as u64) as usize]
}

#[test]
fn anything_near_the_truth() {
    let full = std::env::var_os("NETLOOM_FULL").is_some_and(|value| value == "1");
    let (mut opened, mut segments, mut taken) = (0, 0, 0);
    for seed in 0..if full { 20_000 } else { 500 } {
        let mut storm = Storm::new(seed);
        println!("seed {seed}");
        storm.run(400);
        opened += storm.opened;
        segments += storm.segments;
        taken += storm.taken;
    }
    println!("{opened} flows, {segments} segments, {taken} bytes");
    assert!(opened > 500 && segments > 20_000 && taken > 100_000);
}
