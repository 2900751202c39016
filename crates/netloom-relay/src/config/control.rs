//! How operators reach a running relay: the control socket, and the token that opens the API on the listeners.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use toml::{Spanned, Table};

use super::error::{ConfigError, Given};
use super::qemu;
use super::resolve::one;
use super::source::Source;

/// How each key is written, for messages.
pub(super) const FORMS: &[(&str, &str)] = &[
    ("control", "[control]"),
    ("socket", "socket = \"unix:/run/netloom.sock\""),
    ("token_file", "token_file = \"/etc/netloom/control-token\""),
];

/// Fewest characters of the token, so that it cannot be guessed.
const MIN_TOKEN_LENGTH: usize = 16;

/// How operators reach a relay.
#[derive(Clone, PartialEq, Eq)]
pub struct ControlSettings {
    /// The control socket.
    pub socket: ControlAddress,
    /// The file of the control token.
    pub token_file: Option<PathBuf>,
    /// The token, which opens the API on the listeners.
    pub token: Option<String>,
}

impl fmt::Debug for ControlSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { socket, token_file, .. } = self;
        f.debug_struct("ControlSettings").field("socket", socket).field("token_file", token_file).finish()
    }
}

/// Where the control socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAddress {
    /// `netloom.sock` in `$XDG_RUNTIME_DIR`, else in `/run` for root, else in a folder of the user's under the one for temporary files; none if
    /// another relay has that.
    Default,
    /// At this path.
    Unix(PathBuf),
    /// There is none.
    Off,
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Off => f.write_str("off"),
        }
    }
}

/// The table `[control]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ControlTable {
    socket: Option<Spanned<String>>,
    token_file: Option<Spanned<String>>,
}

/// What one source said about it.
#[derive(Debug, Default)]
pub(crate) struct ControlInput {
    pub(super) socket: Option<Given<String>>,
    pub(super) token_file: Option<Given<String>>,
}

impl ControlInput {
    pub(super) fn from_table(source: &Source, table: ControlTable) -> Self {
        Self {
            socket: source.maybe("socket", table.socket),
            token_file: source.maybe("token_file", table.token_file),
        }
    }
}

pub(super) fn resolve(flags: ControlInput, file: ControlInput) -> Result<ControlSettings, ConfigError> {
    let token_file = flags.token_file.or(file.token_file);
    let path = token_file.as_ref().map(|given| PathBuf::from(&given.value));
    Ok(ControlSettings {
        socket: one(flags.socket.or(file.socket), |text| address(text))?.unwrap_or(ControlAddress::Default),
        token: one(token_file, |path| read_token(path))?,
        token_file: path,
    })
}

pub(super) fn show(control: &ControlSettings) -> Table {
    let mut table = Table::from_iter([("socket".to_owned(), control.socket.to_string().into())]);
    if let Some(path) = &control.token_file {
        table.insert("token_file".into(), path.display().to_string().into());
    }
    table
}

/// Where the control socket is, as it is written.
pub(crate) fn address(text: &str) -> Result<ControlAddress, String> {
    match text {
        "default" => Ok(ControlAddress::Default),
        "off" => Ok(ControlAddress::Off),
        _ => match text.strip_prefix("unix:") {
            Some(path) => qemu::socket_path(path).map(ControlAddress::Unix),
            None => Err(format!(
                "`{text}` is not where the control socket can be; write unix:PATH, default or off"
            )),
        },
    }
}

/// The token in a file: its text without spaces around it.
pub(crate) fn read_token(path: &str) -> Result<String, String> {
    let fix = "write a secret of your own there, as by: openssl rand -hex 32";
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{path} cannot be read ({error}); {fix}"))?;
    let token = text.trim();
    if token.len() < MIN_TOKEN_LENGTH {
        return Err(format!(
            "the token in {path} is too short: {MIN_TOKEN_LENGTH} characters at least; {fix}"
        ));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("the token in {path} holds spaces or what HTTP cannot carry; {fix}"));
    }
    Ok(token.to_owned())
}
