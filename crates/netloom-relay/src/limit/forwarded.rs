//! Who is behind a proxy, by X-Forwarded-For, or where that is absent by Forwarded (RFC 7239).
//!
//! Each proxy appends who connected to it, so the list is read from its end, as far as those who wrote it are trusted: what a client wrote
//! itself stands before that and is not reached.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use netloom_core::addr::unwrap_embedded_ipv4;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The last address that no trusted proxy has; `peer` if there is none that can be read.
pub(super) fn client_of(peer: IpAddr, headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    // What is no text is unknown, and hides nothing that stands beside it.
    let named = |name: &HeaderName, read: fn(&str) -> Option<IpAddr>| -> Vec<Option<IpAddr>> {
        let lines = headers.get_all(name).into_iter();
        let elements = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        elements.map(|element| read(str::from_utf8(element).ok()?)).collect()
    };
    let named = if headers.contains_key(X_FORWARDED_FOR) {
        named(&X_FORWARDED_FOR, address)
    } else {
        named(&FORWARDED, |element| address(forwarded_for(element)?))
    };
    let mut client = peer;
    for address in named.into_iter().rev() {
        // Whoever is unknown or hidden is known by the proxy that says so.
        let Some(address) = address else { break };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// The `for` of a forwarded-element.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?.1.trim();
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// An address, perhaps in brackets, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(unwrap_embedded_ipv4)
}

#[cfg(test)]
#[path = "forwarded_tests.rs"]
mod tests;
