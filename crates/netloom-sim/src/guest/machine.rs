//! A guest made of the machine itself: a LAN of one port whose virtual address is the guest's. Both ends of a wire are then ours.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use netloom_core::{
    Congestion, ConnectError, Duration, FlowId, Instant, IpNet, Ipv4Net, Ipv6Config, Ipv6Net, Lan, LanConfig,
    Limits, MacAddr, Policy, PortConfig, PortId,
};

use super::Host;
use crate::app::{Outcome, Plan, Role};
use crate::outside::Outside;

/// A guest whose stack is a [`Lan`]. It is reached at `address`; what it opens itself comes from `gateway_address`.
pub struct MachineHost {
    lan: Lan,
    port: PortId,
    outside: Outside,
}

/// What distinguishes one machine guest from another.
#[derive(Clone, Copy, Debug)]
pub struct MachineHostConfig {
    /// The network it is on.
    pub net: IpNet,
    /// Its MAC address.
    pub mac: MacAddr,
    /// The address that it opens connections from.
    pub own: IpAddr,
    /// The address that it accepts connections at.
    pub address: IpAddr,
    /// Its MTU.
    pub mtu: u16,
    /// Its buffers.
    pub limits: Limits,
    /// How its sending rate answers to loss.
    pub congestion: Congestion,
    /// Whether it offers timestamps.
    pub timestamps: bool,
    /// Whether it computes and verifies no checksums.
    pub trusted: bool,
}

impl MachineHost {
    /// A host that runs the programs of `outside`.
    #[must_use]
    pub fn new(config: MachineHostConfig, outside: Outside, seed: [u8; 32]) -> Self {
        // The other family is not spoken.
        let unused = (Ipv4Net::new(Ipv4Addr::UNSPECIFIED, 32), Ipv4Addr::UNSPECIFIED);
        let ((subnet, gateway_address), ipv6) = match (config.net.address(), config.own) {
            (IpAddr::V6(net), IpAddr::V6(gateway_address)) => {
                let prefix = Ipv6Net::new(net, config.net.prefix());
                (unused, Some(Ipv6Config { prefix, gateway_address }))
            }
            (IpAddr::V4(net), IpAddr::V4(own)) => ((Ipv4Net::new(net, config.net.prefix()), own), None),
            _ => (unused, None),
        };
        let lan = LanConfig {
            subnet,
            gateway_address,
            gateway_mac: config.mac,
            gateway: false,
            virtual_addresses: vec![config.own, config.address],
            ipv6,
            mtu: config.mtu,
            dhcp: None,
            dns: None,
            ntp: false,
            echo_ports: Vec::new(),
            answer_all_pings: false,
            own_flows: false,
            nagle: true,
            timestamps: config.timestamps,
            congestion: config.congestion,
            rto_min: Duration::from_millis(200),
            policy: Policy { private: true, ..Policy::default() },
            limits: config.limits,
        };
        let mut lan = Lan::new(lan, seed);
        let port = lan.open_port(PortConfig {
            mtu: config.mtu,
            trusted: config.trusted,
            queue_bytes: 4 << 20,
            ..PortConfig::default()
        });
        Self { lan, port, outside }
    }

    /// Opens a connection and runs the client's side of the plan on it.
    ///
    /// # Errors
    /// As [`Lan::connect`].
    pub fn connect(&mut self, now: Instant, to: SocketAddr, plan: Plan) -> Result<FlowId, ConnectError> {
        self.outside.connect(now, &mut self.lan, to, plan)
    }

    /// Its programs.
    #[must_use]
    pub const fn outside(&self) -> &Outside {
        &self.outside
    }

    /// Its machine.
    #[must_use]
    pub const fn lan(&self) -> &Lan {
        &self.lan
    }
}

impl Host for MachineHost {
    fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        self.lan.handle_frame(now, self.port, frame);
    }

    fn poll_frame(&mut self, now: Instant) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.lan.poll_frame(now, self.port) {
                return Some(frame.to_vec());
            }
            if self.lan.poll_timeout().is_some_and(|(at, _)| at <= now) {
                self.lan.handle_timeout(now);
            }
            let acted = self.outside.drive(now, &mut self.lan);
            if self.lan.poll_port().is_none() && !acted {
                return None;
            }
        }
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let machine = self.lan.poll_timeout().map(|(at, _)| at);
        machine.into_iter().chain(self.outside.poll_timeout(now)).min()
    }

    fn finished(&self) -> &[(Role, Outcome)] {
        self.outside.finished()
    }
}
