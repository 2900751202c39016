//! A transfer from one end to the other under stated conditions, judged by what must hold of every transfer.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netloom_core::{Congestion, Duration, Instant, IpNet, LanConfig, PortConfig};

use crate::app::{Outcome, Plan};
use crate::check::Checker;
use crate::faults::Faults;
use crate::guest::machine::MachineHostConfig;
use crate::guest::smoltcp::SmoltcpHostConfig;
use crate::guest::{Host, MachineHost, SmoltcpHost};
use crate::link::LinkConfig;
use crate::outside::{Answer, Outside};
use crate::rng::Rng;
use crate::world::{
    GATEWAY, GATEWAY_V6, VIRTUAL, VIRTUAL_V6, World, dual_config, guest_address, guest_address_v6, guest_mac,
    limits,
};

/// Whose stack the guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The independent one.
    Smoltcp,
    /// Our own.
    Machine,
}

/// Who opens the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The guest, to a target outside.
    Guest,
    /// The outside, by `connect`.
    Outside,
}

/// The conditions of a transfer.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Whose stack the guest runs.
    pub peer: Peer,
    /// Who opens the connections.
    pub opener: Opener,
    /// What the programs do.
    pub plan: Plan,
    /// How many connections at once.
    pub flows: usize,
    /// Both directions of the wire.
    pub link: LinkConfig,
    /// MTU of the LAN, the port and the guest.
    pub mtu: u16,
    /// Buffers of each flow at both ends: the largest window.
    pub buffer_bytes: usize,
    /// How both machines' sending rates answer to loss.
    pub congestion: Congestion,
    /// Whether both machines offer timestamps.
    pub timestamps: bool,
    /// Whether all of it is over IPv6.
    pub ipv6: bool,
    /// Whether the port is trusted, so that nobody computes checksums.
    pub trusted: bool,
    /// How long the outside takes to accept.
    pub dial: Duration,
    /// Decides every impairment, sequence number and port.
    pub seed: u64,
}

/// What a run left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The hash of every frame and its time.
    pub trace: u64,
    /// Frames on both wires.
    pub frames: u64,
    /// When the last flow was gone.
    pub end: Instant,
    /// What was forgiven.
    pub faults: Faults,
}

const TARGET_PORT: u16 = 80;
/// Longer than any transfer that is alive: smoltcp's retransmission timer begins at a second and doubles.
const LIMIT: Duration = Duration::from_secs(6 * 3600);

impl Default for Scenario {
    fn default() -> Self {
        Self {
            peer: Peer::Machine,
            opener: Opener::Guest,
            plan: Plan::both(100_000, 100_000),
            flows: 1,
            link: LinkConfig::default(),
            mtu: 1500,
            buffer_bytes: 256 * 1024,
            congestion: Congestion::default(),
            timestamps: true,
            ipv6: false,
            trusted: false,
            dial: Duration::ZERO,
            seed: 1,
        }
    }
}

impl Scenario {
    /// Runs the transfer.
    ///
    /// # Panics
    /// If a byte is missing or wrong, a program or a flow does not end, or the packet checker finds anything. The message holds the
    /// scenario, with which the run can be repeated.
    #[must_use]
    pub fn run(&self) -> Report {
        let report = self.run_forgiving();
        assert_eq!(report.faults.lost_fin_timers, 0, "{self:?}");
        report
    }

