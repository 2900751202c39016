//! A LAN with guests and an outside under one virtual clock. Every frame passes a seeded link, the checker and the trace.
//!
//! It owns all of them and the time. A step moves frames and programs until nothing moves at this instant, then time jumps to the
//! next deadline of anyone; nobody waits, and the same seed gives the same run.

use core::net::{Ipv4Addr, Ipv6Addr};

use netloom_core::{
    Congestion, Duration, Instant, Ipv4Net, Ipv6Config, Ipv6Net, Lan, LanConfig, Limits, MacAddr, Policy,
    PortConfig, PortId,
};

use crate::app::{Outcome, Role};
use crate::check::Checker;
use crate::guest::Host;
use crate::link::{Link, LinkConfig};
use crate::outside::Outside;
use crate::packet::macs;
use crate::rng::Rng;
use crate::trace::Trace;

/// The gateway's MAC address in [`lan_config`].
pub const GATEWAY_MAC: MacAddr = MacAddr([0x52, 0x55, 0x0a, 0x00, 0x02, 0x02]);
/// The gateway's address in [`lan_config`].
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 1);
/// A virtual address in [`lan_config`].
pub const VIRTUAL: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 254);

/// The gateway's address in [`dual_config`].
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd86, 0x192, 0x168, 0x86, 0, 0, 0, 1);
/// A virtual address in [`dual_config`].
pub const VIRTUAL_V6: Ipv6Addr = Ipv6Addr::new(0xfd86, 0x192, 0x168, 0x86, 0, 0, 0, 0xfe);

/// Frames and calls at one instant after which the world counts as caught in a loop.
const MAX_ROUNDS: u64 = 2_000_000;

/// A LAN as a relay has it, without services.
#[must_use]
pub fn lan_config(mtu: u16) -> LanConfig {
    LanConfig {
        subnet: Ipv4Net::new(GATEWAY, 24),
        gateway_address: GATEWAY,
        gateway_mac: GATEWAY_MAC,
        gateway: true,
        virtual_addresses: vec![VIRTUAL.into()],
        ipv6: None,
        mtu,
        dhcp: None,
        dns: None,
        ntp: false,
        echo_ports: Vec::new(),
        answer_all_pings: false,
        own_flows: false,
        nagle: false,
        timestamps: true,
        congestion: Congestion::default(),
        rto_min: Duration::from_millis(200),
        policy: Policy::default(),
        limits: limits(256 * 1024),
    }
}

/// The same LAN with IPv6.
#[must_use]
pub fn dual_config(mtu: u16) -> LanConfig {
    let ipv6 = Ipv6Config { prefix: Ipv6Net::new(GATEWAY_V6, 64), gateway_address: GATEWAY_V6 };
    let virtual_addresses = vec![VIRTUAL.into(), VIRTUAL_V6.into()];
    LanConfig { ipv6: Some(ipv6), virtual_addresses, ..lan_config(mtu) }
}

/// Limits that leave room for tests, with this many bytes of buffer each way per flow.
#[must_use]
pub const fn limits(buffer_bytes: usize) -> Limits {
    Limits {
        flows_per_guest: 20_000,
        pending_dials_per_guest: 4096,
        dial_timeout: Duration::from_secs(30),
        receive_buffer_bytes: buffer_bytes,
        send_buffer_bytes: buffer_bytes,
        lan_buffer_bytes: 64 << 20,
        udp_idle: Duration::from_secs(60),
        queries_per_guest: 64,
    }
}

/// A MAC address for the `n`th guest.
#[must_use]
pub const fn guest_mac(n: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0x00, 0x12, 0x34, n])
}

/// The static address of the `n`th guest.
#[must_use]
pub const fn guest_address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 86, 10 + n)
}

/// The static IPv6 address of the `n`th guest.
#[must_use]
pub const fn guest_address_v6(n: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd86, 0x192, 0x168, 0x86, 0, 0, 0, 0x10 + n as u16)
}

struct Station<H> {
    host: H,
    port: PortId,
    mtu: u16,
    to_lan: Link,
    to_host: Link,
}

/// A LAN with guests of one kind (which may be a `Box<dyn Host>`): see the module's documentation.
pub struct World<H: Host> {
    now: Instant,
    /// The machine under test.
    pub lan: Lan,
    /// What its flows meet.
    pub outside: Outside,
    /// What watches the wires.
    pub checker: Checker,
    /// What records them.
    pub trace: Trace,
    stations: Vec<Station<H>>,
    rng: Rng,
    gateway_mac: MacAddr,
    /// What is run, for messages.
    pub name: String,
}

