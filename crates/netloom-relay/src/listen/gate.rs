//! The gate before routing: which Host and which Origin a request may carry.
//!
//! Browsers let every page open a WebSocket to every address, so a foreign Origin is refused; and since a name can be rebound to our
//! address, the Host must be one that is ours. Pure but for the set of refusals that were logged.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use http::header::{HOST, HeaderValue, ORIGIN, REFERER};
use http::{HeaderMap, Uri};
use tracing::warn;

use crate::config::Origin;

const SEC_FETCH_MODE: &str = "sec-fetch-mode";
const SEC_FETCH_SITE: &str = "sec-fetch-site";
/// Refusals that are remembered, so that each is logged once.
const REMEMBERED: usize = 256;
/// Longest Host or Origin that is shown in a log or an answer, in characters.
const SHOWN: usize = 200;

/// Who may come in.
#[derive(Debug)]
pub(crate) struct Gate {
    admitted: RwLock<Admitted>,
    logged: Mutex<HashSet<Refusal>>,
}

/// What is ours beside addresses and localhost, and whose pages come in beside our own.
#[derive(Debug)]
struct Admitted {
    public_names: Vec<String>,
    origins: Vec<Origin>,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// No Host, several, or one that does not parse.
    HostMissing,
    /// A Host that is not ours.
    Host(String),
    /// An Origin that is not admitted.
    Origin(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostMissing => f.write_str("the request names no host"),
            Self::Host(host) => {
                write!(f, "host {host} is not this relay's: admit it with --public-name {host}")
            }
            Self::Origin(origin) => {
                write!(f, "origin {origin} is not admitted: admit it with --origin {origin}")
            }
        }
    }
}

impl Gate {
    pub(crate) fn new(public_names: Vec<String>, origins: Vec<Origin>) -> Self {
        Self { admitted: RwLock::new(Admitted { public_names, origins }), logged: Mutex::default() }
    }

    /// Admits others from now on.
    pub(crate) fn set(&self, public_names: Vec<String>, origins: Vec<Origin>) {
        *self.admitted.write().unwrap_or_else(PoisonError::into_inner) = Admitted { public_names, origins };
    }

