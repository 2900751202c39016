//! Coming back: the port of a client whose connection was lost stays for a while, and who comes back for its guest has it again, with the
//! guest's lease, its MAC address and its flows.
//!
//! ```text
//! connection lost ─▶ away (frames wait, bounded; the stale are dropped) ─┬▶ taken over by the connection that its guest speaks on
//!                                                                        └▶ closed after `resume_s`
//! ```
//!
//! A connection has to show two things. That it may: by the token or the cookie of the lost one, or by its address, as far as
//! `resume_by_mac` says so. And that it leads to the same guest: by the MAC address of its first frame. A guest that only listens is made
//! to speak by a question after its address on the new connection. A connection that is lost without anyone having noticed is asked for a
//! sign of life first.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use netloom_core::{Guest, Lan, MacAddr, PortId};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::client::Client;
pub(crate) use super::cookie::Cookie;
use super::{LanTask, Member};
use crate::config::ResumeByMac;
use crate::limit::network_of;

/// How often ports that are away are looked at. What has waited that long is stale.
const TICK: Duration = Duration::from_secs(1);
/// How long a connection has to give a sign of life when another one speaks for its guest.
const CHALLENGE: Duration = Duration::from_secs(2);
/// When guests that may be behind a new connection are asked for after it was made, from one time to the next.
const QUESTIONS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2)];
/// Guests that are asked for on one connection.
const MAX_ASKED: usize = 16;
/// Ports that may be away at once, and those of one origin's address among them.
const MAX_AWAY: usize = 256;
const MAX_AWAY_OF_ADDRESS: usize = 32;

/// Whose a connection is, as far as it shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The client's address; `None` on a unix socket, which only we can open.
    pub(crate) address: Option<IpAddr>,
    /// What its browser was given with an earlier connection, or with this one.
    pub(crate) cookie: Option<Cookie>,
    /// The name of the token that it was let in by.
    pub(crate) token: Option<Arc<str>>,
}

impl Origin {
    /// Whether what was the port of `lost` may be this one's.
    fn may_resume(&self, lost: &Self, by_mac: ResumeByMac) -> bool {
        if self.token != lost.token {
            return false;
        }
        self.token.is_some()
            || self.cookie.is_some() && self.cookie == lost.cookie
            || match by_mac {
                ResumeByMac::Off => false,
                ResumeByMac::Address => self.network() == lost.network(),
                ResumeByMac::Any => true,
            }
    }

    fn network(&self) -> Option<IpAddr> {
        self.address.map(network_of)
    }
}

/// A port whose client is away.
struct Away {
    /// Whose it was, which [`Member::id`] is: ports' numbers are used again.
    id: u64,
    origin: Origin,
    peer: String,
    /// Since when the client was on the LAN.
    joined: Instant,
    until: Instant,
}

/// The ports whose clients are away.
#[derive(Default)]
pub(super) struct Aways {
    ports: HashMap<PortId, Away>,
    /// Whether somebody looks at them.
    is_watched: bool,
}

impl Aways {
    pub(super) fn ports(&self) -> impl Iterator<Item = &PortId> {
        self.ports.keys()
    }

    /// Takes out a port that was the member's of this number; tells whether there is one.
    fn take(&mut self, port: PortId, id: u64) -> bool {
        let is_its = self.ports.get(&port).is_some_and(|away| away.id == id);
        is_its && self.ports.remove(&port).is_some()
    }

    /// The port that has to give way for one more of this origin.
    fn surplus(&self, origin: &Origin) -> Option<PortId> {
        let alike = |away: &&Away| away.origin.network() == origin.network();
        let oldest = |of_address: bool| {
            let ports = self.ports.iter().filter(|(_, away)| !of_address || alike(away));
            ports.min_by_key(|(port, away)| (away.until, **port)).map(|(port, _)| *port)
        };
        if self.ports.values().filter(alike).count() >= MAX_AWAY_OF_ADDRESS {
            oldest(true)
        } else if self.ports.len() >= MAX_AWAY {
            oldest(false)
        } else {
            None
        }
    }
}

/// How far a connection is in showing whose guest it leads to.
#[derive(Debug, Default)]
pub(super) struct Claim {
    is_settled: Cell<bool>,
    is_challenging: Cell<bool>,
}

impl Claim {
    pub(super) fn is_open(&self) -> bool {
        !self.is_settled.get()
    }

    fn settle(&self) {
        self.is_settled.set(true);
    }
}

impl LanTask {
    /// Keeps the port of a client whose connection was lost; tells whether it does.
    pub(super) fn park(self: &Rc<Self>, port: PortId, client: &Client) -> bool {
        let grace = Duration::from_secs(self.settings().resume_s.into());
        if grace.is_zero() || self.is_stopping.get() || !self.machine.borrow().has_guests(port) {
            return false;
        }
        let mut aways = self.aways.borrow_mut();
        if let Some(surplus) = aways.surplus(client.origin()) {
            aways.ports.remove(&surplus);
            self.close_port(surplus);
        }
        self.forget_member(port);
        self.machine.borrow_mut().hold_macs(port, true);
        let away = Away {
            id: client.member().id,
            origin: client.origin().clone(),
            peer: client.member().peer.clone(),
            joined: client.member().joined(),
            until: Instant::now() + grace,
        };
        debug!("{}: its port is kept for {} s", away.peer, grace.as_secs());
        aways.ports.insert(port, away);
        if !std::mem::replace(&mut aways.is_watched, true) {
            spawn_local(Rc::clone(self).watch_aways());
        }
        true
    }

    /// Since when the client of a port was on the LAN whose connection is lost now.
    pub(super) fn away_since(&self, port: PortId) -> Option<Instant> {
        Some(self.aways.borrow().ports.get(&port)?.joined)
    }

