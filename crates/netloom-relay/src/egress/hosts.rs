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
mod tests {
    use super::{IpAddr, parse};

    #[test]
    fn names_of_a_line_share_its_address() {
        let table = parse(
            "# comment\n192.0.2.1 Web web.lan. # x\n2001:db8::1\tweb.lan\nfe80::1%lo zone\nnot an address\n",
        );
        let found =
            |name: &str| table.get(name).map(|found| found.iter().map(IpAddr::to_string).collect::<Vec<_>>());
        assert_eq!(found("web"), Some(vec!["192.0.2.1".to_owned()]));
        assert_eq!(found("web.lan"), Some(vec!["192.0.2.1".to_owned(), "2001:db8::1".to_owned()]));
        assert_eq!(table.len(), 2);
    }
}
