//! A LAN driven frame by frame, for tests about single frames rather than conversations.

use std::collections::BTreeMap;

use netloom_core::{Drop, Duration, Event, Instant, Lan, LanConfig, PortConfig, PortId};

use crate::packet::{macs, read};

/// A LAN and what came out of it.
pub struct Probe {
    /// The machine.
    pub lan: Lan,
    now: Instant,
    out: BTreeMap<PortId, Vec<Vec<u8>>>,
    gateway: netloom_core::MacAddr,
}

impl Probe {
    /// A LAN without ports.
    #[must_use]
    pub fn new(config: LanConfig) -> Self {
        let gateway = config.gateway_mac;
        Self {
            lan: Lan::new(config, [3; 32]),
            now: Instant::from_us(1_000_000),
            out: BTreeMap::new(),
            gateway,
        }
    }

    /// Opens a port with the default behaviour.
    pub fn port(&mut self) -> PortId {
        self.lan.open_port(PortConfig::default())
    }

    /// Now.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Hands the LAN a frame.
    pub fn send(&mut self, port: PortId, frame: &[u8]) {
        self.lan.handle_frame(self.now, port, frame);
    }

    /// Takes the frames that have left by a port.
    ///
    /// # Panics
    /// If a frame of the gateway is not well-formed.
    pub fn receive(&mut self, port: PortId) -> Vec<Vec<u8>> {
        self.drain();
        self.out.remove(&port).unwrap_or_default()
    }

    /// Hands the LAN a frame and takes what leaves by the same port.
    pub fn ask(&mut self, port: PortId, frame: &[u8]) -> Vec<Vec<u8>> {
        self.receive(port);
        self.send(port, frame);
        self.receive(port)
    }

    /// Takes the events.
    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.lan.poll_event()).collect()
    }

    /// Lets time go on, deadline by deadline.
    pub fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((at, _)) = self.lan.poll_timeout().filter(|(at, _)| *at <= until) {
            // A deadline in the past moves time by the least there is, so that one that never ends is seen as slow, not as a hang.
            self.now = at.max(self.now + Duration::from_micros(1));
            self.lan.handle_timeout(self.now);
            self.drain();
        }
        self.now = self.now.max(until);
        self.lan.handle_timeout(self.now);
        self.drain();
    }

    /// How many were dropped for a reason.
    #[must_use]
    pub fn dropped(&self, why: Drop) -> u64 {
        self.lan.drops().of(why)
    }

    fn drain(&mut self) {
        while let Some(port) = self.lan.poll_port() {
            while let Some(frame) = self.lan.poll_frame(self.now, port) {
                if macs(frame).is_some_and(|(_, source)| source == self.gateway)
                    && let Err(what) = read(frame, true)
                {
                    panic!("the machine sent a bad frame, {what}: {frame:02x?}");
                }
                self.out.entry(port).or_default().push(frame.to_vec());
            }
        }
    }
}
