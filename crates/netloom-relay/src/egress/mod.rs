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
mod hosts;
pub(crate) mod ping;
mod resolver;
mod target;
mod tcp;
mod udp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use netloom_core::{ConnectError, Event, FlowId, IpNet, Policy, Protocol, Refusal};
use tokio::net::TcpStream;
use tracing::debug;

use crate::config::{Config, LanSettings};
use crate::lan::LanTask;
pub(crate) use dial::Dialer;
use dns::Upstream;
pub(crate) use error::DialError;
use resolver::Resolver;
pub(crate) use target::Target;

/// Length of a prefix that is one address, of either family: it is cut to the family's.
const HOST_PREFIX: u8 = 128;

/// What all ways out share.
pub(crate) struct Egress {
    /// The relay's listeners, which nobody may reach.
    own: Vec<SocketAddr>,
    streams: Arc<Dialer>,
}

/// What a LAN's guests go out by.
pub(crate) struct LanEgress {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) upstream: Arc<Upstream>,
}

impl Egress {
    /// `own` are the relay's listeners.
    pub(crate) fn new(config: &Config, own: Vec<SocketAddr>) -> Self {
        // Streams have no LAN; what the flags say of the default LAN's way out holds for them too, but for private networks.
        let settings = config.lans.first();
        let policy = Policy {
            allow: settings.map(|lan| lan.allow.clone()).unwrap_or_default(),
            deny: settings.map(|lan| lan.deny.clone()).unwrap_or_default(),
            own: own.clone(),
            host: Vec::new(),
            private: false,
        };
        let records = settings.map(|lan| lan.records.clone()).unwrap_or_default();
        let servers = settings.map(|lan| lan.resolvers.clone()).unwrap_or_default();
        let resolver = Resolver::new(records, Arc::new(Upstream::new(servers)));
        Self { own, streams: Arc::new(Dialer::new(policy, Arc::new(resolver))) }
    }

    /// For Wisp streams and plain streams.
    pub(crate) fn streams(&self) -> Arc<Dialer> {
        Arc::clone(&self.streams)
    }

    /// For a LAN's guests.
    pub(crate) fn lan(&self, settings: &LanSettings) -> LanEgress {
        let host = settings.host_addresses().filter(|_| settings.host_loopback);
        let policy = Policy {
            allow: settings
                .allow
                .iter()
                .copied()
                .chain(host.map(|address| IpNet::new(address, HOST_PREFIX)))
                .collect(),
            deny: settings.deny.clone(),
            own: self.own.clone(),
            // The host's addresses change; the dialler asks the kernel.
            host: Vec::new(),
            private: settings.private,
        };
        let upstream = Arc::new(Upstream::new(settings.resolvers.clone()));
        let resolver = Resolver::new(settings.records.clone(), Arc::clone(&upstream));
        LanEgress { dialer: Arc::new(Dialer::new(policy, Arc::new(resolver))), upstream }
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
        Event::Open { id, protocol, destination, source, .. } => open(lan, id, protocol, source, destination),
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

fn open(lan: &Rc<LanTask>, id: FlowId, protocol: Protocol, source: SocketAddr, destination: SocketAddr) {
    let is_host =
        lan.settings.host_loopback && lan.settings.host_addresses().any(|host| host == destination.ip());
    let target = if is_host {
        Target::loopback(destination.ip(), destination.port())
    } else {
        Target::address(destination, Vec::new())
    };
    let flow = lan.egress.dialer.judge_address(&target, protocol).and_then(|address| match protocol {
        Protocol::Tcp => Ok(Flow::Tcp(tcp::dial(lan, id, target))),
        Protocol::Udp => Ok(udp::open(lan, id, address).map(Flow::Datagrams)?),
        Protocol::Ping => Ok(ping::open(lan, id, address).map(Flow::Datagrams)?),
    });
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
