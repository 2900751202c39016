//! Other settings for a LAN at work: what can change under its guests does, and no flow of theirs ends by it.

use std::mem;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::tap::Leaving;
use super::{LanTask, machine};
use crate::config::{LanSettings, TapSettings};
use crate::egress::Terms;
use crate::forward;
use crate::tap;

impl LanTask {
    /// Lets go of what it is not to have by `new`, so that another LAN may have it. An interface is free once it is gone.
    pub(crate) fn let_go(self: &Rc<Self>, new: &LanSettings) -> Vec<Leaving> {
        let mut settings = LanSettings::clone(&self.settings());
        for forward in settings.forwards.extract_if(.., |forward| !new.forwards.contains(forward)) {
            forward::withdraw(self, &forward);
        }
        let is_gone = |tap: &TapSettings| !new.taps.iter().any(|wanted| wanted.is_same_interface(tap));
        let gone: Vec<_> = settings.taps.extract_if(.., |tap| is_gone(tap)).collect();
        *self.settings.borrow_mut() = Rc::new(settings);
        self.leave_taps(|tap| gone.iter().any(|gone| gone.is_same_interface(tap)))
    }

    /// Goes by other settings from now on, after [`Self::let_go`]. Tells by which it goes, which lack what could not be had, and what that
    /// was, in lines.
    pub(crate) fn reconfigure(
        self: &Rc<Self>,
        mut new: LanSettings,
        terms: Terms,
    ) -> (LanSettings, Vec<String>) {
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
        self.resumes.store(new.resume_s > 0, Ordering::Relaxed);
        *self.settings.borrow_mut() = Rc::new(new.clone());
        let mut failed = Vec::new();
        new.forwards.retain(|forward| {
            let mut add = || {
                forward::add(self, forward)
                    .map_err(|error| failed.push(format!("forward {forward}: {error}")))
            };
            old.forwards.contains(forward) || add().is_ok()
        });
        let taps = mem::take(&mut new.taps).into_iter().filter_map(|tap| {
            if let Some(there) = old.taps.iter().find(|there| there.is_same_interface(&tap)) {
                if *there != tap {
                    failed
                        .push(format!("TAP {tap}: an interface stays as it was made; start the relay again"));
                }
                return Some(there.clone());
            }
            let open = tap::open(&tap, new.mtu).map_err(|error| failed.push(error.to_string())).ok()?;
            self.join_tap(open);
            Some(tap)
        });
        new.taps = taps.collect();
        *self.settings.borrow_mut() = Rc::new(new.clone());
        self.drain();
        (new, failed)
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
