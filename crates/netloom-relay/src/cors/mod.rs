//! The CORS proxy: fetches for web pages what their browser would not let them read, with headers that let them.
//!
//! ```text
//! request ─▶ call (is it ours?) ─▶ location (what to fetch) ─▶ checks ─▶ forward ─▶ upstream ─▶ egress::dial
//! answer  ◀─ headers (shared with all pages, kept off the relay's origin) ◀──┘ ◀─ redirects, each dialled anew
//! ```
//!
//! It behaves as cors-anywhere 0.4 does for URLs in the path, and as uncors for URLs in the query; docs/cors.md compares the options.
//! Bodies are streamed both ways, as fast as the slower side takes them.

mod call;
pub(crate) mod connect_to;
mod forward;
mod headers;
mod idle;
mod location;
pub(crate) mod rate_limit;
mod said;
mod upstream;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, ORIGIN};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use tracing::{debug, warn};

pub(crate) use call::Call;
pub(crate) use idle::Download;

use crate::conduit::Handle;
use crate::config::CorsSettings;
use crate::config::tokens::Rules;
use crate::egress::Dialer;
use forward::{Base, Job, Trail};
use headers::Sharing;
use idle::Activity;
use location::Location;
use rate_limit::Limiter;
use said::{Said, Unshared, plain};
use upstream::Client;

/// An answer's body: ours, or a target's.
pub(crate) type Body = Either<Full<Bytes>, Download<Incoming>>;

/// Redirects that are followed by default.
const MAX_REDIRECTS: usize = 5;
const MAX_REDIRECTS_OF_QUERY: usize = 20;
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whose rules a request follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The URL is in the path: cors-anywhere's.
    Path,
    /// The URL is in the query: uncors'.
    Query,
}

/// By what a caller came, where tokens are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) name: &'a str,
    pub(crate) rules: &'a Arc<Rules>,
}

/// The proxy.
pub(crate) struct Cors {
    settings: CorsSettings,
    dialer: Arc<Dialer>,
    client: Client,
    /// Clients under the rules of tokens, by the tokens' names: what is connected under one policy serves no other.
    clients: Mutex<HashMap<String, (Arc<Rules>, Client)>>,
    limiter: Option<Limiter>,
}

impl Cors {
    /// A proxy that dials by `dialer`. `is_public`: others than this host reach it.
    ///
    /// # Errors
    /// If this build's TLS cannot be set up.
    pub(crate) fn new(
        settings: CorsSettings,
        dialer: Arc<Dialer>,
        is_public: bool,
    ) -> Result<Self, rustls::Error> {
        if is_public && settings.whitelist.is_empty() && settings.rate_limit.is_none() {
            warn!(
                "the CORS proxy serves the pages of everybody: name yours with --cors-whitelist, or set --cors-rate-limit"
            );
        }
        let client = upstream::client(&settings, Arc::clone(&dialer))?;
        let limiter = settings.rate_limit.clone().map(Limiter::new);
        Ok(Self { settings, dialer, client, clients: Mutex::default(), limiter })
    }

    /// The client for who came by a token.
    fn client(&self, token: Option<Token<'_>>) -> Result<Client, rustls::Error> {
        let of_egress = token.filter(|token| token.rules.are_of_egress());
        let Some(Token { name, rules }) = of_egress else { return Ok(self.client.clone()) };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = clients.get(name)
            && Arc::ptr_eq(known, rules)
        {
            return Ok(client.clone());
        }
        let client = upstream::client(&self.settings, self.dialer.under(Some(rules)))?;
        clients.insert(name.to_owned(), (Arc::clone(rules), client.clone()));
        Ok(client)
    }

