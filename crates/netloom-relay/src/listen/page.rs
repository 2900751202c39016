//! What is said in words: the page at `/` and the answers to requests that lead nowhere.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, SEC_WEBSOCKET_VERSION, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

pub(crate) type Answer = Response<Full<Bytes>>;

const PAGE: &str = "<!doctype html>
<meta charset=utf-8>
<title>netloom relay</title>
<h1>netloom relay</h1>
<p>This is a network for virtual machines that run in a browser. In v86, give the machine
<pre>net_device: { type: \"virtio\", relay_url: \"ws://THIS-ADDRESS/\" }</pre>
<p>with the address you see above (<code>wss://</code> behind TLS). <code>/lan/NAME</code> leads to another LAN of this relay.
";

/// The page at `/`.
pub(crate) fn page() -> Answer {
    let mut answer = text(StatusCode::OK, PAGE);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

/// An answer in one line of plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text.into())));
    *answer.status_mut() = status;
    let fixed: [(HeaderName, &'static str); 4] = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    answer.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    answer
}

/// 405, with what is allowed.
pub(crate) fn method_not_allowed() -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}

/// 426: a WebSocket belongs here.
pub(crate) fn upgrade_required() -> Answer {
    let mut answer = text(
        StatusCode::UPGRADE_REQUIRED,
        "connect by WebSocket, version 13: this path carries Ethernet frames\n",
    );
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    answer
}
