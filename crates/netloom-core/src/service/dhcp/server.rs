//! The rules of a DHCP server (RFC 2131 section 4.3): from a client's message to its answer.
//!
//! The server is the LAN's only one and says so: a client that asks to keep an address it cannot have is refused, also when the server
//! knows nothing of it, and a client whose lease was lost with a restart keeps its address. Clients are told apart by MAC address; the
//! client identifier only finds the address of a client that has come back with another one, once its lease is over, because copies of
//! one disk image share their identifier. Expiry is judged when asked, there are no timers.

use core::net::Ipv4Addr;
use std::collections::{BTreeMap, BTreeSet};

use super::message::{ClientMessage, Kind};
use super::options;
use super::pool::{InUse, Lease, Pool};
use super::reply::{Answer, Reply, Times};
use super::{DhcpConfig, DhcpError, Network};
use crate::addr::MacAddr;
use crate::time::{Duration, Instant};

/// How long an offered address is kept for the client.
const OFFER_HOLD: Duration = Duration::from_secs(60);

/// The shortest lease that a client gets by asking, in seconds.
const MIN_LEASE_S: u32 = 120;

/// A LAN's DHCP server.
pub struct DhcpServer {
    config: DhcpConfig,
    network: Network,
    fixed: BTreeMap<MacAddr, Ipv4Addr>,
    pool: Pool,
}

impl DhcpServer {
    /// A server without leases. What of the pool lies outside the subnet is not used.
    #[must_use]
    pub fn new(config: DhcpConfig, network: Network) -> Self {
        let subnet = network.subnet;
        let fixed: BTreeMap<_, _> = config.fixed.iter().copied().collect();
        let excluded = excluded(&network, &fixed);
        let first = config.first.max(subnet.network());
        let last = config.last.min(subnet.broadcast());
        Self { config, network, fixed, pool: Pool::new(first, last, excluded) }
    }

    /// Leases these addresses to these clients from now on, and to nobody else. Whoever holds one keeps it until it asks again.
    pub fn set_fixed(&mut self, fixed: Vec<(MacAddr, Ipv4Addr)>) {
        self.fixed = fixed.iter().copied().collect();
        self.config.fixed = fixed;
        self.pool.set_excluded(excluded(&self.network, &self.fixed));
    }

    /// Acts on a message that a client sent to port 67. `in_use` tells whether somebody other than the given MAC uses an address.
    ///
    /// `Ok(None)`: there is nothing to say, as to RELEASE, DECLINE and what is meant for another server.
    ///
    /// # Errors
    /// [`DhcpError::Malformed`] if the message does not parse, [`DhcpError::PoolEmpty`] if no address is left for the client.
    pub fn handle(
        &mut self,
        now: Instant,
        message: &[u8],
        in_use: InUse<'_>,
    ) -> Result<Option<Reply>, DhcpError> {
        let Some(request) = ClientMessage::parse(message)? else { return Ok(None) };
        // A relay agent stands in the subnet that its clients need an address of (RFC 2131 section 4.3.1).
        if request.giaddr.is_some_and(|relay| !self.network.subnet.contains(relay)) {
            return Ok(None);
        }
        match request.kind {
            Kind::Discover => self.discover(now, &request, in_use).map(Some),
            Kind::Request => self.request(now, &request, in_use),
            Kind::Inform => Ok(Some(Answer::Inform.reply(&request, &self.config, &self.network))),
            Kind::Decline => {
                if let Some(address) = request.requested_address().filter(|_| self.is_addressed(&request)) {
                    self.pool.decline(now, address, request.mac);
                }
                Ok(None)
            }
            Kind::Release => {
                if let Some(address) = request.ciaddr.filter(|_| self.is_addressed(&request)) {
                    self.pool.release(now, address, request.mac);
                }
                Ok(None)
            }
        }
    }

    /// Tells clients this MTU from now on: their port's, if the network's is larger.
    pub(crate) const fn set_mtu(&mut self, mtu: u16) {
        self.network.mtu = mtu;
    }

    /// A client has left the LAN: whoever asks for its name gets it.
    pub(crate) fn leave(&mut self, mac: MacAddr) {
        self.pool.leave(mac);
    }

    /// The leases that clients hold, by address.
    pub fn leases(&self, now: Instant) -> impl Iterator<Item = &Lease> {
        self.pool.leases().filter(move |lease| lease.bound && lease.is_active(now))
    }

    /// The lease that a client holds.
    #[must_use]
    pub fn lease_of(&self, now: Instant, mac: MacAddr) -> Option<&Lease> {
        self.pool.lease_of(mac).filter(|lease| lease.bound && lease.is_active(now))
    }

    /// The lease of the client with this host name: one label, in any case.
    #[must_use]
    pub fn lease_of_name(&self, now: Instant, name: &str) -> Option<&Lease> {
        self.pool.holder(now, &name.to_ascii_lowercase()).filter(|lease| lease.bound)
    }

    /// The host name of the client that holds an address.
    #[must_use]
    pub fn name_of_address(&self, now: Instant, address: Ipv4Addr) -> Option<&str> {
        let lease = self.pool.lease_at(address).filter(|lease| lease.bound && lease.is_active(now))?;
        lease.name.as_deref()
    }

    /// Whether the message is for this server: it names this one, or none.
    fn is_addressed(&self, request: &ClientMessage) -> bool {
        request.server_id().is_none_or(|server| server == self.network.server)
    }

