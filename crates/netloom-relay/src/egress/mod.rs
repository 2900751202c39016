//! The way out: flows of guests joined to sockets of this host.
//!
//! - [`dial`]: the one way to a socket, for flows and streams alike: [`target`] ─▶ [`resolver`] ─▶ policy ─▶ [`connect`]
//! - [`tcp`], [`udp`], [`ping`], [`dns`]: what a LAN's guests send out
//!
//! A flow's state is in the machine; here is its socket and the task that waits for it. Bytes move on the machine's events without a
//! task's hop, and only what the other side takes is taken from the one.

mod answer;
mod connect;
pub(crate) mod dial;
pub(crate) mod dns;
mod error;
#[cfg(test)]
mod fixture;
mod hosts;
pub(crate) mod ping;
pub(crate) mod proxy;
mod refusals;
mod resolver;
mod target;
mod tcp;
mod udp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use netloom_core::{ConnectError, Event, FlowId, Guest, IpNet, Pattern, Policy, Protocol, Refusal};
use tokio::net::TcpStream;
use tracing::{debug, info};

use crate::config::{Config, EgressSettings, LanSettings};
use crate::lan::LanTask;
pub(crate) use dial::Dialer;
use dns::Upstream;
pub(crate) use error::DialError;
use refusals::{Refusals, Way};
use resolver::Resolver;
pub(crate) use target::Target;

/// Length of a prefix that is one address, of either family: it is cut to the family's.
const HOST_PREFIX: u8 = 128;

/// What all ways out share.
pub(crate) struct Egress {
    settings: EgressSettings,
    /// The relay's listeners, which nobody may reach.
    own: Vec<SocketAddr>,
    streams: Arc<Dialer>,
    refusals: Arc<Refusals>,
}

/// What a LAN's guests go out by.
pub(crate) struct LanEgress {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) refusals: Arc<Refusals>,
}

impl Egress {
    /// `own` are the relay's listeners.
    pub(crate) fn new(config: &Config, own: Vec<SocketAddr>) -> Self {
        let settings = config.egress.clone();
        let refusals = Arc::<Refusals>::default();
        let policy = Policy {
            allow: settings.allow.clone(),
            deny: settings.deny.clone(),
            own: own.clone(),
            // The host's addresses change; the dialler asks the kernel.
            host: Vec::new(),
            private: false,
            closed: settings.allow_only,
        };
        let upstream = Arc::new(Upstream::new(settings.resolvers.clone()));
        let streams = Dialer {
            way: Way::Stream,
            policy,
            resolver: Resolver::new(settings.records.clone(), upstream),
            proxy: settings.upstream.clone(),
            refusals: Arc::clone(&refusals),
        };
        Self { settings, own, streams: Arc::new(streams), refusals }
    }

    /// For Wisp streams and plain streams.
    pub(crate) fn streams(&self) -> Arc<Dialer> {
        Arc::clone(&self.streams)
    }

    /// For a LAN's guests: the rules of all ways out, and the LAN's own.
    pub(crate) fn lan(&self, lan: &LanSettings) -> LanEgress {
        let host = lan.host_addresses().filter(|_| lan.host_loopback);
        let host = host.map(|address| Pattern::from(IpNet::new(address, HOST_PREFIX)));
        let policy = Policy {
            allow: self.settings.allow.iter().chain(&lan.allow).cloned().chain(host).collect(),
            deny: self.settings.deny.iter().chain(&lan.deny).cloned().collect(),
            private: lan.private,
            closed: self.settings.allow_only || lan.allow_only,
            own: self.own.clone(),
            host: Vec::new(),
        };
        let upstream = Arc::new(Upstream::new(lan.resolvers.clone()));
        let dialer = Dialer {
            way: Way::Nat,
            policy,
            resolver: Resolver::new(lan.records.clone(), Arc::clone(&upstream)),
            proxy: self.settings.upstream.clone(),
            refusals: Arc::clone(&self.refusals),
        };
        LanEgress { dialer: Arc::new(dialer), upstream, refusals: Arc::clone(&self.refusals) }
    }

    /// Logs how often each rule refused.
    pub(crate) fn log_refusals(&self) {
        for (way, rule, count) in self.refusals.counts() {
            info!("refused {way} {count} times: {rule}");
        }
    }
}

