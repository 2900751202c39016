//! A request on its way: to the target, along its redirects, and the answer back.

use std::error::Error;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue,
    LOCATION,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{Either, Empty};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::connect::capture_connection;

use super::idle::{Activity, Download, Upload};
use super::location::Location;
use super::{Dialect, headers, upstream};
use crate::conduit::{Handle, Sink, Through};
use crate::egress::DialError;

/// How often what may be asked again is asked: kept connections may be gone, each of them.
const ATTEMPTS: usize = 3;

/// Where redirects of a page's own kind begin anew: the proxy as the client sees it.
pub(super) struct Base {
    /// Scheme, host and prefix, without the last slash.
    pub(super) url: String,
    pub(super) dialect: Dialect,
}

impl Base {
    /// How a client asks here for a URL.
    fn wrap(&self, href: &str) -> String {
        match self.dialect {
            Dialect::Path => format!("{}/{href}", self.url),
            Dialect::Query => {
                let encoded: String = url::form_urlencoded::byte_serialize(href.as_bytes()).collect();
                format!("{}/?url={encoded}", self.url)
            }
        }
    }
}

/// What is asked of a target.
pub(super) struct Job {
    pub(super) location: Location,
    pub(super) method: Method,
    /// Without `Host`.
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
    /// The client's connection.
    pub(super) client: Option<Handle>,
    pub(super) base: Base,
    /// Redirects that are followed.
    pub(super) max_redirects: usize,
    pub(super) activity: Activity,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForwardError {
    /// The target may not be reached.
    #[error("{0}")]
    Denied(String),
    /// It was not reached, or its answer is none.
    #[error("{0}")]
    Failed(String),
}

impl ForwardError {
    fn of(error: &(dyn Error + 'static)) -> Self {
        match upstream::find::<DialError>(error) {
            Some(denied @ DialError::Denied(_)) => Self::Denied(denied.to_string()),
            Some(error) => Self::Failed(error.to_string()),
            None => Self::Failed(upstream::reason(error)),
        }
    }
}

/// Asks the target, and whom it redirects to. The answer has the headers that clients get, but for those of sharing.
pub(super) async fn forward(
    client: &upstream::Client,
    job: Job,
) -> Result<Response<Download<Incoming>>, ForwardError> {
    let Job { mut location, mut method, mut headers, body, client: from, base, max_redirects, activity } =
        job;
    let requested = location.href();
    let is_replayable = body.is_end_stream() && matches!(method, Method::GET | Method::HEAD);
    let mut body = (!body.is_end_stream()).then_some((body, from.clone()));
    let mut followed: Vec<(HeaderName, HeaderValue)> = Vec::new();
    loop {
        let answer = send(client, &location, &method, &headers, body.take(), &activity).await?;
        let target = redirect_target(&answer, &location);
        let is_followed = match answer.status() {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => true,
            _ => is_replayable && base.dialect == Dialect::Query,
        };
        match target {
            Some(target) if is_followed && followed.len() < max_redirects => {
                let name =
                    HeaderName::from_bytes(format!("x-cors-redirect-{}", followed.len() + 1).as_bytes());
                let value = HeaderValue::try_from(format!("{} {}", answer.status().as_u16(), target.href()));
                followed.extend(name.ok().zip(value.ok()));
                method = Method::GET;
                for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
                    headers.remove(name);
                }
                if !target.is_same_origin(&location) {
                    headers.remove(AUTHORIZATION);
                    headers.remove(COOKIE);
                }
                location = target;
            }
            target => {
                let (mut parts, body) = answer.into_parts();
                let mut kept = headers::from_target(&parts.headers);
                if let Some(Ok(wrapped)) =
                    target.map(|target| HeaderValue::try_from(base.wrap(&target.href())))
                {
                    kept.insert(LOCATION, wrapped);
                }
                // Names that pages look for stand behind the target's own and before those that no page may read.
                put_url(&mut kept, "x-final-url", &location.href());
                parts.headers = kept;
                let source = parts.extensions.get().cloned();
                let body = Through::new(body, source, Sink::To(from));
                let mut answer = Response::from_parts(parts, Download::new(body, activity));
                answer.extensions_mut().insert(Trail { requested, followed });
                return Ok(answer);
            }
        }
    }
}

/// The way that an answer took, told in headers that are not part of what pages are let read.
#[derive(Clone, Debug)]
pub(super) struct Trail {
    requested: String,
    followed: Vec<(HeaderName, HeaderValue)>,
}

impl Trail {
    pub(super) fn put(self, answer: &mut HeaderMap) {
        put_url(answer, "x-request-url", &self.requested);
        for (name, value) in self.followed {
            answer.insert(name, value);
        }
    }
}

fn put_url(headers: &mut HeaderMap, name: &'static str, url: &str) {
    if let Ok(value) = HeaderValue::from_str(url) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Tells a target who asks, as proxies do it.
pub(super) fn put_forwarded(headers: &mut HeaderMap, peer: IpAddr, host: &str, is_secure: bool) {
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
    let (scheme, default_port) = if is_secure { ("https", "443") } else { ("http", "80") };
    for (name, value) in [
        (HeaderName::from_static("x-forwarded-for"), peer.to_string()),
        (HeaderName::from_static("x-forwarded-port"), port.unwrap_or(default_port).to_owned()),
        (HeaderName::from_static("x-forwarded-proto"), scheme.to_owned()),
    ] {
        let before = headers.get(&name).and_then(|value| value.to_str().ok());
        let value = before.map_or_else(|| value.clone(), |before| format!("{before},{value}"));
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

/// Where an answer redirects to, if it does and there is such a place.
fn redirect_target(answer: &Response<Incoming>, from: &Location) -> Option<Location> {
    let is_redirect = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let reference = answer.headers().get(LOCATION).filter(|_| is_redirect)?;
    from.join(std::str::from_utf8(reference.as_bytes()).ok()?)
}

/// Sends one request. What may be asked again is, if the connection it went out on turns out to be gone.
async fn send(
    client: &upstream::Client,
    location: &Location,
    method: &Method,
    headers: &HeaderMap,
    body: Option<(Incoming, Option<Handle>)>,
    activity: &Activity,
) -> Result<Response<Incoming>, ForwardError> {
    let is_repeatable = body.is_none() && method.is_idempotent();
    let mut head = request(location, method, headers)?;
    let first = match body {
        None => head.map(|()| Either::Right(Empty::new())),
        Some((body, from)) => {
            let body = Through::new(body, from, Sink::Chosen(capture_connection(&mut head)));
            head.map(|()| Either::Left(Upload::new(body, activity.clone())))
        }
    };
    let mut attempt = client.request(first);
    for further in (0..if is_repeatable { ATTEMPTS } else { 1 }).rev() {
        let error = match activity.watch(attempt).await {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(error)) => error,
            None => return Err(ForwardError::Failed("the target did not answer in time".to_owned())),
        };
        if further == 0 || !upstream::is_gone(&error) {
            return Err(ForwardError::of(&error));
        }
        let again = request(location, method, headers)?;
        attempt = client.request(again.map(|()| Either::Right(Empty::new())));
    }
    Err(ForwardError::Failed("the target did not answer".to_owned()))
}

fn request(location: &Location, method: &Method, headers: &HeaderMap) -> Result<Request<()>, ForwardError> {
    let bad = || ForwardError::Failed(format!("{} cannot be asked for", location.href()));
    let mut request = Request::new(());
    *request.method_mut() = method.clone();
    *request.uri_mut() = location.uri().ok_or_else(bad)?;
    let mut headers = headers.clone();
    headers.insert(HOST, HeaderValue::try_from(location.host_header()).map_err(|_| bad())?);
    if let Some(credentials) = location.credentials()
        && !headers.contains_key(AUTHORIZATION)
        && let Ok(mut value) = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials)))
    {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    *request.headers_mut() = headers;
    Ok(request)
}
