//! The host's own table of names, hosts(5), read again when it has changed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

const PATH: &str = "/etc/hosts";

/// The table.
#[derive(Default)]
pub(super) struct Hosts(Mutex<Read>);

/// What was read, and the time of the file then.
#[derive(Default)]
struct Read {
    modified: Option<SystemTime>,
    entries: HashMap<String, Vec<IpAddr>>,
}

impl Hosts {
    /// The addresses that the table gives a name in lower case; `None` if it does not name it.
    pub(super) fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
        let modified = std::fs::metadata(PATH).and_then(|meta| meta.modified()).ok();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.modified != modified {
            let text = std::fs::read(PATH).unwrap_or_default();
            *table = Read { modified, entries: parse(&String::from_utf8_lossy(&text)) };
        }
        table.entries.get(name).cloned()
    }
}

fn parse(text: &str) -> HashMap<String, Vec<IpAddr>> {
    let mut entries = HashMap::<_, Vec<IpAddr>>::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        for name in words {
            entries.entry(name.trim_end_matches('.').to_ascii_lowercase()).or_default().push(address);
        }
    }
    entries
}

#[cfg(test)]
#[path = "hosts_tests.rs"]
mod tests;
