//! `/api/dns`: the names that a LAN's DNS server gives fixed addresses, live. They are gone when the relay ends; those of the configuration
//! come back with it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::Control;
use super::api::{Query, ok, read_json};
use super::error::ApiError;
use crate::config;
use crate::lan::LanTask;
use crate::listen::Body;

/// Names that were added and not removed, of one LAN.
const MAX_ADDED: usize = 4096;

type Records = Vec<(String, Vec<IpAddr>)>;

/// Where a LAN's records come from.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The configuration's.
    base: Records,
    /// Those of the API; they win over the configuration's.
    added: Records,
    /// Those of gvisor's API.
    zones: Vec<Zone>,
}

/// Names of one domain, as gvisor-tap-vsock has them.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Zone {
    #[serde(alias = "name", default)]
    pub(super) name: String,
    #[serde(alias = "records", default)]
    pub(super) records: Option<Vec<Record>>,
    /// What all other names of the domain have; empty: nothing.
    #[serde(rename = "DefaultIP", alias = "defaultIP", alias = "DefaultIp", default)]
    pub(super) default_ip: Option<String>,
}

/// A name of a zone, without the zone's.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Record {
    #[serde(alias = "name", default)]
    pub(super) name: String,
    #[serde(rename = "IP", alias = "ip", alias = "Ip", default)]
    pub(super) ip: String,
    #[serde(alias = "regexp", default)]
    pub(super) regexp: Option<String>,
}

/// The LAN has as many names as may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_ADDED} names were added to this LAN; remove some")]
pub(super) struct TooMany;

impl Names {
    /// The configuration's records.
    pub(crate) fn new(base: Records) -> Self {
        Self { base, ..Self::default() }
    }

    /// Other records of the configuration.
    pub(crate) fn set_base(&mut self, base: Records) {
        self.base = base;
    }

    /// All records. Of a name that several sources have, those of the first: what was added, zones, the configuration.
    pub(crate) fn records(&self) -> Records {
        let zones = self.zones.iter().flat_map(Zone::expand);
        let mut seen = BTreeSet::new();
        let mut all = self.added.clone();
        seen.extend(all.iter().map(|(name, _)| name.clone()));
        for (name, addresses) in zones {
            if seen.insert(name.clone()) {
                all.push((name, addresses));
            }
        }
        // The configuration may give a name its addresses one by one.
        all.extend(self.base.iter().filter(|(name, _)| !seen.contains(name)).cloned());
        all
    }

    fn add(&mut self, name: String, addresses: Vec<IpAddr>) -> Result<(), TooMany> {
        self.added.retain(|(known, _)| *known != name);
        if self.added.len() >= MAX_ADDED {
            return Err(TooMany);
        }
        self.added.push((name, addresses));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> bool {
        let before = self.added.len();
        self.added.retain(|(known, _)| known != name);
        self.added.len() < before
    }

    /// Adds a zone; to one of the same name its records, which then go first.
    pub(super) fn add_zone(&mut self, mut zone: Zone) -> Result<(), TooMany> {
        let known = self.zones.iter().position(|known| known.name == zone.name);
        if let Some(before) = known.map(|at| self.zones[at].records.clone().unwrap_or_default()) {
            zone.records.get_or_insert_default().extend(before);
        }
        let others = self.zones.iter().filter(|other| other.name != zone.name);
        let count = |zone: &Zone| 1 + zone.records.as_ref().map_or(0, Vec::len);
        if others.map(count).sum::<usize>() + count(&zone) > MAX_ADDED {
            return Err(TooMany);
        }
        match known {
            Some(at) => self.zones[at] = zone,
            None => self.zones.push(zone),
        }
        Ok(())
    }

    pub(super) fn zones(&self) -> &[Zone] {
        &self.zones
    }
}

impl Zone {
    /// What is wrong with it, if something is.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.name.trim_end_matches('.').is_empty() {
            return Err("a zone needs a name, as in testing.".to_owned());
        }
        for record in self.records.iter().flatten() {
            if record.regexp.as_deref().is_some_and(|regexp| !regexp.is_empty()) {
                return Err(
                    "names by a regular expression are not served; give each name, or DefaultIP".to_owned()
                );
            }
            if record.ip.parse::<IpAddr>().is_err() {
                return Err(format!("`{}` of `{}` is not an IP address", record.ip, record.name));
            }
        }
        match self.default_ip.as_deref().filter(|ip| !ip.is_empty()) {
            Some(ip) if ip.parse::<IpAddr>().is_err() => Err(format!("`{ip}` is not an IP address")),
            _ => Ok(()),
        }
    }

    /// Its names, and what all others below it have; without anything they do not exist outside either.
    fn expand(&self) -> Records {
        let zone = self.name.trim_matches('.').to_ascii_lowercase();
        let named = self.records.iter().flatten().filter(|record| !record.name.is_empty());
        let mut all: Records = named
            .filter_map(|record| {
                let name = format!("{}.{zone}", record.name.trim_end_matches('.').to_ascii_lowercase());
                Some((name, vec![record.ip.parse().ok()?]))
            })
            .collect();
        let default = self.default_ip.as_ref().and_then(|ip| ip.parse().ok());
        all.push((format!("*.{zone}"), default.into_iter().collect()));
        all
    }
}

