//! What a request asks to fetch: the URL in its path or query, in all the forms that clients of CORS proxies write.
//!
//! | form | who writes it |
//! |---|---|
//! | `/URL`, scheme optional | cors-anywhere |
//! | `/ENC`, the URL percent-encoded | `encodeURIComponent` after such a prefix |
//! | `/?url=ENC` | uncors |
//! | `/?ENC` | corsproxy.io, v86 |

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// A URL to fetch, with its port as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    url: Url,
    /// A port that was written though it is the scheme's own: it stays in what is shown and in `Host`.
    redundant_port: bool,
}

/// Why a path holds nothing to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadPath {
    /// It holds no URL.
    NoUrl,
    /// One slash after the scheme.
    MissingSlash,
    /// `iscorsneeded`, which asks just that.
    IsCorsNeeded,
    /// A port that there cannot be.
    Port(String),
    /// A host that there cannot be, or without a scheme a name under no known top-level domain.
    Host(String),
}

/// Why a query holds nothing to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadQuery {
    /// No URL, or an empty one.
    Missing,
    /// Neither http nor https, or nothing that is a URL.
    Unsupported,
}

impl Location {
    /// Reads what follows the slash of a path, query included.
    pub(super) fn from_path(text: &str) -> Result<Self, BadPath> {
        let decoded = decoded(text);
        let text = decoded.as_deref().unwrap_or(text);
        let (scheme, rest) = match scheme(text) {
            Some((scheme, rest)) => match rest.strip_prefix("//") {
                Some(rest) => (Some(scheme), rest),
                None if rest.starts_with('/') => return Err(BadPath::MissingSlash),
                None => return Err(BadPath::NoUrl),
            },
            None => (None, text.strip_prefix("//").unwrap_or(text)),
        };
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let (host, port) = host_and_port(authority);
        match (host, port) {
            ("", _) => return Err(BadPath::NoUrl),
            ("iscorsneeded", None) => return Err(BadPath::IsCorsNeeded),
            (_, Some(port)) if port.parse::<u16>().is_err() => return Err(BadPath::Port(port.to_owned())),
            _ => {}
        }
        let is_explicit = scheme.is_some();
        let scheme = scheme.unwrap_or_else(|| if port == Some("443") { "https" } else { "http" });
        let bad_host = || BadPath::Host(host.rsplit('@').next().unwrap_or_default().to_owned());
        let location = Self::new(&format!("{scheme}://{rest}")).ok_or_else(bad_host)?;
        if is_explicit || location.has_known_host() { Ok(location) } else { Err(bad_host()) }
    }

    /// Reads a query: `url=ENC` among its parameters, or a URL as it is or percent-encoded.
    pub(super) fn from_query(query: &str) -> Result<Self, BadQuery> {
        if is_url(query) {
            return Self::new(query).ok_or(BadQuery::Unsupported);
        }
        if let Some(decoded) = decoded(query) {
            return Self::new(&decoded).ok_or(BadQuery::Unsupported);
        }
        let mut parameters = url::form_urlencoded::parse(query.as_bytes());
        let (_, text) =
            parameters.find(|(name, text)| name == "url" && !text.is_empty()).ok_or(BadQuery::Missing)?;
        if !is_url(&text) {
            return Err(BadQuery::Unsupported);
        }
        Self::new(&text).ok_or(BadQuery::Unsupported)
    }

    /// Whether a query is one for us: it names a `url`, or is one.
    pub(super) fn is_in_query(query: &str) -> bool {
        let names_it = |part: &str| part == "url" || part.starts_with("url=");
        is_url(query) || decoded(query).is_some() || query.split('&').any(names_it)
    }

    /// Where a redirect leads.
    pub(super) fn join(&self, reference: &str) -> Option<Self> {
        // A reference without a host has our port, and writes it as we do.
        let url = self.url.join(reference).ok()?;
        let inherited = !reference.contains("//") && self.redundant_port;
        let redundant_port =
            inherited || absolute_authority(reference).is_some_and(|a| is_redundant(&url, a));
        Self::checked(url, redundant_port)
    }

