//! The CORS proxy's part of the configuration: the `[cors]` table and the flags that go with `--cors`.

use std::path::PathBuf;

use http::header::{COOKIE, HOST, HeaderName, HeaderValue, VIA};
use serde::Deserialize;
use toml::{Spanned, Table, Value};

use super::error::{ConfigError, Given};
use super::files::{Authorities, HelpFile};
use super::input::{all, given};
use super::parse;
use super::resolve::{each, one};
use super::show::{number, texts};
use super::source::Source;
use crate::cli::cors::CorsArgs;
pub use crate::cors::connect_to::ConnectTo;
pub use crate::cors::rate_limit::RateLimit;

/// Request headers that stay here unless the configuration says otherwise: cookies of the relay's origin, and what hosting services add.
const REMOVED: [HeaderName; 7] = [
    COOKIE,
    HeaderName::from_static("cookie2"),
    HeaderName::from_static("x-request-start"),
    HeaderName::from_static("x-request-id"),
    VIA,
    HeaderName::from_static("connect-time"),
    HeaderName::from_static("total-route-time"),
];
/// How long a target may be silent, in seconds.
const TIMEOUT_S: u64 = 300;
const MAX_SECONDS: i64 = 31_536_000;
const MAX_REDIRECTS: i64 = 50;

/// The CORS proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsSettings {
    /// Origins that are served; empty: all.
    pub whitelist: Vec<String>,
    /// Origins that are refused.
    pub blacklist: Vec<String>,
    /// Request headers of which one is needed; empty: none is.
    pub require_headers: Vec<HeaderName>,
    /// Request headers that are not passed on.
    pub remove_headers: Vec<HeaderName>,
    /// Request headers that targets get from here.
    pub set_headers: Vec<(HeaderName, HeaderValue)>,
    /// How long browsers may keep the answer to a preflight, in seconds; 0 says nothing of it.
    pub max_age_s: u64,
    /// Redirects that are followed here; `None`: as many as the form of the request has by default.
    pub max_redirects: Option<usize>,
    /// Requests that an origin has per period.
    pub rate_limit: Option<RateLimit>,
    /// Whether pages that ask for their own origin are sent there.
    pub redirect_same_origin: bool,
    /// Whether targets are told who asks.
    pub forwarded: bool,
    /// What is shown in place of the page of help.
    pub help: Option<HelpFile>,
    /// Where to connect in place of a target.
    pub connect_to: Vec<ConnectTo>,
    /// Authorities that are trusted too.
    pub authorities: Option<Authorities>,
    /// How long a target, or who uploads to it, may be silent, in seconds.
    pub timeout_s: u64,
}

/// The `[cors]` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CorsTable {
    whitelist: Vec<Spanned<String>>,
    blacklist: Vec<Spanned<String>>,
    require_headers: Vec<Spanned<String>>,
    remove_headers: Option<Vec<Spanned<String>>>,
    set_headers: Vec<Spanned<String>>,
    max_age_s: Option<Spanned<i64>>,
    max_redirects: Option<Spanned<i64>>,
    rate_limit: Option<Spanned<String>>,
    redirect_same_origin: Option<bool>,
    forwarded: Option<bool>,
    help_file: Option<Spanned<String>>,
    connect_to: Vec<Spanned<String>>,
    ca_file: Option<Spanned<String>>,
    timeout_s: Option<Spanned<i64>>,
}

/// How each key is written, for messages.
pub(super) const FORMS: &[(&str, &str)] = &[
    ("whitelist", "whitelist = [\"https://example.com\"]"),
    ("blacklist", "blacklist = [\"https://example.com\"]"),
    ("require_headers", "require_headers = [\"origin\", \"x-requested-with\"]"),
    ("remove_headers", "remove_headers = [\"cookie\"]"),
    ("set_headers", "set_headers = [\"x-powered-by: netloom\"]"),
    ("max_age_s", "max_age_s = 600"),
    ("max_redirects", "max_redirects = 5"),
    ("rate_limit", "rate_limit = \"50 3 example.com\""),
    ("redirect_same_origin", "redirect_same_origin = false"),
    ("forwarded", "forwarded = false"),
    ("help_file", "help_file = \"/etc/netloom/help.txt\""),
    ("connect_to", "connect_to = [\"example.com:443:192.0.2.7:8443\"]"),
    ("ca_file", "ca_file = \"/etc/netloom/ca.pem\""),
    ("timeout_s", "timeout_s = 300"),
    ("cors", "[cors]"),
];

