//! The way out: flows of guests joined to sockets of this host.
//!
//! - [`dial`]: the one way to a socket, for flows and streams alike: [`target`] ─▶ [`resolver`] ─▶ policy ─▶ [`connect`]
//! - [`tcp`], [`udp`], [`ping`], [`dns`]: what a LAN's guests send out
//!
//! A flow's state is in the machine; here is its socket and the task that waits for it. Bytes move on the machine's events without a
//! task's hop, and only what the other side takes is taken from the one.

mod added;
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

use netloom_core::{ConnectError, Event, FlowId, Guest, IpNet, Pattern, Policy, PortId, Protocol, Refusal};
use tracing::{debug, info};

use crate::config::{EgressSettings, LanSettings};
use crate::forward;
use crate::lan::LanTask;
use crate::limit::{Held, Refused, Share};
use added::Added;
pub(crate) use dial::{Dialer, Terms};
use dns::Upstream;
pub(crate) use error::DialError;
pub(crate) use refusals::Refusals;
use refusals::Way;
use resolver::Resolver;
pub(crate) use target::Target;
pub(crate) use tcp::Outside;
pub(crate) use udp::read_turn;

/// Length of a prefix that is one address, of either family: it is cut to the family's.
const HOST_PREFIX: u8 = 128;

/// What all ways out share.
pub(crate) struct Egress {
    settings: EgressSettings,
    /// The relay's listeners, which nobody may reach.
    own: Vec<SocketAddr>,
    added: Arc<Added>,
    streams: Arc<Dialer>,
    refusals: Arc<Refusals>,
}

/// What a LAN's guests go out by.
pub(crate) struct LanEgress {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) refusals: Arc<Refusals>,
}

impl Egress {
    /// `own` are the relay's listeners.
    pub(crate) fn new(settings: &EgressSettings, own: Vec<SocketAddr>) -> Self {
        let (refusals, added) = (Arc::<Refusals>::default(), Arc::<Added>::default());
        let terms = stream_terms(settings, &own);
        let streams = Dialer::new(Way::Stream, terms, Arc::clone(&added), Arc::clone(&refusals));
        Self { settings: settings.clone(), own, added, streams: Arc::new(streams), refusals }
    }

    /// Goes by other settings from now on. LANs are to be told their [`Self::lan_terms`].
    pub(crate) fn set(&mut self, settings: &EgressSettings) {
        self.settings = settings.clone();
        self.streams.set_terms(stream_terms(settings, &self.own));
    }

    /// For Wisp streams and plain streams.
    pub(crate) fn streams(&self) -> Arc<Dialer> {
        Arc::clone(&self.streams)
    }

    /// For a LAN's guests.
    pub(crate) fn lan(&self, lan: &LanSettings) -> LanEgress {
        let (added, refusals) = (Arc::clone(&self.added), Arc::clone(&self.refusals));
        let dialer = Dialer::new(Way::Nat, self.lan_terms(lan), added, Arc::clone(&refusals));
        LanEgress { dialer: Arc::new(dialer), refusals }
    }

    /// What a LAN's guests go out by: the rules of all ways out, and the LAN's own.
    pub(crate) fn lan_terms(&self, lan: &LanSettings) -> Terms {
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
        Terms::new(policy, Resolver::new(lan.records.clone(), upstream), self.settings.upstream.clone())
    }

    /// What the policy refused.
    pub(crate) fn refusals(&self) -> Arc<Refusals> {
        Arc::clone(&self.refusals)
    }

    /// Logs how often each rule refused.
    pub(crate) fn log_refusals(&self) {
        for (way, rule, count) in self.refusals.counts() {
            info!("refused {way} {count} times: {rule}");
        }
    }
}

