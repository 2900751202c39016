//! The text of a TOML file, and the line of every value in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use toml::Spanned;

use super::error::{ConfigError, Given, Place};
use super::{control, cors, file, hosts, limits, tokens};

/// The file's text with its name, to find lines in.
pub(super) struct Source {
    path: Rc<str>,
    text: String,
}

impl Source {
    /// Reads a file; `unreadable` says what to do if that fails.
    pub(super) fn open(
        path: &Path,
        unreadable: impl FnOnce(&std::io::Error) -> String,
    ) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::new(path.display(), unreadable(&error)))?;
        Ok(Self { path: path.to_string_lossy().into(), text })
    }

    pub(super) fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(&self.text).map_err(|error| self.refuse(&error))
    }

    fn line_of(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }

    fn place(&self, offset: usize, key: &str) -> Place {
        Place::File { path: Rc::clone(&self.path), line: self.line_of(offset), key: key.to_owned() }
    }

    pub(super) fn given<T>(&self, key: &str, value: Spanned<T>) -> Given<T> {
        let place = self.place(value.span().start, key);
        Given { value: value.into_inner(), place }
    }

    /// A value that may be missing.
    pub(super) fn maybe<T>(&self, key: &str, value: Option<Spanned<T>>) -> Option<Given<T>> {
        value.map(|value| self.given(key, value))
    }

    pub(super) fn all(&self, key: &str, values: Vec<Spanned<String>>) -> Vec<Given<String>> {
        values.into_iter().map(|value| self.given(key, value)).collect()
    }

    /// A table as `name=value` texts, the form of the flags.
    pub(super) fn pairs(&self, key: &str, table: BTreeMap<String, Spanned<String>>) -> Vec<Given<String>> {
        let pair = |(name, value)| {
            let given = self.given(key, value);
            given.with(format!("{name}={}", given.value))
        };
        table.into_iter().map(pair).collect()
    }

    /// What the TOML reader could not take: its line, the line's key, its message, and how that key is written.
    fn refuse(&self, error: &toml::de::Error) -> ConfigError {
        let Some(span) = error.span() else { return ConfigError::new(&self.path, error.message()) };
        let line = self.line_of(span.start);
        let written = self.text.lines().nth(line - 1).unwrap_or_default();
        let key = written.split('=').next().unwrap_or_default().trim().trim_matches(['[', ']', '"']);
        let key = if key.starts_with('#') { "" } else { key };
        let tables = [file::FORMS, control::FORMS, cors::FORMS, limits::FORMS, hosts::FORMS, tokens::FORMS];
        let form = tables.into_iter().flatten().find(|(name, _)| *name == key);
        let place = self.place(span.start, key);
        match form {
            Some((_, form)) => ConfigError::new(place, format_args!("{}; write {form}", error.message())),
            None => ConfigError::new(place, error.message()),
        }
    }
}
