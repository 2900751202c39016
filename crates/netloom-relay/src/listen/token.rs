//! Tokens in requests: taken out of a request before anything else sees it.
//!
//! A token is the path's leading segment (`/t/TOKEN/…`), for pages that can be given nothing but a path, the bearer token of
//! `Authorization` (RFC 6750), or `token=` in the query. The last two are taken only in a token's own form: what has another is a target's.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, LOCATION, REFERER, SET_COOKIE, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, StatusCode, Uri};

use super::page::{self, Answer};
use crate::access::secret::{self, Secret};
use crate::header;

/// What is before a token in a path.
const PREFIX: &str = "/t/";
/// The cookie in which browsers keep a token.
const KEPT: &str = "netloom-token";

/// What a request showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) secret: Secret,
    /// Whether it was in the URL, which links of ours then have to carry on.
    pub(super) is_in_url: bool,
}

impl Shown {
    /// What paths of ours begin with for who showed it: empty, or `/t/TOKEN`.
    pub(super) fn prefix(&self) -> Cow<'static, str> {
        if self.is_in_url { format!("/t/{}", self.secret.text()).into() } else { "".into() }
    }
}

/// Whose paths a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The relay's: `/t/` begins none of its own.
    Ours,
    /// A guest's, which may have others that begin so.
    Guests,
}

/// Takes the token out of a request, wherever it is.
pub(super) fn take<B>(request: &mut Request<B>, whose: Whose) -> Option<Shown> {
    let sent = request.uri().path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
    let (in_path, rest) = match in_path(&sent) {
        (Some(text), _) if whose == Whose::Guests && !secret::has_form(&text) => (None, sent.clone()),
        found => found,
    };
    let bearers = bearers(request.headers());
    let in_query = in_query(&rest);
    let (text, is_in_url) = match (&in_path, bearers.first(), in_query) {
        (Some(text), ..) => (text.clone(), true),
        (None, Some(text), _) => (text.clone(), false),
        (None, None, Some(text)) => (text.to_owned(), true),
        (None, None, None) => return None,
    };
    let rest = without(&rest, &text);
    if rest != sent {
        replace_path(request.uri_mut(), &rest);
    }
    let headers = request.headers_mut();
    if bearers.contains(&text) {
        headers.remove(AUTHORIZATION);
    }
    hide_referer(headers, &text);
    Some(Shown { secret: Secret::given(&text), is_in_url })
}

/// The token that a browser keeps for a host name of a guest: [`keep`] gave it.
pub(super) fn kept(headers: &mut HeaderMap) -> Option<Shown> {
    let text = header::cookie(headers, KEPT).find(|text| secret::has_form(text))?.to_owned();
    hide_referer(headers, &text);
    Some(Shown { secret: Secret::given(&text), is_in_url: false })
}

/// A page below a token has it in its own address.
fn hide_referer(headers: &mut HeaderMap, text: &str) {
    if headers.get(REFERER).is_some_and(|referer| contains(referer.as_bytes(), text.as_bytes())) {
        headers.remove(REFERER);
    }
}

/// Has a browser keep a token for a host name, and go on without it in the URL: what a guest's pages name has none either.
pub(super) fn keep<B>(shown: &Shown, request: &Request<B>, is_tls: bool) -> Answer {
    let secure = if is_tls { "; Secure" } else { "" };
    // Lax: a link of another page leads here too, and the answer is followed as part of that.
    let cookie = format!("{KEPT}={}; Path=/; HttpOnly; SameSite=Lax{secure}", shown.secret.text());
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    // Two slashes would begin another host's name.
    let location = format!("/{}", path.trim_start_matches(['/', '\\']));
    let mut answer = page::text(StatusCode::SEE_OTHER, "");
    let headers = [(SET_COOKIE, HeaderValue::try_from(cookie)), (LOCATION, HeaderValue::try_from(location))];
    answer.headers_mut().extend(headers.into_iter().filter_map(|(name, value)| Some((name, value.ok()?))));
    answer
}

/// Whether a browser would follow where the answer to a request leads, and keep a cookie.
pub(super) fn is_page<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && !request.headers().contains_key(UPGRADE)
}

/// Whether a request needs no token: the page at `/`, whether the relay lives, and what browsers ask beforehand without their
/// credentials. `is_page`: `/` leads to the page.
pub(super) fn is_free<B>(request: &Request<B>, is_page: bool) -> bool {
    let headers = request.headers();
    match (request.method(), request.uri().path()) {
        _ if headers.contains_key(UPGRADE) => false,
        (&Method::OPTIONS, _) => headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD),
        (&Method::GET | &Method::HEAD, "/") => is_page,
        (&Method::GET | &Method::HEAD, "/healthz") => true,
        _ => false,
    }
}

/// The token of a path, and the path and query behind it.
fn in_path(sent: &str) -> (Option<String>, String) {
    let Some(behind) = sent.strip_prefix(PREFIX) else { return (None, sent.to_owned()) };
    let end = behind.find(['/', '?']).unwrap_or(behind.len());
    let (text, rest) = behind.split_at(end);
    if text.is_empty() {
        return (None, sent.to_owned());
    }
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    (Some(text.to_owned()), rest)
}

fn in_query(sent: &str) -> Option<&str> {
    let (_, query) = sent.split_once('?')?;
    query.split('&').filter_map(|pair| pair.strip_prefix("token=")).find(|value| secret::has_form(value))
}

/// Path and query without the parameter that holds a token.
fn without(sent: &str, text: &str) -> String {
    let Some((path, query)) = sent.split_once('?') else { return sent.to_owned() };
    let is_other = |pair: &&str| pair.strip_prefix("token=") != Some(text);
    let kept: Vec<&str> = query.split('&').filter(is_other).collect();
    match kept.len() {
        n if n == query.split('&').count() => sent.to_owned(),
        0 => path.to_owned(),
        _ => format!("{path}?{}", kept.join("&")),
    }
}

/// The bearer tokens of our form.
fn bearers(headers: &HeaderMap) -> Vec<String> {
    let tokens = headers.get_all(AUTHORIZATION).into_iter().filter_map(header::bearer);
    tokens.filter(|token| secret::has_form(token)).map(str::to_owned).collect()
}

fn replace_path(uri: &mut Uri, sent: &str) {
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = PathAndQuery::try_from(sent).ok();
    // It was one before, and has lost a part of its path.
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