fn stream_terms(settings: &EgressSettings, own: &[SocketAddr]) -> Terms {
    let policy = Policy {
        allow: settings.allow.clone(),
        deny: settings.deny.clone(),
        own: own.to_vec(),
        // The host's addresses change; the dialler asks the kernel.
        host: Vec::new(),
        private: false,
        closed: settings.allow_only,
    };
    let upstream = Arc::new(Upstream::new(settings.resolvers.clone()));
    Terms::new(policy, Resolver::new(settings.records.clone(), upstream), settings.upstream.clone())
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

/// What a flow takes of its client's limits, given back when dropped.
#[derive(Debug, Default)]
struct Quota {
    /// Of a guest that came over a connection.
    share: Option<Rc<Share>>,
    _flow: Option<Held>,
}

impl Quota {
    /// One flow of a port's guest.
    fn of(lan: &LanTask, port: PortId) -> Result<Self, Refused> {
        let share = lan.share(port);
        let flow = share.as_ref().map(|share| share.flow()).transpose()?;
        Ok(Self { share, _flow: flow })
    }

    /// One dial, once there may be.
    async fn dial(&self) -> Option<Held> {
        match &self.share {
            Some(share) => Some(share.dial().await),
            None => None,
        }
    }
}

/// A flow's socket.
pub(crate) enum Flow {
    Tcp(Rc<tcp::Stream>),
    Datagrams(Rc<udp::Datagrams>),
    /// Of who sends to a UDP port that leads to a guest.
    Peer(Rc<forward::Peer>),
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
            Some(Flow::Peer(peer)) => peer.push(lan),
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
                Some(Flow::Tcp(stream)) => stream.abort(why),
                Some(Flow::Datagrams(datagrams)) => datagrams.end(),
                Some(Flow::Peer(peer)) => peer.end(),
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

/// Opens a flow to a guest: from `source` as far as the guest can answer it, else from the gateway's address.
pub(crate) fn open_from(
    source: Option<SocketAddr>,
    mut open: impl FnMut(Option<SocketAddr>) -> Result<FlowId, ConnectError>,
) -> Result<FlowId, ConnectError> {
    match open(source) {
        Err(ConnectError::BadSource | ConnectError::InUse) if source.is_some() => open(None),
        opened => opened,
    }
}

/// Opens a connection to a guest for a socket of this host, which shares its fate. For `source` see [`open_from`].
pub(crate) fn connect_guest(
    lan: &Rc<LanTask>,
    source: Option<SocketAddr>,
    guest: SocketAddr,
    outside: Outside,
) -> Result<(), ConnectError> {
    let now = lan.clock.now();
    let opened = {
        let mut machine = lan.machine.borrow_mut();
        open_from(source, |source| match source {
            Some(source) => machine.connect_from(now, source, guest),
            None => machine.connect(now, guest),
        })
    };
    let id = match opened {
        Ok(id) => id,
        Err(error) => {
            outside.socket.reset_on_drop();
            return Err(error);
        }
    };
    lan.flows.borrow_mut().insert(id, Flow::Tcp(tcp::join(lan, id, outside)));
    lan.drain();
    Ok(())
}

fn flow(lan: &LanTask, id: FlowId) -> Option<Flow> {
    match lan.flows.borrow().get(&id)? {
        Flow::Tcp(stream) => Some(Flow::Tcp(Rc::clone(stream))),
        Flow::Datagrams(datagrams) => Some(Flow::Datagrams(Rc::clone(datagrams))),
        Flow::Peer(peer) => Some(Flow::Peer(Rc::clone(peer))),
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
    let quota = match Quota::of(lan, guest.port) {
        Ok(quota) => quota,
        Err(refused) => {
            debug!("{source} to {destination}: {refused}");
            return lan.machine.borrow_mut().refuse(lan.clock.now(), id, Refusal::Denied);
        }
    };
    let settings = lan.settings();
    let target = if settings.host_addresses().any(|host| host == destination.ip()) {
        Target::loopback(destination.ip(), destination.port(), settings.host_loopback)
    } else {
        let machine = lan.machine.borrow();
        let names = machine.names_of(lan.clock.now(), guest, destination.ip());
        Target::address(destination, names.map(str::to_owned).collect())
    };
    let dialer = lan.dialer(guest.port);
    let judged = || dialer.judge_address(&target, protocol);
    let flow = match protocol {
        Protocol::Tcp => Ok(Flow::Tcp(tcp::dial(lan, id, Arc::clone(&dialer), target, quota))),
        Protocol::Udp => {
            judged().and_then(|address| Ok(Flow::Datagrams(udp::open(lan, id, address, quota)?)))
        }
        Protocol::Ping => {
            judged().and_then(|address| Ok(Flow::Datagrams(ping::open(lan, id, address, quota)?)))
        }
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
