//! Requests by a guest's host name: whose it is, and whether it may go there.

use http::{HeaderMap, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::gate::{self, Refusal};
use super::limits::{Caller, Standing};
use super::page::{self, Body, boxed};
use super::visitor::Visitor;
use crate::config::GuestHost;
use crate::hosts;

/// What marks a request that a proxy passed on.
const OF_PROXIES: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// A guest's host as a request names it.
pub(super) struct Named {
    /// With its port.
    pub(super) host: String,
    guest: GuestHost,
}

impl Visitor {
    /// The guest's host that a request names, if it is one.
    pub(super) fn named<B>(&self, request: &Request<B>) -> Option<Named> {
        let host = gate::host(request.uri(), request.headers())?;
        let guest = self.entrance.hosts.find(host, self.is_of_this_host(request.headers()))?;
        Some(Named { host: host.to_owned(), guest })
    }

    /// Has a guest answer, if the client may ask it.
    pub(super) async fn lead(
        &self,
        Named { host, guest }: Named,
        request: Request<Incoming>,
        caller: Caller,
    ) -> Response<Body> {
        if let Err(refusal) = self.judge_guest(&host, &guest, request.headers()) {
            return boxed(self.refuse(&refusal, &caller));
        }
        let Some(lan) = self.entrance.lan_of_host(&guest.lan) else {
            return boxed(page::text(
                StatusCode::NOT_FOUND,
                format!("this relay has no LAN {}\n", guest.lan),
            ));
        };
        if caller.rules.lan(Some(lan.name())).is_none() {
            return boxed(page::text(StatusCode::FORBIDDEN, "this token does not lead to that LAN\n"));
        }
        let client = hosts::Client { address: caller.address, is_tls: self.is_secure(request.headers()) };
        // By version 2 a request does not wait for the one before it.
        let own = hosts::Kept::default();
        let kept = if request.version() == Version::HTTP_2 { &own } else { &self.kept };
        let Caller { pass, share, permit, .. } = caller;
        let stay = hosts::Stay { pass, _share: share, _permit: permit };
        hosts::answer(&lan, &guest, request, client, stay, kept).await
    }

    fn judge_guest(&self, host: &str, guest: &GuestHost, headers: &HeaderMap) -> Result<(), Refusal> {
        let is_same = |other: &str| {
            let other = self.entrance.hosts.find(other, self.is_of_this_host(headers));
            other.is_some_and(|other| (&other.lan, &other.guest) == (&guest.lan, &guest.guest))
        };
        self.entrance.gate.check_guest(headers, host, self.local, is_same)
    }

    /// Whether the client is on this host, with no proxy between.
    fn is_of_this_host(&self, headers: &HeaderMap) -> bool {
        let is_proxied = OF_PROXIES.iter().any(|name| headers.contains_key(*name));
        self.peer.ip().is_loopback() && self.local.is_loopback() && !is_proxied
    }

    /// Whether the client speaks TLS, with us or with a proxy that is trusted.
    fn is_secure(&self, headers: &HeaderMap) -> bool {
        let told = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
        self.is_tls || told && matches!(self.standing, Standing::Proxied(_))
    }
}
