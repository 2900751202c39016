//! Answers to DNS messages of clients that have no LAN: the configuration's names, the host's own table, else what its servers say, without
//! addresses that the policy denies.

use std::net::Ipv4Addr;

use netloom_core::service::dns::{self, Answer, DnsConfig, Names};
use netloom_core::{Duration, Ipv4Net, Verdict};

use super::dial::Dialer;

/// Time to live of names that are known here.
const TTL: Duration = Duration::from_secs(60);

impl Dialer {
    /// The answer to a query. `None` if it is none, and nobody could be told so.
    pub(crate) async fn answer_dns(&self, query: &[u8]) -> Option<Vec<u8>> {
        let asked = dns::question(query).map(|question| question.name.to_ascii_lowercase());
        let terms = self.terms();
        let mut records = terms.resolver.records().to_vec();
        if let Some(name) = asked.as_deref().filter(|name| records.iter().all(|(owner, _)| owner != name)) {
            records.extend(terms.resolver.in_host_table(name).map(|found| (name.to_owned(), found)));
        }
        let config = DnsConfig {
            domain: String::new(),
            records,
            wildcard: None,
            everywhere: false,
            ttl: TTL,
            timeout: TTL,
        };
        let names = Names {
            subnet: Ipv4Net::new(Ipv4Addr::LOCALHOST, 8),
            prefix: None,
            addresses_of: &|_| Vec::new(),
            name_of: &|_| None,
        };
        match dns::answer(&config, names, query) {
            Answer::Reply(reply) => Some(reply),
            Answer::Malformed(reply) => reply,
            Answer::Forward => self.ask_outside(query, &asked.unwrap_or_default()).await,
        }
    }

    async fn ask_outside(&self, query: &[u8], name: &str) -> Option<Vec<u8>> {
        let terms = self.terms();
        let answer = terms.resolver.exchange(query).await.filter(|answer| dns::matches(query, answer));
        let denied = |address| matches!(terms.policy.check_answer(name, address), Verdict::Deny(_));
        let clean = answer.and_then(|answer| Some(dns::without_denied(&answer, &denied)?.into_owned()));
        clean.or_else(|| dns::servfail(query))
    }
}
