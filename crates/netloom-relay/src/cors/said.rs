//! What the proxy says itself: help, refusals and errors, in the words of cors-anywhere and uncors.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, VARY};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::ext::ReasonPhrase;
use tracing::debug;

use super::Dialect;
use super::forward::ForwardError;
use super::location::{BadPath, BadQuery};
use crate::config::HelpFile;

const HELP: &str = include_str!("help.txt");

/// An answer of our own.
pub(super) type Said = Box<Response<Full<Bytes>>>;

/// Marks the answer that pages may not read, which proves to those that can that they need no proxy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unshared;

/// An answer that says nothing.
pub(super) fn empty(status: StatusCode, reason: &'static str) -> Said {
    let mut said = Box::new(Response::default());
    *said.status_mut() = status;
    if !reason.is_empty() {
        said.extensions_mut().insert(ReasonPhrase::from_static(reason.as_bytes()));
    }
    said
}

/// An answer in plain text; without a `reason` its status has the usual one.
pub(super) fn plain(status: StatusCode, reason: &'static str, text: impl Into<Bytes>) -> Said {
    let mut said = empty(status, reason);
    said.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    *said.body_mut() = Full::new(text.into());
    said
}

/// 301 to where the page could have asked itself.
pub(super) fn direct(href: &str) -> Said {
    let mut said = empty(StatusCode::MOVED_PERMANENTLY, "Please use a direct request");
    let headers: &mut HeaderMap = said.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
    headers.extend(HeaderValue::from_str(href).ok().map(|href| (LOCATION, href)));
    said
}

/// For a path that names no target.
pub(super) fn of_path(bad: BadPath, own_help: Option<&HelpFile>) -> Said {
    match bad {
        BadPath::NoUrl => help(own_help),
        BadPath::MissingSlash => plain(
            StatusCode::BAD_REQUEST,
            "Missing slash",
            "The URL is invalid: two slashes are needed after the http(s):.",
        ),
        BadPath::IsCorsNeeded => {
            let mut said = plain(StatusCode::OK, "", "no");
            said.extensions_mut().insert(Unshared);
            said
        }
        BadPath::Port(port) => {
            plain(StatusCode::BAD_REQUEST, "Invalid port", format!("Port number too large: {port}"))
        }
        BadPath::Host(host) => plain(StatusCode::NOT_FOUND, "Invalid host", format!("Invalid host: {host}")),
    }
}

/// For a query that names no target.
pub(super) fn of_query(bad: BadQuery) -> Said {
    let text = match bad {
        BadQuery::Missing => "url parameter missing\n",
        BadQuery::Unsupported => "Only http and https URLs supported\n",
    };
    plain(StatusCode::BAD_REQUEST, "", text)
}

/// For a target that did not answer.
pub(super) fn of_error(error: &ForwardError, dialect: Dialect) -> Said {
    match (error, dialect) {
        (ForwardError::Denied(why), _) => {
            plain(StatusCode::FORBIDDEN, "", format!("This relay does not reach that target: {why}\n"))
        }
        (ForwardError::Failed(why), Dialect::Path) => {
            plain(StatusCode::NOT_FOUND, "", format!("Not found because of proxy error: {why}"))
        }
        (ForwardError::Failed(why), Dialect::Query) => {
            debug!("{why}");
            plain(StatusCode::BAD_REQUEST, "", "Error fetching URL\n")
        }
    }
}

fn help(own: Option<&HelpFile>) -> Said {
    let Some(file) = own else { return plain(StatusCode::OK, "", HELP) };
    let mut said = plain(StatusCode::OK, "", file.text.clone());
    if file.path.extension().is_some_and(|extension| extension == "html") {
        said.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    }
    said
}