impl<H: Host> World<H> {
    /// A world without guests at time zero. With `NETLOOM_PCAP` set to a path, a failing run leaves its capture there.
    #[must_use]
    pub fn new(config: LanConfig, outside: Outside, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let gateway_mac = config.gateway_mac;
        Self {
            now: Instant::ZERO,
            lan: Lan::new(config, rng.seed()),
            outside,
            checker: Checker::new(true),
            trace: Trace::new(std::env::var_os("NETLOOM_PCAP").is_some()),
            stations: Vec::new(),
            rng,
            gateway_mac,
            name: String::new(),
        }
    }

    /// Joins a guest to a new port by a pair of links.
    pub fn join(&mut self, host: H, port: PortConfig, link: LinkConfig) -> usize {
        let mtu = port.mtu;
        let port = self.lan.open_port(port);
        let to_lan = Link::new(link, self.rng.bits());
        let to_host = Link::new(link, self.rng.bits());
        self.stations.push(Station { host, port, mtu, to_lan, to_host });
        self.stations.len() - 1
    }

    /// A guest.
    pub fn host(&mut self, index: usize) -> &mut H {
        &mut self.stations[index].host
    }

    /// A guest's port.
    #[must_use]
    pub fn port(&self, index: usize) -> PortId {
        self.stations[index].port
    }

    /// The links of a guest: to the LAN, to the guest.
    pub fn links(&mut self, index: usize) -> (&mut Link, &mut Link) {
        let station = &mut self.stations[index];
        (&mut station.to_lan, &mut station.to_host)
    }

    /// Now.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Runs until `done` holds, and returns whether it does; it gives up at `until` or when nothing will ever happen again.
    ///
    /// # Panics
    /// If someone keeps asking for the present instant: a busy loop.
    pub fn run_until(&mut self, until: Instant, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            match self.next_deadline() {
                Some(next) if next <= until => self.now = self.now.max(next),
                _ => {
                    self.now = self.now.max(until);
                    return done(self);
                }
            }
        }
    }

    /// Runs for so long.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.run_until(until, |_| false);
    }

    /// Runs until all programs of the outside are over and the machine has no flow left, within `time`.
    ///
    /// # Panics
    /// If they are not, with what is left.
    pub fn run_to_end(&mut self, time: Duration) {
        let until = self.now + time;
        if !self.run_until(until, |world| world.outside.running() == 0 && world.lan.flows() == 0) {
            let (running, flows, why) = (self.outside.running(), self.lan.flows(), self.lan.poll_timeout());
            self.save_capture();
            panic!(
                "at {}: {running} programs run, {flows} flows are left, the machine waits for {why:?}",
                self.now
            );
        }
    }

    /// Writes the capture where `NETLOOM_PCAP` says, for a look with Wireshark at a run that failed.
    pub fn save_capture(&self) {
        if let (Some(path), Some(capture)) = (std::env::var_os("NETLOOM_PCAP"), self.trace.pcap())
            && let Err(error) = std::fs::write(&path, capture)
        {
            eprintln!("cannot write the capture to {}: {error}", path.display());
        }
    }

    /// Moves frames and programs until nothing moves at this instant.
    fn settle(&mut self) {
        let mut rounds = 0;
        loop {
            let mut moved = self.deliver();
            if let Some((at, why)) = self.lan.poll_timeout().filter(|(at, _)| *at <= self.now) {
                self.lan.handle_timeout(self.now);
                assert!(
                    rounds < MAX_ROUNDS,
                    "at {}: the machine asks for {at} again and again: {why}",
                    self.now
                );
                moved = true;
            }
            moved |= self.outside.drive(self.now, &mut self.lan);
            moved |= self.collect();
            if !moved {
                return;
            }
            rounds += 1;
            assert!(rounds < 2 * MAX_ROUNDS, "at {}: frames go round and round", self.now);
        }
    }

    /// Hands arrived frames to the machine and to the guests.
    fn deliver(&mut self) -> bool {
        let mut moved = false;
        for station in &mut self.stations {
            while let Some(frame) = station.to_lan.poll(self.now) {
                if macs(&frame).is_some_and(|(to, _)| to == self.gateway_mac) {
                    self.checker.received(&frame);
                }
                self.lan.handle_frame(self.now, station.port, &frame);
                moved = true;
            }
            while let Some(frame) = station.to_host.poll(self.now) {
                self.checker.received(&frame);
                station.host.handle_frame(self.now, &frame);
                moved = true;
            }
        }
        moved
    }

    /// Puts frames of the machine and of the guests on their links.
    fn collect(&mut self) -> bool {
        let mut moved = false;
        while let Some(port) = self.lan.poll_port() {
            let Some((wire, station)) = self.stations.iter_mut().enumerate().find(|(_, s)| s.port == port)
            else {
                continue;
            };
            while let Some(frame) = self.lan.poll_frame(self.now, port) {
                moved = true;
                if macs(frame).is_some_and(|(_, from)| from == self.gateway_mac) {
                    self.checker.sent(self.now, frame, station.mtu);
                }
                self.trace.note(self.now, wire as u32 * 2, frame);
                station.to_host.push(self.now, frame);
            }
        }
        for (wire, station) in self.stations.iter_mut().enumerate() {
            while let Some(frame) = station.host.poll_frame(self.now) {
                moved = true;
                self.checker.sent(self.now, &frame, station.mtu);
                self.trace.note(self.now, wire as u32 * 2 + 1, &frame);
                station.to_lan.push(self.now, &frame);
            }
        }
        moved
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        let now = self.now;
        let machine = self.lan.poll_timeout().map(|(at, _)| at);
        let outside = self.outside.poll_timeout(now);
        let stations = self.stations.iter_mut().flat_map(|station| {
            [station.to_lan.poll_timeout(), station.to_host.poll_timeout(), station.host.poll_timeout(now)]
        });
        stations.chain([machine, outside]).flatten().min()
    }
}

