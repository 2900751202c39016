//! Headers of one connection alone, which no proxy passes on (RFC 9110 section 7.6.1).

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};

const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The headers in their order, without those of one connection and those that stay.
pub(crate) fn without(headers: &HeaderMap, stays: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let named: Vec<&str> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let is_of_hop = |name: &HeaderName| {
        HOP_BY_HOP.contains(name) || named.iter().any(|other| name.as_str().eq_ignore_ascii_case(other))
    };
    let mut kept = HeaderMap::with_capacity(headers.len() + 8);
    for (name, value) in headers {
        if !is_of_hop(name) && !stays(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}
