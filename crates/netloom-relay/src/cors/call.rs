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
mod tests {
    use super::*;

    fn call(method: &str, path: &str, is_root: bool) -> Option<(String, Dialect, String)> {
        let request = Request::builder().method(method).uri(path).body(()).expect("a request");
        Call::of(&request, is_root).map(|call| (call.prefix.into_owned(), call.dialect, call.target))
    }

    #[test]
    fn forms() {
        for (path, prefix, dialect, target) in [
            ("/cors/", "/cors", Dialect::Path, ""),
            ("/cors", "/cors", Dialect::Path, ""),
            ("/cors/http://a.example/b?c", "/cors", Dialect::Path, "http://a.example/b?c"),
            ("/cors//a.example/", "/cors", Dialect::Path, "/a.example/"),
            ("/cors/http%3A%2F%2Fa%2F", "/cors", Dialect::Path, "http%3A%2F%2Fa%2F"),
            ("/cors/?url=http%3A%2F%2Fa%2F", "/cors", Dialect::Query, "url=http%3A%2F%2Fa%2F"),
            ("/cors?url=http%3A%2F%2Fa%2F", "/cors", Dialect::Query, "url=http%3A%2F%2Fa%2F"),
            ("/cors/?x", "/cors", Dialect::Query, "x"),
            ("/http://a.example/b?c", "", Dialect::Path, "http://a.example/b?c"),
            ("/a.example", "", Dialect::Path, "a.example"),
            ("///a.example", "", Dialect::Path, "//a.example"),
            ("/favicon.ico", "", Dialect::Path, "favicon.ico"),
            ("/corset.example/", "", Dialect::Path, "corset.example/"),
            ("/?url=", "", Dialect::Query, "url="),
            ("/?http%3A%2F%2Fa%2F", "", Dialect::Query, "http%3A%2F%2Fa%2F"),
            ("/?https://a/?b", "", Dialect::Query, "https://a/?b"),
        ] {
            assert_eq!(
                call("GET", path, false),
                Some((prefix.to_owned(), dialect, target.to_owned())),
                "{path}"
            );
        }
    }

    #[test]
    fn the_relays_own_paths_stay_its_own() {
        for path in
            ["/", "/?x=y", "/healthz", "/dns-query?dns=AAAA", "/lan/http://a/", "/api/leases", "/wisp/"]
        {
            assert_eq!(call("GET", path, false), None, "{path}");
        }
        assert_eq!(call("GET", "/", true), Some((String::new(), Dialect::Path, String::new())));
        assert_eq!(call("GET", "/healthz", true), None);
        assert_eq!(call("OPTIONS", "/", false), Some((String::new(), Dialect::Path, String::new())));
        assert_eq!(call("OPTIONS", "/healthz", false), None);
    }

    #[test]
    fn websockets_are_guests() {
        let request = Request::builder().uri("/cors/http://a/").header(UPGRADE, "WebSocket").body(());
        assert_eq!(Call::of(&request.expect("a request"), true), None);
    }
}
