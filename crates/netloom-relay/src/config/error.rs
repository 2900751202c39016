//! A mistake in the configuration: where it was written, and what to write instead.

use std::fmt;
use std::rc::Rc;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the command line, by this flag.
    Flag(&'static str),
    /// In the file.
    File {
        /// The file as it was named.
        path: Rc<str>,
        /// The line, from 1.
        line: usize,
        /// The key, as `mtu`; empty where the line holds none.
        key: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::File { path, line, key } if key.is_empty() => write!(f, "{path}:{line}"),
            Self::File { path, line, key } => write!(f, "{path}:{line}: {key}"),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<T> Given<T> {
    /// Another value from the same place.
    pub(crate) fn with<U>(&self, value: U) -> Given<U> {
        Given { value, place: self.place.clone() }
    }

    /// The mistake that this value is.
    pub(crate) fn wrong(&self, message: impl fmt::Display) -> ConfigError {
        ConfigError::new(&self.place, message)
    }
}

/// What is wrong with the configuration: one line that names the place and the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(place: impl fmt::Display, message: impl fmt::Display) -> Self {
        let text = format!("{place}: {message}");
        Self(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