    /// Drops what is stale and closes ports that nobody came back for, for as long as there are any.
    async fn watch_aways(self: Rc<Self>) {
        loop {
            sleep(TICK).await;
            let now = Instant::now();
            {
                let mut aways = self.aways.borrow_mut();
                aways.ports.retain(|port, away| {
                    let is_over = away.until <= now;
                    if is_over {
                        info!("{}: nobody came back for its guest", away.peer);
                        self.close_port(*port);
                    } else {
                        self.machine.borrow_mut().discard_waiting(*port);
                    }
                    !is_over
                });
                aways.is_watched = !aways.ports.is_empty();
                if !aways.is_watched {
                    break;
                }
            }
            self.drain();
        }
        self.drain();
    }

    /// Asks on a new connection for the guests that it may have been made for.
    pub(super) async fn ask_for_guests(self: Rc<Self>, client: Rc<Client>) {
        for wait in QUESTIONS {
            sleep(wait).await;
            if !client.claim().is_open() || client.is_gone() {
                return;
            }
            let guests = self.guests_of(&client);
            if guests.is_empty() {
                return;
            }
            for guest in guests {
                self.machine.borrow_mut().ask(guest, client.port());
            }
            self.drain();
        }
    }

    /// Guests of ports that a connection may resume.
    fn guests_of(&self, client: &Client) -> Vec<Guest> {
        let may = |origin: &Origin| client.origin().may_resume(origin, self.settings().resume_by_mac);
        let aways = self.aways.borrow();
        let away = aways.ports.iter().filter(|(_, away)| may(&away.origin)).map(|(port, _)| *port);
        let clients = self.clients.borrow();
        let live = clients.iter().filter(|(port, other)| **port != client.port() && may(other.origin()));
        let ports: Vec<PortId> = away.chain(live.map(|(port, _)| *port)).collect();
        let machine = self.machine.borrow();
        let mut guests: Vec<Guest> = Vec::new();
        for neighbor in machine.neighbors(self.clock.now()) {
            let guest = neighbor.guest;
            if guests.len() < MAX_ASKED && ports.contains(&guest.port) && !guests.contains(&guest) {
                guests.push(guest);
            }
        }
        guests
    }

    /// Judges the first frame of a connection: gives it the port of the guest that it comes from. Tells whether it did; the port is to be
    /// pumped then.
    pub(super) fn judge_first(self: &Rc<Self>, machine: &mut Lan, client: &Client, frame: &[u8]) -> bool {
        let Some(source) = frame.get(6..12).and_then(|mac| mac.try_into().ok()) else { return false };
        let source = MacAddr(source);
        let Some(owner) = machine.port_of(source).filter(|owner| *owner != client.port()) else {
            client.claim().settle();
            return false;
        };
        let may = |origin: &Origin| client.origin().may_resume(origin, self.settings().resume_by_mac);
        let away = self.aways.borrow_mut().ports.remove(&owner);
        match away {
            Some(away) if may(&away.origin) => {
                let before = client.port();
                info!("{}: has come back for the guest {source}, as {}", away.peer, client.member().peer);
                self.hand_over(machine, before, owner, away.joined);
                return true;
            }
            Some(away) => drop(self.aways.borrow_mut().ports.insert(owner, away)),
            None => {
                let other = self.clients.borrow().get(&owner).map(Rc::clone);
                if let Some(other) = other.filter(|other| may(other.origin())) {
                    if !client.claim().is_challenging.replace(true) {
                        other.ask_for_life();
                        spawn_local(Rc::clone(self).challenge(Rc::clone(client.member()), other));
                    }
                    return false;
                }
            }
        }
        client.claim().settle();
        false
    }

    /// Waits for a sign of life of a connection; without one its port is the challenger's, which speaks for its guest.
    async fn challenge(self: Rc<Self>, challenger: Rc<Member>, other: Rc<Client>) {
        let asked = Instant::now();
        sleep(CHALLENGE).await;
        let before = challenger.port();
        let client = self.clients.borrow().get(&before).map(Rc::clone);
        let is_challenger =
            |client: &Rc<Client>| Rc::ptr_eq(client.member(), &challenger) && client.claim().is_open();
        let Some(client) = client.filter(is_challenger) else { return };
        client.claim().settle();
        let owner = other.port();
        let is_there = self.clients.borrow().get(&owner).is_some_and(|there| Rc::ptr_eq(there, &other));
        let is_away = self.aways.borrow_mut().take(owner, other.member().id);
        if !is_away && (!is_there || other.heard() > asked) {
            return;
        }
        info!("{}: has come back for its guest, as {}", other.member().peer, client.member().peer);
        other.replace();
        self.hand_over(&mut self.machine.borrow_mut(), before, owner, other.member().joined());
        self.pump(owner);
        self.drain();
    }

    /// Moves the client at the port `from` to the port `to`, whose client is away. The frames that waited for the latter are for its guest.
    fn hand_over(&self, machine: &mut Lan, from: PortId, to: PortId, joined: Instant) {
        let mut clients = self.clients.borrow_mut();
        let Some(client) = clients.remove(&from) else { return };
        machine.close_port(from);
        self.captures.end_port(from);
        client.claim().settle();
        machine.hold_macs(to, false);
        machine.set_port_policy(to, client.dialer().map(|dialer| dialer.terms().policy.clone()));
        let member = client.member();
        member.resume(to, joined);
        self.forget_member(to);
        let mut members = self.members.borrow_mut();
        members.remove(&from);
        members.insert(to, Rc::clone(member));
        clients.insert(to, client);
        machine.path_restored(self.clock.now(), to);
    }
}

#[cfg(test)]
#[path = "resume_tests.rs"]
mod tests;