    fn admitted(&self) -> RwLockReadGuard<'_, Admitted> {
        self.admitted.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request may go on. `local` is our end of its connection.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap, local: IpAddr) -> Result<(), Refusal> {
        let host = self.check_host(uri, headers)?;
        match single(headers, &ORIGIN) {
            Some(None) => Ok(()),
            Some(Some(origin)) if self.admits(origin, host, local) => Ok(()),
            Some(Some(origin)) => Err(Refusal::Origin(shown(origin))),
            None => Err(Refusal::Origin("(several)".to_owned())),
        }
    }

    /// Whether a request that any page may make names a host that is ours: that host.
    pub(crate) fn check_host<'a>(&self, uri: &Uri, headers: &'a HeaderMap) -> Result<&'a str, Refusal> {
        let host = single(headers, &HOST).ok_or(Refusal::HostMissing)?.ok_or(Refusal::HostMissing)?;
        for authority in [Some(host), uri.authority().map(http::uri::Authority::as_str)].into_iter().flatten()
        {
            let name = split_port(authority).ok_or(Refusal::HostMissing)?.0;
            if !self.is_ours(name) {
                return Err(Refusal::Host(shown(name)));
            }
        }
        Ok(host)
    }

    /// Whether a request for a guest's host name may go on. What a page may not be let read is not sent for it either: browsers tell of
    /// those requests too on whose behalf they are, but name no origin (Fetch Metadata). `is_same` tells of a host name whether it is the same
    /// guest's.
    pub(crate) fn check_guest(
        &self,
        headers: &HeaderMap,
        host: &str,
        local: IpAddr,
        is_same: impl Fn(&str) -> bool,
    ) -> Result<(), Refusal> {
        let admits = |origin: &str| {
            self.admits(origin, host, local)
                || has_port_of(origin, host).is_some_and(|own| own && is_same(authority_of(origin)))
        };
        let said = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let site = said(SEC_FETCH_SITE);
        if site == Some("same-origin") {
            return Ok(());
        }
        match single(headers, &ORIGIN) {
            Some(None) if !matches!(site, Some("cross-site" | "same-site")) => Ok(()),
            Some(None) if said(SEC_FETCH_MODE) == Some("navigate") => Ok(()),
            Some(None) => {
                let referer = single(headers, &REFERER).flatten().and_then(origin_of).unwrap_or("null");
                if admits(referer) { Ok(()) } else { Err(Refusal::Origin(shown(referer))) }
            }
            Some(Some(origin)) if admits(origin) => Ok(()),
            Some(Some(origin)) => Err(Refusal::Origin(shown(origin))),
            None => Err(Refusal::Origin("(several)".to_owned())),
        }
    }

    /// Logs a refusal, once for each.
    pub(crate) fn log(&self, refusal: &Refusal, peer: IpAddr) {
        let Ok(mut logged) = self.logged.lock() else { return };
        if logged.len() < REMEMBERED && logged.insert(refusal.clone()) {
            warn!("refused {peer}: {refusal}");
            if logged.len() == REMEMBERED {
                warn!("further refusals are not logged");
            }
        }
    }

    fn is_ours(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name == "localhost" || literal(&name).is_some() || self.admitted().public_names.contains(&name)
    }

    fn admits(&self, origin: &str, host: &str, local: IpAddr) -> bool {
        if self.admitted().origins.iter().any(|admitted| admitted.admits(origin)) {
            return true;
        }
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let Some((default_port, (name, port))) = default_port(scheme).zip(split_port(authority)) else {
            return false;
        };
        let port = port.unwrap_or(default_port);
        let same_host = split_port(host).is_some_and(|(own, own_port)| {
            own.eq_ignore_ascii_case(name) && own_port.unwrap_or(default_port) == port
        });
        let is_loopback =
            name.eq_ignore_ascii_case("localhost") || literal(name).is_some_and(|ip| ip.is_loopback());
        same_host || local.is_loopback() && is_loopback
    }
}

/// The host that a request names, in its header or, in HTTP/2, by its authority; `None` if it names none, or two.
pub(crate) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let header = single(headers, &HOST)?;
    let authority = uri.authority().map(http::uri::Authority::as_str);
    match (header, authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => None,
        (host, authority) => host.or(authority),
    }
}

/// The name of a host, without its port.
pub(crate) fn name_of(host: &str) -> Option<String> {
    let name = split_port(host)?.0;
    Some(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase())
}

/// The host and port of an origin.
fn authority_of(origin: &str) -> &str {
    origin.split_once("://").map_or("", |(_, authority)| authority)
}

/// Whether an origin is at the port of a host.
fn has_port_of(origin: &str, host: &str) -> Option<bool> {
    let (scheme, authority) = origin.split_once("://")?;
    let default_port = default_port(scheme)?;
    let [own, named] =
        [authority, host].map(|text| split_port(text).map(|(_, port)| port.unwrap_or(default_port)));
    Some(own? == named?)
}

/// The origin of a URL.
fn origin_of(url: &str) -> Option<&str> {
    let authority = url.find("://")? + 3;
    let end = url[authority..].find('/').map_or(url.len(), |at| authority + at);
    Some(&url[..end])
}

/// `None` if there are several or it is not text, `Some(None)` if there is none.
fn single<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<Option<&'a str>> {
    let mut all = headers.get_all(name).iter();
    let first = all.next().map(HeaderValue::to_str).transpose().ok()?;
    if all.next().is_some() { None } else { Some(first) }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Host and port of an authority; the host of an IPv6 literal keeps its brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(end);
    match rest.strip_prefix(':') {
        _ if host.is_empty() => None,
        Some("") => Some((host, None)),
        Some(port) => Some((host, Some(port.parse().ok()?))),
        None if rest.is_empty() => Some((host, None)),
        None => None,
    }
}

fn literal(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// What others wrote, fit for a log line and an answer.
fn shown(text: &str) -> String {
    text.chars()
        .take(SHOWN)
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '<' | '>' | '&' | '"' | '\'') { c } else { '?' })
        .collect()
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