    fn new(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let redundant_port = absolute_authority(text).is_some_and(|authority| is_redundant(&url, authority));
        Self::checked(url, redundant_port)
    }

    fn checked(mut url: Url, redundant_port: bool) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https") || url.port() == Some(0) {
            return None;
        }
        url.set_fragment(None);
        Some(Self { url, redundant_port })
    }

    /// The URL without user and password.
    pub(super) fn href(&self) -> String {
        format!("{}://{}{}", self.url.scheme(), self.host_header(), self.path_and_query())
    }

    /// What `Host` says.
    pub(super) fn host_header(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None if self.redundant_port => format!("{host}:{}", self.port()),
            None => host.to_owned(),
        }
    }

    /// User and password, if the URL names them, percent-decoded.
    pub(super) fn credentials(&self) -> Option<Vec<u8>> {
        let (user, password) = (self.url.username(), self.url.password());
        (!user.is_empty() || password.is_some()).then(|| {
            let mut both: Vec<u8> = percent_decode_str(user).collect();
            both.push(b':');
            both.extend(percent_decode_str(password.unwrap_or_default()));
            both
        })
    }

    /// Whether both are of one scheme, host and port.
    pub(super) fn is_same_origin(&self, other: &Self) -> bool {
        self.url.origin() == other.url.origin()
    }

    /// What hyper is to fetch.
    pub(super) fn uri(&self) -> Option<http::Uri> {
        let host = self.url.host_str()?;
        format!("{}://{host}:{}{}", self.url.scheme(), self.port(), self.path_and_query()).parse().ok()
    }

    fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    fn path_and_query(&self) -> &str {
        &self.url[url::Position::BeforePath..]
    }

    /// Whether the host is an address, or a name under a top-level domain that exists.
    fn has_known_host(&self) -> bool {
        match self.url.host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name.rsplit_once('.').is_some_and(|(_, last)| tld::exist(last))
            }
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            None => false,
        }
    }
}

/// A text that begins with a scheme of ours: the scheme, and what follows its colon.
fn scheme(text: &str) -> Option<(&'static str, &str)> {
    let after = |scheme: &str| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        if head.eq_ignore_ascii_case(scheme) { rest.strip_prefix(':') } else { None }
    };
    after("https").map(|rest| ("https", rest)).or_else(|| after("http").map(|rest| ("http", rest)))
}

fn is_url(text: &str) -> bool {
    scheme(text).is_some_and(|(_, rest)| rest.starts_with("//"))
}

/// A URL that was percent-encoded, decoded once up to a `?` that was not: what follows belongs to the target as it is. `None` if the
/// text's scheme and slashes are not encoded.
fn decoded(text: &str) -> Option<String> {
    let (head, query) = text.find('?').map_or((text, ""), |at| text.split_at(at));
    // `https%3A%2F%2F`: longer is no prefix of a URL.
    if is_url(text) || !head.get(..head.len().min(14))?.contains('%') {
        return None;
    }
    let head = percent_decode_str(head).decode_utf8_lossy();
    is_url(&head).then(|| format!("{head}{query}"))
}

/// The part of an absolute URL between `//` and the path.
fn absolute_authority(text: &str) -> Option<&str> {
    let rest = scheme(text).map_or(text, |(_, rest)| rest).strip_prefix("//")?;
    rest.split(['/', '?', '#']).next()
}

fn is_redundant(url: &Url, authority: &str) -> bool {
    url.port().is_none() && host_and_port(authority).1.is_some()
}

/// An authority's host, with user and password before it, and its port.
fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            (host, (!port.is_empty()).then_some(port))
        }
        _ => (authority, None),
    }
}

#[cfg(test)]
#[path = "location_tests.rs"]
mod tests;
