//! The policy on flows as they open: by address and by the names under which the guest knows it; and what it refused, for whoever keeps a log.

use core::net::{IpAddr, SocketAddr};

use super::flows::Key;
use super::{Role, Stack};
use crate::flow::{Guest, Protocol};
use crate::policy::{Policy, Rule, Verdict};
use crate::port::PortId;
use crate::service::dns;
use crate::time::{Duration, Instant};

/// Refused flows that wait to be told. Beyond that the earliest is forgotten.
const MAX_DENIALS: usize = 64;

/// A flow that the policy refused when the guest opened it, from [`Stack::poll_denial`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What it would have carried.
    pub protocol: Protocol,
    /// The guest's address.
    pub source: SocketAddr,
    /// The address that the guest dialled.
    pub destination: SocketAddr,
    /// The rule that refused.
    pub rule: Rule,
}

impl<R: Role> Stack<R> {
    /// Whether the policy lets a flow go; addresses of ours are ours to give.
    pub(super) fn is_allowed(&mut self, now: Instant, guest: Guest, key: &Key) -> bool {
        let target = key.target();
        if self.is_ours(target.ip()) {
            return true;
        }
        let names: Vec<&str> = self.names.of(now, guest, target.ip()).collect();
        let Verdict::Deny(rule) =
            self.policy_of(guest.port).check(&names, target.ip(), target.port(), key.protocol)
        else {
            return true;
        };
        if self.denials.len() >= MAX_DENIALS {
            self.denials.pop_front();
        }
        let (source, destination) = (key.guest(), target);
        self.denials.push_back(Denial { protocol: key.protocol, source, destination, rule });
        false
    }

    /// Has the guests of a port judged by a policy of their own, from their next flow on; `None` ends that.
    pub fn set_port_policy(&mut self, port: PortId, policy: Option<Policy>) {
        match policy {
            Some(policy) => drop(self.policies.insert(port, policy)),
            None => drop(self.policies.remove(&port)),
        }
    }

    pub(super) fn policy_of(&self, port: PortId) -> &Policy {
        self.policies.get(&port).unwrap_or(&self.config.policy)
    }

    /// A flow that the policy refused since the last call.
    #[must_use]
    pub fn poll_denial(&mut self) -> Option<Denial> {
        self.denials.pop_front()
    }

    /// The names for which this LAN's DNS gave a guest an address, as far as rules of the policy are about them, and as long as it may act
    /// on the answer: for its time to live, or a minute if that is less.
    pub fn names_of(&self, now: Instant, guest: Guest, address: IpAddr) -> impl Iterator<Item = &str> {
        self.names.of(now, guest, address)
    }

    /// A guest is given this answer of DNS.
    pub(super) fn learn_names(&mut self, now: Instant, guest: Guest, answer: &[u8]) {
        let policy = self.policy_of(guest.port);
        let Some(asked) = policy.has_names().then(|| dns::question(answer)).flatten() else {
            return;
        };
        if policy.mentions(&asked.name) {
            for record in dns::addresses(answer) {
                let ttl = Duration::from_secs(record.ttl_s.into());
                self.names.learn(now, guest, record.address, &asked.name, ttl);
            }
        }
    }
}
