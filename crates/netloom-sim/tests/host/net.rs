//! Hosts joined by wires in memory, on a virtual clock.

use core::net::SocketAddr;

use netloom_core::host::{Event, Host, HostConfig, StreamOptions};
use netloom_core::interface::{InterfaceConfig, InterfaceId, Medium};
use netloom_core::{Duration, FlowId, Instant, IpNet, MacAddr, PortConfig};

/// Hosts by number, and which of their interfaces are the two ends of a wire.
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    wires: Vec<[(usize, InterfaceId); 2]>,
    /// Every frame that crossed a wire, and from whom.
    pub(crate) seen: Vec<(usize, Vec<u8>)>,
    pub(crate) events: Vec<Vec<Event>>,
}

pub(crate) const OPTIONS: StreamOptions = StreamOptions {
    nagle: false,
    keepalive: None,
    receive_buffer_bytes: 1 << 20,
    send_buffer_bytes: 1 << 20,
};

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().expect("a network")
}

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

pub(crate) fn any(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port))
}

impl Net {
    pub(crate) fn new(hosts: usize) -> Self {
        Self {
            now: Instant::from_us(1_000_000),
            hosts: (0..hosts).map(|n| Host::new(HostConfig::default(), [n as u8 + 1; 32])).collect(),
            wires: Vec::new(),
            seen: Vec::new(),
            events: vec![Vec::new(); hosts],
        }
    }

    pub(crate) fn open(&mut self, host: usize, medium: Medium, mtu: u16, addresses: &[&str]) -> InterfaceId {
        let number = self.wires.len() as u8 * 16 + host as u8;
        self.hosts[host].open_interface(&InterfaceConfig {
            medium,
            mac: MacAddr([2, 0, 0, host as u8, number, addresses.len() as u8 + 1]),
            addresses: addresses.iter().map(|text| net(text)).collect(),
            port: PortConfig { mtu, ..PortConfig::default() },
            masquerade: false,
        })
    }

    pub(crate) fn join(&mut self, a: (usize, InterfaceId), b: (usize, InterfaceId)) {
        self.wires.push([a, b]);
    }

    /// A tap on each of two hosts, joined.
    pub(crate) fn link(&mut self, a: (usize, &[&str]), b: (usize, &[&str]), mtu: u16) -> [InterfaceId; 2] {
        let first = self.open(a.0, Medium::Tap, mtu, a.1);
        let second = self.open(b.0, Medium::Tap, mtu, b.1);
        self.join((a.0, first), (b.0, second));
        [first, second]
    }

    /// Carries frames until no host has any, and collects events.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut moved = false;
            for host in 0..self.hosts.len() {
                moved |= self.hosts[host].run_loopback(self.now, 1000);
                while let Some(id) = self.hosts[host].poll_interface() {
                    while let Some(frame) = self.hosts[host].poll_frame(self.now, id) {
                        let frame = frame.to_vec();
                        moved = true;
                        self.cross(host, id, frame);
                    }
                }
                while let Some(event) = self.hosts[host].poll_event() {
                    self.events[host].push(event);
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn cross(&mut self, host: usize, id: InterfaceId, mut frame: Vec<u8>) {
        self.seen.push((host, frame.clone()));
        let other = self.wires.iter().find_map(|[a, b]| match (host, id) {
            end if end == *a => Some(*b),
            end if end == *b => Some(*a),
            _ => None,
        });
        if let Some((to, interface)) = other {
            self.hosts[to].handle_frame(self.now, interface, &mut frame);
        }
    }

    /// Lets time pass, with all that is due.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let next = self.hosts.iter_mut().filter_map(Host::poll_timeout).map(|(at, _)| at).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            for host in &mut self.hosts {
                host.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    /// What happened to a host since this was asked last.
    pub(crate) fn take_events(&mut self, host: usize) -> Vec<Event> {
        std::mem::take(&mut self.events[host])
    }

    /// A connection from one host to a port that another listens on: both ends.
    pub(crate) fn connect(&mut self, from: usize, to: usize, target: SocketAddr) -> (FlowId, FlowId) {
        let (listener, _) = self.hosts[to].listen(any(target.port()), 16, OPTIONS).expect("the port is free");
        let flow = self.hosts[from].connect(self.now, any(0), target, OPTIONS).expect("there is a route");
        self.pass(Duration::from_millis(10));
        let accepted = self.hosts[to].accept(listener).expect("the connection stands");
        assert!(self.take_events(from).contains(&Event::Flow(netloom_core::Event::Established { id: flow })));
        assert!(self.take_events(to).contains(&Event::Accepted { listener }));
        (flow, accepted)
    }

    /// Carries bytes over a connection; they must arrive as they were.
    pub(crate) fn carry(&mut self, from: (usize, FlowId), to: (usize, FlowId), bytes: usize) {
        let data: Vec<u8> = (0..bytes).map(|at| (at * 7 + at / 251) as u8).collect();
        let (mut written, mut read) = (0, Vec::new());
        for _ in 0..100_000 {
            written += self.hosts[from.0].write(self.now, from.1, &data[written..]);
            self.settle();
            let taken = self.hosts[to.0].peek(to.1).concat();
            read.extend_from_slice(&taken);
            self.hosts[to.0].take(self.now, to.1, taken.len());
            if read.len() == bytes {
                break;
            }
            self.pass(Duration::from_millis(1));
        }
        assert_eq!(read.len(), bytes);
        assert!(read == data, "the bytes differ");
    }
}