/// What one source said of the CORS proxy.
#[derive(Debug, Default)]
pub(crate) struct CorsInput {
    whitelist: Vec<Given<String>>,
    blacklist: Vec<Given<String>>,
    require_headers: Vec<Given<String>>,
    remove_headers: Option<Vec<Given<String>>>,
    set_headers: Vec<Given<String>>,
    max_age_s: Option<Given<i64>>,
    max_redirects: Option<Given<i64>>,
    rate_limit: Option<Given<String>>,
    redirect_same_origin: Option<bool>,
    forwarded: Option<bool>,
    help_file: Option<Given<String>>,
    connect_to: Vec<Given<String>>,
    ca_file: Option<Given<String>>,
    timeout_s: Option<Given<i64>>,
}

impl CorsInput {
    /// What the flags say.
    pub(super) fn from_args(args: &CorsArgs) -> Option<Self> {
        let path = |flag, path: &Option<PathBuf>| {
            path.as_ref().map(|path| given(flag, path.to_string_lossy().into_owned()))
        };
        args.cors.then(|| Self {
            whitelist: all("--cors-whitelist", &args.cors_whitelist),
            blacklist: all("--cors-blacklist", &args.cors_blacklist),
            require_headers: all("--cors-require-header", &args.cors_require_header),
            remove_headers: (!args.cors_remove_header.is_empty())
                .then(|| all("--cors-remove-header", &args.cors_remove_header)),
            set_headers: all("--cors-set-header", &args.cors_set_header),
            max_age_s: args.cors_max_age.map(|seconds| given("--cors-max-age", seconds)),
            max_redirects: args.cors_max_redirects.map(|count| given("--cors-max-redirects", count)),
            rate_limit: args.cors_rate_limit.clone().map(|limit| given("--cors-rate-limit", limit)),
            redirect_same_origin: args.cors_redirect_same_origin.then_some(true),
            forwarded: args.cors_forwarded.then_some(true),
            help_file: path("--cors-help", &args.cors_help),
            connect_to: all("--connect-to", &args.connect_to),
            ca_file: path("--cacert", &args.cacert),
            timeout_s: None,
        })
    }

    /// What the file says.
    pub(super) fn from_table(source: &Source, table: CorsTable) -> Self {
        Self {
            whitelist: source.all("whitelist", table.whitelist),
            blacklist: source.all("blacklist", table.blacklist),
            require_headers: source.all("require_headers", table.require_headers),
            remove_headers: table.remove_headers.map(|names| source.all("remove_headers", names)),
            set_headers: source.all("set_headers", table.set_headers),
            max_age_s: source.maybe("max_age_s", table.max_age_s),
            max_redirects: source.maybe("max_redirects", table.max_redirects),
            rate_limit: source.maybe("rate_limit", table.rate_limit),
            redirect_same_origin: table.redirect_same_origin,
            forwarded: table.forwarded,
            help_file: source.maybe("help_file", table.help_file),
            connect_to: source.all("connect_to", table.connect_to),
            ca_file: source.maybe("ca_file", table.ca_file),
            timeout_s: source.maybe("timeout_s", table.timeout_s),
        }
    }

    /// What this says, and `other` where it says nothing.
    pub(super) fn or(self, other: Self) -> Self {
        let list = |own: Vec<_>, other| if own.is_empty() { other } else { own };
        Self {
            whitelist: list(self.whitelist, other.whitelist),
            blacklist: list(self.blacklist, other.blacklist),
            require_headers: list(self.require_headers, other.require_headers),
            remove_headers: self.remove_headers.or(other.remove_headers),
            set_headers: list(self.set_headers, other.set_headers),
            max_age_s: self.max_age_s.or(other.max_age_s),
            max_redirects: self.max_redirects.or(other.max_redirects),
            rate_limit: self.rate_limit.or(other.rate_limit),
            redirect_same_origin: self.redirect_same_origin.or(other.redirect_same_origin),
            forwarded: self.forwarded.or(other.forwarded),
            help_file: self.help_file.or(other.help_file),
            connect_to: list(self.connect_to, other.connect_to),
            ca_file: self.ca_file.or(other.ca_file),
            timeout_s: self.timeout_s.or(other.timeout_s),
        }
    }