impl<H: Host> Drop for World<H> {
    /// A failing test leaves its capture, and says what was on the wires last.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.save_capture();
            for violation in self.checker.violations() {
                eprintln!("checker: {violation}");
            }
            eprintln!("{} frames at {}: {}", self.trace.frames(), self.now, self.name);
        }
    }
}

impl Host for Box<dyn Host> {
    fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        (**self).handle_frame(now, frame);
    }

    fn poll_frame(&mut self, now: Instant) -> Option<Vec<u8>> {
        (**self).poll_frame(now)
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        (**self).poll_timeout(now)
    }

    fn lost_fin_timers(&mut self, now: Instant) -> u64 {
        (**self).lost_fin_timers(now)
    }

    fn finished(&self) -> &[(Role, Outcome)] {
        (**self).finished()
    }
}

/// Runs two hosts at the ends of one wire, without a machine between them: what a stack does with itself or with another.
///
/// # Panics
/// If they do not stop talking at one instant.
pub fn run_pair<A: Host, B: Host>(
    hosts: (&mut A, &mut B),
    links: &mut [Link; 2],
    checker: &mut Checker,
    mtu: u16,
    until: Instant,
    mut done: impl FnMut(&A, &B) -> bool,
) -> (bool, Instant) {
    let (a, b) = hosts;
    let mut now = Instant::ZERO;
    loop {
        let mut rounds = 0;
        loop {
            let mut moved = false;
            for (link, host) in links.iter_mut().zip([&mut *b as &mut dyn Host, &mut *a as &mut dyn Host]) {
                while let Some(frame) = link.poll(now) {
                    checker.received(&frame);
                    host.handle_frame(now, &frame);
                }
            }
            for (link, host) in links.iter_mut().zip([&mut *a as &mut dyn Host, &mut *b as &mut dyn Host]) {
                while let Some(frame) = host.poll_frame(now) {
                    moved = true;
                    checker.sent(now, &frame, mtu);
                    link.push(now, &frame);
                }
            }
            if !moved {
                break;
            }
            rounds += 1;
            assert!(rounds < MAX_ROUNDS, "at {now}: frames go round and round");
        }
        if done(a, b) {
            return (true, now);
        }
        let wires = links.iter().map(Link::poll_timeout).collect::<Vec<_>>();
        let next = wires.into_iter().chain([a.poll_timeout(now), b.poll_timeout(now)]).flatten().min();
        match next {
            Some(next) if next <= until => now = now.max(next),
            _ => return (false, now),
        }
    }
}
