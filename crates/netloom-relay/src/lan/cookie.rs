//! The cookie by which a browser has its guests' ports again.

use std::io;

use http::{HeaderMap, HeaderValue};

use crate::{header, random};

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
        let value = header::cookie(headers, NAME).next()?.as_bytes();
        let mut bytes = [0; BYTES];
        if value.len() != 2 * BYTES || !value.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(value.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// What gives it to a browser. Pages of other sites that an operator admits carry it only where it can be marked so, which is over TLS.
    pub(crate) fn header(&self, is_tls: bool) -> Option<HeaderValue> {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let site = if is_tls { "SameSite=None; Secure" } else { "SameSite=Strict" };
        let mut value = HeaderValue::try_from(format!("{NAME}={digits}; Path=/; HttpOnly; {site}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}
