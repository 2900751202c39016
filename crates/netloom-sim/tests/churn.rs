//! A day of guests that come and go: leases, flows each way that end in every manner or not at all, datagrams, ports that close in the middle.
//! Nothing of it is left, and no more memory is taken after the first hours than in them.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "what fails here fails a test")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use netloom_core::service::dhcp::DhcpConfig;
use netloom_core::{
    Drop, Duration, Event, FlowId, Instant, Lan, LanConfig, MacAddr, PortConfig, PortId, Protocol, Refusal,
};
use netloom_sim::Rng;
use netloom_sim::packet::{Ipv4, Packet, Segment, arp, ethernet, flag, read, tcp, udp};
use netloom_sim::world::{GATEWAY, GATEWAY_MAC, lan_config, limits};

const DAY_S: u64 = 24 * 3600;
const WARM_S: u64 = 3 * 3600;
const MOST_GUESTS: usize = 40;
/// What an allocator may keep that is not ours.
const SLACK_BYTES: u64 = 2 << 20;

struct Guest {
    mac: MacAddr,
    address: Option<Ipv4Addr>,
    /// Whether it answers anything.
    lives: bool,
}

struct Day {
    rng: Rng,
    lan: Lan,
    now: Instant,
    guests: BTreeMap<PortId, Guest>,
    flows: Vec<FlowId>,
    opened: u64,
    forwarded: u64,
    leases: u64,
    frames: u64,
}