/// Changes a LAN's names, and has its DNS server know.
pub(super) fn change<T>(lan: &LanTask, change: impl FnOnce(&mut Names) -> T) -> T {
    let mut names = lan.names.borrow_mut();
    let result = change(&mut names);
    lan.machine.borrow_mut().set_dns_records(names.records());
    result
}

/// A name to add.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    lan: Option<String>,
    name: String,
    addresses: Vec<IpAddr>,
}

impl Control {
    pub(super) async fn dns(&self, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
        match *request.method() {
            Method::GET | Method::HEAD => {
                let query = Query::of(&request, &["lan"])?;
                let records = self.gather(query.text("lan"), |lan| {
                    let name = lan.settings().name.clone();
                    let machine = lan.machine.borrow();
                    let records = machine.dns_records().iter();
                    records.map(|(owner, addresses)| shown(&name, owner, addresses)).collect()
                });
                Ok(ok(&records.await?))
            }
            Method::POST => {
                let new: New = read_json(request).await?;
                let name = record_name(&new.name)?;
                if new.addresses.is_empty() {
                    return Err(ApiError::bad("a name needs addresses"));
                }
                let lan = self.lan(new.lan.as_deref())?;
                let added = shown(lan.name(), &name, &new.addresses);
                let done = lan.ask(move |lan| {
                    lan.settings().dns.then(|| change(lan, |names| names.add(name, new.addresses)))
                });
                match done.await? {
                    Some(Ok(())) => Ok(ok(&added)),
                    Some(Err(error)) => Err(ApiError::conflict(error.to_string())),
                    None => Err(ApiError::conflict("this LAN has no DNS server")),
                }
            }
            Method::DELETE => {
                let query = Query::of(&request, &["lan", "name"])?;
                let name = query.text("name").ok_or_else(|| ApiError::bad("say which by ?name="))?;
                let name = record_name(name)?;
                let wanted = name.clone();
                let removed = self.gather(query.text("lan"), move |lan| {
                    let removed = change(lan, |names| names.remove(&wanted));
                    if removed { vec![()] } else { Vec::new() }
                });
                if removed.await?.is_empty() {
                    return Err(ApiError::not_found(format!(
                        "`{name}` was not added; names of the configuration stay"
                    )));
                }
                Ok(ok(&serde_json::json!({ "removed": name })))
            }
            _ => Err(ApiError::method("GET, HEAD, POST, DELETE")),
        }
    }
}

/// A name, or `*.NAME` for those below it.
fn record_name(text: &str) -> Result<String, ApiError> {
    let (star, name) = match text.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text),
    };
    Ok(format!("{star}{}", config::host_name(name).map_err(ApiError::bad)?))
}

fn shown(lan: &str, name: &str, addresses: &[IpAddr]) -> serde_json::Value {
    serde_json::json!({ "lan": lan, "name": name, "addresses": addresses })
}
