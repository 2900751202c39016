//! The one way to a socket of this host: what is to be reached is resolved once, every address is judged by the policy, and only what
//! passed is connected to. NAT, Wisp and plain streams all dial here.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use netloom_core::addr::unwrap_embedded_ipv4;
use netloom_core::{Policy, Protocol, Rule, Verdict};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::added::Added;
use super::any_for;
use super::connect;
use super::error::DialError;
use super::proxy::Proxy;
use super::refusals::{Refusals, Way};
use super::resolver::Resolver;
use super::target::{Host, Target};
use crate::config::tokens::Rules;

/// How long a target has to answer a dial, its name's resolution included.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// Dials under one policy. It is shared by whoever dials under it, on any thread.
pub(crate) struct Dialer {
    pub(super) way: Way,
    terms: RwLock<Arc<Terms>>,
    /// Whose terms these are, and under which rules, if not its own.
    base: Option<(Arc<Self>, Rules)>,
    /// The relay's listeners that the policy does not name.
    pub(super) added: Arc<Added>,
    pub(super) refusals: Arc<Refusals>,
}

/// What may be reached, and how: as one, so that a dial goes by what held when it began.
pub(crate) struct Terms {
    pub(crate) policy: Policy,
    pub(super) resolver: Arc<Resolver>,
    pub(super) proxy: Option<Proxy>,
    /// The terms that they were made from.
    pub(super) origin: Option<Arc<Self>>,
}

impl Terms {
    pub(super) fn new(policy: Policy, resolver: Resolver, proxy: Option<Proxy>) -> Self {
        Self { policy, resolver: Arc::new(resolver), proxy, origin: None }
    }

    fn under(origin: Arc<Self>, rules: &Rules) -> Self {
        Self {
            policy: rules.over(&origin.policy),
            resolver: Arc::clone(&origin.resolver),
            proxy: origin.proxy.clone(),
            origin: Some(origin),
        }
    }
}

impl Dialer {
    pub(super) fn new(way: Way, terms: Terms, added: Arc<Added>, refusals: Arc<Refusals>) -> Self {
        Self { way, terms: RwLock::new(Arc::new(terms)), base: None, added, refusals }
    }

    /// By what it dials now.
    pub(crate) fn terms(&self) -> Arc<Terms> {
        let now = Arc::clone(&self.terms.read().unwrap_or_else(PoisonError::into_inner));
        let Some((base, rules)) = &self.base else { return now };
        let origin = base.terms();
        if now.origin.as_ref().is_some_and(|known| Arc::ptr_eq(known, &origin)) {
            return now;
        }
        self.set_terms(Terms::under(origin, rules))
    }

