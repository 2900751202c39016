//! Target `host`: frames, packets, commands, interfaces and time in any order, on a host that forwards, bridges and masquerades.
//!
//! It must not panic; what it says for itself is well-formed and fits its interface; deadlines move on; the same input gives the same
//! frames; and when every interface is closed no connection is left.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use arbitrary::{Arbitrary, Unstructured};
use netloom_core::host::{Event, Host, HostConfig, Route, StreamOptions};
use netloom_core::interface::{InterfaceConfig, InterfaceId, Medium};
use netloom_core::{
    Duration, Event as Told, FlowId, Instant, IpNet, ListenerId, MAX_FRAME_BYTES, MacAddr, PortConfig,
    SocketId,
};
use netloom_sim::packet;
use netloom_sim::trace::Trace;
use netloom_sim::world::{GATEWAY, GATEWAY_MAC, GATEWAY_V6, guest_address, guest_address_v6};

use crate::template::{self, Heard};

/// One thing that happens to the host.
#[derive(Arbitrary, Clone, Debug)]
enum Op<'a> {
    /// A neighbour's frame, bent at some places.
    Frame {
        interface: u8,
        kind: u8,
        guest: u8,
        variant: u16,
        payload: &'a [u8],
        bends: [(u8, u8); 2],
        bend: bool,
    },
    /// Any bytes.
    Raw { interface: u8, bytes: &'a [u8] },
    /// An answer to what the host sent out last by the masquerading interface, perhaps bent.
    Answer { kind: u8, bend: (u8, u8) },
    /// Time goes on, by milliseconds to the power of something.
    Advance { steps: u8, unit: u8 },
    /// Time goes to the next deadline.
    Deadline,
    /// A command for a connection.
    Stream { command: u8, flow: u8, n: u16 },
    /// A connection is opened.
    Connect { target: u8, port: u8, local: u8 },
    /// A listener is opened, accepts, or is closed.
    Listen { command: u8, port: u8 },
    /// A socket is opened, sends, receives, or is closed.
    Socket { command: u8, socket: u8, target: u8, port: u8, n: u16 },
    /// An interface is opened, closed, moved to another bridge, or told other addresses.
    Interface { command: u8, which: u8, n: u16 },
}

const MAX_OPS: usize = 400;
const MAX_INTERFACES: usize = 8;
const MAX_FLOWS: usize = 512;
const MAX_TIMEOUTS: usize = 1000;
const MAX_FRAMES: usize = 20_000;
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);

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

const OPTIONS: StreamOptions = StreamOptions {
    nagle: true,
    keepalive: Some(Duration::from_secs(60)),
    receive_buffer_bytes: 16 * 1024,
    send_buffer_bytes: 16 * 1024,
};

struct Player {
    host: Host,
    now: Instant,
    interfaces: Vec<(InterfaceId, InterfaceConfig)>,
    flows: Vec<FlowId>,
    listeners: Vec<ListenerId>,
    sockets: Vec<SocketId>,
    heard: Option<Heard>,
    /// Whether others' frames leave by the first interface too.
    bridged: bool,
    /// What left last by the masquerading interface.
    outside: Vec<u8>,
    trace: Trace,
}

impl Player {
    fn new() -> Self {
        let config = HostConfig { buffer_bytes: 128 * 1024, ..HostConfig::default() };
        let mut player = Self {
            host: Host::new(config, [5; 32]),
            now: Instant::from_us(1000),
            interfaces: Vec::new(),
            flows: Vec::new(),
            listeners: Vec::new(),
            sockets: Vec::new(),
            heard: None,
            bridged: false,
            outside: Vec::new(),
            trace: Trace::new(false),
        };
        let own = vec![IpNet::new(GATEWAY.into(), 24), IpNet::new(GATEWAY_V6.into(), 64)];
        player.open(Medium::Tap, GATEWAY_MAC, own, 1500, false);
        let outside = vec![IpNet::new(OUTSIDE.into(), 24)];
        player.open(Medium::Tap, MacAddr([2, 0, 0, 0, 0, 2]), outside, 1280, true);
        player.open(
            Medium::Loopback,
            MacAddr::default(),
            vec![IpNet::new(Ipv4Addr::LOCALHOST.into(), 8)],
            65_535,
            false,
        );
        player.open(
            Medium::Tun,
            MacAddr::default(),
            vec![IpNet::new(Ipv4Addr::new(10, 3, 0, 1).into(), 24)],
            576,
            false,
        );
        let interface = player.interfaces[1].0;
        let everywhere = IpNet::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let route = Route { net: everywhere, via: Some(ROUTER.into()), interface };
        assert_eq!(player.host.add_route(route), Ok(()));
        player
    }

