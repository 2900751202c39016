//! Ours: two LANs joined in memory, each a host on the wire between them. One connects to the other's virtual address.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use netloom_core::{
    Congestion, Duration, Event, FlowId, Instant, Ipv4Net, Lan, LanConfig, Limits, MacAddr, Policy,
    PortConfig, PortId,
};

use super::{CHUNK_BYTES, CONNECTS, Pair, ROUND_US, Setup};

/// Two machines.
pub struct MachinePair {
    client: End,
    server: End,
    /// The busy flows, at either end.
    busy: Vec<(FlowId, FlowId)>,
    now: Instant,
    chunk: Vec<u8>,
}

struct End {
    lan: Lan,
    port: PortId,
}

const BULK_PORT: u16 = 5001;
const IDLE_PORT: u16 = 7;
/// Idle flows opened at once.
const BATCH: usize = 500;

impl MachinePair {
    /// Two machines with their flows open.
    ///
    /// # Errors
    /// A sentence if the flows did not open.
    pub fn new(setup: Setup) -> Result<Self, String> {
        let mut pair = Self {
            client: End::new(setup, 1),
            server: End::new(setup, 2),
            busy: Vec::new(),
            now: Instant::ZERO,
            chunk: vec![0x5a; CHUNK_BYTES],
        };
        pair.busy = pair.open(BULK_PORT, setup.busy_flows)?;
        for from in (0..setup.idle_flows).step_by(BATCH) {
            pair.open(IDLE_PORT, BATCH.min(setup.idle_flows - from))?;
        }
        Ok(pair)
    }

    fn open(&mut self, port: u16, count: usize) -> Result<Vec<(FlowId, FlowId)>, String> {
        let target = SocketAddr::new(IpAddr::V4(address(2, 1)), port);
        for _ in 0..count {
            self.client.lan.connect(self.now, target).map_err(|error| error.to_string())?;
        }
        let (mut dialled, mut accepted) = (Vec::new(), Vec::new());
        for _ in 0..1000 {
            self.cross();
            while let Some(event) = self.server.lan.poll_event() {
                if let Event::Open { id, .. } = event {
                    self.server.lan.accept(self.now, id);
                    accepted.push(id);
                }
            }
            while let Some(event) = self.client.lan.poll_event() {
                match event {
                    Event::Established { id } => dialled.push(id),
                    Event::Reset { why, .. } => return Err(format!("a flow was reset: {why:?}")),
                    _ => {}
                }
            }
            if dialled.len() == count && accepted.len() == count {
                self.cross();
                return Ok(dialled.into_iter().zip(accepted).collect());
            }
        }
        Err(format!("the machine opened {} of {count} flows", dialled.len()))
    }

    /// Lets time pass until nothing is under way and empty buffers are given back.
    pub fn rest(&mut self) {
        for _ in 0..4 {
            self.now += Duration::from_secs(1);
            self.cross();
        }
    }

    fn cross(&mut self) {
        self.now += Duration::from_micros(ROUND_US);
        self.client.send_to(&mut self.server, self.now);
        self.server.send_to(&mut self.client, self.now);
    }
}

impl Pair for MachinePair {
    fn round(&mut self) -> u64 {
        for (bulk, _) in &self.busy {
            while self.client.lan.write(self.now, *bulk, &self.chunk) == CHUNK_BYTES {}
        }
        self.cross();
        let mut received = 0;
        while self.server.lan.poll_event().is_some() {}
        for (_, sink) in &self.busy {
            let [first, second] = self.server.lan.peek(*sink);
            let n = first.len() + second.len();
            if n > 0 {
                self.server.lan.take(self.now, *sink, n);
                received += n as u64;
            }
        }
        while self.client.lan.poll_event().is_some() {}
        received
    }

    fn connects(&mut self) -> Result<(), String> {
        let before = self.server.lan.flows();
        for (dialled, _) in self.open(IDLE_PORT, CONNECTS)? {
            self.client.lan.reset(dialled);
        }
        self.cross();
        while self.server.lan.poll_event().is_some() {}
        if self.server.lan.flows() == before { Ok(()) } else { Err("a flow is left".into()) }
    }
}

impl End {
    fn new(setup: Setup, host: u8) -> Self {
        let config = LanConfig {
            subnet: Ipv4Net::new(address(host, 0), 16),
            gateway_address: address(host, 0),
            gateway_mac: MacAddr([2, 0, 0, 0, 0, host]),
            gateway: false,
            virtual_addresses: vec![address(host, 0).into(), address(host, 1).into()],
            ipv6: None,
            mtu: setup.mtu,
            dhcp: None,
            dns: None,
            ntp: false,
            echo_ports: Vec::new(),
            answer_all_pings: false,
            own_flows: false,
            nagle: true,
            timestamps: setup.timestamps,
            congestion: Congestion::default(),
            rto_min: Duration::from_millis(200),
            policy: Policy { private: true, ..Policy::default() },
            limits: Limits {
                flows_per_guest: 100_000,
                pending_dials_per_guest: 100_000,
                dial_timeout: Duration::from_secs(60),
                receive_buffer_bytes: setup.buffer_bytes(),
                send_buffer_bytes: setup.buffer_bytes(),
                // More than all idle flows are offered together, so that the busy ones keep their windows.
                lan_buffer_bytes: usize::MAX >> 1,
                udp_idle: Duration::from_secs(60),
                queries_per_guest: 64,
            },
        };
        let mut lan = Lan::new(config, [host; 32]);
        let port = lan.open_port(PortConfig {
            mtu: setup.mtu,
            trusted: !setup.checksums,
            large_segments: setup.large_segments,
            ..PortConfig::default()
        });
        Self { lan, port }
    }

    /// Hands this end's frames to the other, in the buffer that they were written to.
    fn send_to(&mut self, other: &mut Self, now: Instant) {
        if self.lan.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.lan.handle_timeout(now);
        }
        while self.lan.poll_port().is_some() {
            while let Some(frame) = self.lan.poll_frame(now, self.port) {
                other.lan.handle_frame(now, other.port, frame);
            }
        }
    }
}

/// The `n`th address of a host.
const fn address(host: u8, n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, host, 1 + n)
}