    /// Dials by other terms from now on.
    pub(crate) fn set_terms(&self, terms: Terms) -> Arc<Terms> {
        let terms = Arc::new(terms);
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&terms);
        terms
    }

    /// The same dialler, or one under the policy that rules make of this one's, whatever its terms become.
    pub(crate) fn under(self: &Arc<Self>, rules: Option<&Rules>) -> Arc<Self> {
        let Some(rules) = rules.filter(|rules| rules.are_of_egress()) else { return Arc::clone(self) };
        Arc::new(Self {
            way: self.way,
            terms: RwLock::new(Arc::new(Terms::under(self.terms(), rules))),
            base: Some((Arc::clone(self), rules.clone())),
            added: Arc::clone(&self.added),
            refusals: Arc::clone(&self.refusals),
        })
    }

    /// The relay's listeners that came while it ran.
    pub(crate) fn added(&self) -> &Added {
        &self.added
    }

    /// Connects to a target by TCP, without Nagle's delay.
    ///
    /// # Errors
    /// [`DialError`]: what came of it, within [`DIAL_TIMEOUT`].
    pub(crate) async fn dial_tcp(&self, target: &Target) -> Result<TcpStream, DialError> {
        let terms = self.terms();
        let dial = async {
            match &terms.proxy {
                Some(proxy) if !target.loopback => self.dial_by(&terms, proxy, target).await,
                _ => Ok(connect::to_any(&self.candidates(&terms, target, Protocol::Tcp).await?).await?),
            }
        };
        timeout(DIAL_TIMEOUT, dial).await.unwrap_or(Err(DialError::Timeout))
    }

    /// A socket for datagrams to and from a target alone, connected and not blocking.
    ///
    /// # Errors
    /// [`DialError`]: what came of it. That nobody listens there shows only when something was sent.
    pub(crate) async fn open_udp(&self, target: &Target) -> Result<UdpSocket, DialError> {
        let terms = self.terms();
        let candidates = self.candidates(&terms, target, Protocol::Udp);
        let addresses = timeout(DIAL_TIMEOUT, candidates).await.map_err(|_| DialError::Timeout)??;
        let mut error = DialError::NotFound;
        for address in addresses {
            match connected_udp(address) {
                Ok(socket) => return Ok(UdpSocket::from_std(socket)?),
                Err(failed) => error = failed.into(),
            }
        }
        Err(error)
    }

    /// The policy on a target that is an address: that address, or the rule against it. Names need [`Self::dial_tcp`].
    pub(super) fn judge_address(&self, target: &Target, protocol: Protocol) -> Result<SocketAddr, DialError> {
        self.judge(&self.terms(), target, protocol)
    }

    fn judge(&self, terms: &Terms, target: &Target, protocol: Protocol) -> Result<SocketAddr, DialError> {
        let Host::Address(address, names) = &target.host else { return Err(DialError::NotFound) };
        let address = SocketAddr::new(*address, target.port);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match self.check(&terms.policy, &names, address, protocol) {
            Verdict::Deny(Rule::Loopback) if target.loopback => {}
            Verdict::Deny(rule) => return Err(self.deny(rule, target)),
            Verdict::Allow => {}
        }
        if terms.proxy.is_some() && !target.loopback && protocol != Protocol::Tcp {
            return Err(DialError::NoUdp);
        }
        Ok(address)
    }

    fn deny(&self, rule: Rule, target: &Target) -> DialError {
        self.refusals.count(self.way, &rule, target);
        DialError::Denied(rule)
    }

    /// The addresses of a target that the policy lets through, in the order in which to try them.
    async fn candidates(
        &self,
        terms: &Terms,
        target: &Target,
        protocol: Protocol,
    ) -> Result<Vec<SocketAddr>, DialError> {
        let name = match &target.host {
            Host::Address(..) => return Ok(vec![self.judge(terms, target, protocol)?]),
            Host::Name(name) => name,
        };
        if terms.proxy.is_some() && protocol != Protocol::Tcp {
            return Err(DialError::NoUdp);
        }
        let found = terms.resolver.resolve(name).await?;
        let (mut allowed, mut denied) = (Vec::new(), None);
        for address in found.addresses {
            let rebinds = found.is_from_dns
                && terms.policy.check_answer(name, address) == Verdict::Deny(Rule::Rebinding);
            let address = SocketAddr::new(address, target.port);
            match self.check(&terms.policy, &[name], address, protocol) {
                Verdict::Allow if rebinds => denied = denied.or(Some(Rule::Rebinding)),
                Verdict::Allow => allowed.push(address),
                Verdict::Deny(rule) => denied = denied.or(Some(rule)),
            }
        }
        match denied {
            _ if !allowed.is_empty() => Ok(connect::interleave(allowed)),
            Some(rule) => Err(self.deny(rule, target)),
            None => Err(DialError::NotFound),
        }
    }

    /// Has a proxy connect: to the addresses that the policy lets through, or to a name where the proxy resolves those.
    async fn dial_by(&self, terms: &Terms, proxy: &Proxy, target: &Target) -> Result<TcpStream, DialError> {
        let hosts = match &target.host {
            Host::Name(name) if proxy.resolves_names() && !terms.resolver.knows(name) => {
                if let Verdict::Deny(rule) = terms.policy.check_name(name, target.port, Protocol::Tcp) {
                    return Err(self.deny(rule, target));
                }
                vec![target.host.clone()]
            }
            _ => {
                let addresses = self.candidates(terms, target, Protocol::Tcp).await?;
                addresses.into_iter().map(|address| Host::Address(address.ip(), Vec::new())).collect()
            }
        };
        let server = match &proxy.server.host {
            Host::Address(address, _) => vec![*address],
            Host::Name(name) => terms.resolver.resolve(name).await?.addresses,
        };
        let server: Vec<_> = server.into_iter().map(|ip| SocketAddr::new(ip, proxy.server.port)).collect();
        let server = connect::interleave(server);
        let mut error = DialError::NotFound;
        for host in &hosts {
            let stream = connect::to_any(&server).await;
            let mut stream = stream.map_err(|error| DialError::Proxy(error.to_string()))?;
            match proxy.connect(&mut stream, host, target.port).await {
                Ok(()) => return Ok(stream),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    /// The policy on an address. This host's own addresses are asked of the kernel, since they change.
    fn check(&self, policy: &Policy, names: &[&str], target: SocketAddr, protocol: Protocol) -> Verdict {
        let added = self.added.at_port(target.port());
        let policy = match added.is_empty() {
            true => Cow::Borrowed(policy),
            false => {
                let own = policy.own.iter().copied().chain(added).collect();
                Cow::Owned(Policy { own, ..policy.clone() })
            }
        };
        let probe = policy.own.iter().any(|own| own.ip().is_unspecified() && own.port() == target.port());
        let forms = [target.ip(), unwrap_embedded_ipv4(target.ip())];
        if probe && let Some(here) = forms.into_iter().find(|address| is_this_host(*address)) {
            let known = Policy { host: vec![here], ..policy.into_owned() };
            return known.check(names, target.ip(), target.port(), protocol);
        }
        policy.check(names, target.ip(), target.port(), protocol)
    }
}

/// A socket that exchanges datagrams with `target` alone.
pub(super) fn connected_udp(target: SocketAddr) -> std::io::Result<StdUdpSocket> {
    let socket = StdUdpSocket::bind(any_for(target.ip()))?;
    socket.connect(target)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Whether the kernel would reach an address from that same address. Nothing is sent.
fn is_this_host(address: IpAddr) -> bool {
    let local = StdUdpSocket::bind(any_for(address)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    local.is_ok_and(|local| local.ip() == address)
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
