//! What requests carry in headers that several parts read.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The cookies, each as `NAME=VALUE` (RFC 6265 section 4.2).
pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let parts =
        headers.get_all(COOKIE).into_iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    // One that is no text says nothing of those beside it.
    parts.filter_map(|cookie| str::from_utf8(cookie).ok()).map(str::trim).filter(|cookie| !cookie.is_empty())
}

/// The values of a cookie, which paths may have one each of.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = cookies(headers).filter_map(|cookie| cookie.split_once('='));
    pairs.filter(move |(known, _)| known.trim_end() == name).map(|(_, value)| value.trim_start())
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1).
pub(crate) fn bearer(authorization: &HeaderValue) -> Option<&str> {
    let (scheme, token) = authorization.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