impl Day {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let dhcp = DhcpConfig {
            first: Ipv4Addr::new(192, 168, 86, 100),
            last: Ipv4Addr::new(192, 168, 86, 199),
            lease: Duration::from_secs(600),
            fixed: Vec::new(),
            domain: "lan".into(),
            dns: None,
        };
        let config = LanConfig { dhcp: Some(dhcp), limits: limits(64 * 1024), ..lan_config(1500) };
        let lan = Lan::new(config, rng.seed());
        Self {
            rng,
            lan,
            now: Instant::ZERO,
            guests: BTreeMap::new(),
            flows: Vec::new(),
            opened: 0,
            forwarded: 0,
            leases: 0,
            frames: 0,
        }
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.rng.below(n) == 0
    }

    fn some_guest(&mut self) -> Option<PortId> {
        let count = self.guests.len() as u64;
        (count > 0).then(|| self.guests.keys().nth(self.rng.below(count) as usize).copied())?
    }

    /// What happens in a second.
    fn second(&mut self) {
        if self.guests.len() < MOST_GUESTS && self.one_in(4) {
            self.join();
        }
        if self.guests.len() > MOST_GUESTS / 2 && self.one_in(8) {
            self.leave();
        }
        for _ in 0..2 {
            let Some(port) = self.some_guest() else { continue };
            match self.rng.below(6) {
                0 => self.discover(port),
                1 => self.datagram(port),
                2 => self.forward(port),
                _ => self.dial(port),
            }
            self.drain();
        }
        if self.one_in(20)
            && let Some(guest) = self.some_guest().and_then(|port| self.guests.get_mut(&port))
        {
            guest.lives = false;
        }
    }

    fn join(&mut self) {
        let port = self.lan.open_port(PortConfig::default());
        let n = self.rng.below(1 << 24) as u32;
        let [_, a, b, c] = n.to_be_bytes();
        let mac = MacAddr([0x52, 0x54, 0, a, b, c]);
        self.guests.insert(port, Guest { mac, address: None, lives: true });
        self.discover(port);
        self.drain();
    }

    fn leave(&mut self) {
        if let Some(port) = self.some_guest() {
            self.guests.remove(&port);
            self.lan.close_port(port);
            self.drain();
        }
    }

    /// Has a guest send a packet to the gateway's MAC address, or to all.
    fn send(&mut self, port: PortId, to: MacAddr, packet: &Ipv4, payload: &[u8]) {
        let Some(guest) = self.guests.get(&port) else { return };
        let frame = ethernet(to, guest.mac, 0x0800, &packet.packet(payload));
        self.lan.handle_frame(self.now, port, &frame);
    }

    fn discover(&mut self, port: PortId) {
        self.dhcp(port, 1, &[]);
    }

    fn dhcp(&mut self, port: PortId, kind: u8, options: &[u8]) {
        let Some(guest) = self.guests.get(&port) else { return };
        let mut body = vec![1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78];
        body.resize(28, 0);
        body.extend(guest.mac.0);
        body.resize(236, 0);
        body.extend([99, 130, 83, 99, 53, 1, kind]);
        body.extend(options);
        body.push(255);
        let (from, to) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        let message = udp(SocketAddr::from((from, 68)), SocketAddr::from((to, 67)), &body);
        self.send(port, MacAddr([0xff; 6]), &Ipv4::new(from, to, 17), &message);
    }

    fn outside(&mut self) -> Ipv4Addr {
        Ipv4Addr::from_bits(0x5db8_0000 + self.rng.below(1 << 16) as u32)
    }

    fn datagram(&mut self, port: PortId) {
        let Some(own) = self.guests.get(&port).and_then(|guest| guest.address) else { return };
        let (to, from_port) = (self.outside(), self.rng.below(60_000) as u16 + 1024);
        let message = udp(SocketAddr::from((own, from_port)), SocketAddr::from((to, 4000)), &[7; 100]);
        self.send(port, GATEWAY_MAC, &Ipv4::new(own, to, 17), &message);
    }

    fn dial(&mut self, port: PortId) {
        let Some(own) = self.guests.get(&port).and_then(|guest| guest.address) else { return };
        let (source, to) = ((own, self.rng.below(60_000) as u16 + 1024), (self.outside(), 80));
        let seq = self.rng.bits() as u32;
        self.segment(port, source.into(), to.into(), (seq, None), flag::SYN, &[]);
    }

    /// A connection from outside, to a guest that may not be there.
    fn forward(&mut self, port: PortId) {
        let Some(own) = self.guests.get(&port).and_then(|guest| guest.address) else { return };
        if let Ok(flow) = self.lan.connect(self.now, SocketAddr::from((own, 80))) {
            self.flows.push(flow);
            self.forwarded += 1;
        }
    }

    fn segment(
        &mut self,
        port: PortId,
        source: SocketAddr,
        destination: SocketAddr,
        (seq, ack): (u32, Option<u32>),
        flags: u8,
        payload: &[u8],
    ) {
        let (SocketAddr::V4(from), SocketAddr::V4(to)) = (source, destination) else { return };
        let segment = Segment {
            source,
            destination,
            seq,
            ack,
            flags: flags | if ack.is_some() { flag::ACK } else { 0 },
            window: 60_000,
            mss: None,
            scale: None,
            options_bytes: 0,
            payload,
        };
        self.send(port, GATEWAY_MAC, &Ipv4::new(*from.ip(), *to.ip(), 6), &tcp(&segment));
    }

    /// What a guest makes of a frame.
    fn receive(&mut self, port: PortId, frame: &[u8]) {
        let Some(Guest { mac, address, lives: true }) = self.guests.get(&port) else { return };
        let (mac, address) = (*mac, *address);
        match read(frame, true).expect("a frame in order") {
            Packet::Arp(1, theirs, from, wanted) if address == Some(wanted) => {
                let reply = arp(2, (mac, wanted), (theirs, from));
                self.lan.handle_frame(self.now, port, &ethernet(theirs, mac, 0x0806, &reply));
            }
            Packet::Udp(_, to, body) if to.port() == 68 && body[28..34] == mac.0 => {
                let offered: [u8; 4] = body[16..20].try_into().expect("four octets");
                match body[242] {
                    2 => {
                        let mut options = vec![50, 4];
                        options.extend(offered);
                        options.extend([54, 4]);
                        options.extend(GATEWAY.octets());
                        self.dhcp(port, 3, &options);
                    }
                    5 => {
                        self.leases += 1;
                        if let Some(guest) = self.guests.get_mut(&port) {
                            guest.address = Some(offered.into());
                        }
                    }
                    _ => {}
                }
            }
            Packet::Tcp(segment) if address.is_some_and(|own| segment.destination.ip() == own) => {
                self.answer(port, &segment);
            }
            _ => {}
        }
    }

    /// A guest's TCP, which keeps nothing in mind: the other end's acknowledgment says where it stands.
    fn answer(&mut self, port: PortId, segment: &Segment<'_>) {
        let (own, other) = (segment.destination, segment.source);
        if segment.has(flag::RST) || self.one_in(50) {
            return;
        }
        let syn_or_fin = u32::from(segment.has(flag::SYN)) + u32::from(segment.has(flag::FIN));
        let next = segment.seq.wrapping_add(segment.payload.len() as u32 + syn_or_fin);
        let seq = segment.ack.unwrap_or(0x1000);
        if self.one_in(30) {
            return self.segment(port, own, other, (seq, Some(next)), flag::RST, &[]);
        }
        let has_ack = segment.has(flag::ACK);
        match (segment.has(flag::SYN), segment.has(flag::FIN)) {
            (true, _) if !has_ack => self.segment(port, own, other, (seq, Some(next)), flag::SYN, &[]),
            (true, _) => self.segment(port, own, other, (seq, Some(next)), flag::PSH, &[5; 700]),
            (_, true) => self.segment(port, own, other, (seq, Some(next)), flag::FIN, &[]),
            _ if !segment.payload.is_empty() => {
                self.segment(port, own, other, (seq, Some(next)), 0, &[]);
            }
            _ => {}
        }
    }

    /// What the outside makes of an event.
    fn handle(&mut self, event: Event) {
        match event {
            Event::Open { id, protocol, .. } => {
                self.opened += 1;
                match self.rng.below(10) {
                    0 => self.lan.refuse(self.now, id, Refusal::Refused),
                    1 => self.lan.refuse(self.now, id, Refusal::Unreachable),
                    2 => {}
                    _ => {
                        self.lan.accept(self.now, id);
                        if protocol == Protocol::Udp {
                            self.lan.write(self.now, id, &[1; 200]);
                        }
                    }
                }
                self.flows.push(id);
            }
            Event::Data { id, .. } => {
                let bytes = self.lan.peek(id).iter().map(|part| part.len()).sum::<usize>();
                let datagram = self.lan.peek_datagram(id).map(<[u8]>::len);
                self.lan.take(self.now, id, datagram.unwrap_or(bytes));
                if datagram.is_none() {
                    self.lan.write(self.now, id, &[3; 3000]);
                }
                match self.rng.below(5) {
                    0 => self.lan.reset(id),
                    1 | 2 => self.lan.fin(self.now, id),
                    _ => {}
                }
            }
            Event::Established { id } => {
                self.lan.write(self.now, id, &[4; 5000]);
            }
            Event::Fin { id } => self.lan.fin(self.now, id),
            Event::Reset { id, .. } | Event::Closed { id } => self.flows.retain(|flow| *flow != id),
            Event::Writable { .. } => {}
        }
    }

    fn drain(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(event) = self.lan.poll_event() {
                quiet = false;
                self.handle(event);
            }
            while let Some(port) = self.lan.poll_port() {
                while let Some(frame) = self.lan.poll_frame(self.now, port).map(<[u8]>::to_vec) {
                    quiet = false;
                    self.frames += 1;
                    self.receive(port, &frame);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn run_until(&mut self, until: Instant) {
        while let Some((at, why)) = self.lan.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            self.lan.handle_timeout(self.now);
            self.drain();
            assert!(self.lan.poll_timeout().is_none_or(|(at, _)| at > self.now), "{why} does not move");
        }
        self.now = until;
    }

    /// Ends some of what stands, as those outside do who have waited long enough.
    fn tidy(&mut self) {
        for flow in std::mem::take(&mut self.flows) {
            self.lan.reset(flow);
        }
        self.drain();
    }
}

/// What the process has in memory.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    kib.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
}