    fn discover(
        &mut self,
        now: Instant,
        request: &ClientMessage,
        in_use: InUse<'_>,
    ) -> Result<Reply, DhcpError> {
        let address = self.choose(now, request, in_use).ok_or(DhcpError::PoolEmpty)?;
        if request.options.bytes(options::RAPID_COMMIT).is_some() {
            return Ok(self.bind(now, request, address, true));
        }
        // Asking anew does not shorten a lease that the client has.
        let held =
            self.pool.lease_of(request.mac).filter(|l| l.address == address && l.bound && l.is_active(now));
        let (bound, expires) =
            held.map_or((false, now + OFFER_HOLD), |l| (true, l.expires.max(now + OFFER_HOLD)));
        let times = self.times(request);
        let lease = self.pool.assign(now, self.lease(request, address, expires, bound));
        let name = lease.name.as_deref();
        Ok(Answer::Offer { address, times, name }.reply(request, &self.config, &self.network))
    }

    /// A client's fixed address, unless another client's lease of it, from before it was fixed, has not ended.
    fn fixed_for(&self, now: Instant, mac: MacAddr) -> Option<Ipv4Addr> {
        let address = *self.fixed.get(&mac)?;
        let is_held = |lease: &Lease| lease.mac != mac && lease.is_active(now);
        (!self.pool.lease_at(address).is_some_and(is_held)).then_some(address)
    }

    /// The address for a client that asks for one: its fixed one, the one it has, the one it had, the one it asks for, any.
    fn choose(&mut self, now: Instant, request: &ClientMessage, in_use: InUse<'_>) -> Option<Ipv4Addr> {
        let mac = request.mac;
        if let Some(address) = self.fixed_for(now, mac) {
            return Some(address);
        }
        let had = self.pool.lease_of(mac).or_else(|| self.pool.lease_of_client(request.client_id()));
        [had.map(|lease| lease.address), request.requested_address()]
            .into_iter()
            .flatten()
            .find(|address| self.pool.is_free_for(now, *address, mac, in_use))
            .or_else(|| self.pool.allocate(now, mac, in_use))
    }

    fn request(
        &mut self,
        now: Instant,
        request: &ClientMessage,
        in_use: InUse<'_>,
    ) -> Result<Option<Reply>, DhcpError> {
        if !self.is_addressed(request) {
            // The client took another server's offer: ours is void.
            if let Some(offer) = self.pool.lease_of(request.mac).filter(|lease| !lease.bound) {
                self.pool.release(now, offer.address, request.mac);
            }
            return Ok(None);
        }
        // SELECTING and INIT-REBOOT name the address in option 50, RENEWING and REBINDING in ciaddr.
        let address = request.requested_address().or(request.ciaddr).ok_or(DhcpError::Malformed)?;
        let refusal = self.refusal(now, request, address, in_use);
        Ok(Some(match refusal {
            None => self.bind(now, request, address, false),
            Some(reason) => Answer::Nak { reason }.reply(request, &self.config, &self.network),
        }))
    }

    /// Why the client cannot have the address, if it cannot.
    fn refusal(
        &self,
        now: Instant,
        request: &ClientMessage,
        address: Ipv4Addr,
        in_use: InUse<'_>,
    ) -> Option<&'static str> {
        if let Some(fixed) = self.fixed_for(now, request.mac) {
            return (fixed != address).then_some("another address is reserved for this client");
        }
        if !self.network.subnet.contains(address) {
            return Some("the address is not of this network");
        }
        // A client that renews is using its address; whoever else claims it does not take it away.
        let held = self.pool.lease_of(request.mac).filter(|lease| lease.bound && lease.is_active(now));
        let renews = request.ciaddr == Some(address)
            && held.is_some_and(|lease| lease.address == address)
            && self.pool.is_pooled(address);
        let free = renews || self.pool.is_free_for(now, address, request.mac, in_use);
        (!free).then_some("the address is not available")
    }

    fn bind(&mut self, now: Instant, request: &ClientMessage, address: Ipv4Addr, rapid: bool) -> Reply {
        let times = self.times(request);
        let expires = now + Duration::from_secs(u64::from(times.lease_s));
        let lease = self.pool.assign(now, self.lease(request, address, expires, true));
        let name = lease.name.as_deref();
        Answer::Ack { address, times, name, rapid }.reply(request, &self.config, &self.network)
    }

    /// The lease time: what the client asks for, within bounds.
    fn times(&self, request: &ClientMessage) -> Times {
        let most = u32::try_from(self.config.lease.as_secs()).unwrap_or(u32::MAX).max(1);
        Times { lease_s: request.lease_time_s().map_or(most, |asked| asked.max(MIN_LEASE_S).min(most)) }
    }

    /// The lease to be written down. A client that tells no name this time keeps the one it told.
    fn lease(&self, request: &ClientMessage, address: Ipv4Addr, expires: Instant, bound: bool) -> Lease {
        let told = || self.pool.lease_of(request.mac).and_then(|lease| lease.name.clone());
        let (mac, client_id) = (request.mac, request.client_id().to_vec());
        Lease { address, mac, client_id, name: request.host_label().or_else(told), expires, bound }
    }
}

/// The addresses that are not for the pool's clients.
fn excluded(network: &Network, fixed: &BTreeMap<MacAddr, Ipv4Addr>) -> BTreeSet<Ipv4Addr> {
    let own = [network.server, network.subnet.network(), network.subnet.broadcast()];
    network.reserved.iter().copied().chain(network.router).chain(own).chain(fixed.values().copied()).collect()
}
