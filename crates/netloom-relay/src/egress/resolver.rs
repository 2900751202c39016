//! Names to addresses for the dialler: names that mean this host (RFC 6761), the configuration's records, the host's own table, then DNS
//! for both families at once. Answers are kept for as long as they are valid, and asked for once however many dial the name.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netloom_core::service::dns::addresses;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::dns::{Upstream, rcode};
use super::error::DialError;
use super::hosts::Hosts;

/// Names whose answers are kept.
const MAX_NAMES: usize = 4096;
/// How long an answer is kept at the most.
const MAX_TTL: Duration = Duration::from_secs(300);
/// How long an answer is kept at the least; and that there is none, or none of the other family in time, at the most.
const MIN_TTL: Duration = Duration::from_secs(1);
const ABSENCE_TTL: Duration = Duration::from_secs(5);
/// Addresses of a name that are tried at the most.
const MAX_ADDRESSES: usize = 16;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const NXDOMAIN: u8 = 3;
/// How long the other family may take once one has addresses (RFC 8305 section 8).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// Resolves names. It is shared by all that dial with the same servers and records.
pub(crate) struct Resolver {
    records: Vec<(String, Vec<IpAddr>)>,
    hosts: Hosts,
    upstream: Arc<Upstream>,
    cache: Mutex<HashMap<String, Arc<Entry>>>,
}

/// What a name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) addresses: Vec<IpAddr>,
    /// Whether that comes from DNS, where whoever owns the name can say what they like.
    pub(super) is_from_dns: bool,
}

#[derive(Default)]
struct Entry {
    /// Addresses, and until when they are valid.
    answer: OnceCell<(Vec<IpAddr>, Instant)>,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        self.answer.get().is_some_and(|(_, until)| *until <= now)
    }
}

impl Resolver {
    pub(super) fn new(records: Vec<(String, Vec<IpAddr>)>, upstream: Arc<Upstream>) -> Self {
        Self { records, hosts: Hosts::default(), upstream, cache: Mutex::default() }
    }

    /// The addresses of a name, in lower case and without trailing dot.
    ///
    /// # Errors
    /// [`DialError::NotFound`] if there are none, [`DialError::NoAnswer`] if nobody knows.
    pub(super) async fn resolve(&self, name: &str) -> Result<Found, DialError> {
        let addresses = match self.known(name) {
            Some(addresses) => Found { addresses, is_from_dns: false },
            None => Found { addresses: self.ask(name).await?, is_from_dns: true },
        };
        if addresses.addresses.is_empty() { Err(DialError::NotFound) } else { Ok(addresses) }
    }

    /// The configuration's records.
    pub(super) fn records(&self) -> &[(String, Vec<IpAddr>)] {
        &self.records
    }

    /// What the host's own table says of a name.
    pub(super) fn in_host_table(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.hosts.addresses_of(name)
    }

    /// The servers that it asks.
    pub(super) fn upstream(&self) -> Arc<Upstream> {
        Arc::clone(&self.upstream)
    }

    /// What DNS answers to a query.
    pub(super) async fn exchange(&self, query: &[u8]) -> Option<Vec<u8>> {
        self.upstream.ask(query).await
    }

    /// Whether a name is not asked outside.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.known(name).is_some()
    }

    /// What is not asked outside.
    fn known(&self, name: &str) -> Option<Vec<IpAddr>> {
        let of_name: Vec<_> = self.records.iter().filter(|(owner, _)| owner == name).collect();
        if !of_name.is_empty() {
            return Some(of_name.into_iter().flat_map(|(_, addresses)| addresses).copied().collect());
        }
        match name.rsplit('.').next() {
            Some("localhost") => Some(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]),
            Some("invalid" | "onion") => Some(Vec::new()),
            _ => self.hosts.addresses_of(name),
        }
    }

    async fn ask(&self, name: &str) -> Result<Vec<IpAddr>, DialError> {
        let entry = {
            let now = Instant::now();
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            if cache.len() >= MAX_NAMES {
                cache.retain(|_, entry| !entry.is_over(now));
            }
            if cache.len() >= MAX_NAMES {
                cache.clear();
            }
            let entry = cache.entry(name.to_owned()).or_default();
            if entry.is_over(now) {
                *entry = Arc::default();
            }
            Arc::clone(entry)
        };
        let (addresses, _) = entry.answer.get_or_try_init(|| self.ask_servers(name)).await?;
        Ok(addresses.clone())
    }

    /// Asks for both families at once. Once one of them has addresses, the other has little time left (RFC 8305 section 3).
    async fn ask_servers(&self, name: &str) -> Result<(Vec<IpAddr>, Instant), DialError> {
        let (v6, v4) = (query(name, TYPE_AAAA), query(name, TYPE_A));
        let (mut v6, mut v4) = (pin!(self.upstream.ask(&v6)), pin!(self.upstream.ask(&v4)));
        let ((first, second), is_whole) = tokio::select! {
            v6 = &mut v6 => beside(v6, v4).await,
            v4 = &mut v4 => {
                let ((v4, v6), is_whole) = beside(v4, v6).await;
                ((v6, v4), is_whole)
            }
        };
        let answers: Vec<_> = [first, second].into_iter().flatten().filter(|a| is_answer(a)).collect();
        if answers.is_empty() {
            return Err(DialError::NoAnswer);
        }
        let (mut found, mut ttl) = (Vec::new(), if is_whole { MAX_TTL } else { ABSENCE_TTL });
        for record in answers.iter().flat_map(|answer| addresses(answer)).take(MAX_ADDRESSES) {
            ttl = ttl.min(Duration::from_secs(record.ttl_s.into()));
            found.push(record.address);
        }
        let ttl = if found.is_empty() { ABSENCE_TTL } else { ttl.max(MIN_TTL) };
        Ok((found, Instant::now() + ttl))
    }
}

type Message = Option<Vec<u8>>;

/// The answer for one family, and that for the other if it comes in time; whether it did.
async fn beside(first: Message, other: impl Future<Output = Message>) -> ((Message, Message), bool) {
    if first.as_deref().is_some_and(|answer| addresses(answer).next().is_some()) {
        match timeout(RESOLUTION_DELAY, other).await {
            Ok(second) => ((first, second), true),
            Err(_) => ((first, None), false),
        }
    } else {
        ((first, other.await), true)
    }
}

/// A query for one type of record (RFC 1035 section 4.1), recursion desired. Its identifier is chosen when it is sent.
fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        // A target's labels are of 1 to 63 bytes.
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message
}

/// Whether a response says what there is, or that there is nothing.
fn is_answer(message: &[u8]) -> bool {
    matches!(rcode(message), 0 | NXDOMAIN)
}

#[cfg(test)]
#[path = "resolver_tests.rs"]
mod tests;
