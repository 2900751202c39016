//! Which guest a forward leads to, and where it is now.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

use netloom_core::Neighbor;
use tokio::time::{Instant, sleep};

use crate::config::ForwardGuest;
use crate::lan::LanTask;

/// How long a connection waits for its guest to be there.
const GUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The domain of the LAN's names.
const DOMAIN: &str = ".lan";

/// Where a guest is now; of its addresses one that can answer `source`, if there is such a one, then the one that it used last.
pub(super) fn find(lan: &LanTask, guest: &ForwardGuest, source: Option<IpAddr>) -> Option<IpAddr> {
    let machine = lan.machine.borrow();
    let now = lan.clock.now();
    let is_fixed =
        |neighbor: &Neighbor<'_>| lan.settings().leases.iter().any(|(mac, _)| *mac == neighbor.guest.mac);
    let is_meant = |neighbor: &Neighbor<'_>| match guest {
        // This host, and who is behind it, has to be named.
        ForwardGuest::First => is_fixed(neighbor) || !lan.is_of_this_host(neighbor.guest.port),
        ForwardGuest::Address(address) => neighbor.address == *address,
        ForwardGuest::Mac(mac) => neighbor.guest.mac == *mac,
        ForwardGuest::Name(name) => {
            neighbor.name.is_some_and(|known| known.eq_ignore_ascii_case(name))
                || is_recorded(lan, name, neighbor.address)
        }
    };
    let rank = |neighbor: &Neighbor<'_>| {
        let joined = lan.joined(neighbor.guest.port);
        let is_away = joined.is_some_and(|(is_away, _)| is_away);
        (
            (is_away, !is_fixed(neighbor), joined),
            source.is_some_and(|source| !answers(neighbor.address, source)),
            neighbor.address.is_ipv6(),
            Reverse(neighbor.heard),
        )
    };
    machine.neighbors(now).filter(is_meant).min_by_key(rank).map(|neighbor| neighbor.address)
}

/// Where a guest is, as soon as it is there; `None` if it does not come within ten seconds.
pub(crate) async fn wait_for(lan: &LanTask, guest: &ForwardGuest, source: Option<IpAddr>) -> Option<IpAddr> {
    let until = Instant::now() + GUEST_TIMEOUT;
    loop {
        let found = find(lan, guest, source);
        if found.is_some() || Instant::now() >= until {
            return found;
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Whether the LAN's DNS has a name for an address.
fn is_recorded(lan: &LanTask, name: &str, address: IpAddr) -> bool {
    lan.settings().records.iter().any(|(known, addresses)| {
        known.strip_suffix(DOMAIN).unwrap_or(known).eq_ignore_ascii_case(name) && addresses.contains(&address)
    })
}

/// Whether who has this address can answer a source outside the LAN.
fn answers(address: IpAddr, source: IpAddr) -> bool {
    match (address, source) {
        (IpAddr::V4(_), IpAddr::V4(_)) => true,
        (IpAddr::V6(address), IpAddr::V6(_)) => !address.is_unicast_link_local(),
        _ => false,
    }
}
