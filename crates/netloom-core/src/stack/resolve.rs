//! Address resolution: flows that must reach a guest wait here until it is known who uses its address (RFC 826, RFC 4861 7.2).
//!
//! Nobody else asks: the machine answers guests, and learns where they are from what they send.

use core::net::IpAddr;

use super::Stack;
use crate::addr::MacAddr;
use crate::counters::Drop;
use crate::flow::{FlowId, Guest, ResetReason};
use crate::port::PortId;
use crate::time::{Duration, Instant};

const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(1);

/// A question that was not answered yet.
pub(super) struct Question {
    pub(super) again: Instant,
    tries: u32,
    /// Flows that wait for the answer.
    waiting: Vec<FlowId>,
}

impl Stack {
    /// Asks who uses an address, for a flow that must reach it.
    pub(super) fn resolve(&mut self, now: Instant, address: IpAddr, id: FlowId) {
        if let Some(question) = self.resolving.get_mut(&address) {
            question.waiting.push(id);
            return;
        }
        self.resolving.insert(address, Question { again: now + AGAIN, tries: 1, waiting: vec![id] });
        self.ask_all(address);
    }

    fn ask_all(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => {
                let request = self.arp_request(v4);
                self.push_everywhere(&request);
            }
            IpAddr::V6(v6) => {
                if let Some(solicitation) = self.solicitation(v6) {
                    self.push_to_group(&solicitation);
                }
            }
        }
    }

    /// Asks a guest whether it is still there, as far as one of its addresses is known.
    pub fn ask(&mut self, port: PortId, mac: MacAddr) {
        let probe = match self.neighbors.address_of(Guest { port, mac }) {
            Some(IpAddr::V4(v4)) => Some(self.arp_probe(mac, v4)),
            Some(IpAddr::V6(v6)) => self.solicitation(v6).map(|mut solicitation| {
                solicitation[..6].copy_from_slice(&mac.0);
                solicitation
            }),
            None => None,
        };
        if let Some(probe) = probe {
            self.push(port, &probe);
        }
    }

    pub(super) fn ask_again(&mut self, now: Instant) {
        let due: Vec<IpAddr> =
            self.resolving.iter().filter(|(_, q)| q.again <= now).map(|(address, _)| *address).collect();
        for address in due {
            let Some(question) = self.resolving.get_mut(&address) else { continue };
            if question.tries < TRIES {
                question.tries += 1;
                question.again = now + AGAIN;
                self.ask_all(address);
                continue;
            }
            for id in self.resolving.remove(&address).map(|question| question.waiting).unwrap_or_default() {
                // The outside may have ended the flow meanwhile, and its place may be another's.
                if self.flows.get(id).is_some() {
                    self.drops.count(Drop::NeighborUnresolved);
                    self.end_flow(id.index, ResetReason::Unreachable);
                }
            }
        }
    }

    pub(super) fn resolved(&mut self, address: IpAddr, guest: Guest) {
        let Some(question) = self.resolving.remove(&address) else { return };
        for id in question.waiting {
            if self.flows.get(id).is_some() {
                self.flow_reaches(id.index, guest);
            }
        }
    }
}
