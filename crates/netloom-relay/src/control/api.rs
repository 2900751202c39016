//! `/api/…`: JSON, read by GET, changed by POST and DELETE.

use std::collections::BTreeMap;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::error::ApiError;
use super::{Control, capture, read_body, snapshot};
use crate::listen::{Body, boxed, json};

/// A request's query.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads a query that says nothing but `known`.
    pub(super) fn of(request: &Request<Incoming>, known: &[&str]) -> Result<Self, ApiError> {
        let mut values = BTreeMap::new();
        for (key, value) in url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
        {
            if !known.contains(&key.as_ref()) {
                return Err(ApiError::bad(match known {
                    [] => format!("`{key}` says nothing here; leave the query out"),
                    known => format!("`{key}` says nothing here; a query may have: {}", known.join(", ")),
                }));
            }
            values.insert(key.into_owned(), value.into_owned());
        }
        Ok(Self(values))
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A whole number from 1 up.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, ApiError> {
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
        match self.text(key) {
            None => Ok(None),
            Some(text) => number(text)
                .map(Some)
                .ok_or_else(|| ApiError::bad(format!("{key} is a whole number from 1 up, not `{text}`"))),
        }
    }
}

impl Control {
    pub(super) async fn api(
        &self,
        path: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        let method = request.method().clone();
        let is_read = matches!(method, Method::GET | Method::HEAD);
        match path {
            "forwards" => return self.forwards(request).await,
            "dns" => return self.dns(request).await,
            "kick" if method == Method::POST => return self.kick(request).await,
            "reload" if method == Method::POST => return self.reload().await,
            "kick" | "reload" => return Err(ApiError::method("POST")),
            "capture" if method == Method::GET => return self.capture(capture::Asked::of(&request)?).await,
            "capture" => return Err(ApiError::method("GET")),
            "" | "status" | "lans" | "clients" | "leases" | "flows" | "macs" | "drops" if is_read => {}
            "" | "status" | "lans" | "clients" | "leases" | "flows" | "macs" | "drops" => {
                return Err(ApiError::method("GET, HEAD"));
            }
            _ => return Err(ApiError::not_found(format!("there is no /api/{path}; see /api"))),
        }
        let query = Query::of(&request, if matches!(path, "" | "status") { &[] } else { &["lan"] })?;
        let lan = query.text("lan");
        match path {
            "" => Ok(ok(&serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "paths": PATHS }))),
            "status" => Ok(ok(&self.status())),
            "lans" => Ok(ok(&self.gather(lan, |lan| vec![snapshot::lan(lan)]).await?)),
            "clients" => Ok(ok(&self.gather(lan, |lan| snapshot::clients(lan)).await?)),
            "leases" => Ok(ok(&self.gather(lan, |lan| snapshot::leases(lan)).await?)),
            "flows" => Ok(ok(&self.gather(lan, |lan| snapshot::flows(lan)).await?)),
            "macs" => Ok(ok(&self.gather(lan, |lan| snapshot::macs(lan)).await?)),
            _ => self.drops(lan).await,
        }
    }

    pub(super) fn status(&self) -> snapshot::Status {
        let view = self.view();
        snapshot::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            connections: view.connections.taken(),
            max_connections: view.connections.most,
            wisp_clients: view.wisp.map(|wisp| wisp.taken()),
        }
    }

    /// What was dropped on each LAN, and what the policy refused on each way out.
    async fn drops(&self, lan: Option<&str>) -> Result<Response<Body>, ApiError> {
        let drops = self.gather(lan, |lan| vec![snapshot::lan(lan)]).await?;
        let drops: BTreeMap<_, _> = drops.into_iter().map(|lan| (lan.name, lan.drops)).collect();
        let refused = self.view().refusals.counts().into_iter();
        let refused = refused.map(|(way, rule, count)| {
            serde_json::json!({ "way": way.name(), "rule": rule.to_string(), "count": count })
        });
        Ok(ok(&serde_json::json!({ "lans": drops, "refused": refused.collect::<Vec<_>>() })))
    }

    async fn reload(&self) -> Result<Response<Body>, ApiError> {
        let (answer, answered) = oneshot::channel();
        let unavailable = || ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the relay is stopping");
        self.reload.send(answer).await.map_err(|_| unavailable())?;
        match answered.await.map_err(|_| unavailable())? {
            Ok(lines) => Ok(ok(&serde_json::json!({ "lines": lines }))),
            Err(why) => Err(ApiError::conflict(why)),
        }
    }
}

const PATHS: &[&str] = &[
    "GET /api/status",
    "GET /api/lans",
    "GET /api/clients",
    "GET /api/leases",
    "GET /api/flows",
    "GET /api/macs",
    "GET /api/drops",
    "GET /api/capture",
    "GET, POST, DELETE /api/forwards",
    "GET, POST, DELETE /api/dns",
    "POST /api/kick",
    "POST /api/reload",
    "GET /metrics",
];

/// What was asked for.
pub(super) fn ok(value: &impl Serialize) -> Response<Body> {
    boxed(json(StatusCode::OK, value))
}

/// The body of a request, as JSON.
pub(super) async fn read_json<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, ApiError> {
    let body = read_body(request).await?;
    serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad(format!("the body is not as it should be: {error}")))
}