    fn open(&mut self, medium: Medium, mac: MacAddr, addresses: Vec<IpNet>, mtu: u16, masquerade: bool) {
        let port = PortConfig { mtu, queue_bytes: 1 << 18, macs: 8, ..PortConfig::default() };
        let config = InterfaceConfig { medium, mac, addresses, port, masquerade };
        self.interfaces.push((self.host.open_interface(&config), config));
    }

    fn id(&self, which: u8) -> InterfaceId {
        self.interfaces[usize::from(which) % self.interfaces.len()].0
    }

    fn apply(&mut self, op: &Op<'_>) {
        match *op {
            Op::Frame { interface, kind, guest, variant, payload, bends, bend } => {
                let payload = &payload[..payload.len().min(1400)];
                let mut frame = template::frame(kind, guest, variant, self.heard, payload);
                for (at, xor) in bends.into_iter().filter(|_| bend) {
                    let at = usize::from(at) % frame.len();
                    frame[at] ^= xor;
                }
                if variant & 3 != 0 {
                    template::repair(&mut frame);
                }
                let id = self.id(interface);
                self.host.handle_frame(self.now, id, &mut frame);
            }
            Op::Raw { interface, bytes } => {
                let id = self.id(interface);
                self.host.handle_frame(self.now, id, &mut bytes.to_vec());
            }
            Op::Answer { kind, bend } => self.answer(kind, bend),
            Op::Advance { steps, unit } => {
                let ms = u64::from(steps) * [1, 10, 100, 1000, 60_000][usize::from(unit % 5)];
                self.now += Duration::from_millis(ms);
                self.host.handle_timeout(self.now);
            }
            Op::Deadline => {
                if let Some((at, _)) = self.host.poll_timeout() {
                    self.now = self.now.max(at);
                    self.host.handle_timeout(self.now);
                }
            }
            Op::Stream { command, flow, n } => self.stream(command, flow, usize::from(n)),
            Op::Connect { target, port, local } => {
                let local = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), u16::from(local) * 7);
                let target = SocketAddr::new(address(target), u16::from(port));
                if self.flows.len() < MAX_FLOWS
                    && let Ok(id) = self.host.connect(self.now, local, target, OPTIONS)
                {
                    self.flows.push(id);
                }
            }
            Op::Listen { command, port } => self.listen(command, port),
            Op::Socket { command, socket, target, port, n } => {
                self.socket(command, socket, SocketAddr::new(address(target), u16::from(port)), n);
            }
            Op::Interface { command, which, n } => self.interface(command, which, n),
        }
    }

    /// What left by the masquerading interface comes back with its addresses and ports exchanged, or quoted by an error.
    fn answer(&mut self, kind: u8, bend: (u8, u8)) {
        let Some((header, packet)) = self.outside.split_at_checked(14) else { return };
        if packet.len() < 28 || packet[0] != 0x45 {
            return;
        }
        let mut answer = [&header[6..12], &header[..6], &header[12..]].concat();
        if kind & 3 == 3 {
            let quoted = &packet[..packet.len().min(28 + usize::from(kind))];
            let length = (28 + quoted.len()) as u16;
            let [high, low] = length.to_be_bytes();
            answer.extend_from_slice(&[0x45, 0, high, low, 0, 1, 0, 0, 64, 1, 0, 0]);
            answer.extend_from_slice(&packet[16..20]);
            answer.extend_from_slice(&packet[12..16]);
            answer.extend_from_slice(&[
                [3, 11, 12, 5][usize::from(kind >> 2 & 3)],
                kind >> 4,
                0,
                0,
                0,
                0,
                5,
                0,
            ]);
            answer.extend_from_slice(quoted);
        } else {
            let mut back = packet.to_vec();
            back[12..20].rotate_left(4);
            if packet[9] == 1 {
                back[20] = 0;
            } else {
                back[20..24].rotate_left(2);
            }
            answer.extend_from_slice(&back);
        }
        let at = usize::from(bend.0) % answer.len();
        answer[at] ^= if kind & 0x80 == 0 { 0 } else { bend.1 };
        template::repair(&mut answer);
        let id = self.id(1);
        self.host.handle_frame(self.now, id, &mut answer);
    }

    fn stream(&mut self, command: u8, flow: u8, n: usize) {
        if self.flows.is_empty() {
            return;
        }
        // Ids that are void stay in the list on purpose: commands for them must be harmless.
        let id = self.flows[usize::from(flow) % self.flows.len()];
        let (host, now) = (&mut self.host, self.now);
        match command % 8 {
            0 | 1 => {
                let held: usize = host.peek(id).into_iter().map(<[u8]>::len).sum();
                host.take(now, id, n.min(held));
            }
            2 | 3 => {
                let room = host.room(id);
                let taken = host.write(now, id, &vec![0x77; n]);
                assert!(taken <= n && (taken <= room || taken == 0), "took {taken} of {n}, room {room}");
            }
            4 => host.fin(now, id),
            5 => host.reset(id),
            6 => host.close(now, id),
            _ => host.set_options(
                now,
                id,
                StreamOptions { nagle: n & 1 == 0, receive_buffer_bytes: n.max(4096), ..OPTIONS },
            ),
        }
    }

    fn listen(&mut self, command: u8, port: u8) {
        match (command % 4, self.listeners.last().copied()) {
            (0, _) if self.listeners.len() < 64 => {
                let local = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), u16::from(port));
                if let Ok((id, _)) = self.host.listen(local, usize::from(command >> 2 & 7), OPTIONS) {
                    self.listeners.push(id);
                }
            }
            (1 | 2, Some(id)) => {
                if let Some(flow) = self.host.accept(id).filter(|_| self.flows.len() < MAX_FLOWS) {
                    self.flows.push(flow);
                }
            }
            (3, Some(id)) => {
                self.host.close_listener(id);
                self.listeners.pop();
            }
            _ => {}
        }
    }

    fn socket(&mut self, command: u8, socket: u8, target: SocketAddr, n: u16) {
        if command.is_multiple_of(4) {
            let local = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), target.port());
            let only = (command & 4 != 0).then(|| self.id(command >> 3));
            let opened = match command & 8 {
                0 => self.host.open_udp(local, only, 10_000).ok(),
                _ => self.host.open_ping(10_000),
            };
            if let Some((id, _)) = opened.filter(|_| self.sockets.len() < 64) {
                self.sockets.push(id);
            }
            return;
        }
        if self.sockets.is_empty() {
            return;
        }
        let at = usize::from(socket) % self.sockets.len();
        let id = self.sockets[at];
        match command % 4 {
            1 => {
                let _ = self.host.send(self.now, id, target, &vec![1; n.into()]);
            }
            2 => {
                let held = self.host.peek_datagram(id).map(|(_, data)| data.len());
                assert!(held.is_none_or(|held| held <= usize::from(u16::MAX)));
                self.host.take_datagram(id);
            }
            _ => {
                self.host.close_socket(id);
                self.sockets.remove(at);
            }
        }
    }

    fn interface(&mut self, command: u8, which: u8, n: u16) {
        let medium = [Medium::Tap, Medium::Bridge, Medium::Tun, Medium::Loopback][usize::from(n & 3)];
        match command % 6 {
            0 if self.interfaces.len() < MAX_INTERFACES => {
                let [high, low] = n.to_be_bytes();
                let addresses = if n & 4 == 0 {
                    vec![]
                } else {
                    vec![IpNet::new(Ipv4Addr::new(10, high, low, 1).into(), which % 33)]
                };
                self.open(medium, MacAddr([2, 0, 0, 1, high, low]), addresses, n.max(68), n & 8 != 0);
            }
            1 if self.interfaces.len() > 4 => {
                let (id, _) = self.interfaces.remove(4 + usize::from(which) % (self.interfaces.len() - 4));
                self.host.close_interface(id);
            }
            2 => {
                let (bridge, tap) = (self.id(which), self.id(n as u8));
                self.bridged |= self.host.join_bridge(bridge, tap) && tap == self.interfaces[0].0;
            }
            3 => {
                let id = self.id(which);
                self.host.leave_bridge(id);
            }
            4 => {
                let id = self.id(which);
                if self.host.set_offload(id, n & 1 != 0, n & 2 != 0)
                    && let Some((_, config)) = self.interfaces.iter_mut().find(|(of, _)| *of == id)
                {
                    (config.port.large_segments, config.port.trusted) = (n & 1 != 0, n & 2 != 0);
                }
            }
            5 if which > 250 => {
                let id = self.id(which);
                self.host.set_addresses(
                    id,
                    &[IpNet::new(Ipv4Addr::from_bits(u32::from(n) << 16 | 0x0102).into(), 24)],
                );
            }
            _ => {}
        }
    }

    fn drain(&mut self) {
        self.settle_timeouts();
        let mut frames = 0;
        let mut looped = 0;
        loop {
            let more = self.host.run_loopback(self.now, 64);
            while let Some(id) = self.host.poll_interface() {
                let config =
                    self.interfaces.iter().find(|(of, _)| *of == id).map(|(_, config)| config.clone());
                let Some(config) = config else { panic!("a frame for an interface that is closed") };
                while let Some(frame) = self.host.poll_frame(self.now, id) {
                    frames += 1;
                    assert!(frames < MAX_FRAMES, "frames without end");
                    let large = config.port.large_segments;
                    let mtu = if large { u16::MAX } else { config.port.mtu };
                    let most = MAX_FRAME_BYTES.min(14 + usize::from(mtu));
                    assert!(frame.len() <= most, "{} bytes where {most} fit: {frame:02x?}", frame.len());
                    self.trace.note(self.now, id.number(), frame);
                    // On a bridge a neighbour may pass itself off as the host.
                    let own = id == self.interfaces[0].0
                        && frame[6..12] == GATEWAY_MAC.0
                        && !config.port.trusted
                        && !self.bridged;
                    if own && (frame[12..14] == [8, 6] || frame.get(26..30) == Some(&GATEWAY.octets()[..])) {
                        if let Err(what) = packet::read(frame, true) {
                            panic!("the host sent a bad frame, {what}: {frame:02x?}");
                        }
                        self.heard = Heard::of(frame).or(self.heard);
                    }
                    if config.masquerade && frame.get(12..14) == Some(&[8, 0]) {
                        self.outside = frame.to_vec();
                    }
                }
            }
            looped += 1;
            assert!(looped < MAX_FRAMES, "the loopback goes round without end");
            if !more {
                break;
            }
        }
        while let Some(event) = self.host.poll_event() {
            if let Event::Flow(Told::Open { .. }) = event {
                panic!("a host's flows are not the outside's to answer");
            }
        }
        assert!(self.host.flows() <= 2 * MAX_FLOWS + 64 * 8 + 2048, "{} flows", self.host.flows());
    }

    fn settle_timeouts(&mut self) {
        let mut times = 0;
        while let Some((at, why)) = self.host.poll_timeout().filter(|(at, _)| *at <= self.now) {
            self.host.handle_timeout(self.now);
            times += 1;
            assert!(times < MAX_TIMEOUTS, "at {} the host waits for {at} again and again: {why}", self.now);
        }
    }

    /// Closes every interface: nothing may be left.
    fn finish(&mut self) {
        for (id, _) in std::mem::take(&mut self.interfaces) {
            self.host.close_interface(id);
        }
        self.drain();
        for _ in 0..MAX_TIMEOUTS {
            let Some((at, _)) = self.host.poll_timeout() else { break };
            self.now = self.now.max(at);
            self.host.handle_timeout(self.now);
            self.drain();
        }
        assert_eq!(self.host.flows(), 0, "connections are left when every interface is closed");
    }
}

/// Addresses of neighbours, of the host, of nobody, and of everyone.
fn address(which: u8) -> IpAddr {
    match which % 12 {
        n @ 0..=2 => guest_address(n).into(),
        n @ 3..=4 => guest_address_v6(n).into(),
        5 => GATEWAY.into(),
        6 => GATEWAY_V6.into(),
        7 => ROUTER.into(),
        8 => Ipv4Addr::new(198, 51, 100, which).into(),
        9 => Ipv4Addr::BROADCAST.into(),
        10 => Ipv4Addr::new(224, 0, 0, 251).into(),
        _ => Ipv4Addr::LOCALHOST.into(),
    }
}
