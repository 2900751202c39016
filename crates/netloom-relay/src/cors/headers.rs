//! Headers on their way through: what stays here, what is added, and what keeps the relay's own origin from who wrote the answer.

use http::HeaderMap;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ALT_SVC, AUTHORIZATION, CONTENT_SECURITY_POLICY, EXPECT, HOST, HeaderName,
    HeaderValue, ORIGIN, SET_COOKIE, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};

use super::Dialect;
use crate::config::CorsSettings;
use crate::hop_by_hop::without;

/// Headers of answers that hold for a whole origin, which is the relay's and not the target's.
const OF_ORIGIN: [HeaderName; 10] = [
    SET_COOKIE,
    HeaderName::from_static("set-cookie2"),
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("service-worker-allowed"),
    STRICT_TRANSPORT_SECURITY,
    ALT_SVC,
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("reporting-endpoints"),
    HeaderName::from_static("accept-ch"),
];
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// What an answer says of who may read it.
#[derive(Clone, Debug)]
pub(super) struct Sharing {
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
    private_network: bool,
}

impl Sharing {
    /// What a request asks for; those of its headers are taken out.
    pub(super) fn take(request: &mut HeaderMap, dialect: Dialect) -> Self {
        let methods = request.remove(ACCESS_CONTROL_REQUEST_METHOD);
        let headers = request.remove(ACCESS_CONTROL_REQUEST_HEADERS);
        let private_network = request.remove(REQUEST_PRIVATE_NETWORK).is_some();
        let (methods, headers) = match dialect {
            Dialect::Path => (methods, headers),
            // `*` covers every header but one.
            Dialect::Query => match headers.as_ref().is_some_and(names_authorization) {
                true => (Some(ANY), Some(HeaderValue::from_static("*, Authorization"))),
                false => (Some(ANY), Some(ANY)),
            },
        };
        Self { methods, headers, max_age: None, private_network }
    }

    /// For a preflight: how long its answer holds, in seconds.
    pub(super) fn with_max_age(mut self, seconds: u64) -> Self {
        self.max_age = (seconds > 0).then(|| HeaderValue::from(seconds));
        self
    }

    /// Adds this to an answer's headers, all of which it lets pages read.
    pub(super) fn put(&self, answer: &mut HeaderMap, is_preflight: bool) {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
        let more = [
            (ACCESS_CONTROL_MAX_AGE, self.max_age.clone()),
            (ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone()),
            (ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone()),
            (
                ALLOW_PRIVATE_NETWORK,
                (is_preflight && self.private_network).then_some(HeaderValue::from_static("true")),
            ),
        ];
        answer.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let names: Vec<_> = answer.keys().map(HeaderName::as_str).collect();
        if let Ok(names) = HeaderValue::from_str(&names.join(",")) {
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }
}

fn names_authorization(headers: &HeaderValue) -> bool {
    let text = headers.to_str().unwrap_or_default();
    text.split(',').any(|name| name.trim().eq_ignore_ascii_case(AUTHORIZATION.as_str()))
}

/// A request's headers as targets get them, but for `Host`.
pub(super) fn for_target(request: &HeaderMap, settings: &CorsSettings, dialect: Dialect) -> HeaderMap {
    let stays = |name: &HeaderName| {
        [HOST, EXPECT].contains(name)
            || settings.remove_headers.contains(name)
            || dialect == Dialect::Query && *name == ORIGIN
    };
    let mut headers = without(request, stays);
    for (name, value) in &settings.set_headers {
        headers.insert(name, value.clone());
    }
    headers
}

/// An answer's headers as clients get them.
pub(super) fn from_target(answer: &HeaderMap) -> HeaderMap {
    without(answer, |name| OF_ORIGIN.contains(name) || *name == HeaderName::from_static("proxy-authenticate"))
}

/// Keeps what others wrote off the relay's origin: as a document it has an origin of its own, as anything else the type that it says.
pub(super) fn isolate(answer: &mut HeaderMap) {
    answer.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    answer.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