    /// The settings in effect.
    pub(super) fn resolve(self) -> Result<CorsSettings, ConfigError> {
        let remove = self.remove_headers.map(|names| each(&names, header_name)).transpose()?;
        let seconds = |least| move |seconds: &i64| number_in(*seconds, least, MAX_SECONDS, "600");
        Ok(CorsSettings {
            whitelist: each(&self.whitelist, origin)?,
            blacklist: each(&self.blacklist, origin)?,
            require_headers: each(&self.require_headers, header_name)?,
            remove_headers: remove.unwrap_or_else(|| REMOVED.to_vec()),
            set_headers: each(&self.set_headers, header)?,
            max_age_s: one(self.max_age_s, seconds(0))?.unwrap_or(0),
            max_redirects: one(self.max_redirects, |count| number_in(*count, 0, MAX_REDIRECTS, "5"))?
                .map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
            rate_limit: one(self.rate_limit, |text| text.parse())?,
            redirect_same_origin: self.redirect_same_origin.unwrap_or(false),
            forwarded: self.forwarded.unwrap_or(false),
            help: one(self.help_file, |path| HelpFile::read(path.into()))?,
            connect_to: each(&self.connect_to, str::parse)?,
            authorities: one(self.ca_file, |path| Authorities::read(path.into()))?,
            timeout_s: one(self.timeout_s, seconds(1))?.unwrap_or(TIMEOUT_S),
        })
    }
}

/// The `[cors]` table that would give the settings.
pub(super) fn to_table(cors: &CorsSettings) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
    put("whitelist", texts(&cors.whitelist));
    put("blacklist", texts(&cors.blacklist));
    put("require_headers", texts(&cors.require_headers));
    put("remove_headers", texts(&cors.remove_headers));
    let headers: Vec<String> = cors
        .set_headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()))
        .collect();
    put("set_headers", texts(&headers));
    put("max_age_s", number(usize::try_from(cors.max_age_s).unwrap_or(usize::MAX)));
    put("redirect_same_origin", cors.redirect_same_origin.into());
    put("forwarded", cors.forwarded.into());
    put("connect_to", texts(&cors.connect_to));
    put("timeout_s", number(usize::try_from(cors.timeout_s).unwrap_or(usize::MAX)));
    if let Some(count) = cors.max_redirects {
        put("max_redirects", number(count));
    }
    if let Some(limit) = &cors.rate_limit {
        put("rate_limit", limit.to_string().into());
    }
    if let Some(help) = &cors.help {
        put("help_file", help.path.display().to_string().into());
    }
    if let Some(authorities) = &cors.authorities {
        put("ca_file", authorities.path.display().to_string().into());
    }
    table
}

fn origin(text: &str) -> Result<String, String> {
    match parse::origin(text)? {
        parse::Origin::Exactly(origin) => Ok(origin),
        parse::Origin::Any => Err("`*` is no origin; leave the whitelist empty to serve all".to_owned()),
    }
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("`{text}` is not the name of a header; write it as x-requested-with"))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| format!("`{text}` is not a header; write NAME:VALUE, as x-powered-by:netloom"))?;
    let name = header_name(name)?;
    if name == HOST {
        return Err("`host` is the target's; use --connect-to to reach it elsewhere".to_owned());
    }
    match HeaderValue::from_str(value.trim()) {
        Ok(value) if value.to_str().is_ok() => Ok((name, value)),
        _ => Err(format!("the value of `{name}` has characters that no header may have; leave them out")),
    }
}

fn number_in(value: i64, least: i64, most: i64, example: &str) -> Result<u64, String> {
    u64::try_from(value).ok().filter(|_| (least..=most).contains(&value)).ok_or_else(|| {
        format!("{value} is out of range; write a number from {least} to {most}, as {example}")
    })
}