    /// Answers a call from `peer`, which came by a token or not, and by TLS or not.
    pub(crate) async fn answer(
        &self,
        call: Call,
        request: Request<Incoming>,
        peer: IpAddr,
        token: Option<Token<'_>>,
        is_tls: bool,
    ) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let client = parts.extensions.get::<Handle>().cloned();
        let is_preflight = parts.method == Method::OPTIONS;
        let mut sharing = Sharing::take(&mut parts.headers, call.dialect);
        if is_preflight {
            sharing = sharing.with_max_age(self.settings.max_age_s);
        }
        let is_secure = is_tls || is_secure(&parts.headers);
        let answer = match self.admit(&call, &parts, is_secure) {
            Ok((location, mut headers, base)) => {
                debug!("{peer}: {} {}", parts.method, location.host_header());
                if self.settings.forwarded {
                    let host = text(&parts.headers, &HOST);
                    forward::put_forwarded(&mut headers, peer, host, is_secure);
                }
                let default = match call.dialect {
                    Dialect::Path => MAX_REDIRECTS,
                    Dialect::Query => MAX_REDIRECTS_OF_QUERY,
                };
                let job = Job {
                    location,
                    method: parts.method,
                    headers,
                    body,
                    client: client.clone(),
                    base,
                    max_redirects: self.settings.max_redirects.unwrap_or(default),
                    activity: Activity::new(Duration::from_secs(self.settings.timeout_s)),
                };
                match self.client(token) {
                    Ok(client) => forward::forward(&client, job)
                        .await
                        .map_err(|error| said::of_error(&error, call.dialect)),
                    Err(error) => {
                        Err(plain(StatusCode::INTERNAL_SERVER_ERROR, "", format!("no TLS: {error}")))
                    }
                }
            }
            Err(said) => Err(said),
        };
        let mut answer = match answer {
            Ok(mut answer) => {
                // The target's version is between it and us.
                *answer.version_mut() = Version::HTTP_11;
                sharing.put(answer.headers_mut(), is_preflight);
                if let Some(trail) = answer.extensions_mut().remove::<Trail>() {
                    trail.put(answer.headers_mut());
                }
                answer.map(Either::Right)
            }
            Err(said) => {
                let mut answer = said.map(Either::Left);
                if answer.extensions().get::<Unshared>().is_none() {
                    sharing.put(answer.headers_mut(), is_preflight);
                }
                answer
            }
        };
        headers::isolate(answer.headers_mut());
        if client.is_some_and(|client| client.is_detached()) {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    /// What a call is to fetch, if it may: the checks of cors-anywhere in their order.
    fn admit(
        &self,
        call: &Call,
        parts: &http::request::Parts,
        is_secure: bool,
    ) -> Result<(Location, HeaderMap, Base), Said> {
        if parts.method == Method::OPTIONS {
            let status = match call.dialect {
                Dialect::Path => StatusCode::OK,
                Dialect::Query => StatusCode::NO_CONTENT,
            };
            return Err(said::empty(status, ""));
        }
        let location = match call.dialect {
            Dialect::Path => Location::from_path(&call.target)
                .map_err(|bad| said::of_path(bad, self.settings.help.as_ref()))?,
            Dialect::Query => Location::from_query(&call.target).map_err(said::of_query)?,
        };
        let headers = &parts.headers;
        let needed = &self.settings.require_headers;
        if !needed.is_empty() && !needed.iter().any(|name| headers.contains_key(name)) {
            let names = needed.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(",");
            let said = format!("Missing required request header. Must specify one of: {names}");
            return Err(plain(StatusCode::BAD_REQUEST, "Header required", said));
        }
        let origin = text(headers, &ORIGIN);
        let denied = |how: &str| {
            let said = format!("The origin \"{origin}\" was {how} by the operator of this proxy.");
            Err(plain(StatusCode::FORBIDDEN, "", said))
        };
        if self.settings.blacklist.iter().any(|it| it == origin) {
            return denied("blacklisted");
        }
        if !self.settings.whitelist.is_empty() && !self.settings.whitelist.iter().any(|it| it == origin) {
            return denied("not whitelisted");
        }
        if let Some(Err(why)) = self.limiter.as_ref().map(|limiter| limiter.count(origin, Instant::now())) {
            let said = format!("The origin \"{origin}\" has sent too many requests.\n{why}");
            return Err(plain(StatusCode::TOO_MANY_REQUESTS, "", said));
        }
        let href = location.href();
        let is_own = |rest: &str| rest.starts_with('/');
        if self.settings.redirect_same_origin
            && !origin.is_empty()
            && href.strip_prefix(origin).is_some_and(is_own)
        {
            return Err(said::direct(&href));
        }
        let scheme = if is_secure { "https" } else { "http" };
        let base = Base {
            url: format!("{scheme}://{}{}", text(headers, &HOST), call.prefix),
            dialect: call.dialect,
        };
        Ok((location, headers::for_target(headers, &self.settings, call.dialect), base))
    }
}

/// Whether the client came by TLS to whoever stands before us.
fn is_secure(headers: &HeaderMap) -> bool {
    text(headers, &X_FORWARDED_PROTO).trim_start().starts_with("https")
}

/// A header as text; empty if there is none.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