    /// Like [`Self::run`], but connections whose end smoltcp has lost are no failure, only counted in the report's [`Faults`].
    ///
    /// # Panics
    /// As [`Self::run`] otherwise.
    #[must_use]
    pub fn run_forgiving(&self) -> Report {
        let outside = Outside::default().with(TARGET_PORT, Answer::Serve(self.dial, self.plan));
        let mut world: World<Box<dyn Host>> = World::new(self.lan(), outside, self.seed);
        world.name = format!("{self:?}");
        world.checker = Checker::new(!self.trusted);
        if self.peer == Peer::Smoltcp {
            world.checker.excuse_rounding(self.address(0));
        }
        let port = PortConfig {
            mtu: self.mtu,
            trusted: self.trusted,
            queue_bytes: 8 << 20,
            ..PortConfig::default()
        };
        let guest = self.guest();
        world.join(guest, port, self.link);
        if self.opener == Opener::Outside {
            for _ in 0..self.flows {
                let target = SocketAddr::new(self.address(0), TARGET_PORT);
                let World { outside, lan, .. } = &mut world;
                outside.connect(Instant::ZERO, lan, target, self.plan).expect("the guest is on the LAN");
            }
        }
        let ends = world.run_until(Instant::ZERO + LIMIT, |world| {
            let here = world.outside.finished().len() == self.flows;
            here && world.host(0).finished().len() == self.flows && world.lan.flows() == 0
        });
        world.checker.assert_clean();
        let outcomes = [world.outside.finished().to_vec(), world.host(0).finished().to_vec()];
        let (now, resets) = (world.now(), world.outside.resets().to_vec());
        let left = (world.lan.flows(), world.lan.poll_timeout());
        let done = outcomes.iter().flatten().all(|(_, outcome)| *outcome == Outcome::Done);
        let lost_fin_timers = if ends { 0 } else { world.host(0).lost_fin_timers(now) };
        let faults = Faults { rounded_windows: world.checker.rounded_windows(), lost_fin_timers };
        // Everything but those connections has ended.
        let stuck = lost_fin_timers > 0
            && outcomes[1].len() as u64 + lost_fin_timers == self.flows as u64
            && left.0 as u64 <= lost_fin_timers;
        assert!(
            (ends || stuck) && done,
            "at {now}: {outcomes:?}, resets {resets:?}, flows left and deadline {left:?}"
        );
        Report { trace: world.trace.hash(), frames: world.trace.frames(), end: now, faults }
    }

    fn lan(&self) -> LanConfig {
        LanConfig {
            congestion: self.congestion,
            timestamps: self.timestamps,
            limits: limits(self.buffer_bytes),
            ..dual_config(self.mtu)
        }
    }

    /// The `n`th guest's address.
    const fn address(&self, n: u8) -> IpAddr {
        if self.ipv6 { IpAddr::V6(guest_address_v6(n)) } else { IpAddr::V4(guest_address(n)) }
    }

    fn guest(&self) -> Box<dyn Host> {
        let (gateway, prefix): (IpAddr, _) =
            if self.ipv6 { (GATEWAY_V6.into(), 64) } else { (GATEWAY.into(), 24) };
        let target: IpAddr = match (self.peer, self.ipv6) {
            (Peer::Smoltcp, false) => Ipv4Addr::new(93, 184, 216, 34).into(),
            (Peer::Smoltcp, true) => Ipv6Addr::new(0x2606, 0x2800, 0, 0, 0, 0, 0, 0x34).into(),
            (Peer::Machine, false) => VIRTUAL.into(),
            (Peer::Machine, true) => VIRTUAL_V6.into(),
        };
        let target = SocketAddr::new(target, TARGET_PORT);
        let mut rng = Rng::new(self.seed ^ 0x0067_7565_7374);
        match self.peer {
            Peer::Smoltcp => {
                let mut host = SmoltcpHost::new(SmoltcpHostConfig {
                    mac: guest_mac(0),
                    address: Some((self.address(0), prefix)),
                    router: Some(gateway),
                    slaac: false,
                    mtu: self.mtu,
                    buffer_bytes: self.buffer_bytes,
                    checksums: !self.trusted,
                    seed: rng.bits(),
                });
                for _ in 0..self.flows {
                    match self.opener {
                        Opener::Guest => host.connect(target, self.plan),
                        Opener::Outside => host.listen(TARGET_PORT, self.plan, 1),
                    }
                }
                Box::new(host)
            }
            Peer::Machine => {
                let config = MachineHostConfig {
                    net: IpNet::new(gateway, prefix),
                    mac: guest_mac(0),
                    own: self.address(1),
                    address: self.address(0),
                    mtu: self.mtu,
                    limits: limits(self.buffer_bytes),
                    congestion: self.congestion,
                    timestamps: self.timestamps,
                    trusted: self.trusted,
                };
                let outside = Outside::default().with(TARGET_PORT, Answer::Serve(self.dial, self.plan));
                let mut host = MachineHost::new(config, outside, rng.seed());
                if self.opener == Opener::Guest {
                    for _ in 0..self.flows {
                        let opened = host.connect(Instant::ZERO, target, self.plan);
                        opened.expect("the target is on the LAN");
                    }
                }
                Box::new(host)
            }
        }
    }
}
