//! The way out: flows of guests joined to sockets of this host.
//!
//! A flow's state is in the machine; here is its socket and the task that waits for it. Bytes move on the machine's events without a
//! task's hop, and only what the other side takes is taken from the one.

pub(crate) mod dns;
pub(crate) mod ping;
mod tcp;
mod udp;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;

use netloom_core::addr::unwrap_embedded_ipv4;
use netloom_core::{Event, FlowId, Policy, Protocol, Refusal, Rule, Verdict};
use rustix::io::Errno;
use tracing::debug;

use crate::lan::LanTask;

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
        // Only connections that the relay opens to guests are established, and it opens none.
        Event::Established { .. } => {}
    }
}

fn flow(lan: &LanTask, id: FlowId) -> Option<Flow> {
    match lan.flows.borrow().get(&id)? {
        Flow::Tcp(stream) => Some(Flow::Tcp(Rc::clone(stream))),
        Flow::Datagrams(datagrams) => Some(Flow::Datagrams(Rc::clone(datagrams))),
    }
}

fn open(lan: &Rc<LanTask>, id: FlowId, protocol: Protocol, source: SocketAddr, destination: SocketAddr) {
    let to_host = lan.settings.host_addresses().any(|host| host == destination.ip());
    let target = match destination.ip() {
        _ if !to_host => destination,
        IpAddr::V4(_) => (Ipv4Addr::LOCALHOST, destination.port()).into(),
        IpAddr::V6(_) => (Ipv6Addr::LOCALHOST, destination.port()).into(),
    };
    let verdict =
        judge(lan.machine.borrow().policy(), target, protocol, to_host && lan.settings.host_loopback);
    if let Verdict::Deny(rule) = verdict {
        debug!("{source} to {destination} denied: {rule}");
        return lan.machine.borrow_mut().refuse(lan.clock.now(), id, Refusal::Denied);
    }
    let flow = match protocol {
        Protocol::Tcp => Ok(Flow::Tcp(tcp::dial(lan, id, target))),
        Protocol::Udp => udp::open(lan, id, target).map(Flow::Datagrams),
        Protocol::Ping => ping::open(lan, id, target).map(Flow::Datagrams),
    };
    match flow {
        Ok(flow) => drop(lan.flows.borrow_mut().insert(id, flow)),
        Err(error) => {
            debug!("{source} to {destination}: {error}");
            lan.machine.borrow_mut().refuse(lan.clock.now(), id, refusal(&error));
        }
    }
}

/// The policy on the address that is about to be dialled. The host's own addresses are asked of the kernel, since they change.
fn judge(policy: &Policy, target: SocketAddr, protocol: Protocol, host_loopback: bool) -> Verdict {
    let probe = policy.own.iter().any(|own| own.ip().is_unspecified() && own.port() == target.port());
    let forms = [target.ip(), unwrap_embedded_ipv4(target.ip())];
    let verdict = if probe && let Some(here) = forms.into_iter().find(|address| is_this_host(*address)) {
        let known = Policy { host: vec![here], ..policy.clone() };
        known.check(None, target.ip(), target.port(), protocol)
    } else {
        policy.check(None, target.ip(), target.port(), protocol)
    };
    match verdict {
        Verdict::Deny(Rule::Loopback) if host_loopback => Verdict::Allow,
        verdict => verdict,
    }
}

/// Whether the kernel would reach an address from that same address. Nothing is sent.
fn is_this_host(address: IpAddr) -> bool {
    let local = UdpSocket::bind(any_for(address)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    local.is_ok_and(|local| local.ip() == address)
}

/// Where a socket toward an address is bound: any address of its family, any port.
fn any_for(address: IpAddr) -> SocketAddr {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, 0)
}

/// What a guest is told of an error of its socket.
fn refusal(error: &io::Error) -> Refusal {
    use io::ErrorKind::{
        AddrNotAvailable, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown,
        NetworkUnreachable, PermissionDenied, TimedOut,
    };
    match error.kind() {
        ConnectionRefused | ConnectionReset => Refusal::Refused,
        HostUnreachable | NetworkUnreachable | NetworkDown => Refusal::Unreachable,
        // This host has no address or no port to come from, or speaks no IPv6 at all.
        AddrNotAvailable => Refusal::Unreachable,
        _ if error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => Refusal::Unreachable,
        TimedOut => Refusal::Timeout,
        PermissionDenied => Refusal::Denied,
        // No descriptor: the guest may try again.
        _ => Refusal::Refused,
    }
}
