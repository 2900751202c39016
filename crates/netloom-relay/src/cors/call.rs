//! Which requests are the CORS proxy's, by method, path and headers alone.

use std::borrow::Cow;

use http::header::UPGRADE;
use http::{Method, Request};

use super::Dialect;
use super::location::Location;

/// First segments of paths that are the relay's own.
const OWN: [&str; 10] =
    ["api", "dns-query", "healthz", "lan", "metrics", "qemu", "services", "t", "vm", "wisp"];
const PREFIX: &str = "/cors";

/// A request to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// What comes before the slash of the path that names the target.
    pub(super) prefix: Cow<'static, str>,
    /// Whose rules the form follows.
    pub(super) dialect: Dialect,
    /// What names the target, as it was sent.
    pub(super) target: String,
}

impl Call {
    /// The call that a request is. `is_root`: the proxy has every path that is not the relay's own, `/` included.
    pub(crate) fn of<B>(request: &Request<B>, is_root: bool) -> Option<Self> {
        let is_websocket = request.headers().get_all(UPGRADE).iter().any(|protocols| {
            protocols
                .to_str()
                .is_ok_and(|it| it.split(',').any(|it| it.trim().eq_ignore_ascii_case("websocket")))
        });
        if is_websocket {
            return None;
        }
        let sent = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let below = sent.strip_prefix(PREFIX).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        let (prefix, rest) = below.map_or(("", sent), |rest| (PREFIX, rest));
        let target = rest.strip_prefix('/').unwrap_or(rest);
        let call =
            |dialect, target: &str| Some(Self { prefix: prefix.into(), dialect, target: target.to_owned() });
        if let Some(query) = target.strip_prefix('?')
            && (!prefix.is_empty() || Location::is_in_query(query))
        {
            return call(Dialect::Query, query);
        }
        if prefix.is_empty() {
            let first = target.split(['/', '?']).next().unwrap_or_default();
            let is_page = rest == "/" || target.starts_with('?');
            // Pages ask beforehand whether they may, with a query or without.
            let is_preflight = is_page && request.method() == Method::OPTIONS;
            if OWN.contains(&first) || is_page && !is_root && !is_preflight {
                return None;
            }
        }
        call(Dialect::Path, target)
    }

    /// The call as it was made, below a path that ends without a slash.
    pub(crate) fn below(self, path: &str) -> Self {
        Self { prefix: format!("{path}{}", self.prefix).into(), ..self }
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
