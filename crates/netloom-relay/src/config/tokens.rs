//! The tokens file: who may use the relay, by the hash of what they show, and what they may do.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use netloom_core::{Pattern, Policy};
use serde::Deserialize;
use toml::{Spanned, Table};

use super::error::{ConfigError, Given};
use super::input::all;
use super::limits::Scope;
use super::parse;
use super::resolve::each;
use super::show::texts;
use super::source::Source;
use crate::access::secret::Hash;
use crate::hex;

/// Tokens that a file may hold: each is compared with what is shown.
const MAX_TOKENS: usize = 10_000;
/// Who may read the file, where it is new.
const MODE: u32 = 0o600;

/// A token, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// Its name, which logs show.
    pub(crate) name: String,
    /// SHA-256 of its text.
    pub(crate) hash: Hash,
    /// When it was made, in seconds since the Unix epoch.
    pub(crate) created_unix_s: i64,
    pub(crate) rules: Rules,
}

/// What the clients of a token may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// LANs that they may join; empty: all. The first is the one that paths lead to which name none.
    pub(crate) lans: Vec<String>,
    /// What they reach beside what all do.
    pub(crate) allow: Vec<Pattern>,
    /// What they do not reach either.
    pub(crate) deny: Vec<Pattern>,
    /// Whether they reach nothing but what `allow` names.
    pub(crate) allow_only: bool,
    /// What they may use together.
    pub(crate) limits: Scope,
}

impl Rules {
    /// The LAN that a path leads to, which may name one; `None` if they may not join that.
    pub(crate) fn lan<'a>(&'a self, named: Option<&'a str>) -> Option<&'a str> {
        match (named, self.lans.first()) {
            (Some(named), Some(_)) => self.lans.iter().any(|lan| lan == named).then_some(named),
            (Some(named), None) => Some(named),
            (None, first) => Some(first.map_or(super::DEFAULT_LAN, String::as_str)),
        }
    }

    /// Whether they reach something else than clients without rules.
    pub(crate) fn are_of_egress(&self) -> bool {
        self.allow_only || !self.allow.is_empty() || !self.deny.is_empty()
    }

