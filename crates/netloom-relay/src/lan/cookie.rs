//! The cookie by which a browser has its guests' ports again.

use std::io;

use http::{HeaderMap, HeaderValue};

use crate::{header, hex, random};

/// Name of the cookie.
const NAME: &str = "netloom-resume";
/// Bytes of its value, which is written in hexadecimal digits.
const BYTES: usize = 16;

/// What a browser shows to have its guests' ports again. A secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Cookie([u8; BYTES]);

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookie(…)")
    }
}

impl Cookie {
    /// A new one.
    pub(crate) fn new() -> io::Result<Self> {
        random::bytes().map(Self)
    }

    /// The one that a request carries.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        header::cookie(headers, NAME).next().and_then(hex::decode).map(Self)
    }

    /// What gives it to a browser. Pages of other sites that an operator admits carry it only where it can be marked so, which is over TLS.
    pub(crate) fn header(&self, is_tls: bool) -> Option<HeaderValue> {
        let digits = hex::encode(&self.0);
        let site = if is_tls { "SameSite=None; Secure" } else { "SameSite=Strict" };
        let mut value = HeaderValue::try_from(format!("{NAME}={digits}; Path=/; HttpOnly; {site}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}
