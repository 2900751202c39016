//! Where a request goes, by its method, path and headers alone.

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, Method};

use crate::config::Root;
use crate::egress::Target;
use crate::lan::Encapsulation;
use crate::wisp::Form;

/// The subprotocol by which pages of QEMU ask for its framing.
const QEMU_PROTOCOL: &str = "binary";

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A guest, to the LAN of this name.
    Guest {
        /// The LAN's name, if the path has one.
        lan: Option<String>,
        /// The client's `Sec-WebSocket-Key`.
        key: String,
        /// The subprotocol to agree to: `binary` for QEMU's framing if it was offered, else the first.
        protocol: Option<String>,
        /// How its frames lie in messages.
        encapsulation: Encapsulation,
    },
    /// A client of the Wisp server.
    Wisp {
        /// The client's `Sec-WebSocket-Key`.
        key: String,
        /// The subprotocol to agree to: the first offered.
        protocol: Option<String>,
        /// What is spoken.
        form: Form,
    },
    /// The page at `/`.
    Page,
    /// `/healthz`.
    Health,
    /// No such thing.
    NotFound,
    /// Not GET.
    Method,
    /// An upgrade that is wrong, with what is wrong.
    BadUpgrade(String),
    /// A WebSocket is needed here, of version 13.
    UpgradeRequired,
}

/// Routes a request. `root` is where paths that name nothing else lead to.
pub(crate) fn route(root: Root, method: &Method, path: &str, headers: &HeaderMap) -> Route {
    let wisp = path.strip_prefix("/wisp").filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let qemu = path.strip_prefix("/qemu").filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let lan = qemu.unwrap_or(path).strip_prefix("/lan/").map(|name| name.strip_suffix('/').unwrap_or(name));
    if !headers.contains_key(UPGRADE) {
        return match (method, path) {
            (&Method::GET | &Method::HEAD, "/") => Route::Page,
            (&Method::GET | &Method::HEAD, "/healthz") => Route::Health,
            (&Method::GET | &Method::HEAD, _) if lan.or(qemu).or(wisp).is_some() => Route::UpgradeRequired,
            (&Method::GET | &Method::HEAD, _) => Route::NotFound,
            _ => Route::Method,
        };
    }
    if method != Method::GET {
        return Route::Method;
    }
    if !tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
        || headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13")
    {
        return Route::UpgradeRequired;
    }
    if !tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return Route::BadUpgrade("a WebSocket needs `Connection: Upgrade`".to_owned());
    }
    let Some(key) =
        headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok()).filter(|key| is_key(key))
    else {
        return Route::BadUpgrade("a WebSocket needs a Sec-WebSocket-Key of 16 bytes".to_owned());
    };
    let mut offered = tokens(headers, &SEC_WEBSOCKET_PROTOCOL).peekable();
    let first = offered.peek().copied();
    let elsewhere = lan.or(qemu).is_some();
    if let Some(rest) = wisp.or_else(|| (root == Root::Wisp && !elsewhere).then_some(path)) {
        return match form(rest, first.is_some()) {
            Ok(form) => Route::Wisp { key: key.to_owned(), protocol: first.map(str::to_owned), form },
            Err(why) => Route::BadUpgrade(why),
        };
    }
    let binary = offered.find(|protocol| *protocol == QEMU_PROTOCOL);
    let encapsulation = match qemu.or(binary) {
        Some(_) => Encapsulation::QemuInWebSocket,
        None => Encapsulation::Raw,
    };
    Route::Guest {
        lan: lan.map(str::to_owned),
        key: key.to_owned(),
        protocol: binary.or(first).map(str::to_owned),
        encapsulation,
    }
}

/// What a path on the Wisp server speaks: Wisp if it ends in `/`, otherwise the bytes of a connection to the host and port that are its last
/// segment.
fn form(path: &str, has_protocol: bool) -> Result<Form, String> {
    let last = path.rsplit('/').next().unwrap_or_default();
    if last.is_empty() {
        return Ok(Form::Wisp { version_2: has_protocol });
    }
    let target = last.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = target else {
        return Err("a Wisp URL ends in `/`, the URL of a plain stream in `/HOST:PORT`".to_owned());
    };
    Target::parse(host.as_bytes(), port).map(Form::Plain).map_err(|error| error.to_string())
}

/// The comma-separated tokens of a header, over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// Base64 of 16 bytes (RFC 6455, section 4.1).
fn is_key(key: &str) -> bool {
    key.len() == 24
        && key.ends_with("==")
        && key[..22].bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
