//! Headers between clients and guests' web servers: what each may know, and what a guest may not set.

use http::header::{
    ALT_SVC, CONNECTION, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, SET_COOKIE, TRAILER, UPGRADE,
};
use http::{HeaderMap, Request, Response, Version};

use super::Client;
use crate::header;
use crate::hop_by_hop::without;

/// What the names of the relay's own cookies begin with. Guests do not see them, nor set them.
const OWN_COOKIE: &str = "netloom-";
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The protocol that a request wants to go over to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let connection = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let is_asked = connection
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    // To HTTP/2 a connection would go over for good, past what is said here of requests.
    headers.get(UPGRADE).filter(|protocol| is_asked && !names_h2c(protocol)).cloned()
}

fn names_h2c(protocols: &HeaderValue) -> bool {
    let mut names = protocols.as_bytes().split(|byte| *byte == b',');
    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"h2c"))
}

/// Makes a client's request one that a guest gets: as HTTP/1.1, with the name under which it was asked, and who asks.
pub(super) fn to_guest<B>(request: &mut Request<B>, client: Client, protocol: Option<HeaderValue>) {
    let host = request.headers().get(HOST).cloned();
    let authority = || HeaderValue::from_str(request.uri().authority()?.as_str()).ok();
    let host = host.or_else(authority);
    let stays = |name: &HeaderName| {
        [HOST, EXPECT, COOKIE, FORWARDED, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO].contains(name)
    };
    let mut headers = without(request.headers(), stays);
    let theirs: Vec<&str> =
        header::cookies(request.headers()).filter(|cookie| !is_own(cookie.as_bytes())).collect();
    if let Ok(value) = HeaderValue::from_bytes(theirs.join("; ").as_bytes())
        && !theirs.is_empty()
    {
        headers.insert(COOKIE, value);
    }
    // A guest on whose word others rely must not pass on theirs: only what we know ourselves is told.
    let proto = HeaderValue::from_static(if client.is_tls { "https" } else { "http" });
    headers.insert(FORWARDED_PROTO, proto);
    if let Ok(address) = HeaderValue::from_str(&client.address.to_canonical().to_string()) {
        headers.insert(FORWARDED_FOR, address);
    }
    if let Some(host) = host {
        headers.insert(FORWARDED_HOST, host.clone());
        headers.insert(HOST, host);
    }
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    *request.headers_mut() = headers;
    *request.version_mut() = Version::HTTP_11;
    let target = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let Ok(uri) = target.parse() {
        *request.uri_mut() = uri;
    }
}

/// Makes a guest's answer one that a client gets. `protocol` is what the connection goes over to.
pub(super) fn from_guest<B>(answer: &mut Response<B>, protocol: Option<HeaderValue>) {
    // Where else the guest can be reached is not for those outside.
    let mut headers = without(answer.headers(), |name| [ALT_SVC, SET_COOKIE, TRAILER].contains(name));
    for cookie in answer.headers().get_all(SET_COOKIE) {
        if let Some(cookie) = of_host_alone(cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    *answer.headers_mut() = headers;
}

/// A cookie for the guest's host name alone: names above it may be the relay's or other guests'.
fn of_host_alone(cookie: &HeaderValue) -> Option<HeaderValue> {
    let mut parts = cookie.as_bytes().split(|byte| *byte == b';');
    let pair = parts.next().unwrap_or_default();
    if is_own(pair) {
        return None;
    }
    let is_domain = |part: &&[u8]| {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"domain")
    };
    let kept: Vec<&[u8]> = std::iter::once(pair).chain(parts.filter(|part| !is_domain(part))).collect();
    HeaderValue::from_bytes(&kept.join(&b';')).ok()
}

/// Whether a browser would send it as one of the relay's own: one without a name is sent as its value alone (RFC 6265bis 5.7).
fn is_own(cookie: &[u8]) -> bool {
    let cookie = cookie.trim_ascii_start();
    let cookie = cookie.strip_prefix(b"=").unwrap_or(cookie).trim_ascii_start();
    cookie.get(..OWN_COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN_COOKIE.as_bytes()))
}
