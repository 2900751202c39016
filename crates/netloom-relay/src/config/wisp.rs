//! The Wisp server's part of the configuration.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use toml::{Table, Value};

use super::error::{ConfigError, Given};
use super::parse;
use super::resolve::{each, one};
use super::show::{number, texts};

/// What a public key of Ed25519 is preceded by in DER (RFC 8410 section 4).
const DER_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Longest message of the day, in bytes.
const MAX_MOTD_BYTES: usize = 4096;

/// What `/` and every path that names nothing else lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The LAN `default`.
    Lan,
    /// The Wisp server, for clients that can only be given a host.
    Wisp,
    /// The CORS proxy; WebSockets go to the LAN `default`.
    Cors,
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lan => "lan",
            Self::Wisp => "wisp",
            Self::Cors => "cors",
        })
    }
}

/// The Wisp server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WispSettings {
    /// Names and passwords of who may use it. If there are any, or keys, nobody else may.
    pub users: Vec<(String, String)>,
    /// Public keys (Ed25519) of who may use it.
    pub keys: Vec<PublicKey>,
    /// A text for its users, shown by clients of version 2.
    pub motd: Option<String>,
    /// Whether it opens UDP streams.
    pub udp: bool,
    /// Clients that may be connected at once, plain streams included.
    pub max_clients: usize,
    /// Streams that one client may have open.
    pub max_streams: usize,
    /// Longest message of a client, in bytes; a longer one ends its connection.
    pub max_message_bytes: usize,
    /// How long a UDP stream may be without a datagram.
    pub udp_idle: Duration,
}

impl WispSettings {
    /// Whether clients have to authenticate.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        !self.users.is_empty() || !self.keys.is_empty()
    }
}

/// A public key of Ed25519.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What one source said about it.
#[derive(Debug, Default)]
pub(crate) struct WispInput {
    pub(crate) enabled: Option<bool>,
    pub(crate) users: Vec<Given<String>>,
    pub(crate) keys: Vec<Given<String>>,
    pub(crate) motd: Option<Given<String>>,
    pub(crate) udp: Option<bool>,
    pub(crate) max_clients: Option<Given<i64>>,
    pub(crate) max_streams: Option<Given<i64>>,
    pub(crate) max_message_bytes: Option<Given<i64>>,
    pub(crate) udp_idle_s: Option<Given<i64>>,
}

pub(super) fn resolve(flags: WispInput, file: WispInput) -> Result<Option<WispSettings>, ConfigError> {
    let either = |flags: Vec<_>, file| if flags.is_empty() { file } else { flags };
    let given_users = either(flags.users, file.users);
    let users = each(&given_users, user)?;
    for (n, (name, _)) in users.iter().enumerate() {
        if users[..n].iter().any(|(other, _)| other == name) {
            return Err(
                given_users[n].wrong(format_args!("there are two users named `{name}`; leave one out"))
            );
        }
    }
    let count = |given| one(given, |n: &i64| parse::count(*n));
    let settings = WispSettings {
        users,
        keys: each(&either(flags.keys, file.keys), key)?,
        motd: one(flags.motd.or(file.motd), |text| motd(text))?,
        udp: flags.udp.or(file.udp).unwrap_or(true),
        max_clients: count(flags.max_clients.or(file.max_clients))?.unwrap_or(2048),
        max_streams: count(flags.max_streams.or(file.max_streams))?.unwrap_or(1024),
        max_message_bytes: one(flags.max_message_bytes.or(file.max_message_bytes), |n| message_bytes(*n))?
            .unwrap_or(1024 * 1024),
        udp_idle: one(flags.udp_idle_s.or(file.udp_idle_s), |n| parse::count(*n))?
            .map_or(Duration::from_secs(120), |seconds| Duration::from_secs(seconds as u64)),
    };
    Ok(flags.enabled.or(file.enabled).unwrap_or(true).then_some(settings))
}

pub(super) fn root(text: &str) -> Result<Root, String> {
    match text {
        "lan" => Ok(Root::Lan),
        "wisp" => Ok(Root::Wisp),
        "cors" => Ok(Root::Cors),
        _ => Err(format!("`{text}` is nothing that / can lead to; write lan, wisp or cors")),
    }
}

pub(super) fn show(wisp: Option<&WispSettings>) -> Table {
    let mut table = Table::from_iter([("enabled".to_owned(), wisp.is_some().into())]);
    let Some(wisp) = wisp else { return table };
    let users = wisp.users.iter().map(|(name, password)| (name.clone(), password.clone().into()));
    table.insert("users".into(), Value::Table(users.collect()));
    table.insert("keys".into(), texts(&wisp.keys));
    if let Some(motd) = &wisp.motd {
        table.insert("motd".into(), motd.clone().into());
    }
    table.insert("udp".into(), wisp.udp.into());
    table.insert("max_clients".into(), number(wisp.max_clients));
    table.insert("max_streams".into(), number(wisp.max_streams));
    table.insert("max_message_bytes".into(), number(wisp.max_message_bytes));
    table.insert("udp_idle_s".into(), number(wisp.udp_idle.as_secs() as usize));
    table
}

fn user(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, password))
            if (1..=255).contains(&name.len()) && (1..=65_535).contains(&password.len()) =>
        {
            Ok((name.to_owned(), password.to_owned()))
        }
        // What was written may be most of a password.
        _ => Err("that is no user; write NAME=PASSWORD, a name of 1 to 255 bytes".to_owned()),
    }
}

fn key(text: &str) -> Result<PublicKey, String> {
    let bytes = BASE64.decode(text).unwrap_or_default();
    let raw = bytes.strip_prefix(&DER_PREFIX).unwrap_or(&bytes);
    let wrong = || {
        format!(
            "`{text}` is no Ed25519 public key; write its 32 bytes in base64, or the middle line of its PEM file"
        )
    };
    raw.try_into().map(PublicKey).map_err(|_| wrong())
}

fn motd(text: &str) -> Result<String, String> {
    if text.len() > MAX_MOTD_BYTES {
        return Err(format!("the text has {} bytes; write at most {MAX_MOTD_BYTES}", text.len()));
    }
    Ok(text.to_owned())
}

fn message_bytes(value: i64) -> Result<usize, String> {
    usize::try_from(value)
        .ok()
        .filter(|bytes| (4096..=64 * 1024 * 1024).contains(bytes))
        .ok_or_else(|| format!("{value} is out of range; write a number of bytes from 4096 to 67108864"))
}
