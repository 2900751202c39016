//! `netloom init`: a commented configuration, with what flags say filled in.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use toml::{Table, Value};

use crate::cli::RelayArgs;
use crate::config::{Config, ConfigError};

/// Every key with its default behind `#`, and what it means.
const TEMPLATE: &str = include_str!("template.toml");
/// Who may read the file: who writes it, since it may hold passwords.
const FILE_MODE: u32 = 0o600;

/// Why no file was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// It would be lost.
    #[error("{0} is there already; name another file, or give --force to write over it")]
    Exists(String),
    /// The kernel refuses.
    #[error("cannot write {0} ({1}); name a file in a folder of your own")]
    Write(String, io::Error),
    /// A flag is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Writes a configuration that says what the flags say to a new file.
///
/// # Errors
/// [`InitError`]: a flag that is wrong, a file that is there or cannot be written.
pub fn init(path: &Path, flags: &RelayArgs, is_forced: bool) -> Result<(), InitError> {
    let text = text(flags)?;
    let shown = path.display().to_string();
    let mut options = OpenOptions::new();
    options.write(true).mode(FILE_MODE);
    if is_forced {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists(shown),
        _ => InitError::Write(shown, error),
    })
}

/// The template, with what flags say filled in.
pub(super) fn text(flags: &RelayArgs) -> Result<String, ConfigError> {
    let given = table(&Config::load(flags)?);
    let default = table(&Config::load(&RelayArgs::default())?);
    let mut out = String::new();
    let mut path: Vec<String> = Vec::new();
    let mut seen: Vec<Vec<String>> = Vec::new();
    for line in TEMPLATE.lines() {
        if let Some(header) = line.strip_prefix('[') {
            path = header.trim_matches(['[', ']']).split('.').map(str::to_owned).collect();
        }
        let key = line.strip_prefix('#').and_then(|rest| rest.split_once(" = ")).map(|(key, _)| key);
        let Some(key) = key.filter(|key| !key.contains(' ')) else {
            out += line;
            out.push('\n');
            continue;
        };
        let full = [path.as_slice(), &[key.to_owned()]].concat();
        match at(&given, &full) {
            Some(value) if at(&default, &full) != Some(value) => {
                out += &format!("{key} = {}\n", inline(value))
            }
            _ => out += &format!("{line}\n"),
        }
        seen.push(full);
    }
    append(&mut out, &given, &default, &seen);
    Ok(out)
}

/// What the template does not have: tables and keys that differ from the default, and LANs but the first.
fn append(out: &mut String, given: &Table, default: &Table, seen: &[Vec<String>]) {
    for (name, value) in given {
        match value {
            Value::Table(table) => append_table(out, std::slice::from_ref(name), table, default, seen),
            Value::Array(lans) => {
                for lan in lans.iter().skip(1).filter_map(Value::as_table) {
                    *out += &format!("\n[[{name}]]\n");
                    let bare = bare_lan(lan.get("name"));
                    for (key, value) in lan {
                        if key == "name" || bare.get(key) != Some(value) {
                            *out += &format!("{key} = {}\n", inline(value));
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// What a LAN is of which nothing is said but its name.
fn bare_lan(name: Option<&Value>) -> Table {
    let lan = name.and_then(Value::as_str).into_iter().map(str::to_owned).collect();
    let config = Config::load(&RelayArgs { lan, ..RelayArgs::default() });
    let lans = config.map(|config| table(&config)).unwrap_or_default().remove("lan");
    let last = lans.and_then(|lans| lans.as_array()?.last()?.as_table().cloned());
    last.unwrap_or_default()
}

fn append_table(out: &mut String, path: &[String], table: &Table, default: &Table, seen: &[Vec<String>]) {
    let mut lines = String::new();
    for (key, value) in table {
        let full = [path, std::slice::from_ref(key)].concat();
        if seen.contains(&full) || at(default, &full) == Some(value) {
            continue;
        }
        match value {
            Value::Table(inner) if seen.iter().any(|known| known.starts_with(&full)) => {
                append_table(out, &full, inner, default, seen);
            }
            _ => lines += &format!("{key} = {}\n", inline(value)),
        }
    }
    if !lines.is_empty() {
        *out += &format!("\n[{}]\n{lines}", path.join("."));
    }
}

fn table(config: &Config) -> Table {
    config.to_toml().parse().unwrap_or_default()
}

/// The value at a path; of an array of tables in the first.
fn at<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (key, rest) = path.split_first()?;
    let value = table.get(key)?;
    match value {
        _ if rest.is_empty() => Some(value),
        Value::Table(inner) => at(inner, rest),
        Value::Array(tables) => at(tables.first()?.as_table()?, rest),
        _ => None,
    }
}

/// A value in one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let pairs =
                table.iter().map(|(key, value)| format!("{} = {}", Value::from(key.as_str()), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        simple => simple.to_string(),
    }
}
