//! Flows that the outside opens toward guests: from the gateway's address, or from the address of whoever asked for them.

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

use super::flows::{Body, Key};
use super::{Role, Stack};
use crate::flow::{FlowId, Protocol};
use crate::interface::InterfaceId;
use crate::policy::{Rule, default_rule};
use crate::tcp::Tcb;
use crate::time::Instant;
use crate::wire::ip::Pair;

/// Why a flow toward a guest could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The address is not one that a guest of the LAN may have.
    #[error("the address is not in the LAN's networks")]
    NotOnLan,
    /// All local ports toward that address are in use.
    #[error("no local port is free toward that address")]
    NoPort,
    /// The guest could not answer the source: it is not of the target's family, on the LAN, or no host's; or the gateway does not forward.
    #[error("the guest cannot answer that source by the gateway")]
    BadSource,
    /// There is a flow between these two already.
    #[error("there is a flow between that source and the guest already")]
    InUse,
    /// As many were opened to the guest as one may have.
    #[error("as many flows were opened to the guest as one may have")]
    TooMany,
}

impl<R: Role> Stack<R> {
    /// Opens a TCP connection to a guest, from the gateway's address. [`Event::Established`](crate::Event::Established) or
    /// [`Event::Reset`](crate::Event::Reset) follows.
    ///
    /// # Errors
    /// [`ConnectError`] if the target is not on this LAN, no local port is free or the guest has too many.
    pub fn connect(&mut self, now: Instant, target: SocketAddr) -> Result<FlowId, ConnectError> {
        self.open_tcp(now, None, target)
    }

    /// The same from an address outside the LAN, so that the guest sees who asks. The guest answers by the gateway.
    ///
    /// # Errors
    /// [`ConnectError`] if the target is not on this LAN, the source is none that the guest could answer, or has this connection already, or
    /// the guest has too many.
    pub fn connect_from(
        &mut self,
        now: Instant,
        source: SocketAddr,
        target: SocketAddr,
    ) -> Result<FlowId, ConnectError> {
        self.open_tcp(now, Some(source), target)
    }

    /// Opens a UDP flow to a guest, from `source` or the gateway's address. It takes datagrams at once, and ends with
    /// [`Event::Reset`](crate::Event::Reset) when it is idle, the guest refuses or is not found.
    ///
    /// # Errors
    /// As [`Self::connect_from`].
    pub fn open_datagrams(
        &mut self,
        now: Instant,
        source: Option<SocketAddr>,
        target: SocketAddr,
    ) -> Result<FlowId, ConnectError> {
        let key = self.outside_key(Protocol::Udp, source, target)?;
        let id = self.insert_opened(now, key, Body::Datagrams(VecDeque::new(), 0));
        let idle_at = now + self.config.limits.udp_idle;
        if let Some(flow) = self.flows.slot(id.index) {
            flow.deadline = Some(idle_at);
            self.flows.arm(id.index);
        }
        Ok(id)
    }

    fn open_tcp(
        &mut self,
        now: Instant,
        source: Option<SocketAddr>,
        target: SocketAddr,
    ) -> Result<FlowId, ConnectError> {
        let key = self.outside_key(Protocol::Tcp, source, target)?;
        let guest = self.guest_of(target.ip());
        let config = self.tcp_config(guest.map(|guest| guest.port), key.pair);
        let isn = self.flows.isn(now, &key);
        let tcb = Tcb::active(now, &config, isn);
        let id = self.insert_opened(now, key, Body::Tcp(Box::new(tcb)));
        if guest.is_some() {
            self.tend(id.index);
        }
        Ok(id)
    }

    /// Takes note of a flow, and looks for its guest if nobody knows where it is.
    fn insert_opened(&mut self, now: Instant, key: Key, body: Body) -> FlowId {
        let target = key.guest().ip();
        let guest = self.guest_of(target);
        let id = self.flows.insert_opened(key, guest, body);
        if guest.is_none() {
            self.resolve(now, (InterfaceId::LAN, target), id);
        }
        id
    }

    fn outside_key(
        &mut self,
        protocol: Protocol,
        source: Option<SocketAddr>,
        target: SocketAddr,
    ) -> Result<Key, ConnectError> {
        let address = target.ip();
        if !self.config.is_on_lan(address) || self.config.is_ours(address) {
            return Err(ConnectError::NotOnLan);
        }
        if let Some(guest) = self.guest_of(address)
            && self.flows.opened(guest.mac) >= self.config.limits.flows_per_guest
        {
            return Err(ConnectError::TooMany);
        }
        let Some(source) = source else {
            let pair = self.config.gateway_pair(address).ok_or(ConnectError::NotOnLan)?.reversed();
            return self.flows.free_key(protocol, pair, target.port()).ok_or(ConnectError::NoPort);
        };
        let pair = self.answerable(source, address).ok_or(ConnectError::BadSource)?;
        let key = Key { protocol, pair, ports: (target.port(), source.port()) };
        match self.flows.find(&key) {
            None => Ok(key),
            Some(slot) if self.flows.slot(slot).is_some_and(|flow| flow.detached) => {
                self.flows.remove(slot);
                Ok(key)
            }
            Some(_) => Err(ConnectError::InUse),
        }
    }

    /// The addresses of a guest and of a source that it answers by the gateway.
    fn answerable(&self, source: SocketAddr, guest: IpAddr) -> Option<Pair> {
        let names_a_host = matches!(default_rule(source.ip()), None | Some(Rule::Private));
        let is_outside = !self.config.is_on_lan(source.ip()) && !self.config.is_ours(source.ip());
        // What is from a link-local address goes to no router (RFC 4291 2.5.6).
        let is_routed = !matches!(guest, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let answers = self.config.gateway && names_a_host && is_outside && is_routed && source.port() != 0;
        Pair::new(guest, source.ip()).filter(|_| answers)
    }
}
