//! What is said in words: the page at `/` and the answers to requests that lead nowhere.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderName, REFERRER_POLICY, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;

/// Why a request is not let in where tokens are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unauthorized {
    /// It shows no token.
    Missing,
    /// It shows one that there is not.
    Unknown,
}

pub(crate) type Answer = Response<Full<Bytes>>;
/// The body of any answer, streamed or not.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

const PAGE: &str = "<!doctype html>
<meta charset=utf-8>
<title>netloom relay</title>
<h1>netloom relay</h1>
<p>This is a network for virtual machines that run in a browser. In v86, give the machine
<pre>net_device: { type: \"virtio\", relay_url: \"ws://THIS-ADDRESS/\" }</pre>
<p>with the address you see above (<code>wss://</code> behind TLS). <code>/lan/NAME</code> leads to another LAN of this relay.
If it asks for a token, <code>/t/TOKEN</code> goes before the path.
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
    let fixed: [(HeaderName, &'static str); 5] = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    answer.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    answer
}

/// An answer in JSON, in a line of its own.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // What we serialize has names as keys, so that this does not fail.
    let mut body = serde_json::to_string(value).unwrap_or_default();
    body.push('\n');
    let mut answer = text(status, body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// An answer among those of other kinds.
pub(crate) fn boxed<B>(answer: Response<B>) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    answer.map(|body| body.map_err(Into::into).boxed_unsync())
}

/// 401: what the relay asks for was not shown, or is none of its tokens (RFC 6750 section 3).
pub(crate) fn unauthorized(refusal: Unauthorized) -> Answer {
    let (challenge, said) = match refusal {
        Unauthorized::Missing => (
            "Bearer realm=\"netloom\"",
            "this relay asks for a token: put /t/TOKEN before the path, or give ?token=TOKEN or `Authorization: Bearer TOKEN`\n",
        ),
        Unauthorized::Unknown => (
            "Bearer realm=\"netloom\", error=\"invalid_token\"",
            "that is none of this relay's tokens, or it was revoked: ask its operator for another\n",
        ),
    };
    let mut answer = text(StatusCode::UNAUTHORIZED, said);
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    // Pages have to learn why.
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

/// 405, with what is allowed.
pub(crate) fn method_not_allowed() -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}

/// 503: another attempt may find room.
pub(crate) fn busy(why: impl Into<String>) -> Answer {
    later(StatusCode::SERVICE_UNAVAILABLE, why, 10)
}

/// 429 or 503, with the seconds after which another attempt makes sense. The connection ends with it.
pub(crate) fn later(status: StatusCode, why: impl Into<String>, retry_after_s: u64) -> Answer {
    let mut answer = text(status, why);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
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
