//! The services that answer inside: DHCP, DNS and NTP. Queries that are for the outside wait here for their answer.

use core::net::{IpAddr, Ipv4Addr};

use super::flows::Key;
use super::ip::From;
use super::{Role, Stack};
use crate::addr::MacAddr;
use crate::counters::Drop;
use crate::flow::{FlowId, Guest, Protocol};
use crate::interface::InterfaceId;
use crate::policy::Verdict;
use crate::service::dhcp::{self, DhcpError};
use crate::service::{dns, ntp};
use crate::time::Instant;
use crate::wire::ip::Pair;

/// Names a DNS query handed to the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub(crate) u64);

impl QueryId {
    /// The id as one number, for boundaries that carry only numbers.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The id that [`Self::to_bits`] gave.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// A DNS query that the machine cannot answer itself, from [`Stack::poll_query`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// For [`Stack::handle_answer`].
    pub id: QueryId,
    /// Who asks.
    pub guest: Guest,
    /// The query as the guest sent it: a DNS message without length prefix.
    pub message: Vec<u8>,
}

/// How a query came, and so how its answer goes.
#[derive(Clone, Copy)]
pub(super) enum Via {
    Datagram(Key),
    Stream(FlowId),
}

/// A query whose answer is awaited.
pub(super) struct PendingQuery {
    guest: Guest,
    via: Via,
    message: Vec<u8>,
    pub(super) deadline: Instant,
}

impl<R: Role> Stack<R> {
    pub(super) fn handle_dhcp(&mut self, now: Instant, from: From, message: &[u8]) {
        let mtu =
            self.link(from.guest.port).map_or(self.config.mtu, |link| link.config.mtu.min(self.config.mtu));
        let Some(server) = &mut self.dhcp else { return };
        server.set_mtu(mtu);
        let neighbors = &self.neighbors;
        let in_use = |address: Ipv4Addr, mac: MacAddr| {
            neighbors.get((InterfaceId::LAN, address.into())).is_some_and(|guest| guest.mac != mac)
        };
        let reply = match server.handle(now, message, &in_use) {
            Ok(Some(reply)) => {
                self.neighbors.grow();
                reply
            }
            Ok(None) => return,
            Err(DhcpError::Malformed) => return self.drops.count(Drop::DhcpMalformed),
            Err(DhcpError::PoolEmpty) => return self.drops.count(Drop::DhcpPoolEmpty),
        };
        let mac = reply.destination_mac.unwrap_or(from.guest.mac);
        let key = Key {
            protocol: Protocol::Udp,
            pair: Pair::V4(reply.destination, self.config.gateway_address),
            ports: (reply.destination_port, dhcp::SERVER_PORT),
        };
        self.send_udp(Guest { port: from.guest.port, mac }, &key, &reply.message);
    }

    /// Whether DNS queries to an address are answered.
    pub(super) fn serves_dns(&self, address: IpAddr) -> bool {
        self.config.dns.as_ref().is_some_and(|dns| dns.everywhere || self.is_ours(address))
    }

    pub(super) fn handle_dns(&mut self, now: Instant, guest: Guest, via: Via, query: &[u8]) {
        let Some(config) = &self.config.dns else { return };
        let (server, neighbors, prefix) =
            (self.dhcp.as_ref(), &self.neighbors, self.config.ipv6.map(|ipv6| ipv6.prefix));
        // A guest tells its name with its lease. IPv6 addresses are those that it was seen to use.
        let addresses_of = |name: &str| {
            let lease = server.and_then(|server| server.lease_of_name(now, name));
            let v6 = lease.into_iter().flat_map(|lease| neighbors.v6_of(InterfaceId::LAN, lease.mac));
            let v6 = v6.filter(|address| prefix.is_some_and(|prefix| prefix.contains(*address)));
            lease.map(|lease| lease.address.into()).into_iter().chain(v6.map(IpAddr::V6)).collect()
        };
        let name_of = |address| match address {
            IpAddr::V4(v4) => server?.name_of_address(now, v4).map(str::to_owned),
            IpAddr::V6(_) => {
                server?.lease_of(now, neighbors.get((InterfaceId::LAN, address))?.mac)?.name.clone()
            }
        };
        let subnet = self.config.subnet;
        let names = dns::Names { subnet, prefix, addresses_of: &addresses_of, name_of: &name_of };
        match dns::answer(config, names, query) {
            dns::Answer::Reply(reply) => self.send_answer(now, guest, via, query, &reply),
            dns::Answer::Forward => {
                let waiting = self.queries.values().filter(|query| query.guest.mac == guest.mac).count();
                if waiting >= self.config.limits.queries_per_guest {
                    return self.drops.count(Drop::DnsLimit);
                }
                let deadline = now + config.timeout;
                let id = self.next_query;
                self.next_query += 1;
                let message = query.to_vec();
                self.new_queries.push_back(Query { id: QueryId(id), guest, message: message.clone() });
                self.queries.insert(id, PendingQuery { guest, via, message, deadline });
                if let Via::Stream(stream) = via {
                    self.stream_waits(stream);
                }
            }
            dns::Answer::Malformed(reply) => {
                self.drops.count(Drop::DnsMalformed);
                match (reply, via) {
                    (Some(reply), _) => self.send_answer(now, guest, via, query, &reply),
                    (None, Via::Stream(stream)) => self.drop_stream(stream),
                    (None, Via::Datagram(_)) => {}
                }
            }
        }
    }

