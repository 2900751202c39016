//! Other settings for a LAN at work: what can change under its guests does, and no flow of theirs ends by it.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::{LanTask, machine};
use crate::config::LanSettings;
use crate::egress::Terms;
use crate::forward;
use crate::tap;

impl LanTask {
    /// Goes by other settings from now on. Tells what could not be done of it, in lines.
    pub(crate) fn reconfigure(self: &Rc<Self>, new: LanSettings, terms: Terms) -> Vec<String> {
        let old = self.settings();
        {
            let mut machine = self.machine.borrow_mut();
            machine.set_policy(terms.policy.clone());
            machine.set_fixed_leases(new.leases.clone());
            // Those that were added at run time stay.
            let mut names = self.names.borrow_mut();
            names.set_base(machine::records(&new));
            machine.set_dns_records(names.records());
        }
        self.egress.dialer.set_terms(terms);
        let clients: Vec<_> = self.clients.borrow().values().cloned().collect();
        for client in clients {
            client.heed_rules(self);
        }
        let (gone, come) = differences(&old.forwards, &new.forwards);
        let (gone_taps, come_taps) = differences(&old.taps, &new.taps);
        let (changed, come_taps): (Vec<_>, Vec<_>) =
            come_taps.into_iter().partition(|tap| gone_taps.iter().any(|gone| gone.is_same_interface(tap)));
        let mtu = new.mtu;
        self.resumes.store(new.resume_s > 0, Ordering::Relaxed);
        *self.settings.borrow_mut() = Rc::new(new);
        let mut failed = Vec::new();
        for forward in gone {
            if let Err(error) = forward::remove(self, &forward.listen) {
                failed.push(format!("forward {forward}: {error}"));
            }
        }
        for forward in come {
            if let Err(error) = forward::add(self, &forward) {
                failed.push(format!("forward {forward}: {error}"));
            }
        }
        for tap in &changed {
            failed.push(format!("TAP {tap}: an interface stays as it was made; start the relay again"));
        }
        for tap in gone_taps.iter().filter(|tap| !changed.iter().any(|other| other.is_same_interface(tap))) {
            self.leave_tap(tap);
        }
        for tap in come_taps {
            match tap::open(&tap, mtu) {
                Ok(tap) => self.join_tap(tap),
                Err(error) => failed.push(error.to_string()),
            }
        }
        self.drain();
        failed
    }

    /// Goes by the limits as they are now, for guests who are there, too, and for those who are away.
    pub(crate) fn heed_limits(&self) {
        let frames_per_s = self.limits.broadcast_frames_per_s();
        let mut machine = self.machine.borrow_mut();
        for port in self.clients.borrow().keys().chain(self.aways.borrow().ports()) {
            machine.limit_broadcast(*port, frames_per_s);
        }
    }
}

/// What is only in the one, and what is only in the other.
fn differences<T: Clone + PartialEq>(old: &[T], new: &[T]) -> (Vec<T>, Vec<T>) {
    let without =
        |these: &[T], those: &[T]| these.iter().filter(|one| !those.contains(one)).cloned().collect();
    (without(old, new), without(new, old))
}
