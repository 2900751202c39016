//! The host's own table of names, hosts(5), read again when it has changed.

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
    entries: Vec<(String, IpAddr)>,
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
        let found: Vec<IpAddr> =
            table.entries.iter().filter(|(known, _)| known == name).map(|(_, address)| *address).collect();
        (!found.is_empty()).then_some(found)
    }
}

fn parse(text: &str) -> Vec<(String, IpAddr)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let entries = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        Some(words.map(move |name| (name.trim_end_matches('.').to_ascii_lowercase(), address)))
    });
    entries.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_of_a_line_share_its_address() {
        let table = parse(
            "# comment\n192.0.2.1 Web web.lan. # x\n2001:db8::1\tweb.lan\nfe80::1%lo zone\nnot an address\n",
        );
        let found: Vec<_> = table.iter().map(|(name, address)| format!("{name}={address}")).collect();
        assert_eq!(found, ["web=192.0.2.1", "web.lan=192.0.2.1", "web.lan=2001:db8::1"]);
    }
}