    /// Sends an answer the way its query came: cut to what the guest takes in a datagram, or whole.
    fn send_answer(&mut self, now: Instant, guest: Guest, via: Via, query: &[u8], reply: &[u8]) {
        self.learn_names(now, guest, reply);
        match via {
            Via::Datagram(key) => {
                self.send_udp(guest, &key, &dns::truncate_for_udp(query, reply));
            }
            Via::Stream(stream) => self.write_stream(now, stream, reply),
        }
    }

    /// A DNS query for the outside.
    #[must_use]
    pub fn poll_query(&mut self) -> Option<Query> {
        self.new_queries.pop_front()
    }

    /// A query that waits for its answer: who asks, and the message.
    #[must_use]
    pub fn query(&self, id: QueryId) -> Option<(Guest, &[u8])> {
        self.queries.get(&id.0).map(|query| (query.guest, query.message.as_slice()))
    }

    /// The answer to a query: a DNS message, or `None` if there is none (the guest gets SERVFAIL). Late and repeated answers are ignored.
    pub fn handle_answer(&mut self, now: Instant, id: QueryId, answer: Option<&[u8]>) {
        let Some(query) = self.queries.remove(&id.0) else { return };
        let name = dns::question(&query.message).map(|question| question.name).unwrap_or_default();
        let policy = self.policy_of(query.guest.port);
        let denied = |address: IpAddr| matches!(policy.check_answer(&name, address), Verdict::Deny(_));
        let answer = answer.filter(|answer| dns::matches(&query.message, answer));
        let reply = match answer.and_then(|answer| dns::without_denied(answer, &denied)) {
            Some(answer) => Some(answer.into_owned()),
            None => dns::servfail(&query.message),
        };
        if let Some(reply) = reply {
            self.send_answer(now, query.guest, query.via, &query.message, &reply);
        }
        if let Via::Stream(stream) = query.via {
            self.stream_answered(now, stream);
        }
    }

    pub(super) fn give_up_queries(&mut self, now: Instant) {
        let late: Vec<u64> =
            self.queries.iter().filter(|(_, query)| query.deadline <= now).map(|(id, _)| *id).collect();
        for id in late {
            self.handle_answer(now, QueryId(id), None);
        }
    }

    /// The names with fixed addresses; none if this LAN has no DNS server.
    #[must_use]
    pub fn dns_records(&self) -> &[(String, Vec<IpAddr>)] {
        self.config.dns.as_ref().map_or(&[], |dns| &dns.records)
    }

    /// Gives names fixed addresses in place of those that had some, as [`DnsConfig::records`](dns::DnsConfig::records) has them. Without effect on
    /// a LAN that has no DNS server.
    pub fn set_dns_records(&mut self, records: Vec<(String, Vec<IpAddr>)>) {
        if let Some(dns) = &mut self.config.dns {
            dns.records = records;
        }
    }

    pub(super) fn handle_ntp(&mut self, now: Instant, from: From, key: &Key, request: &[u8]) {
        let Some((at, unix_us)) = self.wall_clock else { return };
        let time = unix_us.saturating_add(now.since(at).as_micros() as u64);
        match ntp::reply(request, time) {
            Some(reply) => self.send_udp(from.guest, key, &reply),
            None => self.drops.count(Drop::ServiceMalformed),
        }
    }
}