/// Counts the flows that the machine refused by the policy.
pub(crate) fn count_denials(lan: &LanTask) {
    loop {
        let denial = lan.machine.borrow_mut().poll_denial();
        let Some(denial) = denial else { return };
        let flow = format_args!("{} to {}", denial.source, denial.destination);
        lan.egress.refusals.count(Way::Nat, &denial.rule, &flow);
    }
}

/// A flow's socket.
pub(crate) enum Flow {
    Tcp(Rc<tcp::Stream>),
    Datagrams(Rc<udp::Datagrams>),
}

/// Acts on an event of the machine.
pub(crate) fn handle_event(lan: &Rc<LanTask>, event: Event) {
    match event {
        Event::Open { id, protocol, source, destination, guest } => {
            open(lan, id, protocol, source, destination, guest);
        }
        Event::Data { id, .. } => match flow(lan, id) {
            Some(Flow::Tcp(stream)) => stream.push(lan),
            Some(Flow::Datagrams(datagrams)) => datagrams.push(lan),
            None => {}
        },
        Event::Fin { id } => {
            if let Some(Flow::Tcp(stream)) = flow(lan, id) {
                stream.finish(lan);
            }
        }
        Event::Writable { id } => {
            if let Some(Flow::Tcp(stream)) = flow(lan, id) {
                stream.resume();
            }
        }
        Event::Reset { id, why } => {
            debug!("flow {id:?} reset: {why:?}");
            match lan.flows.borrow_mut().remove(&id) {
                Some(Flow::Tcp(stream)) => stream.abort(),
                Some(Flow::Datagrams(datagrams)) => datagrams.end(),
                None => {}
            }
        }
        Event::Closed { id } => {
            if let Some(Flow::Tcp(stream)) = lan.flows.borrow_mut().remove(&id) {
                stream.end();
            }
        }
        Event::Established { id } => {
            if let Some(Flow::Tcp(stream)) = flow(lan, id) {
                stream.establish();
            }
        }
    }
}

/// Opens a connection to a guest for a socket of this host, which shares its fate.
pub(crate) fn connect_guest(
    lan: &Rc<LanTask>,
    guest: SocketAddr,
    socket: TcpStream,
) -> Result<(), ConnectError> {
    let id = lan.machine.borrow_mut().connect(lan.clock.now(), guest)?;
    lan.flows.borrow_mut().insert(id, Flow::Tcp(tcp::join(lan, id, socket)));
    lan.drain();
    Ok(())
}

fn flow(lan: &LanTask, id: FlowId) -> Option<Flow> {
    match lan.flows.borrow().get(&id)? {
        Flow::Tcp(stream) => Some(Flow::Tcp(Rc::clone(stream))),
        Flow::Datagrams(datagrams) => Some(Flow::Datagrams(Rc::clone(datagrams))),
    }
}

fn open(
    lan: &Rc<LanTask>,
    id: FlowId,
    protocol: Protocol,
    source: SocketAddr,
    destination: SocketAddr,
    guest: Guest,
) {
    let target = if lan.settings.host_addresses().any(|host| host == destination.ip()) {
        Target::loopback(destination.ip(), destination.port(), lan.settings.host_loopback)
    } else {
        let machine = lan.machine.borrow();
        let names = machine.names_of(lan.clock.now(), guest, destination.ip());
        Target::address(destination, names.map(str::to_owned).collect())
    };
    let judged = || lan.egress.dialer.judge_address(&target, protocol);
    let flow = match protocol {
        Protocol::Tcp => Ok(Flow::Tcp(tcp::dial(lan, id, target))),
        Protocol::Udp => judged().and_then(|address| Ok(Flow::Datagrams(udp::open(lan, id, address)?))),
        Protocol::Ping => judged().and_then(|address| Ok(Flow::Datagrams(ping::open(lan, id, address)?))),
    };
    match flow {
        Ok(flow) => drop(lan.flows.borrow_mut().insert(id, flow)),
        Err(error) => {
            debug!("{source} to {destination}: {error}");
            lan.machine.borrow_mut().refuse(lan.clock.now(), id, Refusal::from(&error));
        }
    }
}

/// Where a socket toward an address is bound: any address of its family, any port.
fn any_for(address: IpAddr) -> SocketAddr {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, 0)
}