#[test]
fn a_day_of_churn_leaves_nothing() {
    let mut day = Day::new(8);
    let (mut warm_bytes, mut most_flows) = (0, 0);
    for second in 1..=DAY_S {
        day.run_until(Instant::from_us(second * 1_000_000));
        day.second();
        most_flows = most_flows.max(day.lan.flows());
        if second % 3600 == 0 {
            day.tidy();
        }
        if second == WARM_S {
            warm_bytes = resident_bytes();
        }
    }
    let day_bytes = resident_bytes();
    println!(
        "{} flows from guests, {} to guests, {} leases, {} frames; at most {most_flows} flows; {warm_bytes} bytes after three hours, {day_bytes} after the day",
        day.opened, day.forwarded, day.leases, day.frames
    );
    assert!(day.opened > 30_000 && day.forwarded > 3_000 && day.leases > 10_000, "a busy day");
    assert_eq!(day.lan.drops().of(Drop::TcpMalformed), 0);
    assert!(day_bytes <= warm_bytes + SLACK_BYTES, "{warm_bytes} bytes became {day_bytes}");
    for port in std::mem::take(&mut day.guests).into_keys() {
        day.lan.close_port(port);
    }
    day.drain();
    assert_eq!(day.lan.flows(), 0, "those of ports that are closed");
    day.run_until(day.now + Duration::from_secs(3600));
    assert_eq!(day.lan.neighbors(day.now).count(), 0);
    assert_eq!(day.lan.poll_timeout(), None, "it sleeps");
}