    /// The policy on them, made from the one on all.
    pub(crate) fn over(&self, all: &Policy) -> Policy {
        let common = if self.allow_only { [].as_slice() } else { &all.allow };
        Policy {
            allow: common.iter().chain(&self.allow).cloned().collect(),
            deny: all.deny.iter().chain(&self.deny).cloned().collect(),
            closed: all.closed || self.allow_only,
            ..all.clone()
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tokens {
    token: Vec<TokenTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenTable {
    name: Spanned<String>,
    sha256: Spanned<String>,
    #[serde(default)]
    created_unix_s: i64,
    #[serde(default)]
    lans: Vec<Spanned<String>>,
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    #[serde(default)]
    deny: Vec<Spanned<String>>,
    #[serde(default)]
    allow_only: bool,
    #[serde(default)]
    limits: BTreeMap<String, Spanned<u64>>,
}

/// How each key is written, for messages.
pub(super) const FORMS: &[(&str, &str)] = &[
    ("sha256", "sha256 = \"64 HEXADECIMAL DIGITS\", as `netloom token create` does"),
    ("created_unix_s", "created_unix_s = 1767225600"),
    ("lans", "lans = [\"default\"]"),
    ("token", "[[token]]"),
    ("tokens", "tokens = \"/etc/netloom/tokens.toml\""),
];

/// Reads a tokens file.
///
/// # Errors
/// The first mistake in it, with its place and the fix.
pub(crate) fn read(path: &Path) -> Result<Vec<Token>, ConfigError> {
    let source = Source::open(path, |error| match error.kind() {
        io::ErrorKind::NotFound => format!(
            "there is no such tokens file; make it with `netloom token create NAME --tokens {}`",
            path.display()
        ),
        _ => format!("cannot be read ({error}); name a tokens file that this user may read"),
    })?;
    let tables = source.parse::<Tokens>()?.token;
    let mut tokens: Vec<Token> = Vec::new();
    for table in tables {
        let name = source.given("name", table.name);
        if tokens.len() == MAX_TOKENS {
            return Err(name.wrong(format_args!("more than {MAX_TOKENS} tokens; revoke some")));
        }
        let hash = source.given("sha256", table.sha256);
        let token = Token {
            name: self::name(&name.value).map_err(|why| name.wrong(why))?,
            hash: hex::decode(&hash.value).ok_or_else(|| {
                hash.wrong("that is no SHA-256 in hexadecimal; make tokens with `netloom token create`")
            })?,
            created_unix_s: table.created_unix_s,
            rules: Rules {
                lans: each(&source.all("lans", table.lans), parse::lan_name)?,
                allow: each(&source.all("allow", table.allow), parse::pattern)?,
                deny: each(&source.all("deny", table.deny), parse::pattern)?,
                allow_only: table.allow_only,
                limits: scope(table.limits.into_iter().map(|(key, value)| {
                    let given = source.given(&key, value);
                    given.with((key, given.value))
                }))?,
            },
        };
        if tokens.iter().any(|other| other.name == token.name) {
            return Err(name.wrong(format_args!("there are two tokens named `{}`; revoke one", token.name)));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// The name of a token.
pub(crate) fn name(text: &str) -> Result<String, String> {
    parse::lan_name(text)
        .map_err(|_| format!("`{text}` cannot name a token; use 1 to 63 letters, digits, `-`, `_` or `.`"))
}

/// The rules that flags give.
pub(crate) fn rules(
    lans: &[String],
    allow: &[String],
    deny: &[String],
    allow_only: bool,
    limits: &[String],
) -> Result<Rules, ConfigError> {
    let pair =
        |given: Given<String>| match given.value.split_once('=').map(|(key, value)| (key, value.parse())) {
            Some((key, Ok(value))) => Ok(given.with((key.to_owned(), value))),
            _ => Err(given.wrong("write KEY=NUMBER, as connections=8")),
        };
    let limits = all("--limit", limits).into_iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    Ok(Rules {
        lans: each(&all("--lan", lans), parse::lan_name)?,
        allow: each(&all("--allow", allow), parse::pattern)?,
        deny: each(&all("--deny", deny), parse::pattern)?,
        allow_only,
        limits: scope(limits)?,
    })
}

fn scope(limits: impl IntoIterator<Item = Given<(String, u64)>>) -> Result<Scope, ConfigError> {
    let mut scope = Scope::default();
    for given in limits {
        let (key, value) = &given.value;
        scope.set(key, *value).map_err(|why| given.wrong(why))?;
    }
    Ok(scope)
}

/// Changes a tokens file, or makes it where `create` says so: nobody else changes it meanwhile, and who reads it sees the old or the new.
///
/// # Errors
/// Those of `change`, of a file that is wrong, or what the kernel says.
pub(crate) fn change(
    path: &Path,
    create: bool,
    change: impl FnOnce(&mut Vec<Token>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // A link stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let lock = File::open(folder)?;
    lock.lock()?;
    let mut tokens = if create && !path.exists() { Vec::new() } else { read(&path)? };
    change(&mut tokens)?;
    replace(&path, folder, &to_toml(&tokens))?;
    Ok(())
}

fn replace(path: &Path, folder: &Path, text: &str) -> io::Result<()> {
    let mode = fs::metadata(path).map_or(MODE, |file| file.permissions().mode() & 0o777);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished: PathBuf = folder.join(format!(".{name}.{}", std::process::id()));
    drop(fs::remove_file(&unfinished));
    let result = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    })();
    if result.is_err() {
        drop(fs::remove_file(&unfinished));
    }
    result
}

fn to_toml(tokens: &[Token]) -> String {
    let table = |token: &Token| {
        let mut table = Table::new();
        table.insert("name".into(), token.name.clone().into());
        table.insert("sha256".into(), hex::encode(&token.hash).into());
        table.insert("created_unix_s".into(), token.created_unix_s.into());
        let Rules { lans, allow, deny, allow_only, limits } = &token.rules;
        if !lans.is_empty() {
            table.insert("lans".into(), texts(lans));
        }
        if !allow.is_empty() {
            table.insert("allow".into(), texts(allow));
        }
        if !deny.is_empty() {
            table.insert("deny".into(), texts(deny));
        }
        let limits =
            limits.values().map(|(key, value)| (key.to_owned(), i64::try_from(value).unwrap_or(i64::MAX)));
        let limits: Table = limits.map(|(key, value)| (key, value.into())).collect();
        if !limits.is_empty() {
            table.insert("limits".into(), limits.into());
        }
        if *allow_only {
            table.insert("allow_only".into(), true.into());
        }
        table
    };
    let tokens: Vec<_> = tokens.iter().map(table).collect();
    Table::from_iter([("token".to_owned(), tokens.into())]).to_string()
}
