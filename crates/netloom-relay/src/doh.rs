//! DNS over HTTPS (RFC 8484) at `/dns-query`, by the egress' resolver and policy.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use netloom_core::service::dns;

use crate::egress::Dialer;

/// Where it is served.
pub(crate) const PATH: &str = "/dns-query";

const MEDIA_TYPE: &str = "application/dns-message";
const MAX_MESSAGE_BYTES: usize = 65_535;
/// A header is the least that a message has.
const MIN_MESSAGE_BYTES: usize = 12;
/// How long a query's bytes may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long browsers may keep the answer to a preflight, in seconds: what Chromium takes at most.
const PREFLIGHT_S: u64 = 7200;
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

type Answer = Response<Full<Bytes>>;

/// Answers a request that has passed the gate, so that a page whose origin it names may read the answer.
pub(crate) async fn answer<B>(dialer: &Dialer, request: Request<B>) -> Answer
where
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let origin = request.headers().get(ORIGIN).cloned();
    let mut answer = match *request.method() {
        Method::OPTIONS => preflight(&request),
        _ => match query(request).await {
            Ok(query) => reply(dialer, &query).await,
            Err(answer) => answer,
        },
    };
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(VARY, HeaderValue::from_name(ORIGIN));
    headers.extend(origin.map(|origin| (ACCESS_CONTROL_ALLOW_ORIGIN, origin)));
    answer
}

async fn reply(dialer: &Dialer, query: &[u8]) -> Answer {
    let Some(message) = dialer.answer_dns(query).await else {
        return said(StatusCode::BAD_REQUEST, "that is no DNS query\n");
    };
    // Without a lifetime there is nothing that caches could keep.
    let caching = dns::lifetime_s(&message).map_or_else(|| "no-store".to_owned(), |s| format!("max-age={s}"));
    let mut answer = Response::new(Full::from(message));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.extend(HeaderValue::try_from(caching).ok().map(|value| (CACHE_CONTROL, value)));
    answer
}

/// The message that a request carries: in the parameter `dns` of a GET, or as the body of a POST.
async fn query<B>(request: Request<B>) -> Result<Vec<u8>, Answer>
where
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let message = match *request.method() {
        Method::GET | Method::HEAD => {
            let parameters = request.uri().query().unwrap_or_default().split('&');
            let encoded = parameters.filter_map(|it| it.strip_prefix("dns=")).next();
            let encoded = encoded.ok_or_else(|| {
                said(StatusCode::BAD_REQUEST, "give the DNS message as ?dns=, in base64url without padding\n")
            })?;
            URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).map_err(|_| {
                said(StatusCode::BAD_REQUEST, "what ?dns= holds is not base64url without padding\n")
            })?
        }
        Method::POST => {
            let of_type = |value: &HeaderValue| {
                let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
                essence.trim().eq_ignore_ascii_case(MEDIA_TYPE)
            };
            if !request.headers().get(CONTENT_TYPE).is_some_and(of_type) {
                let text = "a POST carries a DNS message, of type application/dns-message\n";
                return Err(said(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
            }
            let body = Limited::new(request.into_body(), MAX_MESSAGE_BYTES).collect();
            match tokio::time::timeout(BODY_TIMEOUT, body).await {
                Ok(Ok(body)) => body.to_bytes().to_vec(),
                Ok(Err(error)) if error.is::<LengthLimitError>() => {
                    let text = "a DNS message has at most 65535 bytes\n";
                    return Err(said(StatusCode::PAYLOAD_TOO_LARGE, text));
                }
                Ok(Err(_)) => {
                    return Err(said(StatusCode::BAD_REQUEST, "the message did not arrive whole\n"));
                }
                Err(_) => {
                    return Err(said(StatusCode::REQUEST_TIMEOUT, "the message did not arrive in time\n"));
                }
            }
        }
        _ => {
            let mut answer = said(StatusCode::METHOD_NOT_ALLOWED, "only GET and POST are served\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
            return Err(answer);
        }
    };
    if message.len() < MIN_MESSAGE_BYTES {
        return Err(said(StatusCode::BAD_REQUEST, "that is no DNS query\n"));
    }
    Ok(message)
}

fn preflight<B>(request: &Request<B>) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, accept"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(PREFLIGHT_S));
    if request.headers().contains_key(REQUEST_PRIVATE_NETWORK) {
        headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    answer
}

fn said(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
