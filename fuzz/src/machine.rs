//! Target `machine`: frames, commands, answers, ports and time in any order.
//!
//! It must not panic; memory stays bounded; deadlines move on; the same input gives the same frames; and when every port is closed no
//! flow is left.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use arbitrary::{Arbitrary, Unstructured};
use netloom_core::{
    Checksum, Duration, Event, FlowId, Guest, Instant, Lan, MAX_FRAME_BYTES, Offload, PortConfig, PortId,
    QueryId, Refusal,
};
use netloom_sim::packet::{self, macs};
use netloom_sim::trace::Trace;
use netloom_sim::world::{GATEWAY_MAC, guest_address, guest_address_v6, guest_mac};

use crate::template::{self, FLOWS_PER_GUEST, Heard};

/// One thing that happens to the machine.
#[derive(Arbitrary, Clone, Debug)]
enum Op<'a> {
    /// A guest's frame, bent at some places.
    Frame { port: u8, kind: u8, guest: u8, variant: u16, payload: &'a [u8], bends: [(u8, u8); 2], bend: bool },
    /// A frame as a guest would send it.
    Plain { port: u8, kind: u8, variant: u16, fill: u8 },
    /// Any bytes.
    Raw { port: u8, bytes: &'a [u8] },
    /// Time goes on, by milliseconds to the power of something.
    Advance { steps: u8, unit: u8 },
    /// Time goes to the next deadline.
    Deadline,
    /// A command of the outside, or of who runs the LAN.
    Command { command: u8, flow: u8, n: u16 },
    /// The outside opens a connection to a guest, or sends it datagrams, perhaps by an address of its own.
    Connect { guest: u8, port: u8 },
    /// The answer to a query.
    Answer { query: u8, answer: Option<&'a [u8]> },
    /// A port opens.
    Open { mtu: u16, trusted: bool, isolated: bool, small: bool },
    /// A port closes.
    Close { port: u8 },
}

/// Operations of one input: what comes after is ignored, so that an input stays fast.
const MAX_OPS: usize = 400;
const MAX_PORTS: usize = 6;
/// Ports with such an MTU have offloads.
const LEAST_OFFLOADING_MTU: u16 = 0xf000;
/// Commands from this one on are those of who runs the LAN.
const LEAST_OPERATION: u8 = 240;
/// An address of nobody on the LAN.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// Deadlines at one instant after which the machine counts as caught in a loop.
const MAX_TIMEOUTS: usize = 1000;
/// Frames after one operation: the windows of all flows, in segments of the smallest MSS, twice.
const MAX_FRAMES: usize = 20_000;

/// Runs the target.
///
/// # Panics
/// If the machine breaks what is asserted.
pub fn run(data: &[u8]) {
    let once = play(data);
    if data.len().is_multiple_of(4) {
        assert_eq!(once, play(data), "the same input gave other frames");
    }
}

/// Plays the input and returns the hash of all frames.
fn play(data: &[u8]) -> u64 {
    let mut input = Unstructured::new(data);
    let mut player = Player::new();
    for _ in 0..MAX_OPS {
        if input.is_empty() {
            break;
        }
        let Ok(op) = Op::arbitrary(&mut input) else { break };
        player.apply(&op);
        player.drain();
    }
    player.finish();
    player.trace.hash()
}

struct Player {
    lan: Lan,
    now: Instant,
    ports: Vec<(PortId, PortConfig)>,
    flows: Vec<FlowId>,
    queries: Vec<QueryId>,
    heard: Option<Heard>,
    trace: Trace,
}

impl Player {
    fn new() -> Self {
        let mut lan = Lan::new(template::lan_config(), [9; 32]);
        lan.set_wall_clock(Instant::ZERO, 1_800_000_000_000_000);
        let ports = [PortConfig::default(), PortConfig { mtu: 576, burst: Some(8), ..PortConfig::default() }];
        let ports = ports.map(|config| (lan.open_port(config), config)).to_vec();
        Self {
            lan,
            now: Instant::from_us(1000),
            ports,
            flows: Vec::new(),
            queries: Vec::new(),
            heard: None,
            trace: Trace::new(false),
        }
    }

    fn apply(&mut self, op: &Op<'_>) {
        match *op {
            Op::Frame { port, kind, guest, variant, payload, bends, bend } => {
                let mut frame = template::frame(kind, guest, variant, self.heard, cut(payload));
                for (at, xor) in bends.into_iter().filter(|_| bend) {
                    let at = usize::from(at) % frame.len();
                    frame[at] ^= xor;
                }
                if variant & 3 != 0 {
                    template::repair(&mut frame);
                }
                let [(low, high), (start, offset)] = bends;
                self.hand(
                    port,
                    &frame,
                    offload(variant, u16::from_be_bytes([high & 0x1f, low]), start, offset),
                );
            }
            Op::Plain { port, kind, variant, fill } => {
                let payload = vec![fill; usize::from(fill) * 5];
                let frame = template::frame(kind, port, variant & 0xfff, self.heard, &payload);
                self.hand(port, &frame, offload(variant, u16::from(fill), 34, 16));
            }
            Op::Raw { port, bytes } => self.hand(port, bytes, offload(bytes.len() as u16, 100, 34, 6)),
            Op::Advance { steps, unit } => {
                let ms = u64::from(steps) * [1, 10, 100, 1000, 60_000][usize::from(unit % 5)];
                self.now += Duration::from_millis(ms);
                self.lan.handle_timeout(self.now);
            }
            Op::Deadline => {
                if let Some((at, _)) = self.lan.poll_timeout() {
                    self.now = self.now.max(at);
                    self.lan.handle_timeout(self.now);
                }
            }
            Op::Command { command, flow, n } => self.command(command, flow, usize::from(n)),
            Op::Connect { guest, port } => {
                let target = match guest >> 2 & 3 {
                    0 | 1 => IpAddr::V4(guest_address(guest % 4)),
                    2 => IpAddr::V6(guest_address_v6(guest % 4)),
                    _ => IpAddr::V6(guest_mac(guest % 4).link_local()),
                };
                let target = SocketAddr::new(target, u16::from(port));
                let source = SocketAddr::new(OUTSIDE.into(), 1 + u16::from(guest >> 6));
                let opened = match guest >> 4 & 3 {
                    0 => self.lan.connect(self.now, target),
                    1 => self.lan.connect_from(self.now, source, target),
                    2 => self.lan.open_datagrams(self.now, None, target),
                    _ => self.lan.open_datagrams(self.now, Some(source), target),
                };
                self.flows.extend(opened);
            }
            Op::Answer { query, answer } => {
                if !self.queries.is_empty() {
                    let id = self.queries[usize::from(query) % self.queries.len()];
                    self.lan.handle_answer(self.now, id, answer);
                }
            }
            Op::Open { mtu, trusted, isolated, small } => {
                if self.ports.len() < MAX_PORTS {
                    let queue_bytes = if small { 4096 } else { 1 << 20 };
                    let offloads = mtu >= LEAST_OFFLOADING_MTU;
                    let config = PortConfig {
                        mtu: mtu.max(68),
                        trusted,
                        large_segments: trusted || offloads,
                        offloads,
                        isolated,
                        queue_bytes,
                        macs: if small { 1 } else { 8 },
                        multicast_to_unicast: isolated || small,
                        ..PortConfig::default()
                    };
                    self.ports.push((self.lan.open_port(config), config));
                }
            }
            Op::Close { port } => {
                if self.ports.len() > 1 {
                    let (port, _) = self.ports.remove(usize::from(port) % self.ports.len());
                    self.lan.close_port(port);
                }
            }
        }
    }

    /// Only a port with offloads says that something is left to do.
    fn hand(&mut self, port: u8, frame: &[u8], offload: Offload) {
        match self.ports[usize::from(port) % self.ports.len()] {
            (port, PortConfig { offloads: true, .. }) => {
                self.lan.handle_offloaded(self.now, port, frame, offload);
            }
            (port, _) => self.lan.handle_frame(self.now, port, frame),
        }
    }

    fn operate(&mut self, operation: u8, port: u8, n: usize) {
        let (port, _) = self.ports[usize::from(port) % self.ports.len()];
        match operation % 4 {
            0 => self.lan.limit_broadcast(port, n as u32),
            1 => self.lan.discard_waiting(port),
            2 => self.lan.ask(Guest { port, mac: guest_mac(n as u8 % 4) }, port),
            _ => self.lan.set_fixed_leases(vec![(guest_mac(n as u8), guest_address(n as u8 % 4))]),
        }
    }

    fn command(&mut self, command: u8, flow: u8, n: usize) {
        if command >= LEAST_OPERATION {
            return self.operate(command, flow, n);
        }
        if self.flows.is_empty() {
            return;
        }
        // Ids that are void stay in the list on purpose: commands for them must be harmless.
        let id = self.flows[usize::from(flow) % self.flows.len()];
        let (lan, now) = (&mut self.lan, self.now);
        match command % 12 {
            0 | 1 => lan.accept(now, id),
            2 => lan.accept_early(now, id),
            3 => {
                let why = [Refusal::Refused, Refusal::Unreachable, Refusal::Timeout, Refusal::Denied][n % 4];
                lan.refuse(now, id, why);
            }
            4 | 5 => {
                let held: usize =
                    lan.peek(id).into_iter().chain(lan.peek_datagram(id)).map(<[u8]>::len).sum();
                lan.take(now, id, n.min(held));
            }
            6 | 7 => {
                let room = lan.room(id);
                let taken = lan.write(now, id, &vec![0x77; n]);
                assert!(taken <= n && (taken <= room || taken == 0), "took {taken} of {n}, room {room}");
            }
            8 => lan.fin(now, id),
            9 => lan.reset(id),
            _ => {
                let _ = lan.describe(id);
            }
        }
    }

    fn drain(&mut self) {
        self.settle_timeouts();
        let mut frames = 0;
        while let Some(port) = self.lan.poll_port() {
            let config = self.ports.iter().find(|(id, _)| *id == port).map(|(_, config)| *config);
            while let Some((frame, offload)) = poll(&mut self.lan, self.now, port, config) {
                frames += 1;
                assert!(frames < MAX_FRAMES, "frames without end");
                let Some(config) = config else { panic!("a frame for a port that is closed") };
                let mtu = if config.large_segments { u16::MAX } else { config.mtu };
                assert!(
                    frame.len() <= MAX_FRAME_BYTES.min(14 + usize::from(mtu)),
                    "{} bytes to a port of MTU {mtu}: {frame:02x?}",
                    frame.len()
                );
                self.trace.note(self.now, port.number(), frame);
                if macs(frame).is_some_and(|(_, source)| source == GATEWAY_MAC) {
                    if let Err(what) = packet::read(frame, !config.trusted && offload == Offload::default()) {
                        panic!("the machine sent a bad frame, {what}: {frame:02x?}");
                    }
                    self.heard = Heard::of(frame).or(self.heard);
                }
            }
        }
        while let Some(event) = self.lan.poll_event() {
            if let Event::Open { id, .. } = event {
                self.flows.push(id);
            }
        }
        while let Some(query) = self.lan.poll_query() {
            self.queries.push(query.id);
        }
        let most = FLOWS_PER_GUEST * 64;
        assert!(self.lan.flows() <= most, "{} flows", self.lan.flows());
    }

    fn settle_timeouts(&mut self) {
        let mut times = 0;
        while let Some((at, why)) = self.lan.poll_timeout().filter(|(at, _)| *at <= self.now) {
            self.lan.handle_timeout(self.now);
            times += 1;
            assert!(
                times < MAX_TIMEOUTS,
                "at {} the machine waits for {at} again and again: {why}",
                self.now
            );
        }
    }

    /// Closes every port: nothing of the guests may be left.
    fn finish(&mut self) {
        for (port, _) in std::mem::take(&mut self.ports) {
            self.lan.close_port(port);
        }
        self.drain();
        // What was answered to nobody, such as an unanswered ARP question, has its own time-out.
        for _ in 0..MAX_TIMEOUTS {
            let Some((at, _)) = self.lan.poll_timeout() else { break };
            self.now = self.now.max(at);
            self.lan.handle_timeout(self.now);
            self.drain();
        }
        assert_eq!(self.lan.flows(), 0, "flows are left when every port is closed");
    }
}

/// Payloads of more than a frame are cut.
fn cut(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(1400)]
}

/// What a frame of a port with offloads is said to be.
fn offload(variant: u16, segment_bytes: u16, start: u8, offset: u8) -> Offload {
    let (start, offset) = (u16::from(start), u16::from(offset));
    let checksum = match variant >> 12 & 3 {
        0 => Checksum::Written,
        1 => Checksum::Verified,
        2 => Checksum::Partial { start: 34, offset: if variant & 1 == 0 { 16 } else { 6 } },
        _ => Checksum::Partial { start, offset },
    };
    Offload { checksum, segment_bytes: if variant >> 14 == 0 { 0 } else { segment_bytes } }
}

fn poll(lan: &mut Lan, now: Instant, port: PortId, config: Option<PortConfig>) -> Option<(&[u8], Offload)> {
    if config.is_some_and(|config| config.offloads) {
        return lan.poll_offloaded(now, port);
    }
    Some((lan.poll_frame(now, port)?, Offload::default()))
}
